//! Generated SQLite databases in the cache.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use machine::error::Result;
use model::dataset::{DatasetSpec, FORMAT_VERSION, Generated};
use serde::{Deserialize, Serialize};

use crate::cache::{MANIFEST, directory_name, enter, load, remove, save};
use crate::disk::{partial_path, refused, sync_directory};
use crate::sqlite::dataset::plan;
use crate::sqlite::generate::{companions, generate};
use crate::sqlite::pages::{PAGE_BYTES, Record};

/// The database, in the directory of the dataset.
const DATABASE: &str = "database.sqlite";

/// A generated database in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedDataset {
    /// The database, which may be copied but must not be written to.
    pub database: PathBuf,
    /// Length of the database in bytes.
    pub bytes: u64,
    /// Rows in all tables.
    pub rows: u64,
    /// Rows in the table `torrents`.
    pub torrents: u64,
    /// The specification that it was generated from.
    pub spec: DatasetSpec,
}

/// The content of `manifest.json`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    spec: DatasetSpec,
    bytes: u64,
    rows: u64,
    torrents: u64,
}

/// The database of `spec`, from the cache. It is generated if it is missing from the cache or damaged.
///
/// If two runs need the same database at the same time, one generates it and the other waits. Leftovers of killed runs
/// anywhere in the cache are removed. `cancel` and `progress` are those of [`generate()`](crate::sqlite::generate::generate());
/// `progress` is not called if the cache has the database.
///
/// # Errors
///
/// As [`generate()`](crate::sqlite::generate::generate()).
pub fn obtain(
    cache_directory: &Path,
    spec: &DatasetSpec,
    cancel: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(u64),
) -> Result<CachedDataset> {
    let (_, generated) = plan(spec)?;
    let directory = cache_directory.join(directory_name(spec));
    let _lock = enter(cache_directory, &directory, cancel)?;

    let manifest = manifest(spec, generated);
    let database = directory.join(DATABASE);
    if !is_complete(&directory, &manifest)? {
        clear(&directory)?;
        generate(spec, &database, cancel, progress)?;
        save(&manifest, &directory)?;
        sync_directory(cache_directory)?;
    }
    let Generated { bytes, rows, torrents } = generated;
    Ok(CachedDataset { database, bytes, rows, torrents, spec: spec.clone() })
}

/// True when the cache has the database of `spec`, so that [`obtain`] will not generate it.
pub fn is_cached(cache_directory: &Path, spec: &DatasetSpec) -> bool {
    let Ok((_, generated)) = plan(spec) else { return false };
    is_complete(&cache_directory.join(directory_name(spec)), &manifest(spec, generated)).unwrap_or(false)
}

fn manifest(spec: &DatasetSpec, generated: Generated) -> Manifest {
    let Generated { bytes, rows, torrents } = generated;
    Manifest { format: FORMAT_VERSION, spec: spec.clone(), bytes, rows, torrents }
}

/// Whether the directory contains exactly what it should. Any transaction would have changed the first page.
fn is_complete(directory: &Path, wanted: &Manifest) -> Result<bool> {
    if load(directory).as_ref() != Some(wanted) {
        return Ok(false);
    }
    let path = directory.join(DATABASE);
    let Ok(file) = File::open(&path) else {
        return Ok(false);
    };
    let length = file.metadata().map_err(|error| refused("read", &path, error))?.len();
    if length != wanted.bytes || companions(&path).any(|companion| companion.exists()) {
        return Ok(false);
    }
    let (mut first, mut expected) = ([0; PAGE_BYTES], [0; PAGE_BYTES]);
    file.read_exact_at(&mut first, 0).map_err(|error| refused("read", &path, error))?;
    plan(&wanted.spec)?.0.write_page(1, &mut expected, &mut Record::default());
    Ok(first == expected)
}

