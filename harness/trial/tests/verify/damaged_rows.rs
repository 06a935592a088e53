//! Damage to rows: each database is well-formed, but has wrong content.

use std::collections::HashMap;
use std::path::Path;

use model::dataset::OriginalTorrents;
use model::verify::Level;
use model::writes::{Key, Role, Together, role, stamp, unstamp};
use reports::record::Check;
use rusqlite::Connection;

use crate::fixture::{CopyWay, Executed, Shape, Trial, apply, at_both_levels, failed, text};

const SEEDS: u64 = 6;

/// Damages the final state of several trials in one way, and expects `check` to fail each time.
pub fn finds(check: &str, damage: impl Fn(&Trial, &Connection)) {
    for seed in 0..SEEDS {
        let mut trial = Trial::new(&Shape::for_damage(seed));
        trial.run(900);
        let restored = trial.copy("restored.sqlite", CopyWay::Backup);
        assert_passes(&trial, &restored.database);
        let connection = Connection::open(&restored.database).unwrap();
        damage(&trial, &connection);
        connection.close().unwrap();
        assert_fails(&trial, &restored.database, check);
    }
}

/// Asserts that the state before the damage is right; otherwise a finding would prove nothing.
fn assert_passes(trial: &Trial, database: &Path) {
    let right = trial.verify(database, Level::Fast, Some(u64::MAX)).verification;
    assert_eq!(right.findings, Vec::<String>::new());
}

pub fn assert_fails(trial: &Trial, database: &Path, check: &str) {
    for verification in at_both_levels(trial, database) {
        let failed = failed(&verification);
        assert!(failed.contains(&check), "{:?}: {failed:?} {:#?}", verification.level, verification.findings);
        assert!(verification.findings.iter().any(|line| line.starts_with(check)));
    }
}

/// Executes a statement that must change exactly one row.
pub fn change(connection: &Connection, sql: &str, parameters: impl rusqlite::Params) {
    assert_eq!(connection.execute(sql, parameters).unwrap(), 1, "{sql}");
}

/// The ids of the dataset with this role, with their current values.
fn rows_of(trial: &Trial, connection: &Connection, wanted: Role) -> Vec<(u64, i64)> {
    let mut statement = connection.prepare("SELECT id, completed FROM torrents WHERE id <= ?1").unwrap();
    let rows = statement
        .query_map([trial.model.torrents as i64], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap);
    rows.filter(|(id, _)| role(*id) == wanted).collect()
}

/// A slot that two writes have stamped: its id and the indexes of both, the older one first.
fn slot_written_twice(trial: &Trial) -> (u64, u64, u64) {
    let mut writes: HashMap<u64, Vec<u64>> = HashMap::new();
    for write in trial.executed.iter().filter(|write| write.committed) {
        for key in trial.model.write(write.writer, write.index).stamped {
            if let Key::Dataset(id) = key {
                writes.entry(id).or_default().push(write.index);
            }
        }
    }
    // Not the newest write of its writer: the state before that one would be right, too.
    let newest = |index: u64| trial.executed.iter().any(|write| write.committed && write.index > index + 20);
    let mut twice = writes.into_iter().filter_map(|(id, indexes)| match *indexes.as_slice() {
        [.., older, newer] if newest(newer) => Some((id, older, newer)),
        _ => None,
    });
    twice.next().expect("a slot was written twice")
}

fn last_committed(trial: &Trial, wanted: impl Fn(&Executed, Together) -> bool) -> Executed {
    let mut committed = trial.executed.iter().rev().filter(|write| write.committed);
    let is_wanted = |write: &&Executed| wanted(write, trial.model.write(write.writer, write.index).together);
    *committed.find(is_wanted).expect("a write of this kind")
}

#[test]
fn an_untouched_row_is_dropped() {
    finds("content", |trial, connection| {
        let (id, _) = rows_of(trial, connection, Role::Untouched)[100];
        change(connection, "DELETE FROM torrents WHERE id = ?1", [id as i64]);
    });
}

