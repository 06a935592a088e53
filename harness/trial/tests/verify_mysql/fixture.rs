//! A small trial on a server: a dataset, the application's own sessions with a real ledger, and damage.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use engines::client::{Answer, Client, Session};
use engines::database::Database;
use engines::engine::START_TIMEOUT;
use engines::images;
use engines::mariadb::MARIADB;
use engines::mysql::access::ServerAccess;
use engines::mysql::connection::{Address, Connection, column};
use engines::mysql::dataset::{Loaded, load};
use engines::mysql::engine::ServerEngine;
use engines::mysql::options::ServerArguments;
use engines::mysql::server::{Server, ServerSetup};
use engines::mysql::{MYSQL, client as mysql};
use engines::secret::Secret;
use machine::container::Network;
use machine::measure::clock::now_ns;
use machine::process::{Account, Cancel, Launcher, StopOnDrop};
use model::dataset::{self, DatasetSpec, OriginalTorrents};
use model::ledger::{Ledger, LedgerWriter, Outcome};
use model::verify::{Level, Report, Request, verify};
use model::writes::{Marks, Model};
use reports::record::{Check, Verification};
use tempfile::TempDir;

/// The servers that the tests run on: none if the tests should skip everything that needs Docker; `cargo xtask test` lists
/// the skipped tests.
pub fn servers() -> Vec<&'static ServerEngine> {
    let without_docker = std::env::var_os("BACKUP_DRILL_WITHOUT_DOCKER").is_some();
    if without_docker { Vec::new() } else { vec![&MARIADB, &MYSQL] }
}

/// A server for all trials that run at the same time. It is removed with the last of them.
struct Shared {
    server: Server,
    _directory: TempDir,
}

impl Shared {
    fn get(engine: &'static ServerEngine) -> Arc<Shared> {
        static SHARED: Mutex<BTreeMap<&str, Weak<Shared>>> = Mutex::new(BTreeMap::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let shared = shared.entry(engine.flavour.engine).or_default();
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Shared::start(engine));
            *shared = Arc::downgrade(&started);
            started
        })
    }

    fn start(engine: &'static ServerEngine) -> Shared {
        // In the build directory, because the temporary directory may be in memory.
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let launcher = Launcher::new(directory.path(), &Cancel::default());
        let image = images::obtain(engine.image, None, &launcher, &|_| {}).unwrap();
        let setup = ServerSetup {
            flavour: engine.flavour,
            image: image.reference,
            data_directory: directory.path().join("data"),
            run_directory: directory.path().join("run"),
            artifact: directory.path().to_owned(),
            arguments: ServerArguments {
                running: ["--local-infile=ON", "--performance-schema=ON"].map(str::to_owned).into(),
                ..Default::default()
            },
            password: Secret::random().unwrap(),
            port: None,
            network: Network::Bridge,
            account: Account::Subject,
            start_timeout: START_TIMEOUT,
        };
        let mut server = Server::new(&launcher, setup).unwrap();
        server.start().unwrap();
        Shared { server, _directory: directory }
    }
}

/// A trial in progress. Its database is removed when it ends.
pub struct Trial {
    pub engine: &'static ServerEngine,
    pub address: Address,
    pub model: Model,
    pub original: Box<dyn OriginalTorrents>,
    pub loaded: Loaded,
    spec: DatasetSpec,
    directory: TempDir,
    /// The last field, so that the database is removed before the server.
    _shared: Arc<Shared>,
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Ok(mut server) = Connection::connect(&self.address) {
            let _ = server.execute(&format!("DROP DATABASE {}", self.address.database));
        }
    }
}

impl Trial {
    pub fn new(engine: &'static ServerEngine, name: &str, writers: u32) -> Trial {
        let spec = DatasetSpec { profile: "torrust-demo".into(), target_bytes: 1 << 20, seed: 11 };
        let original = dataset::original_torrents(&spec).unwrap();
        let torrents = original.torrents();
        let model = Model {
            seed: 5,
            writers,
            rows_per_transaction: 3,
            multi_row_share: 0.4,
            marks: Marks::Stamps,
            torrents,
        };
        let shared = Shared::get(engine);
        let database = format!("drill_test_{name}");
        let address = Address { database, ..shared.server.address().clone() };
        let loaded = fill(engine, &address, &spec);
        Trial {
            engine,
            address,
            model,
            original,
            loaded,
            spec,
            directory: tempfile::tempdir().unwrap(),
            _shared: shared,
        }
    }

