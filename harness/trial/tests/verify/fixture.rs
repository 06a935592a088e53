//! A small trial in this process: a dataset, writers with a real ledger, copies, and the expected results.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use engines::database::Database;
use engines::sqlite::database::of_file;
use model::dataset::{OriginalTorrents, Torrent};
use model::ledger::{Ledger, LedgerWriter, Outcome};
use model::verify::{ContentDigest, Level, Report, Request, content_digest, verify};
use model::writes::{InfoHash, Key, Marks, Model, Together, info_hash, stamp};
use reports::record::{Check, Verification};
use rusqlite::Connection;
use tempfile::TempDir;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::tracker::{Tracker, counted_hash};

const SCHEMA: &str = "
    CREATE TABLE whitelist (id INTEGER PRIMARY KEY AUTOINCREMENT, info_hash TEXT NOT NULL UNIQUE);
    CREATE TABLE keys (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, valid_until INTEGER);
    CREATE TABLE torrents (
        id INTEGER PRIMARY KEY AUTOINCREMENT, info_hash TEXT NOT NULL UNIQUE, completed INTEGER DEFAULT 0 NOT NULL);
    CREATE TABLE torrent_aggregate_metrics (
        id INTEGER PRIMARY KEY AUTOINCREMENT, metric_name TEXT NOT NULL UNIQUE, value INTEGER DEFAULT 0 NOT NULL);
    INSERT INTO torrent_aggregate_metrics (metric_name, value) VALUES ('torrents_downloads_total', 7031), ('other', 3);
";

/// A dataset with rows that are computed from (seed, id).
pub struct TinyDataset {
    pub seed: u64,
    pub torrents: u64,
}

impl OriginalTorrents for TinyDataset {
    fn torrents(&self) -> u64 {
        self.torrents
    }

    fn torrent(&self, id: u64) -> Torrent {
        let high = xxh3_128_with_seed(&id.to_le_bytes(), self.seed);
        let low = xxh3_64_with_seed(&id.to_le_bytes(), self.seed);
        Torrent { info_hash: info_hash(high, low as u32), completed: (low % 50) as i64 }
    }
}

/// An info-hash as text for SQL.
pub fn text(info_hash: &InfoHash) -> &str {
    std::str::from_utf8(info_hash).unwrap()
}

/// Pseudo-random numbers from a seed.
pub struct Draws(pub u64);

impl Draws {
    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 += 1;
        xxh3_64_with_seed(&self.0.to_le_bytes(), 99) % limit
    }
}

/// The parameters of a trial.
#[derive(Clone, Debug)]
pub struct Shape {
    pub marks: Marks,
    pub seed: u64,
    pub writers: u32,
    pub rows_per_transaction: u32,
    pub multi_row_share: f64,
    pub more_torrents: u64,
    pub journal_mode: &'static str,
    /// Percentage of writes that get no answer.
    pub indeterminate_percent: u64,
    /// Statements that are executed before the tables are created, and statements that create more tables.
    pub layout: &'static str,
    pub more_tables: &'static str,
}

impl Shape {
    /// Large enough for every kind of damage, and with an answer for every write, so that all damage can be detected.
    pub fn for_damage(seed: u64) -> Shape {
        Shape {
            marks: Marks::Stamps,
            seed,
            writers: 3,
            rows_per_transaction: 3,
            multi_row_share: 0.4,
            more_torrents: 3000,
            journal_mode: "delete",
            indeterminate_percent: 0,
            layout: "",
            more_tables: "",
        }
    }
}

/// The outcome of a write, decided before it is made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Acknowledged,
    Refused,
    UnansweredIn,
    UnansweredOut,
}

/// The stage of a writer's current write.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Idle,
    Sent(Fate),
    Executed(Fate),
}

/// One write that reached the database.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Executed {
    pub writer: u32,
    pub index: u64,
    pub committed: bool,
}

/// How an honest copy is made.
#[derive(Clone, Copy, Debug)]
pub enum CopyWay {
    Backup,
    VacuumInto,
    Files,
}

/// A copy and its position in the sequence of writes.
pub struct Restored {
    pub database: PathBuf,
    pub taken_ns: u64,
    /// Length of [`Trial::executed`] when it was taken.
    pub executed: usize,
}

/// A trial in progress.
pub struct Trial {
    pub directory: TempDir,
    pub model: Model,
    pub dataset: TinyDataset,
    pub expected: ContentDigest,
    /// Every write that reached the database, in commit order.
    pub executed: Vec<Executed>,
    pub draws: Draws,
    indeterminate_percent: u64,
    /// The state of the tracker, if the writes are counts.
    tracker: Tracker,
    now_ns: u64,
    connections: Vec<Connection>,
    ledgers: Vec<LedgerWriter>,
    stages: Vec<Stage>,
}

