//! Writes to a server, with the tracker's schema and its statement, one transaction per write.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, anyhow};
use model::dataset::OriginalTorrents;
use model::writes::{InfoHash, Key, Model, Together, stamp};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error as MysqlError, Statement};

use super::connection::{Address, Connection};
use crate::client::{Answer, Client, Session};

/// The tracker's own statement: inserts a torrent, or sets its completed downloads.
const UPSERT: &str = "INSERT INTO torrents (info_hash, completed) VALUES (?, ?) \
                      ON DUPLICATE KEY UPDATE completed = VALUES(completed)";
const RAISE_METRIC: &str = "UPDATE torrent_aggregate_metrics SET value = value + 1 \
                            WHERE metric_name = 'torrents_downloads_total'";
const MOVE: &str = "UPDATE torrents SET completed = completed + ? WHERE info_hash = ?";
const READ: &str = "SELECT completed FROM torrents WHERE info_hash = ?";

/// Settings of each connection. Without autocommit, a statement implicitly begins a transaction, which saves a round
/// trip. The timeouts limit how long a write waits for a row lock or a table lock before it is refused.
///
/// The tracker commits after each statement, so it never holds the gap locks of an upsert while it waits for other
/// locks. Transactions with several upserts would: with four writers at full speed, 17 % of the writes ended in a
/// deadlock, and none at this isolation level.
const SETUP: [&str; 2] = [
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION autocommit = 0, innodb_lock_wait_timeout = 5, lock_wait_timeout = 5",
];
/// A write without an answer after this time is indeterminate.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Errors of a COMMIT after which the server has certainly rolled back: a timeout for a lock that blocks all commits
/// (FLUSH TABLES WITH READ LOCK), a deadlock, and a server that was made read-only. After any other error the
/// transaction may already be in the log.
const ROLLED_BACK_BY_COMMIT: [u16; 3] = [1205, 1213, 1290];

/// Connects to the server.
///
/// # Errors
/// When it does not answer.
pub fn connect<'a>(
    address: &'a Address,
    model: &'a Model,
    original: &'a dyn OriginalTorrents,
) -> anyhow::Result<Box<dyn Client + 'a>> {
    Ok(Box::new(ServerClient {
        address,
        model,
        original,
        connection: PreparedConnection::open(address)?.into(),
    }))
}

/// A connection with its prepared statements. Each is prepared once, because a session keeps its connection.
struct PreparedConnection {
    server: Connection,
    statements: Statements,
}

#[derive(Clone)]
struct Statements {
    upsert: Statement,
    raise_metric: Statement,
    move_completed: Statement,
    read: Statement,
}

impl PreparedConnection {
    fn open(address: &Address) -> anyhow::Result<PreparedConnection> {
        let mut server = Connection::connect(address)?;
        for sql in SETUP {
            server.execute(sql).context("cannot set up a connection to the server")?;
        }
        let statements = server.run(async |connection: &mut Conn| {
            Ok::<_, MysqlError>(Statements {
                upsert: connection.prep(UPSERT).await?,
                raise_metric: connection.prep(RAISE_METRIC).await?,
                move_completed: connection.prep(MOVE).await?,
                read: connection.prep(READ).await?,
            })
        });
        Ok(PreparedConnection { server, statements: statements.context("cannot prepare the statements")? })
    }
}

struct ServerClient<'a> {
    address: &'a Address,
    model: &'a Model,
    original: &'a dyn OriginalTorrents,
    connection: Mutex<PreparedConnection>,
}

impl ServerClient<'_> {
    fn connection(&self) -> MutexGuard<'_, PreparedConnection> {
        self.connection.lock().expect("no thread panics while it holds this lock")
    }
}

impl Client for ServerClient<'_> {
    fn read(&self, info_hash: &InfoHash) -> anyhow::Result<()> {
        let PreparedConnection { server, statements } = &mut *self.connection();
        let read = statements.read.clone();
        let completed: Option<i64> = server.run(async |connection: &mut Conn| {
            let completed = connection.exec_first(&read, (&info_hash[..],)).await?;
            // An open transaction would keep old versions of rows.
            connection.query_drop("COMMIT").await?;
            Ok::<_, MysqlError>(completed)
        })?;
        completed.map(|_| ()).ok_or_else(|| anyhow!("the torrent does not exist"))
    }

    fn probe(&self) -> anyhow::Result<()> {
        let info_hash = self.model.probe_info_hash();
        let PreparedConnection { server, statements } = &mut *self.connection();
        let upsert = statements.upsert.clone();
        server.run(async |connection: &mut Conn| {
            connection.exec_drop(&upsert, (&info_hash[..], stamp(0))).await?;
            connection.query_drop("COMMIT").await
        })?;
        Ok(())
    }

    fn session(&self) -> anyhow::Result<Box<dyn Session + '_>> {
        let connection = Some(PreparedConnection::open(self.address)?);
        Ok(Box::new(ServerSession {
            address: self.address,
            model: self.model,
            original: self.original,
            connection,
        }))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        close(Some(self.connection.into_inner().expect("no thread panics while it holds this lock")))
    }
}

