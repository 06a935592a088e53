//! The contract of an engine, for SQLite.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use machine::error::Result;
use machine::process::Launcher;
use machine::worker::JobEntry;
use model::dataset::{DatasetSpec, Generated};
use reports::record::Workload;
use rusqlite::Connection;
use serde_json::{Map, Value};

use super::Sqlite;
use super::cache::{self, CachedDataset};
use super::database::digest;
use super::dataset;
use super::inspection::Inspect;
use super::live_file::LiveFile;
use super::log_watch;
use super::modes::{DELETE, WAL};
use super::own::{Adopt, CopyOnline};
use super::settings::{Checkpoints, SqliteSettings};
use crate::access::Access;
use crate::applications::App;
use crate::engine::{Engine, Provision, Template};
use crate::error::attributed;
use crate::files::FileEngine;
use crate::instance::Instance;
use crate::log_events::LogEvents;
use crate::mode::Mode;
use crate::settings::{EngineSettings, Settings};
use crate::source::{Preparation, Source};

const NAME: &str = "sqlite";
/// From this size on, `integrity_check` takes most of the time of a trial.
const FAST_FROM_BYTES: u64 = 1 << 30;

static TEMPLATE: Template =
    Template { subject: include_str!("subject.toml"), variants: include_str!("variants.toml") };

const JOBS: &[JobEntry] = &[JobEntry::of::<Adopt>(), JobEntry::of::<CopyOnline>(), JobEntry::of::<Inspect>()];

impl Engine for Sqlite {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> &'static str {
        "SQLite"
    }

    fn template(&self) -> &Template {
        &TEMPLATE
    }

    fn settings(&self, given: Map<String, Value>) -> serde_json::Result<Arc<dyn Settings>> {
        let settings: SqliteSettings = serde_json::from_value(Value::Object(given))?;
        Ok(Arc::new(settings))
    }

    fn modes(&self) -> &'static [Mode] {
        &[WAL, DELETE]
    }

    fn files(&self) -> Option<&dyn FileEngine> {
        Some(self)
    }

    fn predicted(&self, spec: &DatasetSpec) -> Result<Generated> {
        dataset::predicted(spec)
    }

    fn is_cached(&self, cache: &Path, spec: &DatasetSpec) -> bool {
        cache::is_cached(cache, spec)
    }

    fn prepare(&self, spec: &DatasetSpec, preparation: &Preparation<'_>) -> Result<Source> {
        let cancelled = || preparation.launcher.cancel.is_cancelled();
        let CachedDataset { database, rows, bytes, .. } =
            cache::obtain(preparation.cache, spec, &cancelled, &mut |bytes| {
                preparation.tell_generated(spec, bytes);
            })?;
        let content = digest(&database, spec, None, preparation)?;
        Ok(Source { database, bytes, rows, content, remarks: Vec::new() })
    }

    fn data(&self, place: &Path) -> PathBuf {
        place.join("database.sqlite")
    }

    fn set_mode(&self, data: &Path, mode: Mode) -> Result<()> {
        let set = || -> anyhow::Result<()> {
            let connection = Connection::open(data).context("cannot open the database")?;
            connection.pragma_update(None, "journal_mode", mode.name).context("cannot set the journal mode")
        };
        Ok(set().map_err(attributed)?)
    }

    /// # Panics
    /// Without a mode.
    fn provision(&self, provision: Provision<'_>) -> Result<Box<dyn Instance>> {
        let mode = provision.mode.expect("SQLite has a journal mode");
        Ok(Box::new(LiveFile::new(provision.data, mode, provision.settings.of(NAME))))
    }

    fn reopen(
        &self,
        _launcher: &Launcher,
        data: PathBuf,
        _kept: Option<&Value>,
    ) -> Result<Box<dyn Instance>> {
        Ok(Box::new(LiveFile::new(data, WAL, &SqliteSettings::default())))
    }

    fn access(&self, value: Value) -> serde_json::Result<Arc<dyn Access>> {
        let file: LiveFile = serde_json::from_value(value)?;
        Ok(Arc::new(file))
    }

    fn watch_log(&self, mode: Option<Mode>, data: &Path, stop: &AtomicBool) -> Option<LogEvents> {
        mode.filter(|mode| mode.has_log).map(|_| log_watch::watch(data, stop))
    }

    fn versions(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("sqlite (library)".into(), rusqlite::version().into())])
    }

    fn fast_from_bytes(&self) -> u64 {
        FAST_FROM_BYTES
    }

    fn record(&self, settings: &EngineSettings, mode: Option<Mode>, app: App, workload: &mut Workload) {
        // A tracker opens the file with its own settings.
        if app == App::Tracker {
            return;
        }
        let settings: &SqliteSettings = settings.of(NAME);
        workload.synchronous = Some(settings.synchronous.name().into());
        workload.busy_timeout_ms = Some(settings.busy_timeout_ms);
        if mode == Some(WAL) {
            workload.wal_autocheckpoint = Some(settings.wal_autocheckpoint);
            workload.journal_size_limit = Some(settings.journal_size_limit).filter(|limit| *limit >= 0);
            workload.checkpoints = settings.checkpoints.map(Checkpoints::describe);
        }
    }

    fn jobs(&self) -> &'static [JobEntry] {
        JOBS
    }
}
