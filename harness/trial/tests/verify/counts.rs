//! Counts of a tracker: errors in them are found, and writes that the tracker itself never made are excused.

use model::dataset::OriginalTorrents;
use model::ledger::Outcome;
use model::verify::{Level, unwritten, verify};
use model::writes::{Key, Marks, Role, role};
use reports::record::Check;
use rusqlite::Connection;

use crate::damaged_rows::{assert_fails, change};
use crate::fixture::{CopyWay, Shape, Trial, failed, text};
use crate::tracker::counted_hash;

/// A dataset that is large enough for every write to have its own torrent.
fn shape(seed: u64) -> Shape {
    Shape { marks: Marks::Counts, more_torrents: 16_000, ..Shape::for_damage(seed) }
}

/// Damages the final state of several trials in one way, and expects `check` to fail each time.
fn finds(check: &str, damage: impl Fn(&Trial, &Connection)) {
    for seed in 0..6 {
        let mut trial = Trial::new(&shape(seed));
        trial.run(900);
        let restored = trial.copy("restored.sqlite", CopyWay::Backup);
        let right = trial.verify(&restored.database, Level::Fast, Some(u64::MAX)).verification;
        assert_eq!(right.findings, Vec::<String>::new());
        let connection = Connection::open(&restored.database).unwrap();
        damage(&trial, &connection);
        connection.close().unwrap();
        assert_fails(&trial, &restored.database, check);
    }
}

/// The dataset's torrent of an acknowledged write in the middle, and its count in the dataset, which a tracker would
/// not store.
fn counted_slot(trial: &Trial) -> (i64, i64) {
    let slots = trial.executed.iter().filter(|write| write.committed).filter_map(|write| {
        match trial.model.write(write.writer, write.index).stamped[..] {
            [Key::Dataset(id)] => Some((id as i64, trial.dataset.torrent(id).completed)),
            _ => None,
        }
    });
    slots.filter(|(_, original)| *original > 2).nth(5).expect("a write on a torrent of the dataset")
}

const SET: &str = "UPDATE torrents SET completed = ?2 WHERE id = ?1";

#[test]
fn a_count_is_one_too_high() {
    finds("prefix", |trial, connection| change(connection, SET, (counted_slot(trial).0, 2)));
}

#[test]
fn a_count_is_one_too_low() {
    finds("prefix", |trial, connection| change(connection, SET, (counted_slot(trial).0, 0)));
    finds("loss", |trial, connection| change(connection, SET, (counted_slot(trial).0, 0)));
}

#[test]
fn a_count_is_negative() {
    finds("prefix", |trial, connection| change(connection, SET, (counted_slot(trial).0, -1)));
}

#[test]
fn a_count_goes_back_to_the_dataset() {
    finds("prefix", |trial, connection| change(connection, SET, counted_slot(trial)));
    finds("order", |trial, connection| change(connection, SET, counted_slot(trial)));
}

#[test]
fn a_counted_torrent_is_dropped() {
    finds("prefix", |trial, connection| {
        change(connection, "DELETE FROM torrents WHERE id = ?1", [counted_slot(trial).0]);
    });
}

#[test]
fn a_new_torrent_is_dropped() {
    finds("prefix", |trial, connection| {
        let first = "DELETE FROM torrents WHERE id =
                     (SELECT min(id) FROM torrents WHERE id > ?1 AND completed = 1)";
        change(connection, first, [trial.model.torrents as i64]);
    });
}

#[test]
fn a_new_torrent_has_another_count() {
    for completed in [0, 2] {
        finds("prefix", |trial, connection| {
            let first = "UPDATE torrents SET completed = ?2 WHERE id =
                         (SELECT min(id) FROM torrents WHERE id > ?1 AND completed = 1)";
            change(connection, first, (trial.model.torrents as i64, completed));
        });
    }
}

#[test]
fn a_foreign_torrent_is_present() {
    finds("prefix", |trial, connection| {
        let foreign = trial.dataset.torrent(1 << 40).info_hash;
        change(connection, "INSERT INTO torrents (info_hash, completed) VALUES (?1, 1)", [text(&foreign)]);
    });
}

#[test]
fn a_slot_that_no_write_was_sent_for_has_changed() {
    finds("prefix", |trial, connection| {
        let untouched = "SELECT id, completed FROM torrents WHERE id <= ?1 ORDER BY id DESC";
        let mut statement = connection.prepare(untouched).unwrap();
        let rows = statement.query_map([trial.model.torrents as i64], |row| Ok((row.get(0)?, row.get(1)?)));
        let sent: Vec<_> = trial
            .ledger()
            .entries()
            .map(|(writer, index, _)| counted_hash(&trial.model, &trial.dataset, writer, index))
            .collect();
        let is_free = |id: &i64| {
            role(*id as u64) == Role::Slot && !sent.contains(&trial.dataset.torrent(*id as u64).info_hash)
        };
        let mut rows = rows.unwrap().map(Result::unwrap);
        let (id, completed): (i64, i64) = rows.find(|(id, _)| is_free(id)).unwrap();
        change(connection, SET, (id, completed + 1));
    });
}

