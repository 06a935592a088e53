//! Tests of the page in a real browser: the results of its controls are compared with the records, and its layout and
//! accessibility are checked at several widths in light and dark mode.
//!
//! These tests need the command `chromium`, and fail where it is missing. The rules of the accessibility check come
//! from a Python package, which is downloaded once. Where that fails, the check reports that it was skipped.

mod axe;
mod comparison;
mod decide;
mod faults;
mod layout;
mod window;

use std::path::Path;

use reports::record::Results;

/// The results of a published run.
fn published(name: &str) -> Results {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("published").join(name).join("results.json");
    Results::load(&file).unwrap()
}
