//! The user's own database.
//!
//! A copy of the file replaces a generated database; it may have any schema. Two tables for the workload are added to
//! the copy; everything else in it is covered by the verifier's digests.
//!
//! The file itself is read as bytes and never opened as a database: SQLite would lock it, might leave files next to it,
//! and would roll back an interrupted transaction in it. The bytes are consistent because nothing wrote to the file
//! while it was read. A database in WAL mode that is being written to is copied with SQLite's online backup in one step
//! instead, which does not block writers. In other modes it would block them, so the database is refused.

use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use bytesize::ByteSize;
use machine::error::{Error, Result};
use machine::measure::calibration::duplicate;
use machine::process::{Account, Launcher};
use machine::worker::{Job, Progress};
use model::dataset::own_database::{TABLES, original_torrents};
use model::dataset::{OriginalTorrents, TableNames, Torrent};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::modes::{DELETE, WAL};
use super::reader::surplus_bytes;
use crate::disk::with_suffix;
use crate::error::attributed;
use crate::mode::Mode;

/// Approximate size of the added tables. Indexes that are filled in random order have partly empty pages.
const ADDED_BYTES: u64 = 6 << 20;
/// The first bytes of every SQLite file.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Number of bytes that are read to recognize a file.
const FIRST_BYTES: u64 = 4096;
/// How long the online backup waits for a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Suffixes of the files that SQLite treats as part of a database that is not open.
const PARTS: [&str; 3] = ["", "-wal", "-journal"];

/// Size of the database in `file`, with its journal and log.
///
/// # Errors
/// [`Error::Input`] when it cannot be read, or is not a SQLite database.
pub fn bytes(file: &Path) -> Result<u64> {
    let refused = |why: &str| Error::Input(format!("cannot use {} as a database: {why}", file.display()));
    let metadata = fs::metadata(file).map_err(|error| refused(&error.to_string()))?;
    if !metadata.is_file() {
        return Err(refused("not a file"));
    }
    if let Some(why) = foreign(file).map_err(|error| refused(&error.to_string()))? {
        return Err(refused(why));
    }
    let beside = PARTS.iter().filter_map(|part| fs::metadata(with_suffix(file, part)).ok());
    Ok(beside.map(|metadata| metadata.len()).sum())
}

/// Why a file is not a SQLite database, judged by its first bytes; `None` when it may be one.
///
/// # Errors
/// When it cannot be read.
pub fn foreign(file: &Path) -> io::Result<Option<&'static str>> {
    let mut first = Vec::new();
    fs::File::open(file)?.take(FIRST_BYTES).read_to_end(&mut first)?;
    Ok(match first.as_slice() {
        [] => Some("the file is empty"),
        bytes if bytes.starts_with(MAGIC) => None,
        bytes if looks_random(bytes) => Some(
            "not a SQLite database: bad file header, and the content looks encrypted or compressed; give a decrypted, \
             unpacked copy",
        ),
        _ => Some("not a SQLite database: bad file header"),
    })
}

/// True when all byte values are about equally frequent. The entropy of 4 KiB of random bytes is 7.95 bits per byte;
/// that of uncompressed programs and pictures is rarely above 7.
fn looks_random(bytes: &[u8]) -> bool {
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let share = |count: u32| f64::from(count) / bytes.len() as f64;
    let bits = |count: &u32| -share(*count) * share(*count).log2();
    let entropy: f64 = counts.iter().filter(|count| **count > 0).map(bits).sum();
    bytes.len() as u64 == FIRST_BYTES && entropy > 7.5
}

/// Approximate size of a database of `bytes` after the tables are added.
pub fn predicted(bytes: u64) -> u64 {
    bytes + ADDED_BYTES
}

/// Copies the database in `file`: its bytes, or with SQLite's online backup if it is being written to. Returns a remark
/// on the copy.
///
/// # Errors
/// [`Error::Input`] when it cannot be read, or when it is being written to and is not in WAL mode.
pub fn copy(launcher: &Launcher, file: &Path, to: &Path) -> Result<Option<String>> {
    if copy_bytes(launcher, file, to)? {
        return Ok(None);
    }
    if !is_in_wal_mode(file) {
        return Err(Error::Input(format!(
            "{} was written to while it was copied: stop the process that writes to it, or use a copy made with \
             sqlite3 {} \"VACUUM INTO 'copy.db'\"",
            file.display(),
            file.display()
        )));
    }
    for part in PARTS {
        let part = with_suffix(to, part);
        if part.exists() {
            fs::remove_file(&part).with_context(|| format!("cannot remove {}", part.display()))?;
        }
    }
    let job = CopyOnline { file: file.to_owned(), to: to.to_owned() };
    launcher.work(Account::Preparation, &job, &mut |_| {})?;
    Ok(Some("it was being written to: trials use a consistent copy, made with SQLite's online backup".into()))
}

