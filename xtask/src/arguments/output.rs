//! What a command shows besides its results.

use clap::Args;

/// What to show besides results.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Output {
    /// Show results and errors only
    #[arg(short, long, global = true, help_heading = "Output", conflicts_with_all = ["verbose", "no_progress"])]
    pub quiet: bool,
    /// Show each phase of a trial on a separate line
    #[arg(short, long, global = true, help_heading = "Output")]
    pub verbose: bool,
    /// Show only the start and the end of each trial, no progress in between
    #[arg(long, global = true, help_heading = "Output", conflicts_with = "verbose")]
    pub no_progress: bool,
}