impl Trial {
    pub fn new(shape: &Shape) -> Trial {
        let directory = tempfile::tempdir().unwrap();
        let &Shape { marks, seed, writers, rows_per_transaction, multi_row_share, .. } = shape;
        let torrents = Model::torrents_min(marks, writers, rows_per_transaction) + shape.more_torrents;
        let model = Model { marks, seed, writers, rows_per_transaction, multi_row_share, torrents };
        let dataset = TinyDataset { seed, torrents };
        let database = directory.path().join("live.sqlite");
        build(&database, &dataset, shape.layout, shape.more_tables);
        let expected = content_digest(&of_file(&database), &dataset, None, &mut |_| {}).unwrap();
        let connections = (0..writers).map(|_| connect(&database, shape.journal_mode)).collect();
        let ledgers = (0..writers).map(|writer| LedgerWriter::open(directory.path(), writer).unwrap());
        Trial {
            ledgers: ledgers.collect(),
            directory,
            model,
            dataset,
            expected,
            executed: Vec::new(),
            draws: Draws(seed << 20),
            indeterminate_percent: shape.indeterminate_percent,
            tracker: Tracker::default(),
            now_ns: 1_000_000,
            connections,
            stages: vec![Stage::Idle; writers as usize],
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A later instant of the trial's clock.
    pub fn tick(&mut self) -> u64 {
        self.now_ns += 1000;
        self.now_ns
    }

    /// Advances randomly chosen writers by one step each: send, execute, receive the answer.
    pub fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            let writer = self.draws.below(u64::from(self.model.writers)) as usize;
            let now_ns = self.tick();
            self.stages[writer] = match self.stages[writer] {
                Stage::Idle if self.draws.below(40) == 0 => {
                    self.ledgers[writer].miss(now_ns - 500, now_ns).unwrap();
                    Stage::Idle
                }
                Stage::Idle => {
                    self.ledgers[writer].send(now_ns - 500, now_ns).unwrap();
                    // So that copies contain downloads that were started but not completed, or that never will be.
                    if self.model.marks == Marks::Counts && self.draws.below(2) == 0 {
                        self.announce(writer as u32);
                    }
                    Stage::Sent(self.draw_fate())
                }
                Stage::Sent(fate) => {
                    self.execute(writer as u32, fate);
                    Stage::Executed(fate)
                }
                Stage::Executed(fate) => {
                    match fate {
                        Fate::Acknowledged => self.ledgers[writer].acknowledge(now_ns),
                        Fate::Refused => self.ledgers[writer].refuse(now_ns),
                        Fate::UnansweredIn | Fate::UnansweredOut => {}
                    }
                    Stage::Idle
                }
            };
        }
    }

    fn draw_fate(&mut self) -> Fate {
        let unanswered = self.indeterminate_percent;
        match self.draws.below(100) {
            draw if draw < unanswered && draw % 2 == 0 => Fate::UnansweredIn,
            draw if draw < unanswered => Fate::UnansweredOut,
            draw if draw < unanswered + 10 => Fate::Refused,
            _ => Fate::Acknowledged,
        }
    }

    fn execute(&mut self, writer: u32, fate: Fate) {
        let index = self.ledgers[writer as usize].next_index() - 1;
        let committed = matches!(fate, Fate::Acknowledged | Fate::UnansweredIn);
        if self.model.marks == Marks::Counts {
            return self.count(writer, index, committed);
        }
        let transaction = self.connections[writer as usize].transaction().unwrap();
        apply(&transaction, &self.model, &self.dataset, writer, index);
        if committed {
            transaction.commit().unwrap()
        } else {
            transaction.rollback().unwrap()
        }
        self.executed.push(Executed { writer, index, committed });
    }

    /// Announces a write to the tracker, which may have been restarted.
    fn count(&mut self, writer: u32, index: u64, committed: bool) {
        if self.draws.below(300) == 0 {
            self.tracker = Tracker::default();
        }
        if committed {
            let info_hash = self.announce(writer);
            self.tracker.completed(&self.connections[writer as usize], &info_hash);
        }
        self.executed.push(Executed { writer, index, committed });
    }

    /// Announces that a peer has started the download that the writer's newest write will count.
    fn announce(&mut self, writer: u32) -> InfoHash {
        let index = self.ledgers[writer as usize].next_index() - 1;
        let info_hash = counted_hash(&self.model, &self.dataset, writer, index);
        self.tracker.started(&self.connections[writer as usize], &info_hash);
        info_hash
    }

