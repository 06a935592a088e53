//! Damage: each database works, but has wrong content.

use model::verify::Level;
use model::writes::{Key, Role, Together, role, stamp, unstamp};
use reports::record::Check;

use crate::fixture::{Trial, checks, servers};

/// The checks that fail.
fn failed(trial: &Trial) -> (Vec<&'static str>, Vec<String>) {
    let verification = trial.verify(Level::Fast).verification;
    let failed = checks(&verification).into_iter().filter(|(_, check)| *check == Some(Check::Fail));
    (failed.map(|(name, _)| name).collect(), verification.findings)
}

fn assert_finds(trial: &Trial, check: &str, what: &str) {
    let (failed, findings) = failed(trial);
    assert!(failed.contains(&check), "{what}: {check} is not among {failed:?}: {findings:#?}");
}

/// Executes `damage`, expects `check` to fail, and repairs the damage.
fn finds(trial: &Trial, check: &str, damage: &str, repair: &str) {
    let mut server = trial.server();
    server.execute(damage).unwrap();
    assert_finds(trial, check, damage);
    server.execute(repair).unwrap();
    let (failed, findings) = failed(trial);
    assert!(failed.is_empty(), "after {repair}: {findings:#?}");
}

/// Like [`finds`], for damage to one row of `torrents`.
fn finds_in_row(trial: &Trial, check: &str, id: u64, damage: &str) {
    let row =
        format!("SELECT CONCAT_WS(', ', id, QUOTE(info_hash), completed) FROM torrents WHERE id = {id}");
    let values: String =
        engines::mysql::connection::column(&trial.server().query(&row).unwrap()[0], 0).unwrap();
    let damage = damage.replace("{}", &id.to_string());
    finds(trial, check, &damage, &format!("REPLACE INTO torrents VALUES ({values})"));
}

fn ids(trial: &Trial, wanted: Role, changed: bool) -> Vec<u64> {
    let sql = format!("SELECT id, completed FROM torrents WHERE id <= {} ORDER BY id", trial.model.torrents);
    let rows = trial.server().query(&sql).unwrap();
    let rows = rows.iter().map(|row| {
        let (id, completed): (u64, i64) = (
            engines::mysql::connection::column(row, 0).unwrap(),
            engines::mysql::connection::column(row, 1).unwrap(),
        );
        (id, completed)
    });
    let is_wanted =
        |(id, completed): &(u64, i64)| role(*id) == wanted && unstamp(*completed).is_some() == changed;
    rows.filter(is_wanted).map(|(id, _)| id).collect()
}

#[test]
fn damaged_rows_are_found() {
    for engine in servers() {
        let trial = Trial::new(engine, "rows_damaged", 3);
        trial.run(400);
        let untouched = ids(&trial, Role::Untouched, false)[100];
        let account = ids(&trial, Role::Account, false)[3];
        let written = ids(&trial, Role::Slot, true)[5];
        let unwritten = ids(&trial, Role::Slot, false)[5];
        let last = *ids(&trial, Role::Untouched, false).last().unwrap();
        let added =
            trial.number(&format!("SELECT MIN(id) FROM torrents WHERE id > {}", trial.model.torrents)) as u64;

        let delete = "DELETE FROM torrents WHERE id = {}";
        for (check, id) in [
            ("content", untouched),
            ("content", last),
            ("transactions", account),
            ("prefix", written),
            ("prefix", unwritten),
            ("prefix", added),
        ] {
            finds_in_row(&trial, check, id, delete);
        }
        let raise = "UPDATE torrents SET completed = completed + 1 WHERE id = {}";
        for (check, id) in [
            ("content", untouched),
            ("transactions", account),
            ("prefix", written),
            ("prefix", unwritten),
            ("prefix", added),
        ] {
            finds_in_row(&trial, check, id, raise);
        }
        let rename = "UPDATE torrents SET info_hash = REVERSE(info_hash) WHERE id = {}";
        for (check, id) in
            [("content", untouched), ("content", account), ("content", written), ("prefix", added)]
        {
            finds_in_row(&trial, check, id, rename);
        }
        let before = trial.original.torrent(written).completed;
        let revert = format!("UPDATE torrents SET completed = {before} WHERE id = {{}}");
        finds_in_row(&trial, "prefix", written, &revert);
        let foreign = format!("UPDATE torrents SET completed = {} WHERE id = {{}}", stamp(1 << 20));
        finds_in_row(&trial, "prefix", written, &foreign);
        let extra = format!("INSERT INTO torrents (info_hash, completed) VALUES ('{}', 1)", "f".repeat(40));
        finds(
            &trial,
            "prefix",
            &extra,
            &format!("DELETE FROM torrents WHERE info_hash = '{}'", "f".repeat(40)),
        );
    }
}