/// Errors are ignored: a server that has ended has already closed the connection.
fn close(connection: Option<PreparedConnection>) -> anyhow::Result<()> {
    let _ = connection.map(|connection| connection.server.close());
    Ok(())
}

struct ServerSession<'a> {
    address: &'a Address,
    model: &'a Model,
    original: &'a dyn OriginalTorrents,
    /// `None` after the connection was lost: the next write tries to connect again.
    connection: Option<PreparedConnection>,
}

/// The stage of a write at which it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Changing,
    Committing,
}

impl Session for ServerSession<'_> {
    fn write(&mut self, writer: u32, index: u64) -> Answer {
        let Some(mut connection) =
            self.connection.take().or_else(|| PreparedConnection::open(self.address).ok())
        else {
            return Answer::Refused;
        };
        let PreparedConnection { server, statements } = &mut connection;
        let (model, original) = (self.model, self.original);
        let mut stage = Stage::Changing;
        let ended = server.run(async |connection: &mut Conn| {
            let write = async {
                change(connection, statements, model, original, writer, index).await?;
                stage = Stage::Committing;
                connection.query_drop("COMMIT").await
            };
            tokio::time::timeout(ANSWER_TIMEOUT, write).await
        });
        let answer = answer(stage, &ended);
        // A connection in an unknown state is dropped, and its open transaction with it.
        let good = match ended {
            Ok(Ok(())) => true,
            Ok(Err(error)) => !error.is_fatal() && rolls_back(server),
            Err(_) => false,
        };
        self.connection = good.then_some(connection);
        answer
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        close(self.connection)
    }
}

/// Rolls back the transaction, if there is one. True if the connection can be used again.
fn rolls_back(server: &mut Connection) -> bool {
    let ended = server.run(async |connection: &mut Conn| {
        tokio::time::timeout(ANSWER_TIMEOUT, connection.query_drop("ROLLBACK")).await
    });
    matches!(ended, Ok(Ok(())))
}

/// The answer to a write, from the stage at which it ended and the result. If COMMIT was never sent, the server rolls
/// back the transaction as soon as the connection is closed.
fn answer<T>(stage: Stage, ended: &Result<mysql_async::Result<()>, T>) -> Answer {
    match (stage, ended) {
        (_, Ok(Ok(()))) => Answer::Acknowledged,
        (Stage::Changing, _) => Answer::Refused,
        (Stage::Committing, Ok(Err(MysqlError::Server(error))))
            if ROLLED_BACK_BY_COMMIT.contains(&error.code) =>
        {
            Answer::Refused
        }
        (Stage::Committing, _) => Answer::None,
    }
}

/// Makes the changes of one write, in a transaction that stays open.
async fn change(
    connection: &mut Conn,
    statements: &Statements,
    model: &Model,
    original: &dyn OriginalTorrents,
    writer: u32,
    index: u64,
) -> mysql_async::Result<()> {
    let write = model.write(writer, index);
    for key in &write.stamped {
        let hash = match *key {
            Key::Dataset(id) => original.torrent(id).info_hash,
            Key::New { writer, index, row } => model.new_info_hash(writer, index, row),
        };
        connection.exec_drop(&statements.upsert, (&hash[..], stamp(index))).await?;
    }
    match write.together {
        Together::Nothing => {}
        Together::Metric => connection.exec_drop(&statements.raise_metric, ()).await?,
        Together::Transfer { from, to, amount } => {
            for (id, change) in [(from, -amount), (to, amount)] {
                let hash = original.torrent(id).info_hash;
                connection.exec_drop(&statements.move_completed, (change, &hash[..])).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mysql_async::ServerError;

    use super::*;

    fn refused(code: u16) -> Result<mysql_async::Result<()>, ()> {
        let error = ServerError { code, message: String::new(), state: String::new() };
        Ok(Err(MysqlError::Server(error)))
    }

    #[test]
    fn only_certain_outcomes_are_reported() {
        let lost = || Ok(Err(MysqlError::Driver(mysql_async::DriverError::ConnectionClosed)));
        let late = || Err(());
        for (stage, ended, due) in [
            (Stage::Committing, Ok(Ok(())), Answer::Acknowledged),
            (Stage::Changing, refused(1213), Answer::Refused),
            (Stage::Changing, lost(), Answer::Refused),
            (Stage::Changing, late(), Answer::Refused),
            (Stage::Committing, lost(), Answer::None),
            (Stage::Committing, late(), Answer::None),
            (Stage::Committing, refused(1205), Answer::Refused),
            (Stage::Committing, refused(1213), Answer::Refused),
            (Stage::Committing, refused(1180), Answer::None),
        ] {
            assert_eq!(answer(stage, &ended), due, "{stage:?} {ended:?}");
        }
    }
}