/// Removes everything except the lock. The manifest is removed first: without it, the directory counts as incomplete.
fn clear(directory: &Path) -> Result<()> {
    remove(&directory.join(MANIFEST))?;
    let database = directory.join(DATABASE);
    remove(&partial_path(&database))?;
    for companion in companions(&database) {
        remove(&companion)?;
    }
    remove(&database)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::{fs, thread};

    use machine::error::Error;

    use super::*;
    use crate::cache::try_lock;

    fn spec(seed: u64) -> DatasetSpec {
        DatasetSpec { profile: "torrust-demo".into(), target_bytes: 1 << 20, seed }
    }

    /// The dataset, and whether it was generated now.
    fn obtained(cache: &Path, seed: u64) -> (CachedDataset, bool) {
        let mut generated = false;
        let dataset = obtain(cache, &spec(seed), &|| false, &mut |_| generated = true).unwrap();
        assert_eq!(fs::metadata(&dataset.database).unwrap().len(), dataset.bytes);
        (dataset, generated)
    }

    #[test]
    fn a_dataset_is_generated_once() {
        let cache = tempfile::tempdir().unwrap();
        let (first, generated) = obtained(cache.path(), 1);
        assert!(generated);
        assert!(first.database.starts_with(cache.path().join("torrust-demo-1048576-1-1")));
        assert_eq!(obtained(cache.path(), 1), (first.clone(), false));
        let (other, generated) = obtained(cache.path(), 2);
        assert!(generated && other.database != first.database);
    }

    #[test]
    fn damaged_datasets_are_generated_again() {
        type Damage = fn(&Path);
        let damages: [(&str, Damage); 8] = [
            ("no manifest", |path| fs::remove_file(path.with_file_name(MANIFEST)).unwrap()),
            ("half a manifest", |path| fs::write(path.with_file_name(MANIFEST), "{\"format\": 1,").unwrap()),
            ("a manifest of another dataset", |path| {
                let (_, generated) = plan(&spec(5)).unwrap();
                save(&manifest(&spec(5), generated), path.parent().unwrap()).unwrap();
            }),
            ("no database", |path| fs::remove_file(path).unwrap()),
            ("half a database", |path| {
                File::options().write(true).open(path).unwrap().set_len(8192).unwrap()
            }),
            ("a hot journal", |path| fs::write(path.with_file_name("database.sqlite-journal"), "x").unwrap()),
            ("a transaction", |path| {
                let connection = rusqlite::Connection::open(path).unwrap();
                connection.execute("UPDATE torrents SET completed = 5 WHERE id = 1", []).unwrap();
            }),
            ("another journal mode", |path| {
                let connection = rusqlite::Connection::open(path).unwrap();
                let _: String =
                    connection.query_row("PRAGMA journal_mode = wal", [], |row| row.get(0)).unwrap();
            }),
        ];
        let cache = tempfile::tempdir().unwrap();
        let (dataset, _) = obtained(cache.path(), 1);
        let right = fs::read(&dataset.database).unwrap();
        for (name, damage) in damages {
            damage(&dataset.database);
            let (again, generated) = obtained(cache.path(), 1);
            assert!(generated, "{name} was accepted as a complete dataset");
            assert_eq!(again, dataset);
            assert!(fs::read(&dataset.database).unwrap() == right, "{name} was not repaired");
            assert!(!obtained(cache.path(), 1).1, "{name} was not repaired permanently");
        }
    }

    #[test]
    fn only_leftovers_of_killed_runs_are_removed() {
        let cache = tempfile::tempdir().unwrap();
        let leftover = |seed| {
            let directory = cache.path().join(directory_name(&spec(seed)));
            fs::create_dir_all(&directory).unwrap();
            let partial = partial_path(&directory.join(DATABASE));
            fs::write(&partial, "half").unwrap();
            (directory, partial)
        };
        let (_, own) = leftover(1);
        let (_, killed) = leftover(2);
        let (running_directory, running) = leftover(3);
        let _lock = try_lock(&running_directory).unwrap().unwrap();
        obtained(cache.path(), 1);
        assert!(!own.exists() && !killed.exists());
        assert!(running.exists());
    }

    #[test]
    fn a_run_waits_for_another_one_and_can_be_stopped_meanwhile() {
        let cache = tempfile::tempdir().unwrap();
        let directory = cache.path().join(directory_name(&spec(1)));
        fs::create_dir_all(&directory).unwrap();
        let other = try_lock(&directory).unwrap().unwrap();
        let asked = Cell::new(0);
        let cancel = || {
            asked.set(asked.get() + 1);
            asked.get() == 3
        };
        let stopped = obtain(cache.path(), &spec(1), &cancel, &mut |_| {});
        assert!(matches!(stopped, Err(Error::Interrupted)));
        assert!(!directory.join(DATABASE).exists());
        drop(other);
        assert!(obtained(cache.path(), 1).1);
    }

    #[test]
    fn runs_at_the_same_time_generate_once() {
        let cache = tempfile::tempdir().unwrap();
        let generated = thread::scope(|scope| {
            let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| obtained(cache.path(), 1).1)).collect();
            runs.into_iter().map(|run| run.join().unwrap()).filter(|new| *new).count()
        });
        assert_eq!(generated, 1);
    }

    #[test]
    fn an_invalid_cache_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = obtain(&file, &spec(1), &|| false, &mut |_| {}).unwrap_err();
        assert!(matches!(error, Error::Environment(_)), "{error}");
        assert!(error.to_string().contains("file/torrust-demo"), "{error}");
    }
}
