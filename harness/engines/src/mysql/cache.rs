//! Data directories of servers in the cache.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use machine::error::Result;
use model::dataset::{DatasetSpec, FORMAT_VERSION};
use model::verify::ContentDigest;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;
use xxhash_rust::xxh3::xxh3_64;

use super::dataset::{Loaded, predicted};
use super::flavour::Flavour;
use crate::cache::{MANIFEST, directory_name, enter, load, remove, save};
use crate::disk::{partial_path, refused, require_room, sync_directory};

/// The data directory of the server, in the directory of the dataset.
const DATA: &str = "data";

/// A loaded data directory in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedServer {
    /// The data directory: to be copied, and no server may be started on it.
    pub data_directory: PathBuf,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Rows in all tables.
    pub rows: u64,
    /// Rows in the table `torrents`.
    pub torrents: u64,
    /// The content before any write.
    pub content: ContentDigest,
}

/// The server that made a data directory: servers of another version, or with other such arguments, cannot share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maker {
    /// A text that identifies the version.
    pub server: String,
    /// Its arguments that determine the layout of a data directory.
    pub arguments: Vec<String>,
}

/// The content of `manifest.json`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    spec: DatasetSpec,
    maker: Maker,
    rows: u64,
    torrents: u64,
    content: ContentDigest,
    /// The files by path, relative to the data directory.
    files: BTreeMap<PathBuf, FileMark>,
}

/// Size and time of a file, which show whether it was changed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileMark {
    bytes: u64,
    /// Needed because a server that runs on the directory writes to some files without changing their size.
    modified_seconds: i64,
    modified_nanoseconds: i64,
}

/// The data directory with the dataset of `spec`, from the cache. It is loaded if it is missing from the cache or
/// damaged.
///
/// `load` gets an empty directory. When it returns, the directory contains the dataset, and no server runs on it any
/// more. If two runs need the same dataset at the same time, one loads it and the other waits. Leftovers of killed runs
/// anywhere in the cache are removed.
///
/// # Errors
///
/// Those of `load`, [`Error::Input`](machine::error::Error::Input) for an invalid specification,
/// [`Error::Environment`](machine::error::Error::Environment) without enough disk space or without permission, and
/// [`Error::Interrupted`](machine::error::Error::Interrupted) after `cancel` returned true.
pub fn obtain(
    cache_directory: &Path,
    flavour: &Flavour,
    spec: &DatasetSpec,
    maker: &Maker,
    cancel: &dyn Fn() -> bool,
    load: &mut dyn FnMut(&Path) -> Result<Loaded>,
) -> Result<CachedServer> {
    let expected_bytes = predicted(flavour, spec)?.bytes;
    let directory = cache_directory.join(name(flavour.engine, spec, maker));
    let _lock = enter(cache_directory, &directory, cancel)?;
    let manifest = match complete(&directory, spec, maker)? {
        Some(manifest) => manifest,
        None => {
            remove(&directory.join(MANIFEST))?;
            remove(&directory.join(DATA))?;
            require_room(&directory, expected_bytes)?;
            let manifest = fill(&directory, spec, maker, load)?;
            save(&manifest, &directory)?;
            sync_directory(cache_directory)?;
            manifest
        }
    };
    let Manifest { rows, torrents, content, files, .. } = manifest;
    let bytes = files.values().map(|file| file.bytes).sum();
    Ok(CachedServer { data_directory: directory.join(DATA), bytes, rows, torrents, content })
}

fn name(engine: &str, spec: &DatasetSpec, maker: &Maker) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || ".-+".contains(character);
    let version: String =
        maker.server.chars().map(|character| if plain(character) { character } else { '_' }).collect();
    // Arguments may be too long for a file name; the manifest contains them in full.
    let arguments = match &maker.arguments[..] {
        [] => String::new(),
        arguments => format!("{:016x}-", xxh3_64(arguments.join("\n").as_bytes())),
    };
    format!("{engine}-{version}-{arguments}{}", directory_name(spec))
}

