//! CPU time that the harness needs to drive writes, in addition to that of SQLite itself.
//!
//! Two processes make the same writes on copies of the same database: the embedded application, which paces them and
//! records them in the ledger, and a bare loop that only executes them. The difference of their CPU time is the
//! overhead of the harness. `synchronous = off`, so that the disk does not limit the speed.

use std::path::Path;
use std::time::Duration;

use engines::applications::embedded::ApplicationTask;
use engines::sqlite::Sqlite;
use engines::sqlite::client as sqlite;
use engines::sqlite::generate::generate;
use engines::sqlite::live_file::LiveFile;
use engines::sqlite::modes::WAL;
use engines::sqlite::settings::{SqliteSettings, Synchronous};
use engines::subject::Subject;
use machine::measure::clock::now_ns;
use machine::process::{Account, Cancel, Launcher};
use model::dataset::{self, DatasetSpec};
use model::ledger::Ledger;
use model::schedule::{Arrivals, Load, Pattern, Rate};
use model::writes::{Marks, Model};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rusqlite::Connection;

use super::beside::{Scale, place};

const RATE: f64 = 1000.0;

pub fn run(scale: Scale) {
    let seconds = scale.of(5.0, 0.3);
    let spec = DatasetSpec { profile: "torrust-demo".into(), target_bytes: 64 << 20, seed: 1 };
    let directory = place();
    let source = directory.path().join("source.sqlite");
    let generated = generate(&spec, &source, &|| false, &mut |_| {}).unwrap();
    let model = Model {
        marks: Marks::Stamps,
        seed: 1,
        writers: 1,
        rows_per_transaction: 1,
        multi_row_share: 0.25,
        torrents: generated.torrents,
    };
    for round in 1..=scale.rounds() {
        let place = directory.path().join(round.to_string());
        std::fs::create_dir(&place).unwrap();
        let (writes, driven) = driven(&source, &place, &spec, &model, seconds);
        let bare = bare(&source, &place, &spec, &model, writes);
        let (driven_us, bare_us) = (driven * 1e6 / writes as f64, bare * 1e6 / writes as f64);
        println!(
            "driving {writes} writes, round {round}: {driven_us:.1} us of CPU per write, without the harness \
             {bare_us:.1} us ({:.2} of it); the harness uses {:.1} % of one core at {RATE} writes/s",
            bare_us / driven_us,
            (driven_us - bare_us) * RATE / 1e4
        );
    }
}

/// Number of writes that the application made, and the CPU seconds of its process.
fn driven(source: &Path, place: &Path, spec: &DatasetSpec, model: &Model, seconds: f64) -> (u64, f64) {
    let database = place.join("driven.sqlite");
    std::fs::copy(source, &database).unwrap();
    let launcher = Launcher::new(place, &Cancel::default());
    let load = Load { rate: Rate::Open(RATE), arrivals: Arrivals::Poisson, pattern: Pattern::Constant };
    let settings = SqliteSettings { synchronous: Synchronous::Off, ..SqliteSettings::default() };
    let file = Box::new(LiveFile::new(database, WAL, &settings));
    let mut subject = Subject::new(&launcher, &Sqlite, file, None, spec.clone(), model.clone());
    let task = ApplicationTask::Work { load, ledger_directory: place.to_owned(), epoch_ns: now_ns() };
    subject.begin(task).unwrap();
    std::thread::sleep(Duration::from_secs_f64(seconds));
    subject.stop().unwrap();
    let used = launcher.processes().used(Account::Subject).unwrap();
    (Ledger::open(place, 1).unwrap().writer(0).count(), used.cpu_seconds)
}

/// CPU seconds of the same writes without pacing and ledger.
fn bare(source: &Path, place: &Path, spec: &DatasetSpec, model: &Model, writes: u64) -> f64 {
    let database = place.join("bare.sqlite");
    std::fs::copy(source, &database).unwrap();
    let original = dataset::original_torrents(spec).unwrap();
    let statements = sqlite::Statements::new(original.tables());
    let connection = Connection::open(&database).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.pragma_update(None, "synchronous", "off").unwrap();
    let before = cpu_seconds();
    for index in 0..writes {
        sqlite::change(&connection, &statements, model, original.as_ref(), 0, index).unwrap();
        connection.prepare_cached("COMMIT").unwrap().execute([]).unwrap();
    }
    cpu_seconds() - before
}

fn cpu_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
}
