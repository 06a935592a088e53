//! A connection whose writes stay in memory.
//!
//! Some of SQLite's checks are statements that need write access. The file is mapped privately: anything that such a
//! statement wrote would only be in memory, and no byte of the file changes.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, ensure};
use memmap2::{MmapMut, MmapOptions};
use rusqlite::{Connection, ffi};

use super::connection::know_collations;
use super::header::HEADER_BYTES;

/// The position of the read and write versions in the header: 2 means a write-ahead log, which a database in memory
/// cannot have.
const FORMAT_VERSIONS: std::ops::Range<usize> = 18..20;
const ROLLBACK_JOURNAL: u8 = 1;

/// A database that is read from its file, and written only in memory.
pub(super) struct PrivateDatabase {
    // Dropped before the memory, because it reads it.
    connection: Connection,
    _memory: MmapMut,
}

impl PrivateDatabase {
    /// Opens a file that is not written to.
    pub(super) fn open(database: &Path) -> anyhow::Result<PrivateDatabase> {
        let file = File::open(database)?;
        // SAFETY: nothing writes to the file while it is verified. If it is truncated anyway, this separate process is
        // ended by a signal, and the trial is unverified.
        let mut memory = unsafe { MmapOptions::new().no_reserve_swap().map_copy(&file) }
            .context("the file cannot be mapped")?;
        ensure!(memory.len() >= HEADER_BYTES, "the file is too short for a header");
        memory[FORMAT_VERSIONS].fill(ROLLBACK_JOURNAL);
        let connection = Connection::open_in_memory()?;
        let bytes = memory.len() as i64;
        // SAFETY: the memory outlives the connection. Without flags, the connection neither frees it nor lets it grow.
        let code = unsafe {
            ffi::sqlite3_deserialize(
                connection.handle(),
                c"main".as_ptr(),
                memory.as_mut_ptr(),
                bytes,
                bytes,
                0,
            )
        };
        ensure!(code == ffi::SQLITE_OK, "SQLite cannot read mapped memory (code {code})");
        know_collations(&connection)?;
        Ok(PrivateDatabase { connection, _memory: memory })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reaches_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("wal.db");
        let made = Connection::open(&file).unwrap();
        made.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)")
            .unwrap();
        made.close().unwrap();
        let before = std::fs::read(&file).unwrap();
        assert_eq!(before[FORMAT_VERSIONS], [2, 2]);
        let database = PrivateDatabase::open(&file).unwrap();
        assert_eq!(database.connection().execute("UPDATE t SET x = 2", []).unwrap(), 1);
        let x: i64 = database.connection().query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(x, 2);
        drop(database);
        assert!(std::fs::read(&file).unwrap() == before);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