#[test]
fn damaged_small_tables_are_found() {
    for engine in servers() {
        let trial = Trial::new(engine, "tables_damaged", 2);
        trial.run(200);
        let metric = "UPDATE torrent_aggregate_metrics SET value = value";
        finds(&trial, "transactions", &format!("{metric} + 1"), &format!("{metric} - 1"));
        finds(&trial, "transactions", &format!("{metric} - 1"), &format!("{metric} + 1"));
        let rename = "UPDATE torrent_aggregate_metrics SET metric_name = REVERSE(metric_name)";
        finds(&trial, "content", rename, rename);
        let hash = "UPDATE whitelist SET info_hash = REVERSE(info_hash)";
        finds(&trial, "content", hash, hash);
        let valid = "UPDATE `keys` SET valid_until = valid_until";
        finds(&trial, "content", &format!("{valid} + 1"), &format!("{valid} - 1"));
        let more = "INSERT INTO whitelist (info_hash) VALUES ('more')";
        finds(&trial, "content", more, "DELETE FROM whitelist WHERE info_hash = 'more'");
    }
}

#[test]
fn a_changed_schema_is_found() {
    for engine in servers() {
        let trial = Trial::new(engine, "schema_damaged", 2);
        trial.run(100);
        for (damage, repair) in [
            ("ALTER TABLE torrents DROP INDEX info_hash", "ALTER TABLE torrents ADD UNIQUE (info_hash)"),
            ("ALTER TABLE torrents ADD INDEX (completed)", "ALTER TABLE torrents DROP INDEX completed"),
            (
                "ALTER TABLE torrents MODIFY completed BIGINT DEFAULT 0 NOT NULL",
                "ALTER TABLE torrents MODIFY completed INTEGER DEFAULT 0 NOT NULL",
            ),
            ("ALTER TABLE torrents ADD more INT", "ALTER TABLE torrents DROP COLUMN more"),
            ("RENAME TABLE `keys` TO other", "RENAME TABLE other TO `keys`"),
            ("CREATE TABLE other (id INT)", "DROP TABLE other"),
            ("CREATE VIEW other AS SELECT 1", "DROP VIEW other"),
            (
                "CREATE TRIGGER other BEFORE DELETE ON torrents FOR EACH ROW SET @deleted = OLD.id",
                "DROP TRIGGER other",
            ),
            ("CREATE PROCEDURE other() SELECT 1", "DROP PROCEDURE other"),
        ] {
            finds(&trial, "content", damage, repair);
        }
    }
}

#[test]
fn a_missing_table_of_torrents_is_found() {
    for engine in servers() {
        let trial = Trial::new(engine, "no_torrents", 2);
        trial.run(50);
        trial.server().execute("DROP TABLE torrents").unwrap();
        assert_finds(&trial, "content", "no torrents");
    }
}

#[test]
fn writes_that_are_missing_or_partially_applied_are_found() {
    for engine in servers() {
        let trial = Trial::new(engine, "composed", 2);
        trial.run(200);
        let model = &trial.model;
        let newest = trial.ledger().writer(0).count() - 1;

        trial.compose(|_, index| index <= newest / 2);
        let (found, findings) = failed(&trial);
        assert!(found.contains(&"loss") && !found.contains(&"prefix"), "{findings:#?}");

        // Two right prefixes that never existed at the same time.
        trial.compose(|writer, index| writer == 1 || index <= newest / 2);
        let (found, findings) = failed(&trial);
        assert!(found.contains(&"order") && !found.contains(&"prefix"), "{findings:#?}");

        // A missing write in the middle of a writer's writes that is visible in the rows.
        let inserts =
            |index: u64| model.write(0, index).stamped.iter().any(|key| matches!(key, Key::New { .. }));
        let hole = (newest / 2..newest).find(|index| inserts(*index)).expect("a write that inserts");
        trial.compose(|writer, index| (writer, index) != (0, hole));
        assert_finds(&trial, "prefix", "a hole");

        trial.compose(|_, _| true);
        trial.assert_right();
        let transfers = (0..=newest).rev().filter_map(|index| match model.write(0, index).together {
            Together::Transfer { from, amount, .. } => Some((from, amount)),
            _ => None,
        });
        let (from, amount) = transfers.into_iter().next().expect("a transfer");
        let half = format!("UPDATE torrents SET completed = completed + {amount} WHERE id = {from}");
        trial.server().execute(&half).unwrap();
        assert_finds(&trial, "transactions", "half a transfer");
    }
}