#[test]
fn the_last_row_of_the_dataset_is_dropped() {
    finds("content", |trial, connection| {
        let (id, _) = *rows_of(trial, connection, Role::Untouched).last().unwrap();
        change(connection, "DELETE FROM torrents WHERE id = ?1", [id as i64]);
    });
}

#[test]
fn a_slot_is_dropped() {
    finds("prefix", |trial, connection| {
        let slots = rows_of(trial, connection, Role::Slot);
        let (id, _) = slots.iter().find(|(_, completed)| unstamp(*completed).is_some()).unwrap();
        change(connection, "DELETE FROM torrents WHERE id = ?1", [*id as i64]);
    });
}

#[test]
fn a_slot_that_no_write_touched_is_dropped() {
    finds("prefix", |trial, connection| {
        let slots = rows_of(trial, connection, Role::Slot);
        let (id, _) = slots.iter().find(|(_, completed)| unstamp(*completed).is_none()).unwrap();
        change(connection, "DELETE FROM torrents WHERE id = ?1", [*id as i64]);
    });
}

#[test]
fn an_account_is_dropped() {
    finds("transactions", |trial, connection| {
        let (id, _) = rows_of(trial, connection, Role::Account)[3];
        change(connection, "DELETE FROM torrents WHERE id = ?1", [id as i64]);
    });
}

#[test]
fn an_inserted_row_is_dropped() {
    finds("prefix", |trial, connection| {
        let first = "DELETE FROM torrents WHERE id = (SELECT min(id) FROM torrents WHERE id > ?1)";
        change(connection, first, [trial.model.torrents as i64]);
    });
}

#[test]
fn an_inserted_row_has_another_value() {
    finds("prefix", |trial, connection| {
        let first = "UPDATE torrents SET completed = completed + 1
                     WHERE id = (SELECT min(id) FROM torrents WHERE id > ?1)";
        change(connection, first, [trial.model.torrents as i64]);
    });
}

#[test]
fn a_slot_goes_back_to_an_earlier_stamp() {
    finds("prefix", |trial, connection| {
        let (id, older, newer) = slot_written_twice(trial);
        assert_ne!(older, newer);
        change(connection, "UPDATE torrents SET completed = ?2 WHERE id = ?1", (id as i64, stamp(older)));
    });
}

#[test]
fn a_slot_goes_back_to_the_dataset() {
    finds("prefix", |trial, connection| {
        let (id, ..) = slot_written_twice(trial);
        let original = trial.dataset.torrent(id).completed;
        change(connection, "UPDATE torrents SET completed = ?2 WHERE id = ?1", (id as i64, original));
    });
}

#[test]
fn a_slot_has_a_stamp_of_no_write() {
    finds("prefix", |trial, connection| {
        let (id, ..) = slot_written_twice(trial);
        let never = stamp(1 << 30);
        change(connection, "UPDATE torrents SET completed = ?2 WHERE id = ?1", (id as i64, never));
    });
}

#[test]
fn a_write_is_partially_applied() {
    finds("transactions", |trial, connection| {
        let write = last_committed(trial, |write, _| {
            let stamped = trial.model.write(write.writer, write.index).stamped;
            stamped.len() > 1 && matches!(stamped[0], Key::Dataset(_))
        });
        let Key::Dataset(id) = trial.model.write(write.writer, write.index).stamped[0] else {
            unreachable!()
        };
        let original = trial.dataset.torrent(id).completed;
        change(connection, "UPDATE torrents SET completed = ?2 WHERE id = ?1", (id as i64, original));
    });
}

#[test]
fn an_account_goes_back_to_the_dataset() {
    finds("transactions", |trial, connection| {
        let accounts = rows_of(trial, connection, Role::Account);
        let changed = |(id, completed): &&(u64, i64)| *completed != trial.dataset.torrent(*id).completed;
        let (id, _) = accounts.iter().find(changed).unwrap();
        let original = trial.dataset.torrent(*id).completed;
        change(connection, "UPDATE torrents SET completed = ?2 WHERE id = ?1", (*id as i64, original));
    });
}

