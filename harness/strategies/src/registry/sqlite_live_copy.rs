//! `sqlite-live-copy`: a plain copy of the live files while another process holds a read transaction.
//!
//! While a read transaction is held in WAL mode, the database file together with the log contains at least everything that
//! was committed when the transaction began, whatever checkpoints do meanwhile. The database file is copied first, then
//! the log. If everything was in the database file already when the transaction began, the log may be reset while it is
//! copied: a copy with the old header and a mixture of old and new frames would put old pages over newer ones, and commits
//! would be lost without a trace. So the log's header is copied last: after a reset, the old frames do not match it and are
//! ignored, and the database file alone is the snapshot. With a rollback journal, the transaction blocks writers, and the
//! database file alone is copied.
//!
//! The copy is made by a child process: when a process closes any descriptor of a file, it loses all locks that it holds on
//! that file. See <https://sqlite.org/walformat.html> and "How to corrupt", <https://sqlite.org/howtocorrupt.html>, 2.2.

mod copying;
mod job;

use std::path::Path;

use engines::engine::Engine;
use machine::file_system::reflinks_work;
use machine::tool::CP;
use machine::worker::JobEntry;
use serde::{Deserialize, Serialize};

use crate::contract::{
    Abilities, BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Placement,
    Promise, RestoreContext, RestoreResult, Strategy, StrategyEntry,
};
use crate::files;
use copying::{CopyLiveFiles, Header, Manner, Method};
use job::CopyInTransaction;

inventory::submit! { StrategyEntry::of::<SqliteLiveCopy>() }

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SqliteLiveCopy {
    busy_timeout_ms: u64,
    bytes_per_second: u64,
    chunk_kib: u32,
    fold: bool,
    header: Header,
    method: Method,
    queue_depth: u32,
    sync_every_mib: u64,
    transaction: bool,
}

impl Default for SqliteLiveCopy {
    fn default() -> Self {
        SqliteLiveCopy {
            busy_timeout_ms: 10_000,
            bytes_per_second: 0,
            chunk_kib: 1024,
            fold: false,
            header: Header::default(),
            method: Method::default(),
            queue_depth: 2,
            // Without, single writes waited for 0.5 to 0.7 s at the end of the copy in three of six trials at 1 GiB; with it
            // in none of three, and the copy was not slower.
            sync_every_mib: 16,
            transaction: true,
        }
    }
}

impl Definition for SqliteLiveCopy {
    const CARD: Card = Card {
        name: "sqlite-live-copy",
        summary: "plain copy of the live files, past the page cache, while a read transaction is held",
        family: Family::Online,
        on: &[OnEngine { engine: "sqlite", tools: &[CP], image: None }],
        settings: &[
            ("busy_timeout_ms", "how long the read transaction waits for a lock"),
            ("bytes_per_second", "speed limit of the copy; 0: none"),
            ("chunk_kib", "KiB that are read and written at a time"),
            (
                "fold",
                "checkpoint the copied log into the copied database, so that the artifact is a single file",
            ),
            (
                "header",
                "which part of the log's header and the rest is copied last: \"last\" is right; \"first\", from the \
                 log's beginning to its end, promises nothing",
            ),
            (
                "method",
                "\"direct\": past the page cache; \"copy-file-range\": by the kernel; \"reflink\": the copy of the \
                 database file shares its blocks",
            ),
            ("queue_depth", "number of chunks that are read and written at the same time"),
            (
                "sync_every_mib",
                "synchronise the target after this many MiB, so that less is left in the disk's own cache; 0: only at \
                 the end",
            ),
            ("transaction", "hold a read transaction; false promises nothing"),
        ],
        cost: Cost { backup: 1.0, restore: 1.0, artifact: 1.1 },
    };

    const JOBS: &'static [JobEntry] = &[JobEntry::of::<CopyInTransaction>(), JobEntry::of::<CopyLiveFiles>()];

