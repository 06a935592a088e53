//! Honest copies, taken at random moments of random workloads, are never accused.

use model::ledger::Outcome;
use model::verify::{Level, Request, verify};
use model::writes::{Marks, stamp};
use proptest::prelude::*;
use reports::record::Check;
use rusqlite::Connection;

use crate::fixture::{CopyWay, Shape, Trial, checks, text};

fn shapes() -> impl Strategy<Value = Shape> {
    let journal_modes = prop_oneof![Just("delete"), Just("wal")];
    let marks = prop_oneof![Just(Marks::Stamps), Just(Marks::Counts)];
    let rows = (marks, 1..6u32, 0.0..=1.0, 0..4000u64);
    (0..1u64 << 32, 1..6u32, rows, journal_modes, 0..30u64).prop_map(
        |(
            seed,
            writers,
            (marks, rows, multi_row_share, more_torrents),
            journal_mode,
            indeterminate_percent,
        )| Shape {
            marks,
            seed,
            writers,
            rows_per_transaction: rows,
            multi_row_share,
            more_torrents,
            journal_mode,
            indeterminate_percent,
            layout: "",
            more_tables: "",
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn honest_copies_are_never_accused(
        shape in shapes(),
        before in 0..900u64,
        after in 0..400u64,
        way in prop_oneof![Just(CopyWay::Backup), Just(CopyWay::VacuumInto), Just(CopyWay::Files)],
        integrity in prop_oneof![Just(Level::Full), Just(Level::Fast)],
        serves in any::<bool>(),
    ) {
        let mut trial = Trial::new(&shape);
        trial.run(before);
        let restored = trial.copy("restored.sqlite", way);
        trial.run(after);
        // At least one acknowledged write, so that the rows can be compared with something.
        while trial.ledger().entries().all(|(_, _, entry)| !matches!(entry.outcome, Outcome::Acknowledged(_))) {
            trial.run(1);
        }
        if serves {
            let probe = trial.model.probe_info_hash();
            let connection = Connection::open(&restored.database).unwrap();
            let insert = "INSERT INTO torrents (info_hash, completed) VALUES (?1, ?2)";
            let completed = if shape.marks == Marks::Stamps { stamp(0) } else { 1 };
            connection.execute(insert, (text(&probe), completed)).unwrap();
        }
        let request = trial.request(&restored.database, integrity, Some(restored.taken_ns));
        let request = Request { backup_completed_ns: Some(restored.taken_ns), ..request };
        let report = verify(&request, &trial.dataset, &mut |_| {}).unwrap();
        prop_assert_eq!(&report.verification.findings, &Vec::<String>::new());
        for (name, check) in checks(&report.verification) {
            prop_assert_eq!(check, Some(Check::Pass), "{}", name);
        }
        let point = report.recovery_point.unwrap();
        match shape.marks {
            Marks::Stamps => prop_assert_eq!(point.lost_writes, trial.lost(&restored)),
            // If several writes were counted for a torrent, it may not show that one is missing.
            Marks::Counts => prop_assert!(point.lost_writes <= trial.lost(&restored)),
        }
        prop_assert_eq!(point.lost_promised_writes, 0);
        // A copy that is complete at the moment it is made loses nothing at completion.
        prop_assert_eq!(point.lost_writes_at_completion, Some(0));
        prop_assert_eq!(point.lost_seconds_at_completion, Some(0.0));
    }
}

#[test]
fn a_verification_changes_nothing() {
    let mut trial = Trial::new(&Shape { journal_mode: "wal", ..Shape::for_damage(1) });
    trial.run(300);
    let restored = trial.copy("restored.sqlite", CopyWay::Files);
    let before = std::fs::read(&restored.database).unwrap();
    let files = || std::fs::read_dir(trial.directory.path()).unwrap().count();
    let files_before = files();
    trial.verify(&restored.database, Level::Full, None);
    assert_eq!(std::fs::read(&restored.database).unwrap(), before);
    assert_eq!(files(), files_before);
}

#[test]
fn a_promise_that_was_not_kept_is_a_loss() {
    let mut trial = Trial::new(&Shape::for_damage(2));
    trial.run(300);
    let restored = trial.copy("restored.sqlite", CopyWay::Backup);
    trial.run(300);
    let now_ns = trial.tick();
    let report = trial.verify(&restored.database, Level::Fast, Some(now_ns));
    let point = report.recovery_point.unwrap();
    assert_eq!(report.verification.loss, Some(Check::Fail));
    assert_eq!(point.lost_promised_writes, trial.lost(&restored));
    assert!(point.lost_writes > 0 && point.lost_seconds > Some(0.0));
    assert_eq!(report.verification.prefix, Some(Check::Pass));

    let control = trial.verify(&restored.database, Level::Fast, None);
    assert_eq!(control.verification.loss, None);
    assert_eq!(control.recovery_point.unwrap().lost_promised_writes, 0);
}

#[test]
fn loss_at_completion_does_not_grow_with_the_tail_and_is_unknown_with_continuous_replication() {
    let mut trial = Trial::new(&Shape::for_damage(5));
    trial.run(300);
    let restored = trial.copy("restored.sqlite", CopyWay::Backup);
    trial.run(200);
    let (completed_ns, lost) = (trial.tick(), trial.lost(&restored));
    let point_at = |trial: &Trial, backup_completed_ns| {
        let request = trial.request(&restored.database, Level::Fast, None);
        let request = Request { backup_completed_ns, ..request };
        verify(&request, &trial.dataset, &mut |_| {}).unwrap().recovery_point.unwrap()
    };
    let at_once = point_at(&trial, Some(completed_ns));
    trial.run(100);
    let after_a_tail = point_at(&trial, Some(completed_ns));
    assert!(lost > 0 && after_a_tail.lost_writes > lost, "{lost}: {after_a_tail:?}");
    for point in [&at_once, &after_a_tail] {
        assert_eq!(point.lost_writes_at_completion, Some(lost));
        assert_eq!(point.lost_seconds_at_completion, at_once.lost_seconds);
        assert_eq!(point.staleness_at_completion_seconds, at_once.lost_seconds);
    }
    let shipped = point_at(&trial, None);
    assert_eq!(shipped.lost_writes, after_a_tail.lost_writes);
    assert_eq!((shipped.lost_writes_at_completion, shipped.lost_seconds_at_completion), (None, None));
    assert_eq!(shipped.staleness_at_completion_seconds, None);
}

#[test]
fn without_an_acknowledged_write_the_result_is_inconclusive() {
    let mut trial = Trial::new(&Shape::for_damage(3));
    let restored = trial.copy("restored.sqlite", CopyWay::Backup);
    let report = trial.verify(&restored.database, Level::Full, Some(restored.taken_ns));
    assert_eq!(report.verification.prefix, None);
    assert_eq!(report.verification.loss, None);
    assert_eq!(report.verification.content, Some(Check::Pass));
}

#[test]
fn bookkeeping_of_litestream_is_not_damage() {
    let mut trial = Trial::new(&Shape::for_damage(4));
    trial.run(300);
    let restored = trial.copy("restored.sqlite", CopyWay::Backup);
    let connection = Connection::open(&restored.database).unwrap();
    let tables = "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
                  CREATE TABLE _litestream_lock (id INTEGER); INSERT INTO _litestream_seq VALUES (1, 9);";
    connection.execute_batch(tables).unwrap();
    connection.close().unwrap();
    let report = trial.verify(&restored.database, Level::Full, Some(restored.taken_ns));
    assert_eq!(report.verification.findings, Vec::<String>::new());
}
