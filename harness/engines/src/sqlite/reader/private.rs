//! A connection whose writes reach nobody.
//!
//! Some checks of SQLite are statements that ask for the right to write. The file is mapped privately: what such a
//! statement wrote would be in memory alone, and not one byte of the file changes.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, ensure};
use memmap2::{MmapMut, MmapOptions};
use rusqlite::{Connection, ffi};

use super::header::HEADER_BYTES;
use super::know_collations;

/// Where the header says how the file is read and written: 2 is a write-ahead log, which memory cannot have.
const FORMAT_VERSIONS: std::ops::Range<usize> = 18..20;
const ROLLBACK_JOURNAL: u8 = 1;

/// A database that is read from its file, and written to in memory.
pub(super) struct PrivateDatabase {
    // Dropped first: it reads the memory.
    connection: Connection,
    _memory: MmapMut,
}

impl PrivateDatabase {
    /// Opens a file that nobody writes to.
    pub(super) fn open(database: &Path) -> anyhow::Result<PrivateDatabase> {
        let file = File::open(database)?;
        // SAFETY: nobody writes to the file while it is verified; if it is cut off all the same, this process of its own
        // ends with a signal, which proves nothing.
        let mut memory = unsafe { MmapOptions::new().no_reserve_swap().map_copy(&file) }
            .context("the file cannot be mapped")?;
        ensure!(memory.len() >= HEADER_BYTES, "the file has not even a header");
        memory[FORMAT_VERSIONS].fill(ROLLBACK_JOURNAL);
        let connection = Connection::open_in_memory()?;
        let bytes = memory.len() as i64;
        // SAFETY: the memory outlives the connection, which is told by the missing flags neither to free it nor to let it
        // grow.
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
        ensure!(code == ffi::SQLITE_OK, "SQLite does not read mapped memory (code {code})");
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