    /// The tracker acknowledges that it has counted a write, but could not store it.
    pub fn acknowledge_without_writing(&mut self, writer: u32) -> u64 {
        assert!(matches!(self.stages[writer as usize], Stage::Idle), "the writer waits for an answer");
        let (sent_ns, answered_ns) = (self.tick(), self.tick());
        let index = self.ledgers[writer as usize].next_index();
        self.ledgers[writer as usize].send(sent_ns, sent_ns).unwrap();
        self.ledgers[writer as usize].acknowledge(answered_ns);
        index
    }

    /// Advances writers until this one has no open write.
    pub fn rest(&mut self, writer: u32) {
        while !matches!(self.stages[writer as usize], Stage::Idle) {
            self.run(1);
        }
    }

    /// Makes an honest copy.
    pub fn copy(&mut self, name: &str, way: CopyWay) -> Restored {
        let (source, target) = (self.path("live.sqlite"), self.path(name));
        match way {
            CopyWay::Backup => {
                let mut connection = Connection::open(&target).unwrap();
                let backup = rusqlite::backup::Backup::new(&self.connections[0], &mut connection).unwrap();
                backup.step(-1).unwrap();
            }
            CopyWay::VacuumInto => {
                self.connections[0].execute("VACUUM INTO ?1", [target.to_str().unwrap()]).unwrap();
            }
            CopyWay::Files => {
                fs::copy(&source, &target).unwrap();
                // No log exists before the first write.
                let log = beside(&source, "-wal");
                if log.exists() {
                    fs::copy(log, beside(&target, "-wal")).unwrap();
                }
            }
        }
        settle(&target);
        let taken_ns = self.tick();
        Restored { database: target, taken_ns, executed: self.executed.len() }
    }

    /// Builds a database with exactly the executed writes that `chosen` accepts, regardless of their outcome.
    pub fn compose(&self, name: &str, chosen: impl Fn(usize, &Executed) -> bool) -> PathBuf {
        let path = self.path(name);
        build(&path, &self.dataset, "", "");
        let connection = connect(&path, "delete");
        let mut tracker = Tracker::default();
        connection.execute_batch("BEGIN").unwrap();
        for (position, write) in self.executed.iter().enumerate() {
            if !chosen(position, write) {
                continue;
            }
            if self.model.marks == Marks::Counts {
                let info_hash = counted_hash(&self.model, &self.dataset, write.writer, write.index);
                tracker.completed(&connection, &info_hash);
            } else {
                apply(&connection, &self.model, &self.dataset, write.writer, write.index);
            }
        }
        connection.execute_batch("COMMIT").unwrap();
        path
    }

    pub fn live(&self) -> &Connection {
        &self.connections[0]
    }

    pub fn ledger(&self) -> Ledger {
        Ledger::open(self.directory.path(), self.model.writers).unwrap()
    }

    /// Verifies `database`; writes acknowledged before `keep_ns` were promised to be kept.
    pub fn verify(&self, database: &Path, integrity: Level, keep_ns: Option<u64>) -> Report {
        let request = self.request(database, integrity, keep_ns);
        let json = serde_json::to_string(&request).unwrap();
        let request: Request<Database> = serde_json::from_str(&json).unwrap();
        verify(&request, &self.dataset, &mut |_| {}).unwrap()
    }

    /// The request of a verification.
    pub fn request(&self, database: &Path, integrity: Level, keep_ns: Option<u64>) -> Request<Database> {
        Request {
            database: of_file(database),
            ledger: self.directory.path().to_owned(),
            model: self.model.clone(),
            expected: self.expected.clone(),
            integrity,
            keep_acknowledged_before_ns: keep_ns,
            lack_sent_after_ns: None,
            without_never_completed: false,
            backup_completed_ns: Some(self.now_ns),
            disaster_ns: self.now_ns,
            never_written: Vec::new(),
        }
    }

    /// The expected result: acknowledged writes that were not in the database when `restored` was made.
    pub fn lost(&self, restored: &Restored) -> u64 {
        let executed = self.executed[..restored.executed].iter().filter(|write| write.committed);
        let held: HashSet<_> = executed.map(|write| (write.writer, write.index)).collect();
        let ledger = self.ledger();
        let acknowledged =
            ledger.entries().filter(|(_, _, entry)| matches!(entry.outcome, Outcome::Acknowledged(_)));
        acknowledged.filter(|&(writer, index, _)| !held.contains(&(writer, index))).count() as u64
    }
}

