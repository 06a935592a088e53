//! What SQLite does with its databases as files.

use std::io;
use std::path::Path;
use std::sync::Arc;

use machine::error::{Error, Result};
use machine::measure::storage;
use machine::process::{Account, Launcher};
use model::dataset::{self, DatasetSpec, Generated};
use model::verify::Level;

use super::Sqlite;
use super::database::{digest, of_file};
use super::generate::generate;
use super::inspection::Inspect;
use super::own::{self, Adopt};
use crate::access::Access;
use crate::files::{FileEngine, Inspection};
use crate::mode::Mode;
use crate::source::{Preparation, Source};

impl FileEngine for Sqlite {
    fn generate(
        &self,
        spec: &DatasetSpec,
        file: &Path,
        cancel: &dyn Fn() -> bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Generated> {
        generate(spec, file, cancel, progress)
    }

    fn access_to(&self, file: &Path) -> Arc<dyn Access> {
        of_file(file).access
    }

    fn bytes(&self, file: &Path) -> Result<u64> {
        own::bytes(file)
    }

    fn foreign(&self, file: &Path) -> io::Result<Option<&'static str>> {
        own::foreign(file)
    }

    fn mode(&self, file: &Path) -> Mode {
        own::journal_mode(file)
    }

    fn adopted_bytes(&self, bytes: u64) -> u64 {
        own::predicted(bytes)
    }

    fn adopt(
        &self,
        file: &Path,
        spec: &DatasetSpec,
        integrity: Level,
        preparation: &Preparation<'_>,
    ) -> Result<Source> {
        let Preparation { launcher, .. } = *preparation;
        preparation.tell(format!("copying {} and checking the copy", file.display()));
        let database = launcher.work_directory().join("own.sqlite");
        let of_copy = own::copy(launcher, file, &database)?;
        let job = Adopt { copy: database.clone(), seed: spec.seed };
        let adopted = launcher.work(Account::Preparation, &job, &mut |_| {});
        let examined =
            adopted.and_then(|remarks| Ok((remarks, digest(&database, spec, Some(integrity), preparation)?)));
        let (mut remarks, content) = examined.map_err(|error| match error {
            Error::Input(cause) => Error::Input(format!("cannot use {}: {cause}", file.display())),
            other => other,
        })?;
        remarks.extend(of_copy);
        remarks.extend(content.remarks());
        let original = dataset::original_torrents(spec)?;
        let is_rows_of = |table: &str| table != original.tables().torrents && !table.starts_with("sqlite_");
        let others = content.tables.iter().filter(|(table, _)| is_rows_of(table));
        let rows = original.torrents() + others.map(|(_, digest)| digest.rows).sum::<u64>();
        let bytes = storage::bytes(&database);
        Ok(Source { database, bytes, rows, content, remarks })
    }

    fn copy(&self, launcher: &Launcher, file: &Path, to: &Path) -> Result<()> {
        own::copy(launcher, file, to).map(|_| ())
    }

    fn inspect(&self, launcher: &Launcher, backup: &Path, live: Option<&Path>) -> Result<Inspection> {
        let job = Inspect { backup: backup.to_owned(), live: live.map(Path::to_owned) };
        launcher.work(Account::Preparation, &job, &mut |_| {})
    }
}