    /// The application's connection to the trial's database.
    pub fn client(&self) -> Box<dyn Client + '_> {
        mysql::connect(&self.address, &self.model, self.original.as_ref()).unwrap()
    }

    /// Lets every writer make its next `writes` writes, all at the same time.
    pub fn run(&self, writes: u64) {
        let client = self.client();
        thread::scope(|scope| {
            for writer in 0..self.model.writers {
                let mut session = client.session().unwrap();
                let mut ledger = self.ledger_writer(writer);
                scope.spawn(move || {
                    for _ in 0..writes {
                        write(session.as_mut(), &mut ledger, writer);
                    }
                    session.close().unwrap();
                });
            }
        });
        client.close().unwrap();
    }

    /// Lets every writer write until `body` returns.
    pub fn run_while(&self, body: impl FnOnce()) {
        let client = self.client();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let _stop = StopOnDrop(&stop);
            for writer in 0..self.model.writers {
                let mut session = client.session().unwrap();
                let mut ledger = self.ledger_writer(writer);
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        write(session.as_mut(), &mut ledger, writer);
                    }
                });
            }
            body();
        });
    }

    pub fn ledger_writer(&self, writer: u32) -> LedgerWriter {
        LedgerWriter::open(self.directory.path(), writer).unwrap()
    }

    pub fn ledger(&self) -> Ledger {
        Ledger::open(self.directory.path(), self.model.writers).unwrap()
    }

    /// Number of writes with this outcome.
    pub fn count(&self, wanted: impl Fn(Outcome) -> bool) -> usize {
        self.ledger().entries().filter(|(_, _, entry)| wanted(entry.outcome)).count()
    }

    /// Replaces the database with one that has exactly the acknowledged writes that `chosen` accepts.
    pub fn compose(&self, chosen: impl Fn(u32, u64) -> bool) {
        fill(self.engine, &self.address, &self.spec);
        let client = self.client();
        let mut session = client.session().unwrap();
        for (writer, index, entry) in self.ledger().entries() {
            if matches!(entry.outcome, Outcome::Acknowledged(_)) && chosen(writer, index) {
                assert_eq!(session.write(writer, index), Answer::Acknowledged);
            }
        }
    }

    pub fn server(&self) -> Connection {
        Connection::connect(&self.address).unwrap()
    }

    /// The number that a query returns.
    pub fn number(&self, sql: &str) -> i64 {
        column(&self.server().query(sql).unwrap()[0], 0).unwrap()
    }

    /// Verifies the database; all writes acknowledged so far were promised to be kept.
    pub fn verify(&self, integrity: Level) -> Report {
        self.verify_at(&self.address, integrity)
    }

    pub fn verify_at(&self, address: &Address, integrity: Level) -> Report {
        let now_ns = now_ns();
        let request = Request {
            database: database_at(self.engine, address),
            ledger: self.directory.path().to_owned(),
            model: self.model.clone(),
            expected: self.loaded.content.clone(),
            integrity,
            keep_acknowledged_before_ns: Some(now_ns),
            lack_sent_after_ns: None,
            without_never_completed: false,
            never_written: Vec::new(),
            backup_completed_ns: Some(now_ns),
            disaster_ns: now_ns,
        };
        let json = serde_json::to_string(&request).unwrap();
        let request: Request<Database> = serde_json::from_str(&json).unwrap();
        verify(&request, self.original.as_ref(), &mut |_| {}).unwrap()
    }

    /// Asserts that there are no findings and that every check was completed.
    pub fn assert_right(&self) {
        for integrity in [Level::Fast, Level::Full] {
            let report = self.verify(integrity);
            assert_eq!(report.verification.findings, Vec::<String>::new(), "{integrity:?}");
            for (name, check) in checks(&report.verification) {
                assert_eq!(check, Some(Check::Pass), "{name}");
            }
            assert_eq!(report.recovery_point.unwrap().lost_writes, 0);
        }
    }
}

/// Makes the next write of a writer, as the application does.
pub fn write(session: &mut dyn Session, ledger: &mut LedgerWriter, writer: u32) -> Answer {
    let index = ledger.next_index();
    ledger.send(now_ns(), now_ns()).unwrap();
    let answer = session.write(writer, index);
    match answer {
        Answer::Acknowledged => ledger.acknowledge(now_ns()),
        Answer::Refused => ledger.refuse(now_ns()),
        Answer::None => {}
    }
    answer
}

/// The database, as the verifier opens it.
pub fn database_at(engine: &'static ServerEngine, address: &Address) -> Database {
    let access = ServerAccess { flavour: engine.flavour, address: address.clone() };
    Database { engine, access: Arc::new(access) }
}

fn fill(engine: &'static ServerEngine, address: &Address, spec: &DatasetSpec) -> Loaded {
    let mut server = Connection::connect_without_database(address).unwrap();
    server.execute(&format!("DROP DATABASE IF EXISTS {}", address.database)).unwrap();
    load(engine.flavour, address, spec, &|| false, &mut |_| {}).unwrap()
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
