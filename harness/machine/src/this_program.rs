//! This program: where it was started, and the command that its user runs.

use std::path::{Path, PathBuf};

/// The checkout that this program was built from, when cargo started it there; `None` for an installed program.
pub fn checkout() -> Option<PathBuf> {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.parent()?;
    let started_for = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    started_for.starts_with(built_in).then(|| built_in.to_owned())
}

/// The command with which a user runs this program.
pub fn name() -> &'static str {
    if checkout().is_some() { "cargo xtask" } else { "backup-drill" }
}
