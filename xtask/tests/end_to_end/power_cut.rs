//! `prove power-cut` and `prove durability`: every state in which a power cut could leave a disk.

use nix::unistd::Uid;

use super::*;

#[test]
fn of_all_states_after_a_power_cut_only_those_of_a_synced_copy_are_right() {
    if let Some(missing) = harness::crash_states::missing() {
        assert!(!Uid::effective().is_root(), "{missing}");
        return;
    }
    let place = Place::shared();
    let cp = r#"cp "$DRILL_SOURCE" "$DRILL_DESTINATION/copy.db""#;
    let synced = format!(r#"{cp} && sync "$DRILL_DESTINATION/copy.db" "$DRILL_DESTINATION""#);
    let prove = |command: &str| place.run(&["prove", "power-cut", "--size", "1MiB", "--backup", command]);
    let output = prove(&synced);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let output = prove(cp);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("The first damage after success"), "{}", text(&output));
    let output = prove("exit 7");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let prove = |strategy: &str| place.run(&["prove", "power-cut", "--size", "1MiB", "--strategy", strategy]);
    let output = prove("sqlite-live-copy");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let output = prove("cold-copy");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("only online and logical backups are examined"), "{}", text(&output));
    place.assert_clean();
}

#[test]
fn the_settings_of_the_database_decide_what_a_power_cut_takes_from_it() {
    if let Some(missing) = harness::crash_states::missing() {
        assert!(!Uid::effective().is_root(), "{missing}");
        return;
    }
    let durability = Durability::proved(Place::shared(), &["--writes", "6", "--reorderings", "1"]);
    for safe in ["WAL mode, synchronous = full", "delete mode, synchronous = extra"] {
        durability.assert_nothing_lost(safe, 6);
    }
    durability.assert_writes_lost("WAL mode, synchronous = normal");
}

#[test]
fn the_settings_of_a_server_decide_what_a_power_cut_takes_from_it() {
    if without_docker() || harness::crash_states::missing().is_some() {
        return;
    }
    let place = Place::shared().with_datasets_of_servers();
    let words = ["--engine", "mysql", "--writes", "2", "--reorderings", "0"];
    let durability = Durability::proved(place, &words);
    durability.assert_nothing_lost("innodb_flush_log_at_trx_commit = 1, sync_binlog = 1", 2);
    durability.assert_writes_lost("innodb_flush_log_at_trx_commit = 0, sync_binlog = 0");
}

/// The table that `prove durability` prints.
struct Durability(String);

impl Durability {
    fn proved(place: Place, words: &[&str]) -> Durability {
        let output = place.run(&[&["prove", "durability"], words].concat());
        let said = text(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        place.assert_clean();
        Durability(said)
    }

    /// States, nothing lost, writes lost, most lost at once, damaged.
    fn row(&self, settings: &str) -> Vec<u64> {
        let line = self.0.lines().find(|line| line.contains(&format!("| {settings} |"))).unwrap();
        line.split('|').skip(2).filter_map(|cell| cell.trim().parse().ok()).collect()
    }

    fn assert_nothing_lost(&self, settings: &str, writes: u64) {
        let cells = self.row(settings);
        assert!(cells[0] > writes && cells[0] == cells[1] && cells[2..] == [0, 0, 0], "{}", self.0);
    }

    fn assert_writes_lost(&self, settings: &str) {
        let cells = self.row(settings);
        assert!(cells[2] > 0 && cells[3] > 0 && cells[4] == 0, "{}", self.0);
    }
}
