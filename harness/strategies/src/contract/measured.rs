//! What was measured of a backup or a restore.

use machine::process::Counters;

/// What was measured of an operation, whether it succeeded or not.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// When the operation began, in nanoseconds of the common clock, if it had to wait first; `None`: with the call.
    pub began_ns: Option<u64>,
    /// When the backup that a restore takes began and ended, in nanoseconds of the common clock, if it is an older one than
    /// the measured one; `None`: a restore takes the measured one.
    pub older_backup_ns: Option<(u64, u64)>,
    /// Resources that its own processes used.
    pub counters: Counters,
    /// Resources that continuous replication used for it; `None`: all that it used since the call.
    pub replication: Option<Counters>,
    /// The last lines that its processes printed.
    pub output: String,
    /// The greatest progress, from 0 to 1; `None` when unknown.
    pub furthest: Option<f64>,
    /// Its passes over the database.
    pub passes: Passes,
}

/// The passes of a backup over the database. A backup that restarts after a commit needs several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Passes {
    /// How often it restarted; `None` when unknown.
    pub restarts: Option<u64>,
    /// Pages copied, repeated ones included; `None` when unknown.
    pub pages_copied: Option<u64>,
    /// Time of one undisturbed pass; `None` when unknown, or when it does not work in passes.
    pub seconds: Option<f64>,
    /// It does not report when it restarts, so that its progress does not tell how much time is left.
    pub unreported: bool,
}

impl Measured {
    /// Appends to the recorded output.
    pub fn append_output(&mut self, more: &str) {
        if !self.output.is_empty() && !more.is_empty() {
            self.output.push('\n');
        }
        self.output.push_str(more);
    }
}
