//! Connections to servers.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, anyhow};
use machine::error::{Error, Result};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error as MysqlError, OptsBuilder, Row};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

use crate::secret::Secret;

/// A server on this machine that does not answer within this time counts as gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Error code: the server rejected the account or its password.
const ACCESS_DENIED: u16 = 1045;
/// Error code: all connections are in use.
const TOO_MANY_CONNECTIONS: u16 = 1040;
/// The server's default maximum packet size. Given here so that the client need not query it for each connection.
const PACKET_BYTES: usize = 64 << 20;
/// Idle time in seconds after which the server closes a connection: the server's default.
const WAIT_TIMEOUT_SECONDS: usize = 28_800;

/// How to connect to a database of a server on the loopback interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The name of its engine.
    pub engine: String,
    /// What messages call it.
    pub title: String,
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// Account.
    pub user: String,
    /// Its password: passed to workers over their standard input, never on a command line.
    pub password: Secret,
    /// The database.
    pub database: String,
}

impl Address {
    /// The account in statements: it may connect from every host.
    pub fn account(&self) -> String {
        format!("'{}'@'%'", self.user)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "database {} of the {} server on port {}", self.database, self.title, self.port)
    }
}

/// A connection to a server whose calls block the calling thread.
///
/// It has its own runtime: the kernel wakes the waiting thread directly when the answer arrives, without another thread
/// in between.
pub struct Connection {
    // Declared before the runtime, because its socket belongs to the runtime. Outside the runtime, dropping a
    // connection closes it without a quit message, so a drop never blocks.
    connection: Conn,
    runtime: Runtime,
}

impl Connection {
    /// Connects to the address's database.
    ///
    /// # Errors
    /// [`Error::Environment`] when no server answers, or it rejects the account, its password or the database.
    pub fn connect(address: &Address) -> Result<Connection> {
        Connection::open(address, Some(&address.database))
    }

    /// Connects without choosing a database.
    ///
    /// # Errors
    /// As [`connect`](Connection::connect).
    pub fn connect_without_database(address: &Address) -> Result<Connection> {
        Connection::open(address, None)
    }

    fn open(address: &Address, database: Option<&str>) -> Result<Connection> {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(address.port)
            .user(Some(&address.user))
            .pass(Some(&address.password.0))
            .db_name(database)
            // The socket path that the server reports is inside its container; on this machine it may be another
            // server's.
            .prefer_socket(false)
            .max_allowed_packet(Some(PACKET_BYTES))
            .wait_timeout(Some(WAIT_TIMEOUT_SECONDS));
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start a runtime for a connection")?;
        let connected =
            runtime.block_on(async { tokio::time::timeout(CONNECT_TIMEOUT, Conn::new(options)).await });
        match connected {
            Ok(Ok(connection)) => Ok(Connection { connection, runtime }),
            Ok(Err(error)) => Err(refusal(address, &error)),
            Err(_) => {
                Err(unreachable(address, &format!("no response within {} s", CONNECT_TIMEOUT.as_secs())))
            }
        }
    }

    /// Executes a statement, and returns all rows of its result.
    ///
    /// # Errors
    /// When the server rejects it, or is gone.
    pub fn query(&mut self, sql: &str) -> mysql_async::Result<Vec<Row>> {
        self.runtime.block_on(self.connection.query(sql))
    }

    /// Executes a statement without a result.
    ///
    /// # Errors
    /// When the server rejects it, or is gone.
    pub fn execute(&mut self, sql: &str) -> mysql_async::Result<()> {
        self.runtime.block_on(self.connection.query_drop(sql))
    }

    /// Prepares a query, and passes each row of its result to `visit` as it arrives, until that returns false.
    ///
    /// # Errors
    /// When the server rejects it, or is gone.
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

    /// Runs the future that `work` creates from the connection.
    pub fn run<'a, F: Future>(&'a mut self, work: impl FnOnce(&'a mut Conn) -> F) -> F::Output {
        self.runtime.block_on(work(&mut self.connection))
    }

    /// Closes the connection properly.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn close(self) -> Result<()> {
        let Connection { connection, runtime } = self;
        runtime.block_on(connection.disconnect()).context("cannot close a connection to the server")?;
        Ok(())
    }
}

fn refusal(address: &Address, error: &MysqlError) -> Error {
    let Address { engine, title, port, user, .. } = address;
    match error {
        MysqlError::Server(refused) if refused.code == ACCESS_DENIED => {
            Error::Environment(format!("the {title} server on port {port} rejected the password of '{user}'"))
        }
        MysqlError::Server(refused) if refused.code == TOO_MANY_CONNECTIONS => Error::Environment(format!(
            "all connections of the {title} server on port {port} are in use: allow more with max_connections in \
             subject.{engine}_options, or choose fewer workload.writers"
        )),
        MysqlError::Server(refused) => {
            Error::Environment(format!("the {title} server on port {port} rejected '{user}': {refused}"))
        }
        lost => unreachable(address, &reason(lost)),
    }
}

fn unreachable(address: &Address, why: &str) -> Error {
    let Address { title, port, .. } = address;
    Error::Environment(format!("no {title} server answers on port {port}: {why}"))
}

/// The message of an error, without the names of the layers that passed it on.
pub fn reason(error: &MysqlError) -> String {
    match error {
        MysqlError::Server(refused) => refused.to_string(),
        MysqlError::Io(mysql_async::IoError::Io(error)) => error.to_string(),
        MysqlError::Driver(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// A name as a quoted SQL identifier.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as a SQL string literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The value of a column of a row, converted to the type `T`.
///
/// # Errors
/// When there is no such column, or its value has another type.
pub fn column<T: mysql_async::prelude::FromValue>(row: &Row, index: usize) -> anyhow::Result<T> {
    let value = row.get_opt(index).ok_or_else(|| anyhow!("the server returned no column {index}"))?;
    value.map_err(|_| anyhow!("the server returned an unexpected value in column {index}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_server_is_named_by_its_port_and_the_password_is_never_shown() {
        // Nothing listens on the port: connections are refused at once.
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let password = Secret("hush".into());
        let address = Address {
            engine: "mysql".into(),
            title: "MySQL".into(),
            port,
            user: "torrust".into(),
            password,
            database: "torrust".into(),
        };
        let error = Connection::connect(&address).err().unwrap();
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
