//! Loads a dataset into a server: the rows of the SQLite database of the same specification, in the schema that
//! the tracker creates in MySQL.

use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::thread::{available_parallelism, scope, sleep};
use std::time::Duration;

use anyhow::Context;
use bytes::{BufMut, Bytes, BytesMut};
use futures_core::Stream;
use machine::error::{Error, Result};
use model::dataset::profile::Shape;
use model::dataset::rows::{Columns, Rows, Table};
use model::dataset::{DatasetSpec, Generated, shape};
use model::verify::{self, ContentDigest};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, InfileData};

use super::access::ServerAccess;
use super::connection::{Address, Connection, column, literal, quoted};
use super::flavour::Flavour;

/// The dialect of the tables' columns.
const DIALECT: &str = "mysql";
/// Rows of one LOAD DATA statement, so that the server's undo log stays small.
const ROWS_PER_STATEMENT: u64 = 500_000;
/// Bytes that are passed to the connection at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Maximum length of a line: an id and three columns.
const LINE_BYTES_MAX: usize = 256;
/// How soon a request to stop is noticed.
const POLL: Duration = Duration::from_millis(50);
/// A server inserts with one processor for each connection.
const CONNECTIONS_MAX: usize = 4;
/// The keys are added after the rows.
const WITHOUT_UNIQUE_CHECKS: &str = "SET SESSION unique_checks = 0";
/// Measured share of the time for the rows; the rest is for the unique keys.
const ROWS_SHARE: f64 = 0.5;

/// A loaded dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Rows in all tables.
    pub rows: u64,
    /// Rows in the table `torrents`.
    pub torrents: u64,
    /// The content before any write.
    pub content: ContentDigest,
}

