//! Loads a dataset into a MySQL server: the rows of the SQLite database of the same specification, in the schema that
//! the tracker makes in MySQL.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll};
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

use crate::database::Database;
use crate::mysql::connection::{Address, Server, literal, quoted};

/// What a server is started with to load a dataset, besides where its data directory is.
///
/// Nothing here changes the files that come of it, but for the last three: a slow shutdown leaves nothing to be done
/// at the next start, which finds no list of pages to read ahead either; and no transaction of the load is
/// counted among those that a replica would have to have.
pub const LOADING_OPTIONS: [&str; 8] = [
    "--local-infile=ON",
    "--disable-log-bin",
    "--innodb-buffer-pool-size=1G",
    "--innodb-doublewrite=OFF",
    "--innodb-ddl-buffer-size=128M",
    "--innodb-fast-shutdown=0",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--gtid-mode=OFF",
];

/// Rows of one LOAD DATA: what the server keeps to take a transaction back stays small.
const ROWS_PER_STATEMENT: u64 = 500_000;
/// Bytes that are handed to the connection at once.
const CHUNK_BYTES: usize = 256 << 10;
/// A line is never longer: an id and three columns.
const LINE_BYTES_MAX: usize = 256;
/// How soon a request to stop is noticed.
const POLL: Duration = Duration::from_millis(50);
/// Part of the time that goes to the rows, as measured; the rest goes to the unique keys.
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

/// Makes the database of `address` and fills it with the rows of `spec`. The server runs with [`LOADING_OPTIONS`] and
/// lets the account do everything; once it has been shut down in good order, its data directory is the dataset.
///
/// `cancel` is asked some 20 times a second, and `progress` told how many bytes of the data directory are written,
/// by estimate.
///
/// # Errors
///
/// [`Error::Input`] for a bad specification, [`Error::Environment`] when the server does not answer, and
/// [`Error::Interrupted`] after `cancel` said yes. In each case the data directory is of no use any more.
pub fn load(
    address: &Address,
    spec: &DatasetSpec,
    cancel: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Loaded> {
    let Shape { tables, origin } = shape(spec)?;
    let Generated { bytes, rows, torrents } = predicted(spec)?;
    let mut server = Server::connect_without_database(address)?;
    let database = quoted(&address.database);
    // Killed without its redo log, the server does not start again: half a dataset is never taken for a whole one.
    for sql in [
        &format!("CREATE DATABASE IF NOT EXISTS {database}"),
        &format!("USE {database}"),
        "SET SESSION unique_checks = 0",
        "ALTER INSTANCE DISABLE INNODB REDO_LOG",
    ] {
        server.execute(sql).with_context(|| format!("MySQL refuses {sql}"))?;
    }
    let loaded = Arc::new(AtomicU64::new(0));
    let mut load = Load {
        server: &mut server,
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
        // Or the server would do it some time later, in the middle of a trial.
        load.run(&format!("ANALYZE TABLE {name}"), done as f64 / rows as f64)?;
        done += table.rows.count();
    }
    load.run("ALTER INSTANCE ENABLE INNODB REDO_LOG", 1.0)?;
    let source = Database::Mysql(address.clone());
    let content = verify::content_digest(&source, origin.as_ref(), None, &mut |_| {})?;
    Ok(Loaded { rows, torrents, content })
}

/// What the data directory of a loaded dataset comes to: `bytes` is an estimate, good to some 15 %.
///
/// # Errors
///
/// [`Error::Input`] for a bad specification.
pub fn predicted(spec: &DatasetSpec) -> Result<Generated> {
    let Shape { tables, origin } = shape(spec)?;
    let rows = tables.iter().map(|table| table.rows.count()).sum();
    let bytes = EMPTY_DIRECTORY_BYTES + tables.iter().map(table_bytes).sum::<u64>();
    Ok(Generated { bytes, rows, torrents: origin.torrents() })
}

/// The data directory of a server without any rows, as measured: redo and undo logs after a load, and the
/// server's own tables.
const EMPTY_DIRECTORY_BYTES: u64 = 215 << 20;
/// What a row takes besides its id and columns: header, transaction and roll pointer.
const ROW_OVERHEAD_BYTES: u64 = 5 + 6 + 7;
/// What an index entry takes besides its columns.
const ENTRY_OVERHEAD_BYTES: u64 = 5;
/// Part of the pages that rows and entries fill, as measured: InnoDB leaves room, and takes pages in lots.
const PAGE_SHARE: f64 = 0.86;

fn table_bytes(table: &Table) -> u64 {
    let mut widths = Widths::default();
    table.rows.row(1, &mut widths);
    let id = 4;
    let row = ROW_OVERHEAD_BYTES + id + widths.all;
    let entry = ENTRY_OVERHEAD_BYTES + id + widths.first;
    ((table.rows.count() * (row + entry)) as f64 / PAGE_SHARE) as u64
}

/// Adds up what the columns of a row take in InnoDB.
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

/// Statements that take long: meanwhile progress is told, and a request to stop heard.
struct Load<'a> {
    server: &'a mut Server,
    cancel: &'a dyn Fn() -> bool,
    /// Takes the share of the unique keys that are made.
    tell: &'a mut dyn FnMut(f64),
}