/// Copy a database of the user's own that is being written to.
#[derive(Serialize, Deserialize)]
pub struct CopyOnline {
    /// The database.
    pub file: PathBuf,
    /// Where the copy goes.
    pub to: PathBuf,
}

impl Job for CopyOnline {
    const NAME: &'static str = "online copy";
    type Answer = ();

    fn run(self, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<()> {
        copy_online(&self.file, &self.to)
    }
}

/// Make a copy of a database of the user's own ready for trials. Returns what is remarkable about the file.
#[derive(Serialize, Deserialize)]
pub struct Adopt {
    /// The copy.
    pub copy: PathBuf,
    /// The random seed of the torrents that are added.
    pub seed: u64,
}

impl Job for Adopt {
    const NAME: &'static str = "adoption";
    type Answer = Vec<String>;

    fn run(self, _report: &mut dyn FnMut(Progress)) -> anyhow::Result<Vec<String>> {
        Ok(adopt(&self.copy, self.seed)?)
    }
}

/// The journal mode in the header of a SQLite file. Whether the file is a database is checked when it is copied.
pub fn journal_mode(file: &Path) -> Mode {
    if is_in_wal_mode(file) { WAL } else { DELETE }
}

/// True when the header of a SQLite file says that it is in WAL mode.
fn is_in_wal_mode(file: &Path) -> bool {
    const READ_VERSION: usize = 19;
    let mut header = [0; READ_VERSION + 1];
    let read = fs::File::open(file).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header[READ_VERSION] == 2
}

/// Copies a database with SQLite's online backup, in one step.
///
/// # Errors
/// [`Error::Input`] with SQLite's error.
pub fn copy_online(file: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = || -> rusqlite::Result<StepResult> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let source = Connection::open_with_flags(file, flags)?;
        source.busy_timeout(BUSY_TIMEOUT)?;
        let mut copy = Connection::open(to)?;
        Backup::new(&source, &mut copy)?.step(-1)
    };
    let refused = |why: String| Error::Input(format!("cannot copy {} online: {why}", file.display()));
    match copied().map_err(|error| refused(error.to_string()))? {
        StepResult::Done => Ok(()),
        _ => Err(refused("another process has locked it".into()).into()),
    }
}

/// Copies the database in `file` with its journal and log, without opening them as a database. False if they were
/// written to during the copy.
fn copy_bytes(launcher: &Launcher, file: &Path, to: &Path) -> Result<bool> {
    let unreadable = |error| Error::Input(format!("cannot read {}: {error}", file.display()));
    // Journal and log are next to the file itself, not next to a symbolic link to it.
    let source = file.canonicalize().map_err(unreadable)?;
    let before = marks(&source);
    for part in PARTS {
        let (from, to) = (with_suffix(&source, part), with_suffix(to, part));
        if from.exists() {
            duplicate(launcher, &from, &to)?;
            let mode = fs::metadata(&to).map_err(unreadable)?.mode();
            // The copy must be writable for its owner.
            fs::set_permissions(&to, Permissions::from_mode(mode | 0o600)).map_err(unreadable)?;
        }
    }
    Ok(marks(&source) == before)
}

