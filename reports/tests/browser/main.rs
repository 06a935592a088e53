//! The page in a real browser: what its controls do is held against the records, and its layout and its accessibility are
//! checked at two widths in both modes.
//!
//! These tests need the command `chromium`, and fail where it is missing. The rules of the accessibility check come out of
//! a Python package, which is fetched once: where that fails, the check says that it was not made.

mod axe;
mod comparison;
mod decide;
mod layout;
mod window;

use std::path::Path;

use reports::record::Results;

/// A published run, as its page shows it.
fn published(name: &str) -> Results {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("published").join(name).join("results.json");
    Results::load(&file).unwrap()
}
