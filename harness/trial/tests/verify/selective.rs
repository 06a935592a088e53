//! Backups that leave out the torrents that were never completed: they must contain everything else, and nothing more.

use model::dataset::OriginalTorrents;
use model::verify::{Level, Report, Request, verify};
use model::writes::{Marks, Role, role};
use reports::record::Check;
use rusqlite::Connection;

use crate::damaged_rows::change;
use crate::fixture::{CopyWay, Restored, Shape, Trial, checks, failed, text};

const SEEDS: u64 = 4;
const LEAVE_OUT: &str = "DELETE FROM torrents WHERE completed = 0";

/// A trial that continues after a selective backup.
fn selected(shape: &Shape) -> (Trial, Restored) {
    let mut trial = Trial::new(shape);
    trial.run(900);
    let restored = trial.copy("restored.sqlite", CopyWay::Backup);
    trial.run(200);
    let left_out = Connection::open(&restored.database).unwrap().execute(LEAVE_OUT, []).unwrap();
    assert!(left_out > 20, "{left_out} rows are too few to show anything");
    (trial, restored)
}

fn verify_selected(trial: &Trial, restored: &Restored) -> Report {
    let request = trial.request(&restored.database, Level::Fast, Some(restored.taken_ns));
    verify(&Request { without_never_completed: true, ..request }, &trial.dataset, &mut |_| {}).unwrap()
}

/// Damages several selective copies in one way, and expects `check` to fail each time.
fn finds(check: &str, damage: impl Fn(&Trial, &Connection)) {
    for seed in 0..SEEDS {
        // One of 50 torrents was never completed, and the test needs some of each role.
        let (trial, restored) = selected(&Shape { more_torrents: 12_000, ..Shape::for_damage(seed) });
        damage(&trial, &Connection::open(&restored.database).unwrap());
        let verification = verify_selected(&trial, &restored).verification;
        assert!(failed(&verification).contains(&check), "{:#?}", verification.findings);
    }
}

/// The torrents of the dataset with this role that are in the copy, or that are not.
fn ids(trial: &Trial, connection: &Connection, wanted: Role, present: bool) -> Vec<u64> {
    let mut statement = connection.prepare("SELECT 1 FROM torrents WHERE id = ?1").unwrap();
    let mut is_present = |id: &u64| statement.exists([*id as i64]).unwrap();
    let ids = (1..=trial.model.torrents).filter(|id| role(*id) == wanted);
    ids.filter(|id| is_present(id) == present).collect()
}

#[test]
fn an_honest_selection_is_never_accused() {
    for seed in 0..SEEDS {
        for marks in [Marks::Stamps, Marks::Counts] {
            let (trial, restored) = selected(&Shape { marks, ..Shape::for_damage(seed) });
            let report = verify_selected(&trial, &restored);
            assert_eq!(report.verification.findings, Vec::<String>::new(), "{marks:?}");
            for (name, check) in checks(&report.verification) {
                assert_eq!(check, Some(Check::Pass), "{marks:?}: {name}");
            }
        }
    }
}

#[test]
fn a_kept_row_that_is_missing_is_found() {
    let delete = "DELETE FROM torrents WHERE id = ?1";
    for (check, role) in
        [("content", Role::Untouched), ("prefix", Role::Slot), ("transactions", Role::Account)]
    {
        finds(check, |trial, connection| {
            let present = ids(trial, connection, role, true);
            // Transfers may have brought an account back to 0, and then its absence would be right.
            let id = present.into_iter().find(|id| trial.dataset.torrent(*id).completed > 0).unwrap();
            change(connection, delete, [id as i64]);
        });
    }
    finds("prefix", |trial, connection| {
        let first = "DELETE FROM torrents WHERE id = (SELECT min(id) FROM torrents WHERE id > ?1)";
        change(connection, first, [trial.model.torrents as i64]);
    });
    finds("content", |_, connection| change(connection, "DELETE FROM whitelist WHERE id = 17", []));
}

#[test]
fn a_row_that_should_have_been_left_out_is_found() {
    for role in [Role::Untouched, Role::Slot, Role::Account] {
        finds("content", |trial, connection| {
            let id = ids(trial, connection, role, false)[0];
            let info_hash = trial.dataset.torrent(id).info_hash;
            let insert = "INSERT INTO torrents (id, info_hash, completed) VALUES (?1, ?2, 0)";
            change(connection, insert, (id as i64, text(&info_hash)));
        });
    }
}

#[test]
fn an_announced_torrent_that_should_have_been_left_out_is_found() {
    let (trial, restored) = selected(&Shape { marks: Marks::Counts, ..Shape::for_damage(1) });
    let connection = Connection::open(&restored.database).unwrap();
    let write = trial.executed.iter().find(|write| !write.committed).unwrap();
    let info_hash = crate::tracker::counted_hash(&trial.model, &trial.dataset, write.writer, write.index);
    let insert = "INSERT INTO torrents (info_hash, completed) VALUES (?1, 0)
                  ON CONFLICT (info_hash) DO UPDATE SET completed = 0";
    change(&connection, insert, [text(&info_hash)]);
    drop(connection);
    let verification = verify_selected(&trial, &restored).verification;
    let told = verification.findings.iter().any(|line| line.contains("should have been left out"));
    assert!(failed(&verification).contains(&"content") && told, "{:#?}", verification.findings);
}

#[test]
fn a_full_copy_fails_as_a_selection_and_a_selection_fails_as_a_full_copy() {
    let (mut trial, restored) = selected(&Shape::for_damage(2));
    let whole = trial.copy("whole.sqlite", CopyWay::Backup);
    assert_eq!(failed(&verify_selected(&trial, &whole).verification), ["content"]);
    let verification = trial.verify(&restored.database, Level::Fast, None).verification;
    assert!(failed(&verification).contains(&"content"), "{:#?}", verification.findings);
}