/// The manifest, if the directory contains exactly what it describes.
fn complete(directory: &Path, spec: &DatasetSpec, maker: &Maker) -> Result<Option<Manifest>> {
    let is_wanted = |manifest: &Manifest| {
        manifest.format == FORMAT_VERSION && manifest.spec == *spec && manifest.maker == *maker
    };
    let Some(manifest) = load::<Manifest>(directory).filter(is_wanted) else {
        return Ok(None);
    };
    let data = directory.join(DATA);
    let is_there = data.is_dir() && marks(&data)? == manifest.files;
    Ok(is_there.then_some(manifest))
}

/// Loads the dataset, under a temporary name until all of it is durable.
fn fill(
    directory: &Path,
    spec: &DatasetSpec,
    maker: &Maker,
    load: &mut dyn FnMut(&Path) -> Result<Loaded>,
) -> Result<Manifest> {
    let data = directory.join(DATA);
    let partial = partial_path(&data);
    remove(&partial)?;
    fs::create_dir(&partial).map_err(|error| refused("create", &partial, error))?;
    let filled = load(&partial).and_then(|loaded| {
        make_durable(&partial)?;
        Ok((loaded, marks(&partial)?))
    });
    let (Loaded { rows, torrents, content }, files) = filled.inspect_err(|_| {
        // Only the first error is reported; the next run tries again to remove it.
        let _ = remove(&partial);
    })?;
    fs::rename(&partial, &data).map_err(|error| refused("create", &data, error))?;
    let (spec, maker) = (spec.clone(), maker.clone());
    Ok(Manifest { format: FORMAT_VERSION, spec, maker, rows, torrents, content, files })
}

