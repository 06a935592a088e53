//! `docs/offsite.md`: its guide to a backup service is executed, with a directory instead of the bucket.

use engines::images::{self, SIDECAR};
use machine::process::{Cancel, Launcher};

use super::*;

/// The code blocks of a language in the guide.
fn blocks(language: &str) -> Vec<String> {
    let page = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/offsite.md"),
    );
    let page = page.unwrap();
    let guide = page.split("## ").find(|part| part.starts_with("From nothing")).unwrap();
    let opening = format!("   ```{language}\n");
    let rest = guide.split(&opening).skip(1);
    rest.map(|block| block.split("   ```").next().unwrap().replace("\n   ", "\n").trim().to_owned()).collect()
}

/// Removes the containers of the guide, also after a failure.
struct Containers(String);

impl Drop for Containers {
    fn drop(&mut self) {
        let remove = format!("docker rm --force {0}; docker rmi {0}", self.0);
        let _ = Command::new("sh").args(["-c", &remove]).output();
    }
}

#[test]
fn the_guide_leads_to_an_encrypted_verified_alerting_backup() {
    if without_docker() {
        return;
    }
    let place = Place::shared();
    let root = place.path().to_owned();
    let launcher = Launcher::new(&root, &Cancel::default());
    let image = images::obtain(&SIDECAR, None, &launcher, &|_| ()).unwrap_or_else(|error| panic!("{error}"));
    let name = format!("drill-guide-{}", std::process::id());
    let _containers = Containers(name.clone());
    std::fs::create_dir_all(root.join("storage")).unwrap();
    std::fs::create_dir(root.join("away")).unwrap();
    let live = rusqlite::Connection::open(root.join("storage/tracker.db")).unwrap();
    live.pragma_update(None, "journal_mode", "wal").unwrap();
    live.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2);").unwrap();
    // The bucket is a directory, and alerts are only in the log.
    let settings: String = blocks("ini")
        .remove(0)
        .lines()
        .filter(|line| !["RCLONE_", "ALERT_", "PING_"].iter().any(|prefix| line.starts_with(prefix)))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(settings.contains("DESTINATION=away:my-bucket/tracker"), "{settings}");
    let away = "RCLONE_CONFIG_AWAY_TYPE=alias\nRCLONE_CONFIG_AWAY_REMOTE=/away\n";
    std::fs::write(root.join("backup.env"), settings + away).unwrap();
    let bridge = format!("docker run --network none --volume '{}/away:/away'", root.display());
    let steps = blocks("sh");
    assert_eq!(steps.len(), 6);
    let mut said = Vec::new();
    for step in &steps {
        let step = step
            .replace("docker build --file sidecar/Containerfile --tag backup-sidecar sidecar", &{
                format!("docker tag {} {name}", image.reference)
            })
            .replace("docker run", &bridge)
            .replace("--volume ./", &format!("--volume {}/", root.display()))
            .replace("--name backup", &format!("--name {name}"))
            .replace(" backup /opt", &format!(" {name} /opt"))
            .replace("backup-sidecar", &name);
        let output = Command::new("bash").args(["-euc", &step]).current_dir(&root).output().unwrap();
        assert!(output.status.success(), "{step}\n{}", text(&output));
        said.push(text(&output));
        // The first backup is made in the background.
        let give_up = Instant::now() + Duration::from_secs(60);
        while step.contains("--detach") && !root.join("backups/last-success").exists() {
            assert!(Instant::now() < give_up, "there is no backup");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    // Step 5: the catalogue and the list.
    let first = &said[3];
    assert!(first.contains("\"age\"") && first.contains("rows compared with the source"), "{first}");
    assert!(first.contains("sqlite-"), "{first}");
    // Step 6: the alert, and its end.
    assert!(said[4].contains("ALERT backup-failed firing"), "{}", said[4]);
    assert!(said[4].contains("ALERT backup-failed resolved"), "{}", said[4]);
    let restored = rusqlite::Connection::open(root.join("restored/tracker.db")).unwrap();
    let rows: i64 = restored.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2);
}
