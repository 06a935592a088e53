//! How MySQL servers are reached.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, anyhow};
use machine::error::{Error, Result};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error as MysqlError, OptsBuilder, Row};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

/// A server on this machine that does not answer within this time is taken for gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The server refuses the account or its password.
const ACCESS_DENIED: u16 = 1045;
/// All its connections are in use.
const TOO_MANY_CONNECTIONS: u16 = 1040;
/// What the server takes in one packet by default; given here, a connection need not ask.
const PACKET_BYTES: usize = 64 << 20;
/// After this many seconds of silence the server closes a connection, as by its default.
const WAIT_TIMEOUT_SECONDS: usize = 28_800;

/// How to reach a database of a MySQL server on loopback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// Account.
    pub user: String,
    /// Its password: travels to workers over their standard input, never on a command line.
    pub password: Secret,
    /// The database.
    pub database: String,
}

/// What must not be seen in a log or a message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "database {} of the MySQL server on port {}", self.database, self.port)
    }
}

/// A connection to a server whose calls block the calling thread.
///
/// It has a runtime of its own: the thread that waits for an answer is the one that the kernel wakes, and no
/// other has to hand it on.
pub struct Server {
    // Before the runtime, because its socket belongs to the runtime. Outside of the runtime a connection is closed
    // and not said good-bye to, so a drop never blocks.
    connection: Conn,
    runtime: Runtime,
}

impl Server {
    /// Connects to the address's database.
    ///
    /// # Errors
    /// [`Error::Environment`] when no server answers, or it refuses the account, its password or the database.
    pub fn connect(address: &Address) -> Result<Server> {
        Server::open(address, Some(&address.database))
    }

    /// Connects without choosing a database.
    ///
    /// # Errors
    /// As [`connect`](Server::connect).
    pub fn connect_without_database(address: &Address) -> Result<Server> {
        Server::open(address, None)
    }

    fn open(address: &Address, database: Option<&str>) -> Result<Server> {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(address.port)
            .user(Some(&address.user))
            .pass(Some(&address.password.0))
            .db_name(database)
            // The socket that the server names is in its container, and may be another server's out here.
            .prefer_socket(false)
            .max_allowed_packet(Some(PACKET_BYTES))
            .wait_timeout(Some(WAIT_TIMEOUT_SECONDS));
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start a runtime for a connection")?;
        let connected =
            runtime.block_on(async { tokio::time::timeout(CONNECT_TIMEOUT, Conn::new(options)).await });
        match connected {
            Ok(Ok(connection)) => Ok(Server { connection, runtime }),
            Ok(Err(error)) => Err(refusal(address, &error)),
            Err(_) => {
                Err(unreachable(address, &format!("nothing came in {} seconds", CONNECT_TIMEOUT.as_secs())))
            }
        }
    }

    /// Executes a statement, and gives all rows of its result.
    ///
    /// # Errors
    /// When the server refuses it, or is gone.
    pub fn query(&mut self, sql: &str) -> mysql_async::Result<Vec<Row>> {
        self.runtime.block_on(self.connection.query(sql))
    }

    /// Executes a statement that has no result.
    ///
    /// # Errors
    /// When the server refuses it, or is gone.
    pub fn execute(&mut self, sql: &str) -> mysql_async::Result<()> {
        self.runtime.block_on(self.connection.query_drop(sql))
    }

    /// Prepares a query, and hands every row of its result to `visit` as it comes, until that returns false.
    ///
    /// # Errors
    /// When the server refuses it, or is gone.
    pub fn stream(&mut self, sql: &str, mut visit: impl FnMut(Row) -> bool) -> mysql_async::Result<()> {
        self.runtime.block_on(async {
            let mut result = self.connection.exec_iter(sql, ()).await?;
            while let Some(row) = result.next().await? {
                if !visit(row) {
                    break;
                }
            }
            result.drop_result().await
        })
    }

    /// Runs what `work` makes of the connection.
    pub fn run<'a, F: Future>(&'a mut self, work: impl FnOnce(&'a mut Conn) -> F) -> F::Output {
        self.runtime.block_on(work(&mut self.connection))
    }

    /// Says good-bye.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn close(self) -> Result<()> {
        let Server { connection, runtime } = self;
        runtime.block_on(connection.disconnect()).context("cannot close a connection to MySQL")?;
        Ok(())
    }
}

fn refusal(address: &Address, error: &MysqlError) -> Error {
    let Address { port, user, .. } = address;
    match error {
        MysqlError::Server(refused) if refused.code == ACCESS_DENIED => {
            Error::Environment(format!("the MySQL server on port {port} refuses the password of '{user}'"))
        }
        MysqlError::Server(refused) if refused.code == TOO_MANY_CONNECTIONS => Error::Environment(format!(
            "all connections of the MySQL server on port {port} are in use: allow more with max_connections in \
             subject.mysql_options, or choose fewer workload.writers"
        )),
        MysqlError::Server(refused) => {
            Error::Environment(format!("the MySQL server on port {port} refuses '{user}': {refused}"))
        }
        lost => unreachable(address, &reason(lost)),
    }
}

fn unreachable(address: &Address, why: &str) -> Error {
    Error::Environment(format!("no MySQL server answers on port {}: {why}", address.port))
}

/// What an error says, without the names of the layers that it came through.
pub fn reason(error: &MysqlError) -> String {
    match error {
        MysqlError::Server(refused) => refused.to_string(),
        MysqlError::Io(mysql_async::IoError::Io(error)) => error.to_string(),
        MysqlError::Driver(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// A name as SQL.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as SQL.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The column of a row, as a text or a number or whatever else it is to be.
///
/// # Errors
/// When there is no such column, or it holds something else.
pub fn column<T: mysql_async::prelude::FromValue>(row: &Row, index: usize) -> anyhow::Result<T> {
    let value = row.get_opt(index).ok_or_else(|| anyhow!("MySQL gave no column {index}"))?;
    value.map_err(|_| anyhow!("MySQL gave something unexpected in column {index}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_not_there_is_named_by_its_port_and_the_password_never() {
        // Bound and not listened to: whoever connects is refused at once.
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let password = Secret("hush".into());
        let address = Address { port, user: "torrust".into(), password, database: "torrust".into() };
        let error = Server::connect(&address).err().unwrap();
        assert!(matches!(error, Error::Environment(_)), "{error:?}");
        let message = error.to_string();
        assert!(message.starts_with(&format!("no MySQL server answers on port {port}: ")), "{message}");
        assert!(!message.contains("hush") && !format!("{address:?}").contains("hush"));
    }

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(quoted("a`b"), "`a``b`");
        assert_eq!(literal("it's \\"), "'it''s \\\\'");
    }
}