fn build(path: &Path, dataset: &TinyDataset, layout: &str, more_tables: &str) {
    let mut connection = Connection::open(path).unwrap();
    connection.execute_batch(layout).unwrap();
    connection.pragma_update(None, "synchronous", "off").unwrap();
    let transaction = connection.transaction().unwrap();
    transaction.execute_batch(SCHEMA).unwrap();
    {
        let mut insert =
            transaction.prepare("INSERT INTO torrents (info_hash, completed) VALUES (?1, ?2)").unwrap();
        for id in 1..=dataset.torrents {
            let Torrent { info_hash, completed } = dataset.torrent(id);
            insert.execute((text(&info_hash), completed)).unwrap();
        }
        for id in 1..=60 {
            let other = dataset.torrent(dataset.torrents + id).info_hash;
            transaction.execute("INSERT INTO whitelist (info_hash) VALUES (?1)", [text(&other)]).unwrap();
        }
        let keys = "INSERT INTO keys (key, valid_until) VALUES ('one', 17), ('two', NULL)";
        transaction.execute(keys, []).unwrap();
    }
    transaction.execute_batch(more_tables).unwrap();
    transaction.commit().unwrap();
}

fn connect(path: &Path, journal_mode: &str) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", journal_mode).unwrap();
    connection.pragma_update(None, "synchronous", "off").unwrap();
    connection
}

/// Executes the statements of the application for one write.
pub fn apply(
    connection: &Connection,
    model: &Model,
    original: &dyn OriginalTorrents,
    writer: u32,
    index: u64,
) {
    let write = model.write(writer, index);
    let mut upsert = connection
        .prepare_cached(
            "INSERT INTO torrents (info_hash, completed) VALUES (?1, ?2)
             ON CONFLICT(info_hash) DO UPDATE SET completed = excluded.completed",
        )
        .unwrap();
    for key in write.stamped {
        let info_hash = match key {
            Key::Dataset(id) => original.torrent(id).info_hash,
            Key::New { writer, index, row } => model.new_info_hash(writer, index, row),
        };
        upsert.execute((text(&info_hash), stamp(index))).unwrap();
    }
    match write.together {
        Together::Nothing => {}
        Together::Metric => {
            let raise = "UPDATE torrent_aggregate_metrics SET value = value + 1
                         WHERE metric_name = 'torrents_downloads_total'";
            assert_eq!(connection.execute(raise, []).unwrap(), 1);
        }
        Together::Transfer { from, to, amount } => {
            let mut gain = connection
                .prepare_cached("UPDATE torrents SET completed = completed + ?2 WHERE id = ?1")
                .unwrap();
            assert_eq!(gain.execute((from as i64, -amount)).unwrap(), 1);
            assert_eq!(gain.execute((to as i64, amount)).unwrap(), 1);
        }
    }
}

/// The file next to a database with this suffix.
pub fn beside(database: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", database.display()))
}

/// Opens a database as its application would, so that its journal is replayed, and closes it again.
pub fn settle(database: &Path) {
    let connection = Connection::open(database).unwrap();
    // The query may fail on a damaged database; the verifier checks the result.
    let _ = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    connection.close().map_err(|(_, error)| error).unwrap();
}

/// The verifications at level `full` and at level `fast`, where every acknowledged write was promised to be kept. Asserts
/// that `fast` finds everything that `full` finds.
pub fn at_both_levels(trial: &Trial, database: &Path) -> [Verification; 2] {
    let verify = |level| trial.verify(database, level, Some(u64::MAX)).verification;
    let (full, fast) = (verify(Level::Full), verify(Level::Fast));
    assert_eq!((full.level, fast.level), (Some(Level::Full), Some(Level::Fast)));
    let mut missed = failed(&full);
    missed.retain(|check| !failed(&fast).contains(check));
    assert!(missed.is_empty(), "fast misses {missed:?}: {:#?} {:#?}", full.findings, fast.findings);
    [full, fast]
}

/// The checks that failed, by name.
pub fn failed(verification: &Verification) -> Vec<&'static str> {
    checks(verification)
        .into_iter()
        .filter(|(_, check)| *check == Some(Check::Fail))
        .map(|(name, _)| name)
        .collect()
}

/// All checks by name.
pub fn checks(verification: &Verification) -> [(&'static str, Option<Check>); 6] {
    [
        ("integrity", verification.integrity),
        ("prefix", verification.prefix),
        ("order", verification.order),
        ("transactions", verification.transactions),
        ("content", verification.content),
        ("loss", verification.loss),
    ]
}
