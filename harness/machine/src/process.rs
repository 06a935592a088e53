//! Child processes: measured exactly, and always killed.
//!
//! Every child is the leader of its own process group, is killed when the harness dies (`PR_SET_PDEATHSIG`), and
//! carries a mark in its environment, by which the next start finds processes that a killed harness left behind.

mod alive;
mod cancel;
mod child;
mod counters;
mod group;
mod launcher;
mod limited_group;
mod marked;
mod nested;
mod output;
mod signals;
mod start;
mod written;

pub use alive::is_alive;
pub use cancel::{Cancel, StopOnDrop, TICK};
pub use child::Child;
pub use counters::{Account, Counters, Io, ProcessRegistry, anonymous_bytes, anonymous_bytes_of_tree};
pub use group::{Ended, Group, ProcessError};
pub use launcher::Launcher;
pub use limited_group::{LimitedGroup, Limits};
pub use marked::kill_marked;
pub use nested::work_in_child;
pub use output::last_lines;
pub use signals::{restore_sigchld, restore_sigpipe};
pub use start::{StartError, is_mounted_noexec, on_path, why_not_started};
pub use written::{WrittenFile, bytes_written, files_in, open_for_writing};