/// Creates the database of `address` and fills it with the rows of `spec`. The server must run with
/// [`Flavour::loading_arguments`], and the account needs all privileges. After a clean shutdown of the server, its data directory
/// is the dataset.
///
/// `cancel` is called about 20 times a second, and `progress` is called with the estimated number of bytes written to
/// the data directory.
///
/// # Errors
///
/// [`Error::Input`] for an invalid specification, [`Error::Environment`] when the server does not answer, and
/// [`Error::Interrupted`] after `cancel` returned true. In each case the data directory cannot be used any more.
pub fn load(
    flavour: &'static Flavour,
    address: &Address,
    spec: &DatasetSpec,
    cancel: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Loaded> {
    let Shape { tables, original } = shape(spec)?;
    let Generated { bytes, rows, torrents } = predicted(flavour, spec)?;
    let mut server = Connection::connect_without_database(address)?;
    let database = quoted(&address.database);
    let (before, after) = flavour.loading_statements;
    let first = [
        &format!("CREATE DATABASE IF NOT EXISTS {database}"),
        &format!("USE {database}"),
        WITHOUT_UNIQUE_CHECKS,
    ];
    for sql in first.iter().chain(before) {
        execute_despite_deadlocks(&mut server, flavour.title, sql, &mut || cancel())?;
    }
    let connections = available_parallelism().map_or(1, usize::from).min(CONNECTIONS_MAX);
    let loader = |_| {
        let mut loader = Connection::connect(address)?;
        loader.execute(WITHOUT_UNIQUE_CHECKS).context("cannot prepare a connection")?;
        Ok(loader)
    };
    let loaded = Arc::new(AtomicU64::new(0));
    let mut load = Load {
        title: flavour.title,
        server: &mut server,
        loaders: (0..connections).map(loader).collect::<Result<_>>()?,
        cancel,
        tell: &mut |keys| {
            let share = loaded.load(Ordering::Relaxed) as f64 / rows as f64;
            progress((bytes as f64 * (ROWS_SHARE * share + (1.0 - ROWS_SHARE) * keys)) as u64);
        },
    };
    for table in &tables {
        load.fill(table, &loaded)?;
    }
    let mut done = 0;
    for table in &tables {
        let (name, unique) = (quoted(table.name), quoted(table.unique));
        load.run(&format!("ALTER TABLE {name} ADD UNIQUE ({unique})"), done as f64 / rows as f64)?;
        // Otherwise the server would do it later, possibly during a trial.
        load.run(&format!("ANALYZE TABLE {name}"), done as f64 / rows as f64)?;
        done += table.rows.count();
    }
    after.iter().try_for_each(|sql| load.run(sql, 1.0))?;
    let source = ServerAccess { flavour, address: address.clone() };
    let content = verify::content_digest(&source, original.as_ref(), None, &mut |_| {})?;
    Ok(Loaded { rows, torrents, content })
}

/// The size of the data directory of a loaded dataset: `bytes` is an estimate, accurate to about 15 %.
///
/// # Errors
///
/// [`Error::Input`] for a bad specification.
pub fn predicted(flavour: &Flavour, spec: &DatasetSpec) -> Result<Generated> {
    let Shape { tables, original } = shape(spec)?;
    let rows = tables.iter().map(|table| table.rows.count()).sum();
    let bytes = flavour.empty_directory_bytes + tables.iter().map(table_bytes).sum::<u64>();
    Ok(Generated { bytes, rows, torrents: original.torrents() })
}

/// Overhead of a row, in addition to its id and columns: header, transaction and roll pointer.
const ROW_OVERHEAD_BYTES: u64 = 5 + 6 + 7;
/// Overhead of an index entry, in addition to its columns.
const ENTRY_OVERHEAD_BYTES: u64 = 5;
/// Measured fill factor of pages: InnoDB leaves free space, and allocates pages in groups.
const PAGE_SHARE: f64 = 0.86;

fn table_bytes(table: &Table) -> u64 {
    let mut widths = Widths::default();
    table.rows.row(1, &mut widths);
    let id = 4;
    let row = ROW_OVERHEAD_BYTES + id + widths.all;
    let entry = ENTRY_OVERHEAD_BYTES + id + widths.first;
    ((table.rows.count() * (row + entry)) as f64 / PAGE_SHARE) as u64
}

/// Adds up the sizes of a row's columns in InnoDB.
#[derive(Default)]
struct Widths {
    first: u64,
    all: u64,
}

impl Columns for Widths {
    fn push_null(&mut self) {}

    fn push_integer(&mut self, _value: i64) {
        self.all += 4;
    }

    fn push_text(&mut self, text: &[u8]) {
        let bytes = 1 + text.len() as u64;
        if self.all == 0 {
            self.first = bytes;
        }
        self.all += bytes;
    }
}

/// Runs long statements, with progress reports and checks for a request to stop.
struct Load<'a> {
    /// What messages call the server.
    title: &'static str,
    server: &'a mut Connection,
    /// The connections that insert rows.
    loaders: Vec<Connection>,
    cancel: &'a dyn Fn() -> bool,
    /// Called with the share of the unique keys that are built.
    tell: &'a mut dyn FnMut(f64),
}

