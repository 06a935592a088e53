//! What is verified, and with what it is compared.

use std::path::PathBuf;

use anyhow::Context;
use machine::error::Result;
use reports::record::Level;
use serde::{Deserialize, Serialize};

use super::content::ContentDigest;
use super::torrents::Limits;
use crate::ledger::Ledger;
use crate::writes::Model;

/// A restored database, and what it is compared with. Times are in nanoseconds of
/// [`now_ns`](machine::measure::clock::now_ns).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request<D> {
    /// The restored database.
    pub database: D,
    /// Directory of the trial's ledger.
    pub ledger: PathBuf,
    /// The model of the trial's writes.
    pub model: Model,
    /// The source's content before any write.
    pub expected: ContentDigest,
    /// The level of the verification.
    pub integrity: Level,
    /// Writes acknowledged before this instant were promised to be kept; null when nothing was promised (a negative
    /// control).
    pub keep_acknowledged_before_ns: Option<u64>,
    /// Writes sent from this instant on must be absent (point-in-time recovery); null without such a limit.
    pub lack_sent_after_ns: Option<u64>,
    /// Torrents that were never completed should be left out: it is an error if they are present, not if they are
    /// absent.
    #[serde(default)]
    pub without_never_completed: bool,
    /// When the backup was complete; null with continuous replication, where the restored database contains later
    /// writes and does not show what a restore would have lacked at that moment.
    pub backup_completed_ns: Option<u64>,
    /// When the disaster happened.
    pub disaster_ns: u64,
    /// Acknowledged writes that were missing from the application's own database at the disaster, by writer and index:
    /// see [`unwritten()`](super::unwritten()). They count as indeterminate writes.
    #[serde(default)]
    pub never_written: Vec<(u32, u64)>,
}

impl<D> Request<D> {
    /// Opens the ledger of the writes.
    pub(super) fn open_ledger(&self) -> Result<Ledger> {
        let ledger = Ledger::open(&self.ledger, self.model.writers);
        Ok(ledger.with_context(|| format!("ledger {}", self.ledger.display()))?)
    }

    /// The limits for reading the torrents.
    pub(super) fn limits(&self, ledger: &Ledger) -> Limits {
        Limits {
            changed_max: self.changed_rows_max(ledger),
            without_never_completed: self.without_never_completed,
        }
    }

    /// The most rows that the writes in the ledger can have changed, the probe's included.
    fn changed_rows_max(&self, ledger: &Ledger) -> u64 {
        let writes: u64 = (0..ledger.writers()).map(|writer| ledger.writer(writer).count()).sum();
        // A plain write stamps its rows; any other write changes one slot and two accounts.
        writes * u64::from(self.model.rows_per_transaction.max(3)) + 1
    }
}