    fn validate(&self) -> Result<(), String> {
        if !(4..=65_536).contains(&self.chunk_kib) || !self.chunk_kib.is_multiple_of(4) {
            return Err("chunk_kib must be a multiple of 4 from 4 to 65536".into());
        }
        if !(1..=64).contains(&self.queue_depth) {
            return Err("queue_depth must be from 1 to 64".into());
        }
        if self.method == Method::Reflink && self.bytes_per_second > 0 {
            return Err("a reflink copies no bytes: bytes_per_second requires another method".into());
        }
        Ok(())
    }
}

impl Strategy for SqliteLiveCopy {
    fn promise(&self) -> Promise {
        if self.header == Header::First || !self.transaction {
            return Promise { text: "nothing", keeps: Keeps::Nothing };
        }
        Promise {
            text: "consistent; keeps every write acknowledged before the backup began; does not block writers in WAL \
                   mode; in delete mode it blocks them for the time of the copy",
            keeps: Keeps::Earlier,
        }
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities { placement: Some(self), ..Abilities::default() }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let manner = Manner {
            bytes_per_second: self.bytes_per_second,
            chunk_bytes: self.chunk_kib as usize * 1024,
            method: self.method,
            queue_depth: self.queue_depth,
            sync_every_bytes: self.sync_every_mib.saturating_mul(1 << 20),
        };
        let copied = context.watch.work(&CopyInTransaction {
            source: context.subject.data().to_owned(),
            target: context.target(),
            transaction: self.transaction,
            busy_timeout_ms: self.busy_timeout_ms,
            header: self.header,
            fold: self.fold,
            manner,
        })?;
        let mut outcome = context.watch.complete_backup()?;
        outcome.measured.append_output(&copied.to_string());
        Ok(outcome)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        files::restore(context)
    }
}

impl Placement for SqliteLiveCopy {
    fn obstacle(&self, _engine: &dyn Engine, directory: &Path) -> Option<String> {
        if self.method != Method::Reflink {
            return None;
        }
        match reflinks_work(directory) {
            Ok(true) => None,
            Ok(false) => Some(
                "files in the directory of the data cannot share blocks (reflinks): choose another method, or set \
                 file_systems = [\"btrfs\"] in [subject] of the scenario"
                    .into(),
            ),
            Err(error) => Some(format!("reflinks cannot be tested: {error}")),
        }
    }

    fn survives_disk_loss(&self, _engine: &dyn Engine, directory: &Path) -> Option<bool> {
        match self.method {
            Method::Direct => Some(true),
            // The kernel shares blocks where it can.
            Method::CopyFileRange => reflinks_work(directory).ok().map(|they_work| !they_work),
            Method::Reflink => Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Settings;
    use crate::contract::configured::parse;

    fn live_copy(given: serde_json::Value) -> Result<SqliteLiveCopy, String> {
        let given: Settings = serde_json::from_value(given).unwrap();
        parse(&given)
    }

    #[test]
    fn the_header_first_and_no_transaction_promise_nothing() {
        let keeps_nothing = |given| live_copy(given).unwrap().promise().is_none();
        assert!(keeps_nothing(serde_json::json!({ "header": "first" })));
        assert!(keeps_nothing(serde_json::json!({ "transaction": false })));
        assert!(!keeps_nothing(serde_json::json!({ "fold": true, "method": "copy-file-range" })));
    }

    #[test]
    fn impossible_settings_are_refused_with_the_reason() {
        let refused = [
            serde_json::json!({ "chunk_kib": 6 }),
            serde_json::json!({ "queue_depth": 0 }),
            serde_json::json!({ "method": "reflink", "bytes_per_second": 1 }),
            serde_json::json!({ "header": "middle" }),
        ];
        insta::assert_snapshot!(refused.map(|given| live_copy(given).err().unwrap()).join("\n"), @r"
        chunk_kib must be a multiple of 4 from 4 to 65536
        queue_depth must be from 1 to 64
        a reflink copies no bytes: bytes_per_second requires another method
        unknown variant `middle`, expected `last` or `first`
        ");
    }
}