#[test]
fn half_a_transfer_is_undone() {
    finds("transactions", |trial, connection| {
        let write = last_committed(trial, |_, together| matches!(together, Together::Transfer { .. }));
        let Together::Transfer { to, amount, .. } = trial.model.write(write.writer, write.index).together
        else {
            unreachable!()
        };
        change(
            connection,
            "UPDATE torrents SET completed = completed - ?2 WHERE id = ?1",
            (to as i64, amount),
        );
    });
}

#[test]
fn a_whole_transfer_is_undone_and_its_stamp_kept() {
    finds("transactions", |trial, connection| {
        let write = last_committed(trial, |_, together| matches!(together, Together::Transfer { .. }));
        let Together::Transfer { from, to, amount } = trial.model.write(write.writer, write.index).together
        else {
            unreachable!()
        };
        for (id, amount) in [(from, amount), (to, -amount)] {
            change(
                connection,
                "UPDATE torrents SET completed = completed + ?2 WHERE id = ?1",
                (id as i64, amount),
            );
        }
    });
}

#[test]
fn the_metric_lacks_one_increment() {
    finds("transactions", |_, connection| {
        let lower = "UPDATE torrent_aggregate_metrics SET value = value - 1
                     WHERE metric_name = 'torrents_downloads_total'";
        change(connection, lower, []);
    });
}

#[test]
fn the_sequence_is_of_another_moment() {
    for change_by in [-1, 1] {
        finds("content", |_, connection| {
            let sql = "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'torrents'";
            change(connection, sql, [change_by]);
        });
    }
}

#[test]
fn the_metric_is_dropped() {
    finds("transactions", |_, connection| {
        let delete = "DELETE FROM torrent_aggregate_metrics WHERE metric_name = 'torrents_downloads_total'";
        change(connection, delete, []);
    });
}

#[test]
fn a_foreign_row_is_inserted() {
    finds("prefix", |trial, connection| {
        let foreign = trial.dataset.torrent(1 << 40).info_hash;
        let insert = "INSERT INTO torrents (info_hash, completed) VALUES (?1, ?2)";
        change(connection, insert, (text(&foreign), stamp(1)));
    });
}

#[test]
fn a_foreign_row_has_a_negative_id() {
    finds("prefix", |trial, connection| {
        let foreign = trial.dataset.torrent(1 << 40).info_hash;
        change(connection, "INSERT INTO torrents (id, info_hash) VALUES (-5, ?1)", [text(&foreign)]);
    });
}

#[test]
fn an_untouched_count_differs() {
    finds("content", |trial, connection| {
        let (id, _) = rows_of(trial, connection, Role::Untouched)[7];
        change(connection, "UPDATE torrents SET completed = completed + 1 WHERE id = ?1", [id as i64]);
    });
}

#[test]
fn the_hash_of_a_slot_differs() {
    finds("content", |trial, connection| {
        let (id, _) = rows_of(trial, connection, Role::Slot)[7];
        let foreign = trial.dataset.torrent(1 << 40).info_hash;
        change(connection, "UPDATE torrents SET info_hash = ?2 WHERE id = ?1", (id as i64, text(&foreign)));
    });
}

#[test]
fn two_untouched_rows_are_swapped() {
    finds("content", |trial, connection| {
        let rows = rows_of(trial, connection, Role::Untouched);
        let hashes = [rows[3].0, rows[4].0].map(|id| (id as i64, trial.dataset.torrent(id).info_hash));
        let set = "UPDATE torrents SET info_hash = ?2 WHERE id = ?1";
        change(connection, set, (hashes[0].0, "for a moment"));
        change(connection, set, (hashes[1].0, text(&hashes[0].1)));
        change(connection, set, (hashes[0].0, text(&hashes[1].1)));
    });
}

#[test]
fn other_tables_differ() {
    for damage in [
        "DELETE FROM whitelist WHERE id = 17",
        "UPDATE keys SET valid_until = 1 WHERE id = 2",
        "UPDATE torrent_aggregate_metrics SET value = 4 WHERE metric_name = 'other'",
        "UPDATE torrent_aggregate_metrics SET id = 9 WHERE metric_name = 'torrents_downloads_total'",
        "UPDATE sqlite_sequence SET seq = 5 WHERE name = 'torrents'",
        "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'whitelist'",
    ] {
        finds("content", |_, connection| change(connection, damage, []));
    }
}