/// Properties that change with every write: size, time and identity of every part.
fn marks(file: &Path) -> Vec<Option<(u64, u64, i64, i64)>> {
    let mark =
        |metadata: fs::Metadata| (metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    PARTS.iter().map(|part| fs::metadata(with_suffix(file, part)).ok().map(mark)).collect()
}

/// Prepares a copy for trials: checkpoints its log, and adds the tables. Returns remarks on the file that cannot be
/// made any more after the tables are added.
///
/// # Errors
/// [`Error::Input`] when SQLite cannot open it, or it already has tables with these names.
pub fn adopt(copy: &Path, seed: u64) -> Result<Vec<String>> {
    make_ready(copy, seed).map_err(|error| match Error::from(attributed(error)) {
        // An error of SQLite here means that the file is unsuitable, not that the harness has a bug.
        Error::Bug(cause) => Error::Input(format!("{cause:#}")),
        other => other,
    })
}

fn make_ready(copy: &Path, seed: u64) -> anyhow::Result<Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(copy, flags)?;
    let read: rusqlite::Result<i64> =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0));
    read.map_err(|error| match surplus_bytes(copy) {
        Ok(surplus) if surplus < 0 => anyhow!(
            "SQLite cannot open it: {error}: the file is {} shorter than its header says",
            ByteSize(surplus.unsigned_abs())
        ),
        _ => anyhow!("SQLite cannot open it: {error}"),
    })?;
    connection
        .pragma_update(None, "journal_mode", "delete")
        .context("cannot checkpoint its write-ahead log")?;
    for name in [TABLES.torrents, TABLES.metrics] {
        let is_there = connection.table_exists(None, name)?;
        ensure!(
            !is_there,
            "it already has a table {name}, so it seems to be the result of a trial: use the original database"
        );
    }
    let mut remarks = Vec::new();
    let surplus = surplus_bytes(copy).context("cannot read its header")?;
    if surplus > 0 {
        remarks.push(format!(
            "the file is {} longer than its header says; this is not damage: some applications let the file grow in \
             large steps",
            ByteSize(surplus.unsigned_abs())
        ));
    }
    add_tables(&mut connection, original_torrents(seed).as_ref())
        .context("cannot add the tables of the ledger")?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(remarks)
}