#[test]
fn a_refused_write_is_counted() {
    finds("prefix", |trial, connection| {
        let refused = trial.executed.iter().filter(|write| !write.committed);
        let mut slots =
            refused.filter_map(|write| match trial.model.write(write.writer, write.index).stamped[..] {
                [Key::Dataset(id)] => Some(id as i64),
                _ => None,
            });
        let refused = slots.find(|id| trial.dataset.torrent(*id as u64).completed != 1).unwrap();
        change(connection, SET, (refused, 1));
    });
}

#[test]
fn an_account_or_an_untouched_torrent_has_changed() {
    for (check, id) in [("transactions", 8), ("content", 7)] {
        finds(check, |_, connection| {
            change(connection, "UPDATE torrents SET completed = completed + 1 WHERE id = ?1", [id]);
        });
    }
}

#[test]
fn the_metric_has_changed() {
    finds("transactions", |_, connection| {
        let raise = "UPDATE torrent_aggregate_metrics SET value = value + 1
                     WHERE metric_name = 'torrents_downloads_total'";
        change(connection, raise, []);
    });
}

#[test]
fn two_prefixes_are_swapped() {
    for seed in 0..6 {
        let mut trial = Trial::new(&shape(seed));
        trial.run(900);
        let early = trial.executed.len() / 2;
        let mixed = trial.compose("mixed.sqlite", |position, write| {
            write.committed && (write.writer != 0 || position < early)
        });
        let verification = trial.verify(&mixed, Level::Full, None).verification;
        // Only the order in time distinguishes these prefixes from right ones.
        assert_eq!(failed(&verification), ["order"]);
    }
}

#[test]
fn a_write_in_the_middle_is_left_out() {
    for seed in 0..6 {
        let mut trial = Trial::new(&shape(seed));
        trial.run(900);
        let left_out = trial.executed.iter().filter(|write| {
            let stamped = trial.model.write(write.writer, write.index).stamped;
            write.committed && matches!(stamped[..], [Key::New { .. }])
        });
        let left_out = *left_out.clone().next().unwrap();
        let holed = trial.compose("holed.sqlite", |_, write| write.committed && *write != left_out);
        assert_fails(&trial, &holed, "prefix");
    }
}

#[test]
fn nearly_every_loss_is_seen() {
    let (mut seen, mut lost) = (0, 0);
    for seed in 0..6 {
        let mut trial = Trial::new(&shape(seed));
        trial.run(600);
        let restored = trial.copy("restored.sqlite", CopyWay::Backup);
        trial.run(300);
        let report = trial.verify(&restored.database, Level::Fast, Some(restored.taken_ns));
        assert_eq!(report.verification.findings, Vec::<String>::new());
        seen += report.recovery_point.unwrap().lost_writes;
        lost += trial.lost(&restored);
    }
    assert!(seen <= lost && seen * 100 >= lost * 97, "{seen} of {lost}");
}

#[test]
fn writes_that_the_tracker_never_made_are_excused() {
    for seed in 0..6 {
        let mut trial = Trial::new(&shape(seed));
        trial.run(400);
        trial.rest(0);
        // A write whose absence is visible: the dataset does not already have the value that the tracker would store.
        let slot = |trial: &Trial, index| {
            let key = trial.model.write(0, index).stamped[0];
            !matches!(key, Key::Dataset(id) if trial.dataset.torrent(id).completed == 1)
        };
        let index = trial.acknowledge_without_writing(0);
        assert!(slot(&trial, index), "choose another seed");
        trial.run(400);
        let restored = trial.copy("restored.sqlite", CopyWay::Backup);
        assert_fails(&trial, &restored.database, "loss");

        let live = trial.copy("live-copy.sqlite", CopyWay::Backup).database;
        let mut request = trial.request(&live, Level::Fast, Some(restored.taken_ns));
        request.never_written = unwritten(&request, &trial.dataset).unwrap();
        assert_eq!(request.never_written, [(0, index)]);

        let report = verify(&request, &trial.dataset, &mut |_| {}).unwrap();
        assert_eq!(report.verification.findings, Vec::<String>::new());
        assert_eq!(report.verification.loss, Some(Check::Pass));
        let point = report.recovery_point.unwrap();
        let ledger = trial.ledger();
        let acknowledged =
            ledger.entries().filter(|(_, _, entry)| matches!(entry.outcome, Outcome::Acknowledged(_)));
        assert_eq!(point.acknowledged_writes + 1, acknowledged.count() as u64);
        assert_eq!((point.indeterminate_writes, point.lost_writes), (1 + open_writes(&trial), 0));
    }
}

/// Number of writes that are still in progress.
fn open_writes(trial: &Trial) -> u64 {
    let ledger = trial.ledger();
    let open = ledger.entries().filter(|(_, _, entry)| entry.outcome == Outcome::Indeterminate);
    open.count() as u64
}

#[test]
fn writes_that_are_lost_later_were_written() {
    let mut trial = Trial::new(&shape(9));
    trial.run(600);
    for writer in 0..trial.model.writers {
        trial.rest(writer);
    }
    let live = trial.copy("live-copy.sqlite", CopyWay::Backup).database;
    let request = trial.request(&live, Level::Fast, None);
    assert_eq!(unwritten(&request, &trial.dataset).unwrap(), []);
}
