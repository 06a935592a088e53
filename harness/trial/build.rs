//! Shipped scenarios and examples are compiled in: a new file among them needs a new build.

fn main() {
    println!("cargo::rerun-if-changed=../../scenarios");
    println!("cargo::rerun-if-changed=../../examples");
}