#[test]
fn the_schema_differs() {
    for damage in [
        "DROP TABLE keys",
        "CREATE TABLE more (id INTEGER)",
        "CREATE INDEX more ON torrents (completed)",
        "ALTER TABLE torrents ADD COLUMN more INTEGER",
        "CREATE TRIGGER more AFTER INSERT ON keys BEGIN SELECT 1; END",
    ] {
        finds("content", |_, connection| connection.execute_batch(damage).unwrap());
    }
}

#[test]
fn the_table_itself_is_missing() {
    finds("content", |_, connection| connection.execute_batch("DROP TABLE torrents").unwrap());
}

#[test]
fn two_prefixes_are_swapped() {
    for seed in 0..SEEDS {
        let mut trial = Trial::new(&Shape::for_damage(seed));
        trial.run(900);
        let early = trial.executed.len() / 2;
        let mixed = trial.compose("mixed.sqlite", |position, write| {
            write.committed && (write.writer != 0 || position < early)
        });
        assert_fails(&trial, &mixed, "order");
        // Only the order in time distinguishes these prefixes from right ones.
        let verification = trial.verify(&mixed, Level::Full, None).verification;
        assert_eq!(failed(&verification), ["order"]);
        assert_eq!(verification.prefix, Some(Check::Pass));
        assert_eq!(verification.transactions, Some(Check::Pass));
    }
}

#[test]
fn a_write_in_the_middle_is_left_out() {
    for seed in 0..SEEDS {
        let mut trial = Trial::new(&Shape::for_damage(seed));
        trial.run(900);
        let inserts = |write: &Executed| {
            let stamped = trial.model.write(write.writer, write.index).stamped;
            write.committed && stamped.iter().any(|key| matches!(key, Key::New { .. }))
        };
        let left_out = *trial.executed.iter().find(|write| inserts(write)).unwrap();
        let holed = trial.compose("holed.sqlite", |_, write| write.committed && *write != left_out);
        assert_fails(&trial, &holed, "prefix");
    }
}

#[test]
fn a_refused_write_is_kept() {
    for seed in 0..SEEDS {
        let mut trial = Trial::new(&Shape::for_damage(seed));
        trial.run(900);
        // An insertion is visible in the rows; later writes may have removed the traces of any other write.
        let inserts = |write: &Executed| {
            let stamped = trial.model.write(write.writer, write.index).stamped;
            stamped.iter().any(|key| matches!(key, Key::New { .. }))
        };
        let refused = *trial.executed.iter().find(|write| !write.committed && inserts(write)).unwrap();
        let kept = trial.compose("kept.sqlite", |_, write| write.committed || *write == refused);
        assert_fails(&trial, &kept, "prefix");
        let raises = |write: &Executed| {
            matches!(
                trial.model.write(write.writer, write.index).together,
                Together::Metric | Together::Transfer { .. }
            )
        };
        let refused = *trial.executed.iter().find(|write| !write.committed && raises(write)).unwrap();
        let kept = trial.compose("raised.sqlite", |_, write| write.committed || *write == refused);
        assert_fails(&trial, &kept, "transactions");
    }
}

#[test]
fn a_write_is_applied_twice() {
    finds("transactions", |trial, connection| {
        let write = last_committed(trial, |_, together| together == Together::Metric);
        apply(connection, &trial.model, &trial.dataset, write.writer, write.index);
    });
}

#[test]
fn more_rows_have_changed_than_writes_can_change() {
    let mut trial = Trial::new(&Shape::for_damage(1));
    trial.run(30);
    let restored = trial.copy("restored.sqlite", CopyWay::Backup);
    let connection = Connection::open(&restored.database).unwrap();
    connection.execute("UPDATE torrents SET completed = ?1", [stamp(0)]).unwrap();
    connection.close().unwrap();
    assert_fails(&trial, &restored.database, "prefix");
    let report = trial.verify(&restored.database, Level::Fast, Some(u64::MAX));
    assert_eq!(failed(&report.verification), ["prefix", "content"]);
    assert_eq!(report.verification.order, None);
    assert_eq!(report.recovery_point, None);
}