fn add_tables(connection: &mut Connection, original: &dyn OriginalTorrents) -> rusqlite::Result<()> {
    let TableNames { torrents, metrics } = original.tables();
    let transaction = connection.transaction()?;
    transaction.execute_batch(&format!(
        "CREATE TABLE {torrents} (id INTEGER PRIMARY KEY AUTOINCREMENT, info_hash TEXT NOT NULL UNIQUE, \
             completed INTEGER DEFAULT 0 NOT NULL);
         CREATE TABLE {metrics} (id INTEGER PRIMARY KEY AUTOINCREMENT, metric_name TEXT NOT NULL UNIQUE, \
             value INTEGER DEFAULT 0 NOT NULL);
         INSERT INTO {metrics} (metric_name) VALUES ('torrents_downloads_total');"
    ))?;
    let mut insert = transaction.prepare(&format!("INSERT INTO {torrents} VALUES (?1, ?2, ?3)"))?;
    for id in 1..=original.torrents() {
        let Torrent { info_hash, completed } = original.torrent(id);
        let info_hash = str::from_utf8(&info_hash).expect("hexadecimal digits are ASCII");
        insert.execute((id as i64, info_hash, completed))?;
    }
    drop(insert);
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::process::{Cancel, StopOnDrop};

    fn database(directory: &Path, sql: &str) -> std::path::PathBuf {
        let file = directory.join("own.db");
        Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        file
    }

    #[test]
    fn what_is_no_database_is_refused_with_its_cause() {
        let directory = tempfile::tempdir().unwrap();
        let refusal = |file: &Path| match bytes(file) {
            Err(Error::Input(message)) => message.replace(&directory.path().display().to_string(), "PLACE"),
            other => panic!("{other:?}"),
        };
        let text = directory.path().join("notes.txt");
        fs::write(&text, "SQLite format 4").unwrap();
        let empty = directory.path().join("empty.db");
        fs::write(&empty, "").unwrap();
        let encrypted = directory.path().join("encrypted.db");
        let random =
            (0..1024_u64).flat_map(|word| xxhash_rust::xxh3::xxh3_64(&word.to_le_bytes()).to_le_bytes());
        fs::write(&encrypted, random.collect::<Vec<u8>>()).unwrap();
        let program = directory.path().join("program");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let files =
            [&directory.path().join("none.db"), directory.path(), &text, &empty, &encrypted, &program];
        let messages = files.map(refusal);
        insta::assert_snapshot!(messages.join("\n"), @r"
        cannot use PLACE/none.db as a database: No such file or directory (os error 2)
        cannot use PLACE as a database: not a file
        cannot use PLACE/notes.txt as a database: not a SQLite database: bad file header
        cannot use PLACE/empty.db as a database: the file is empty
        cannot use PLACE/encrypted.db as a database: not a SQLite database: bad file header, and the content looks encrypted or compressed; give a decrypted, unpacked copy
        cannot use PLACE/program as a database: not a SQLite database: bad file header
        ");
    }

    const SMALL: &str = "CREATE TABLE torrents (id INTEGER PRIMARY KEY, name TEXT);
                         CREATE INDEX named ON torrents (name);
                         INSERT INTO torrents VALUES (1, 'one'), (2, 'two');";

    #[test]
    fn a_database_is_adopted_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = database(directory.path(), SMALL);
        assert_eq!(adopt(&file, 1).unwrap(), Vec::<String>::new());
        let connection = Connection::open(&file).unwrap();
        let count = |table: &str| -> i64 {
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count("backup_drill_torrents") as u64, original_torrents(1).torrents());
        assert_eq!((count("torrents"), count("backup_drill_metrics")), (2, 1));
        assert!(bytes(&file).unwrap() <= ADDED_BYTES);
        let twice = format!("{:#}", adopt(&file, 1).unwrap_err());
        assert!(twice.starts_with("it already has a table backup_drill_torrents, so it seems"), "{twice}");
    }

    #[test]
    fn what_is_longer_than_its_header_says_is_adopted_and_what_is_shorter_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = database(directory.path(), SMALL);
        let bytes = fs::metadata(&file).unwrap().len();
        let resize = |bytes| fs::File::options().write(true).open(&file).unwrap().set_len(bytes).unwrap();
        resize(bytes - 4096);
        insta::assert_snapshot!(
            format!("{:#}", adopt(&file, 1).unwrap_err()),
            @"SQLite cannot open it: database disk image is malformed: the file is 4.0 KiB shorter than its header says"
        );
        fs::remove_file(&file).unwrap();
        database(directory.path(), SMALL);
        resize(bytes + (1 << 20));
        insta::assert_snapshot!(
            adopt(&file, 1).unwrap().join("; "),
            @"the file is 1.0 MiB longer than its header says; this is not damage: some applications let the file grow in large steps"
        );
    }

    #[test]
    fn a_database_that_is_open_can_be_copied_online() {
        let directory = tempfile::tempdir().unwrap();
        let file = database(directory.path(), "PRAGMA journal_mode = wal; CREATE TABLE t (x);");
        assert!(is_in_wal_mode(&file));
        let writer = Connection::open(&file).unwrap();
        writer.execute("INSERT INTO t VALUES (7)", []).unwrap();
        let to = directory.path().join("copy.sqlite");
        copy_online(&file, &to).unwrap();
        let x: i64 =
            Connection::open(&to).unwrap().query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(x, 7);
    }

    #[test]
    fn a_database_that_is_written_to_during_the_copy_is_refused() {
        use std::io::Write;
        use std::sync::atomic::{AtomicBool, Ordering};

        let directory = tempfile::tempdir().unwrap();
        let file = database(directory.path(), SMALL);
        let launcher = Launcher::new(directory.path(), &Cancel::default());
        let stop = AtomicBool::new(false);
        let refused = std::thread::scope(|scope| {
            let _stop = StopOnDrop(&stop);
            scope.spawn(|| {
                let mut log = fs::File::create(with_suffix(&file, "-wal")).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    log.write_all(b"more").unwrap();
                }
            });
            while !with_suffix(&file, "-wal").exists() {
                std::thread::yield_now();
            }
            // A copy may be finished before the writer runs.
            let to = directory.path().join("copy.sqlite");
            let refused = (0..1000).find_map(|_| copy(&launcher, &file, &to).err());
            stop.store(true, Ordering::Relaxed);
            refused.expect("no copy was refused").to_string()
        });
        assert!(
            refused.contains("own.db was written to while it was copied: stop the process that writes to it"),
            "{refused}"
        );
        assert!(refused.contains("VACUUM INTO 'copy.db'"), "{refused}");
    }

    #[test]
    fn a_copy_includes_the_log_and_the_original_is_not_changed() {
        let directory = tempfile::tempdir().unwrap();
        let file = database(directory.path(), "PRAGMA journal_mode = wal; CREATE TABLE t (x);");
        // Still open, so that the log is not checkpointed.
        let writer = Connection::open(&file).unwrap();
        writer.execute("INSERT INTO t VALUES (7)", []).unwrap();
        let link = directory.path().join("link.db");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let before = marks(&file);
        let launcher = Launcher::new(directory.path(), &Cancel::default());
        let to = directory.path().join("copy.sqlite");
        assert_eq!(copy(&launcher, &link, &to).unwrap(), None);
        assert_eq!(marks(&file), before);
        adopt(&to, 1).unwrap();
        let x: i64 =
            Connection::open(&to).unwrap().query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(x, 7);
        drop(writer);
    }
}