fn marks(data: &Path) -> Result<BTreeMap<PathBuf, FileMark>> {
    let mut marks = BTreeMap::new();
    walk(data, &mut |path, metadata| {
        if metadata.is_file() {
            let below = path.strip_prefix(data).expect("the walk only visits paths below").to_owned();
            let (modified_seconds, modified_nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
            marks.insert(below, FileMark { bytes: metadata.len(), modified_seconds, modified_nanoseconds });
        }
        Ok(())
    })?;
    Ok(marks)
}

fn make_durable(data: &Path) -> Result<()> {
    walk(data, &mut |path, metadata| {
        if !metadata.is_file() && !metadata.is_dir() {
            return Ok(());
        }
        let synced = File::open(path).and_then(|file| file.sync_all());
        synced.map_err(|error| refused("write", path, error))
    })?;
    sync_directory(data)
}

/// Visits everything below a directory. Symbolic links are not followed.
fn walk(directory: &Path, visit: &mut dyn FnMut(&Path, &fs::Metadata) -> Result<()>) -> Result<()> {
    let unreadable = |error: walkdir::Error| {
        let path = error.path().unwrap_or(directory).to_owned();
        refused(
            "read",
            &path,
            error.into_io_error().expect("there are no loops, because links are not followed"),
        )
    };
    for entry in WalkDir::new(directory).min_depth(1) {
        let entry = entry.map_err(unreadable)?;
        let metadata = entry.metadata().map_err(unreadable)?;
        visit(entry.path(), &metadata)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::MYSQL;
    use machine::error::Error;

    fn spec() -> DatasetSpec {
        DatasetSpec { profile: "torrust-demo".into(), target_bytes: 1 << 20, seed: 1 }
    }

    fn loaded() -> Loaded {
        let content = ContentDigest { metric: 5, ..ContentDigest::default() };
        Loaded { rows: 7, torrents: 6, content }
    }

    fn maker(server: &str) -> Maker {
        Maker { server: server.into(), arguments: Vec::new() }
    }

    fn is_cached(cache: &Path, maker: &Maker) -> bool {
        matches!(complete(&cache.join(name("mysql", &spec(), maker)), &spec(), maker), Ok(Some(_)))
    }

    /// The data directory, and whether it was loaded now.
    fn obtained(cache: &Path, version: &str) -> (CachedServer, bool) {
        obtained_from(cache, &maker(version))
    }

    fn obtained_from(cache: &Path, maker: &Maker) -> (CachedServer, bool) {
        let mut new = false;
        let server = obtain(cache, MYSQL.flavour, &spec(), maker, &|| false, &mut |data| {
            assert_eq!(fs::read_dir(data).unwrap().count(), 0);
            fs::create_dir(data.join("torrust")).unwrap();
            fs::write(data.join("torrust/torrents.ibd"), "rows").unwrap();
            fs::write(data.join("ibdata1"), "system").unwrap();
            new = true;
            Ok(loaded())
        });
        (server.unwrap(), new)
    }

    #[test]
    fn a_data_directory_is_loaded_once_for_each_version() {
        let cache = tempfile::tempdir().unwrap();
        assert!(!is_cached(cache.path(), &maker("9.7/a")));
        let (first, new) = obtained(cache.path(), "9.7/a");
        assert!(new && is_cached(cache.path(), &maker("9.7/a")));
        assert_eq!((first.rows, first.torrents, first.bytes), (7, 6, 10));
        assert_eq!(first.content, loaded().content);
        assert_eq!(obtained(cache.path(), "9.7/a"), (first.clone(), false));
        let (other, new) = obtained(cache.path(), "8.4");
        assert!(new && other.data_directory != first.data_directory);
        assert_eq!(fs::read(first.data_directory.join("torrust/torrents.ibd")).unwrap(), b"rows");
    }

    #[test]
    fn servers_with_other_layout_arguments_do_not_share_a_data_directory() {
        let cache = tempfile::tempdir().unwrap();
        let with = |arguments: &[&str]| Maker {
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            ..maker("9.7")
        };
        let makers = [
            with(&[]),
            with(&["--innodb_page_size=8K"]),
            with(&["--innodb_page_size=8K", "--lower_case_table_names=1"]),
            with(&["--innodb_data_file_path=ibdata1:12M;ibdata2:12M:autoextend"]),
        ];
        let first: Vec<_> = makers.iter().map(|maker| obtained_from(cache.path(), maker)).collect();
        assert!(first.iter().all(|(_, new)| *new));
        for (maker, (server, _)) in makers.iter().zip(first) {
            assert_eq!(obtained_from(cache.path(), maker), (server, false));
        }
    }

    #[test]
    fn damaged_data_directories_are_loaded_again() {
        type Damage = fn(&Path);
        let damages: [(&str, Damage); 6] = [
            ("no manifest", |data| fs::remove_file(data.with_file_name(MANIFEST)).unwrap()),
            ("half a manifest", |data| fs::write(data.with_file_name(MANIFEST), "{").unwrap()),
            ("no data", |data| fs::remove_dir_all(data).unwrap()),
            ("a file less", |data| fs::remove_file(data.join("ibdata1")).unwrap()),
            ("a file more", |data| fs::write(data.join("torrust/more"), "").unwrap()),
            ("a server that ran", |data| fs::write(data.join("ibdata1"), "SYSTEM").unwrap()),
        ];
        let cache = tempfile::tempdir().unwrap();
        let (right, _) = obtained(cache.path(), "9.7");
        for (name, damage) in damages {
            damage(&right.data_directory);
            assert!(!is_cached(cache.path(), &maker("9.7")), "{name}");
            assert_eq!(obtained(cache.path(), "9.7"), (right.clone(), true), "{name}");
            assert!(!obtained(cache.path(), "9.7").1, "{name} was not repaired permanently");
        }
    }

    #[test]
    fn an_incomplete_load_is_removed() {
        let cache = tempfile::tempdir().unwrap();
        let stopped = obtain(cache.path(), MYSQL.flavour, &spec(), &maker("9.7"), &|| false, &mut |data| {
            fs::write(data.join("ibdata1"), "half").unwrap();
            Err(Error::Interrupted)
        });
        assert!(matches!(stopped, Err(Error::Interrupted)));
        let directory = cache.path().join(name("mysql", &spec(), &maker("9.7")));
        assert!(!directory.join(DATA).exists() && !partial_path(&directory.join(DATA)).exists());

        // A killed run cannot clean up; the next run does, for any dataset.
        let leftover = partial_path(&directory.join(DATA));
        fs::create_dir(&leftover).unwrap();
        fs::write(leftover.join("ibdata1"), "half").unwrap();
        obtained(cache.path(), "8.4");
        assert!(!leftover.exists());
    }
}
