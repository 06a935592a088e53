//! Writes to SQLite, with the tracker's schema and its statement, one transaction per write.

use std::sync::{Mutex, MutexGuard};

use anyhow::Context;
use model::dataset::{OriginalTorrents, TableNames};
use model::writes::{InfoHash, Key, Model, Together, stamp};
use rusqlite::{Connection, Params, params};

use super::live_file::LiveFile;
use crate::client::{Answer, Client, Session};

/// The statements of the writes.
pub struct Statements {
    /// The tracker's own statement: inserts a torrent, or sets its completed downloads.
    upsert: String,
    raise_metric: String,
    move_completed: String,
    read: String,
}

impl Statements {
    /// The statements for tables with these names.
    pub fn new(TableNames { torrents, metrics }: TableNames) -> Statements {
        Statements {
            upsert: format!(
                "INSERT INTO {torrents} (info_hash, completed) VALUES (?1, ?2) \
                 ON CONFLICT(info_hash) DO UPDATE SET completed = ?2"
            ),
            raise_metric: format!(
                "UPDATE {metrics} SET value = value + 1 WHERE metric_name = 'torrents_downloads_total'"
            ),
            move_completed: format!("UPDATE {torrents} SET completed = completed + ?2 WHERE info_hash = ?1"),
            read: format!("SELECT completed FROM {torrents} WHERE info_hash = ?1"),
        }
    }
}

/// Opens the file.
///
/// # Errors
/// When it cannot be opened, or its journal mode cannot be set.
pub fn connect<'a>(
    target: &'a LiveFile,
    model: &'a Model,
    original: &'a dyn OriginalTorrents,
) -> anyhow::Result<Box<dyn Client + 'a>> {
    let statements = Statements::new(original.tables());
    Ok(Box::new(SqliteClient { target, model, original, statements, connection: target.open()?.into() }))
}

struct SqliteClient<'a> {
    target: &'a LiveFile,
    model: &'a Model,
    original: &'a dyn OriginalTorrents,
    statements: Statements,
    /// Closed after all sessions: the last connection to close checkpoints the write-ahead log into the database.
    connection: Mutex<Connection>,
}

impl SqliteClient<'_> {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().expect("no thread panics while it holds this lock")
    }
}

impl Client for SqliteClient<'_> {
    fn read(&self, info_hash: &InfoHash) -> anyhow::Result<()> {
        let _: i64 =
            self.connection().query_row(&self.statements.read, [text(info_hash)], |row| row.get(0))?;
        Ok(())
    }

    fn probe(&self) -> anyhow::Result<()> {
        let info_hash = self.model.probe_info_hash();
        self.connection().execute(&self.statements.upsert, params![text(&info_hash), stamp(0)])?;
        Ok(())
    }

    fn session(&self) -> anyhow::Result<Box<dyn Session + '_>> {
        let (model, original, statements) = (self.model, self.original, &self.statements);
        Ok(Box::new(SqliteSession { model, original, statements, connection: self.target.open()? }))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        close(self.connection.into_inner().expect("no thread panics while it holds this lock"))
    }
}

fn close(connection: Connection) -> anyhow::Result<()> {
    connection.close().map_err(|(_, error)| error).context("cannot close the database")
}

struct SqliteSession<'a> {
    model: &'a Model,
    original: &'a dyn OriginalTorrents,
    statements: &'a Statements,
    connection: Connection,
}

impl Session for SqliteSession<'_> {
    fn write(&mut self, writer: u32, index: u64) -> Answer {
        if change(&self.connection, self.statements, self.model, self.original, writer, index).is_err() {
            // Some errors have already rolled back the transaction; then this fails, which is ignored.
            let _ = self.connection.execute_batch("ROLLBACK");
            return Answer::Refused;
        }
        match execute(&self.connection, "COMMIT", []) {
            Ok(()) => Answer::Acknowledged,
            // A commit that fails because of a lock leaves its transaction open.
            Err(_)
                if !self.connection.is_autocommit() && self.connection.execute_batch("ROLLBACK").is_ok() =>
            {
                Answer::Refused
            }
            Err(_) => Answer::None,
        }
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        close(self.connection)
    }
}

/// Begins a transaction and makes the changes of one write.
///
/// # Errors
/// When the database is locked, or a statement fails. The transaction may then be open.
pub fn change(
    connection: &Connection,
    statements: &Statements,
    model: &Model,
    original: &dyn OriginalTorrents,
    writer: u32,
    index: u64,
) -> rusqlite::Result<()> {
    let write = model.write(writer, index);
    execute(connection, "BEGIN IMMEDIATE", [])?;
    for key in &write.stamped {
        let hash = match *key {
            Key::Dataset(id) => original.torrent(id).info_hash,
            Key::New { writer, index, row } => model.new_info_hash(writer, index, row),
        };
        execute(connection, &statements.upsert, params![text(&hash), stamp(index)])?;
    }
    match write.together {
        Together::Nothing => {}
        Together::Metric => execute(connection, &statements.raise_metric, [])?,
        Together::Transfer { from, to, amount } => {
            for (id, change) in [(from, -amount), (to, amount)] {
                execute(
                    connection,
                    &statements.move_completed,
                    params![text(&original.torrent(id).info_hash), change],
                )?;
            }
        }
    }
    Ok(())
}

/// Executes a statement that is prepared once for each connection.
fn execute(connection: &Connection, sql: &str, parameters: impl Params) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(parameters).map(|_| ())
}

fn text(info_hash: &InfoHash) -> &str {
    std::str::from_utf8(info_hash).expect("hexadecimal digits are ASCII")
}