impl Load<'_> {
    fn fill(&mut self, table: &Table, loaded: &Arc<AtomicU64>) -> Result<()> {
        let name = quoted(table.name);
        self.run(&format!("CREATE TABLE {name} {}", table.columns_in(DIALECT)), 0.0)?;
        let part = TablePart {
            title: self.title,
            table,
            next: &AtomicU64::new(1),
            stopped: &AtomicBool::new(false),
        };
        let ended: Vec<Result<()>> = scope(|scope| {
            let load = |loader| scope.spawn(move || part.load(loader, loaded));
            let loaders: Vec<_> = self.loaders.iter_mut().map(load).collect();
            while loaders.iter().any(|loader| !loader.is_finished()) {
                (self.tell)(0.0);
                part.stopped.fetch_or((self.cancel)(), Ordering::Relaxed);
                sleep(POLL);
            }
            loaders
                .into_iter()
                .map(|loader| loader.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        // One that failed has stopped the others.
        let errors = ended.into_iter().filter_map(Result::err);
        let (stopped, failed): (Vec<_>, Vec<_>) =
            errors.partition(|error| matches!(error, Error::Interrupted));
        failed.into_iter().chain(stopped).next().map_or(Ok(()), Err)?;
        let found = self.server.query(&format!("SELECT COUNT(*) FROM {name}"));
        let found: u64 =
            column(found.with_context(|| format!("cannot count {name}"))?.first().context("no count")?, 0)?;
        let count = table.rows.count();
        if found != count {
            return Err(
                anyhow::anyhow!("{} loaded {found} of {count} rows of table {name}", self.title).into()
            );
        }
        Ok(())
    }

    fn run(&mut self, sql: &str, keys: f64) -> Result<()> {
        execute_despite_deadlocks(self.server, self.title, sql, &mut || {
            (self.tell)(keys);
            (self.cancel)()
        })
    }
}

/// The rows of a table that no connection has begun to load.
#[derive(Clone, Copy)]
struct TablePart<'a> {
    title: &'static str,
    table: &'a Table,
    /// The next row.
    next: &'a AtomicU64,
    stopped: &'a AtomicBool,
}

impl TablePart<'_> {
    /// Loads rows until there are no more. Stops the other connections when it fails.
    fn load(self, server: &mut Connection, loaded: &Arc<AtomicU64>) -> Result<()> {
        let name = self.table.name;
        let sql = format!(
            "LOAD DATA LOCAL INFILE {} INTO TABLE {} CHARACTER SET ascii",
            literal(&format!("rows of {name}")),
            quoted(name)
        );
        let count = self.table.rows.count();
        loop {
            let next = self.next.fetch_add(ROWS_PER_STATEMENT, Ordering::Relaxed);
            if next > count {
                return Ok(());
            }
            let end = (next + ROWS_PER_STATEMENT).min(count + 1);
            let lines = Lines { rows: Arc::clone(&self.table.rows), next, end, loaded: Arc::clone(loaded) };
            server.run(async |connection: &mut Conn| {
                connection.set_infile_handler(async { Ok(Box::pin(lines) as InfileData) });
            });
            let ended = execute(server, self.title, &sql, &mut || self.stopped.load(Ordering::Relaxed));
            ended.inspect_err(|_| self.stopped.store(true, Ordering::Relaxed))?;
        }
    }
}

/// Executes a statement again when it loses a deadlock: for some time after its start, a server changes its own tables.
fn execute_despite_deadlocks(
    server: &mut Connection,
    title: &str,
    sql: &str,
    is_stopped: &mut dyn FnMut() -> bool,
) -> Result<()> {
    const ATTEMPTS: u32 = 10;
    for _ in 1..ATTEMPTS {
        match execute(server, title, sql, is_stopped) {
            Err(Error::Bug(error)) if lost_a_deadlock(&error) => sleep(Duration::from_millis(100)),
            ended => return ended,
        }
    }
    execute(server, title, sql, is_stopped)
}

fn lost_a_deadlock(error: &anyhow::Error) -> bool {
    /// ER_LOCK_DEADLOCK.
    const DEADLOCK: u16 = 1213;
    let error = error.downcast_ref::<mysql_async::Error>();
    matches!(error, Some(mysql_async::Error::Server(error)) if error.code == DEADLOCK)
}

/// Executes a statement. Asks several times a second whether to stop.
fn execute(
    server: &mut Connection,
    title: &str,
    sql: &str,
    is_stopped: &mut dyn FnMut() -> bool,
) -> Result<()> {
    let ended = server.run(async |connection: &mut Conn| {
        let mut statement = pin!(connection.query_drop(sql));
        loop {
            match tokio::time::timeout(POLL, statement.as_mut()).await {
                Ok(ended) => return Some(ended),
                Err(_) if is_stopped() => return None,
                Err(_) => {}
            }
        }
    });
    match ended {
        Some(ended) => Ok(ended.with_context(|| format!("{title} rejected {sql}"))?),
        None => Err(Error::Interrupted),
    }
}

