//! The speed of what the harness itself does, each beside its limit on this machine: generating beside a raw write,
//! verifying beside a raw read, what happens in memory beside a copy of as many bytes, the stages of a backup off the machine
//! beside plain programs that do the same.
//!
//! `cargo bench --bench speed`, or one of them with `-- NAME`; with `-- --test` each runs once on little data, as a smoke
//! test.

mod beside;
mod dataset;
mod drive;
mod ledger;
mod offsite;
mod verify;

use beside::Scale;

type Benchmark = fn(Scale);

const BENCHMARKS: [(&str, Benchmark); 5] = [
    ("dataset", dataset::run),
    ("verify", verify::run),
    ("ledger", ledger::run),
    ("drive", drive::run),
    ("offsite", offsite::run),
];

fn main() {
    if std::env::args().nth(1).as_deref() == Some(machine::worker::ARGUMENT) {
        std::process::exit(harness::jobs::main());
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let scale = if words.iter().any(|word| word == "--test") { Scale::Smoke } else { Scale::Full };
    let chosen: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let is_known = |name: &&String| BENCHMARKS.iter().any(|(known, _)| known == name);
    if let Some(unknown) = chosen.iter().find(|name| !is_known(name)) {
        let known = BENCHMARKS.map(|(name, _)| name).join(", ");
        eprintln!("error: there is no benchmark '{unknown}'; known: {known}");
        std::process::exit(2);
    }
    for (name, run) in BENCHMARKS {
        if chosen.is_empty() || chosen.iter().any(|chosen| *chosen == name) {
            run(scale);
        }
    }
}
