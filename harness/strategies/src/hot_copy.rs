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
use machine::worker::Progress;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::files;
use crate::halt::Halt;
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kind, Promise, RestoreContext, Settings, Strategy, complete, spawn_work,
};

pub struct HotCopy;

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HotCopySettings {
    seconds_min: f64,
}

#[derive(Serialize, Deserialize)]
struct Task {
    /// Files, and directories with their contents.
    sources: Vec<PathBuf>,
    directory: PathBuf,
    seconds_min: f64,
}

impl Strategy for HotCopy {
    fn card(&self) -> Card {
        Card {
            name: "hot-copy",
            summary: "copy the live files one after the other while they are being written to (unsafe on purpose)",
            engines: &["mariadb", "mysql", "sqlite"],
            kind: Kind::Control,
            promise: Promise { text: "nothing", keeps: Keeps::Nothing },
            settings: &[("seconds_min", "minimum duration of the copy: a quick copy is often right by luck")],
            tools: &[CP],
            contained: false,
            cost: Cost { backup: 1.0, restore: 1.0 },
        }
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        let (settings, complete) = complete::<HotCopySettings>(given)?;
        if !(0.0..=86_400.0).contains(&settings.seconds_min) {
            return Err("seconds_min must be from 0 to 86400".into());
        }
        Ok(complete)
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        let settings: HotCopySettings = context.settings();
        let task = json!(Task {
            sources: files::of_database(context.subject.data()),
            directory: context.destination.to_owned(),
            seconds_min: settings.seconds_min,
        });
        let child = spawn_work(context.watch, self.card().name, task)?;
        context.watch.run(vec![child])?;
        context.watch.make_durable()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        files::restore(context)
    }

    fn work(&self, task: Value, report: &mut dyn FnMut(Progress)) -> anyhow::Result<Value> {
        let task: Task = serde_json::from_value(task)?;
        let mut copied = Vec::new();
        for source in &task.sources {
            let parent = source.parent().context("a database lies in a directory")?;
            for file in storage::files(source) {
                let target = task.directory.join(file.strip_prefix(parent)?);
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
                let due = Duration::from_secs_f64(task.seconds_min * share);
                std::thread::sleep(due.saturating_sub(started.elapsed()));
            }
        }
        Ok(Value::Null)
    }
}
