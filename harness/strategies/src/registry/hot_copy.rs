//! `hot-copy`: a negative control. Copies the live files one after the other while they are being written to.
//!
//! It shows that the verifier finds damage, and what a plain copy of live files leads to. A quick copy is often right
//! by luck, so it can be slowed down to the time that a larger database would take.

use std::fs::{File, create_dir_all};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use machine::measure::storage;
use machine::tool::CP;
use machine::worker::{Job, JobEntry, Progress};
use serde::{Deserialize, Serialize};

use crate::contract::{
    BackupContext, BackupResult, Card, Cost, Definition, Family, Keeps, OnEngine, Promise, RestoreContext,
    RestoreResult, Strategy, StrategyEntry,
};
use crate::files;

inventory::submit! { StrategyEntry::of::<HotCopy>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HotCopy {
    seconds_min: f64,
}

/// The job of its worker: copies files one after the other.
#[derive(Serialize, Deserialize)]
struct CopyFiles {
    /// Files, and directories with their contents.
    sources: Vec<PathBuf>,
    directory: PathBuf,
    seconds_min: f64,
}

impl Definition for HotCopy {
    const CARD: Card = Card {
        name: "hot-copy",
        summary: "copy the live files one after the other while they are being written to (unsafe on purpose)",
        family: Family::Control,
        on: &[
            OnEngine { engine: "mariadb", tools: &[CP], image: None },
            OnEngine { engine: "mysql", tools: &[CP], image: None },
            OnEngine { engine: "sqlite", tools: &[CP], image: None },
        ],
        settings: &[("seconds_min", "minimum duration of the copy: a quick copy is often right by luck")],
        cost: Cost { backup: 1.0, restore: 1.0, artifact: 1.0 },
    };

    const JOBS: &'static [JobEntry] = &[JobEntry::of::<CopyFiles>()];

    fn validate(&self) -> Result<(), String> {
        if !(0.0..=86_400.0).contains(&self.seconds_min) {
            return Err("seconds_min must be from 0 to 86400".into());
        }
        Ok(())
    }
}

impl Strategy for HotCopy {
    fn promise(&self) -> Promise {
        Promise { text: "nothing", keeps: Keeps::Nothing }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let copy = CopyFiles {
            sources: files::of_database(context.subject.data()),
            directory: context.destination.to_owned(),
            seconds_min: self.seconds_min,
        };
        context.watch.work(&copy)?;
        context.watch.complete_backup()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        files::restore(context)
    }
}

impl Job for CopyFiles {
    const NAME: &'static str = HotCopy::CARD.name;
    type Answer = ();

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<()> {
        let mut copied = Vec::new();
        for source in &self.sources {
            let parent = source.parent().context("a database lies in a directory")?;
            for file in storage::files(source) {
                let target = self.directory.join(file.strip_prefix(parent)?);
                copied.push((file, target));
            }
        }
        // A file may disappear now, or later before it is copied.
        let total: u64 =
            copied.iter().filter_map(|(from, _)| from.metadata().ok()).map(|from| from.len()).sum();
        let started = Instant::now();
        let mut done = 0;
        let mut buffer = vec![0; 1 << 20];
        for (from, to) in &copied {
            let Ok(mut from) = File::open(from) else { continue };
            create_dir_all(to.parent().context("a copy lies in a directory")?)?;
            let mut to = File::create(to)?;
            loop {
                let bytes = from.read(&mut buffer)?;
                if bytes == 0 {
                    break;
                }
                to.write_all(&buffer[..bytes])?;
                done += bytes as u64;
                let share = (done as f64 / total as f64).min(1.0);
                report(Progress { remaining: 1.0 - share, ..Progress::default() });
                let due = Duration::from_secs_f64(self.seconds_min * share);
                std::thread::sleep(due.saturating_sub(started.elapsed()));
            }
        }
        Ok(())
    }
}
