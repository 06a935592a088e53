//! Where datasets, working copies and results are.

use std::path::PathBuf;

use clap::Args;
use machine::this_program;

#[derive(Args)]
pub struct Place {
    /// Directory for datasets, working copies and results: put it on the disk that you want to measure
    /// [default: backup-drill, or target/drill in a checkout]
    #[arg(long)]
    pub(super) dir: Option<PathBuf>,
}

impl Place {
    /// The given directory, or the default one.
    pub fn directory(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(default_directory)
    }
}

/// The directory for datasets, working copies and results without `--dir`.
pub fn default_directory() -> PathBuf {
    this_program::checkout().map_or_else(|| PathBuf::from("backup-drill"), |root| root.join("target/drill"))
}
