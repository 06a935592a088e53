//! `sqlite-online-backup`: SQLite's backup API, as a program calls it.
//!
//! Each step reads pages inside its own read transaction. When another connection has committed between two steps, the
//! backup restarts at the first page. A single step for all pages, or a read transaction that is held across all steps
//! (`pinned`), prevents this. See <https://sqlite.org/backup.html>.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use machine::tool::CP;
use machine::worker::{Job, JobEntry, Progress};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise, RestoreContext,
    RestoreResult, Strategy, StrategyEntry,
};
use crate::files;
use crate::sqlite_tools::open_live;
use crate::steady_sync;

inventory::submit! { StrategyEntry::of::<SqliteOnlineBackup>() }

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SqliteOnlineBackup {
    busy_timeout_ms: u64,
    pause_ms: u64,
    pinned: bool,
    step_pages: i32,
    sync_every_mib: u64,
}

impl Default for SqliteOnlineBackup {
    fn default() -> Self {
        SqliteOnlineBackup {
            busy_timeout_ms: 10_000,
            pause_ms: 0,
            pinned: false,
            step_pages: 100,
            sync_every_mib: 0,
        }
    }
}

/// The job of its worker: calls the backup API.
#[derive(Serialize, Deserialize)]
struct CopyPages {
    source: PathBuf,
    target: PathBuf,
    settings: SqliteOnlineBackup,
}

impl Definition for SqliteOnlineBackup {
    const CARD: Card = Card {
        name: "sqlite-online-backup",
        summary: "SQLite's backup API, a number of pages a step",
        family: Family::Online,
        on: &[OnEngine { engine: "sqlite", tools: &[CP], image: None }],
        settings: &[
            ("busy_timeout_ms", "how long a step waits for a lock"),
            ("pause_ms", "pause between two steps"),
            (
                "pinned",
                "hold one read transaction across all steps, so that a commit does not restart the backup",
            ),
            ("step_pages", "pages a step; -1: all in one step"),
            (
                "sync_every_mib",
                "synchronise the target each time it has grown by this many MiB, so that less is left for the end; 0: \
                 only at the end",
            ),
        ],
        cost: Cost { backup: 1.5, restore: 1.0, artifact: 1.0 },
    };

    const JOBS: &'static [JobEntry] = &[JobEntry::of::<CopyPages>()];

    fn validate(&self) -> Result<(), String> {
        if self.step_pages == 0 || self.step_pages < -1 {
            return Err("step_pages must be at least 1, or -1 for all pages in one step".into());
        }
        Ok(())
    }
}

impl Strategy for SqliteOnlineBackup {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; keeps every write acknowledged before the backup began; \
                   does not block writers in WAL mode; in delete mode each step blocks them",
            keeps: Keeps::Earlier,
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let (source, target) = (context.subject.data().to_owned(), context.target());
        context.watch.work(&CopyPages { source, target, settings: self.clone() })?;
        context.watch.complete_backup()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        files::restore(context)
    }
}

impl Job for CopyPages {
    const NAME: &'static str = SqliteOnlineBackup::CARD.name;
    type Answer = ();

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<()> {
        steady_sync::beside(&self.target, self.settings.sync_every_mib.saturating_mul(1 << 20), || {
            self.copy(report)
        })
    }
}

impl CopyPages {
    fn copy(&self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<()> {
        let CopyPages { source, target, settings } = self;
        let source = open_live(source, Duration::from_millis(settings.busy_timeout_ms))?;
        let mut target = Connection::open(target).context("cannot create the target")?;
        if settings.pinned {
            source
                .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
                .context("cannot begin a read transaction")?;
        }
        let backup = Backup::new(&source, &mut target)?;
        let mut counter = StepCounter::new(settings);
        loop {
            let started = Instant::now();
            let result = backup.step(settings.step_pages)?;
            match result {
                StepResult::Done | StepResult::More => {
                    let progress = backup.progress();
                    counter.note(progress.remaining, progress.pagecount, started.elapsed());
                    counter.report(report, result == StepResult::Done);
                }
                StepResult::Busy | StepResult::Locked => {
                    bail!("database is locked (no lock within {} ms)", settings.busy_timeout_ms)
                }
                other => bail!("the backup API returned {other:?}"),
            }
            if result == StepResult::Done {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(settings.pause_ms));
        }
    }
}

const REPORT_EVERY: Duration = Duration::from_millis(50);

/// Counts the steps, their pages and the restarts.
struct StepCounter {
    pause: Duration,
    restarting: bool,
    remaining: i32,
    total: i32,
    /// The smallest number of remaining pages since the last report, which stall detection needs.
    low: i32,
    restarts: u64,
    pages_copied: u64,
    stepping: Duration,
    steps: u32,
    reported: Option<Instant>,
}

impl StepCounter {
    fn new(settings: &SqliteOnlineBackup) -> StepCounter {
        StepCounter {
            pause: Duration::from_millis(settings.pause_ms),
            restarting: settings.step_pages > 0 && !settings.pinned,
            remaining: i32::MAX,
            total: 0,
            low: i32::MAX,
            restarts: 0,
            pages_copied: 0,
            stepping: Duration::ZERO,
            steps: 0,
            reported: None,
        }
    }

    /// A successful step copies pages, so the number of remaining pages must fall. If it has not, the step restarted at
    /// the first page.
    fn note(&mut self, remaining: i32, total: i32, took: Duration) {
        let begins = remaining >= self.remaining;
        self.restarts += u64::from(begins);
        let before = if begins || self.steps == 0 { total } else { self.remaining };
        self.pages_copied += (before - remaining) as u64;
        self.stepping += took;
        self.steps += 1;
        self.remaining = remaining;
        self.total = total;
        self.low = self.low.min(remaining);
    }

    fn report(&mut self, report: &mut dyn FnMut(Progress), done: bool) {
        if !done && self.reported.is_some_and(|reported| reported.elapsed() < REPORT_EVERY) {
            return;
        }
        let seconds = (self.stepping + self.pause * self.steps).as_secs_f64();
        let pass_seconds = seconds / self.pages_copied as f64 * f64::from(self.total);
        report(Progress {
            remaining: f64::from(self.low) / f64::from(self.total.max(1)),
            restarts: self.restarts,
            pages_copied: self.pages_copied,
            pass_seconds: self.restarting.then_some(pass_seconds),
        });
        self.reported = Some(Instant::now());
        self.low = i32::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_after_which_not_fewer_pages_remain_is_a_restart() {
        let mut counter = StepCounter::new(&SqliteOnlineBackup::default());
        for remaining in [900, 800, 900, 900, 800, 750] {
            counter.note(remaining, 1000, Duration::from_millis(1));
        }
        // The last step copies fewer pages.
        assert_eq!((counter.restarts, counter.pages_copied, counter.low), (2, 550, 750));
    }
}