impl Load<'_> {
    fn fill(&mut self, table: &Table, loaded: &Arc<AtomicU64>) -> Result<()> {
        let name = quoted(table.name);
        self.run(&format!("CREATE TABLE {name} {}", table.columns_in("mysql")), 0.0)?;
        let count = table.rows.count();
        let sql = format!(
            "LOAD DATA LOCAL INFILE {} INTO TABLE {name} CHARACTER SET ascii",
            literal(&format!("rows of {}", table.name))
        );
        let mut next = 1;
        while next <= count {
            let end = (next + ROWS_PER_STATEMENT).min(count + 1);
            let lines = Lines { rows: Arc::clone(&table.rows), next, end, loaded: Arc::clone(loaded) };
            self.server.run(async |connection: &mut Conn| {
                connection.set_infile_handler(async { Ok(Box::pin(lines) as InfileData) });
            });
            self.run(&sql, 0.0)?;
            next = end;
        }
        let found = self.server.query(&format!("SELECT COUNT(*) FROM {name}"));
        let found: u64 = crate::mysql::connection::column(
            found.with_context(|| format!("cannot count {name}"))?.first().context("no count")?,
            0,
        )?;
        if found != count {
            return Err(anyhow::anyhow!("MySQL took {found} of {count} rows of table {name}").into());
        }
        Ok(())
    }

    fn run(&mut self, sql: &str, keys: f64) -> Result<()> {
        let ended = self.server.run(async |connection: &mut Conn| {
            let mut statement = pin!(connection.query_drop(sql));
            loop {
                (self.tell)(keys);
                match tokio::time::timeout(POLL, statement.as_mut()).await {
                    Ok(ended) => return Some(ended),
                    Err(_) if (self.cancel)() => return None,
                    Err(_) => {}
                }
            }
        });
        match ended {
            Some(ended) => Ok(ended.with_context(|| format!("MySQL refuses {sql}"))?),
            None => Err(Error::Interrupted),
        }
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

/// Columns behind the first, each after a tab. No text of a dataset has a character that would need an escape.
struct Line(BytesMut);

impl Line {
    fn push_digits(&mut self, value: i64) {
        use std::fmt::Write;
        write!(self.0, "{value}").expect("a buffer takes everything");
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
    fn the_estimate_grows_with_the_rows() {
        let spec = |target_bytes| DatasetSpec { profile: "torrust-demo".into(), target_bytes, seed: 1 };
        let small = predicted(&spec(10 << 20)).unwrap();
        let large = predicted(&spec(20 << 20)).unwrap();
        assert_eq!(large.rows, crate::sqlite::dataset::predicted(&spec(20 << 20)).unwrap().rows);
        assert!(large.bytes > small.bytes && small.bytes > EMPTY_DIRECTORY_BYTES);
    }
}