/// Rows as lines: LOAD DATA's own format, with a tab between columns.
struct Lines {
    rows: Arc<dyn Rows>,
    next: u64,
    end: u64,
    loaded: Arc<AtomicU64>,
}

impl Stream for Lines {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _context: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        if self.next == self.end {
            return Poll::Ready(None);
        }
        let mut line = Line(BytesMut::with_capacity(CHUNK_BYTES));
        let first = self.next;
        while self.next < self.end && line.0.len() + LINE_BYTES_MAX <= CHUNK_BYTES {
            line.push_digits(self.next as i64);
            self.rows.row(self.next, &mut line);
            line.0.put_u8(b'\n');
            self.next += 1;
        }
        self.loaded.fetch_add(self.next - first, Ordering::Relaxed);
        Poll::Ready(Some(Ok(line.0.freeze())))
    }
}

/// The columns after the first, each after a tab. No text of a dataset has a character that needs escaping.
struct Line(BytesMut);

impl Line {
    fn push_digits(&mut self, value: i64) {
        use std::fmt::Write;
        write!(self.0, "{value}").expect("writing to a buffer cannot fail");
    }
}

impl Columns for Line {
    fn push_null(&mut self) {
        self.0.put_slice(b"\t\\N");
    }

    fn push_integer(&mut self, value: i64) {
        self.0.put_u8(b'\t');
        self.push_digits(value);
    }

    fn push_text(&mut self, text: &[u8]) {
        debug_assert!(text.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\'));
        self.0.put_u8(b'\t');
        self.0.put_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::MYSQL;
    use model::dataset::rows::{FewRows, Value};

    #[test]
    fn rows_are_lines_with_their_ids_in_front() {
        let text = |text: &str| Value::Text(text.into());
        let rows = FewRows::new(vec![vec![text("b"), Value::Integer(-7)], vec![text("a"), Value::Null]]);
        let loaded = Arc::new(AtomicU64::new(0));
        let mut lines = Lines { rows: Arc::new(rows), next: 1, end: 3, loaded: Arc::clone(&loaded) };
        let mut context = TaskContext::from_waker(std::task::Waker::noop());
        let Poll::Ready(Some(Ok(bytes))) = Pin::new(&mut lines).poll_next(&mut context) else {
            panic!("no lines");
        };
        assert_eq!(bytes, "1\tb\t-7\n2\ta\t\\N\n".as_bytes());
        assert!(matches!(Pin::new(&mut lines).poll_next(&mut context), Poll::Ready(None)));
        assert_eq!(loaded.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_lost_deadlock_is_recognised_and_nothing_else() {
        let server = |code| {
            mysql_async::Error::Server(mysql_async::ServerError {
                code,
                message: "Deadlock found when trying to get lock".to_owned(),
                state: "40001".to_owned(),
            })
        };
        let rejected =
            |code| Err::<(), _>(server(code)).context("MySQL rejected ALTER INSTANCE").unwrap_err();
        assert!(lost_a_deadlock(&rejected(1213)));
        assert!(!lost_a_deadlock(&rejected(1205)));
        assert!(!lost_a_deadlock(&anyhow::anyhow!("deadlock")));
    }

    #[test]
    fn the_estimate_grows_with_the_rows() {
        let spec = |target_bytes| DatasetSpec { profile: "torrust-demo".into(), target_bytes, seed: 1 };
        let small = predicted(MYSQL.flavour, &spec(10 << 20)).unwrap();
        let large = predicted(MYSQL.flavour, &spec(20 << 20)).unwrap();
        assert_eq!(large.rows, crate::sqlite::dataset::predicted(&spec(20 << 20)).unwrap().rows);
        assert!(large.bytes > small.bytes && small.bytes > MYSQL.flavour.empty_directory_bytes);
    }
}
