//! The settings of Litestream in a scenario, and the configuration file that is made from them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::destination;
use crate::artifact_server::ArtifactAccess;
use crate::contract::{Kept, Moments, Settings};

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Litestream {
    pub(super) binary: Option<PathBuf>,
    pub(super) version: Option<String>,
    pub(super) config: Settings,
    pub(super) database: Settings,
    pub(super) destination: ArtifactAccess,
    pub(super) replica: Settings,
    pub(super) restart: bool,
    pub(super) restores: u32,
    pub(super) seconds_before_disaster: f64,
}

/// Used when there is none on PATH and the settings name no other.
pub(super) const DEFAULT_VERSION: &str = "0.5.17";
/// Litestream's default for both intervals: how often it looks for changes, and how often it replicates them.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// How late it may be on a busy machine.
const MARGIN: Duration = Duration::from_secs(1);
/// A write reaches the replica within the sum of these, as long as nothing else is slow.
const INTERVALS: [&str; 2] = ["monitor-interval", "sync-interval"];
/// Litestream's times have a resolution of 1 ms, on the clock of this machine.
const CLOCKS_DIFFER_NS: u64 = 5_000_000;

impl Litestream {
    /// # Errors
    /// Which setting is invalid.
    pub(super) fn check_values(&self) -> Result<(), String> {
        if self.binary.is_some() && self.version.is_some() {
            return Err("binary and version both choose the program: give only one".into());
        }
        let plain = |version: &String| {
            version.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '.')
                && !version.is_empty()
        };
        if let Some(version) = self.version.as_ref().filter(|version| !plain(version)) {
            return Err(format!("version is '{version}': it must look like \"{DEFAULT_VERSION}\""));
        }
        let own = [
            ("config", &self.config, &["dbs"][..]),
            ("database", &self.database, &["path", "dir", "replica", "replicas"]),
            // The replica is in a directory of the artifact.
            ("replica", &self.replica, destination::KEYS),
        ];
        for (section, keys, own) in own {
            if let Some(key) = own.iter().find(|key| keys.contains_key(**key)) {
                return Err(format!("{section}.{key} is set by the harness: remove it"));
            }
        }
        if !(0.0..=1e6).contains(&self.seconds_before_disaster) {
            return Err("seconds_before_disaster must be from 0 to 1000000".into());
        }
        for key in INTERVALS {
            if let (Some(value), None) = (self.given(key), self.interval(key)) {
                return Err(format!("{key} is {value}: it must be a duration such as \"500ms\""));
            }
        }
        Ok(())
    }

    /// How long a change may take to reach the replica.
    pub(super) fn lag(&self) -> Duration {
        INTERVALS.map(|key| self.interval(key).unwrap_or(INTERVAL)).iter().sum::<Duration>() + MARGIN
    }

    /// An interval of the configuration file; `None` when it is missing or not a duration.
    fn interval(&self, key: &str) -> Option<Duration> {
        self.given(key)?.as_str()?.parse::<SignedDuration>().ok()?.try_into().ok()
    }

    /// A key of the configuration file, from whichever entry has it.
    fn given(&self, key: &str) -> Option<&Value> {
        [&self.replica, &self.database, &self.config].into_iter().find_map(|entry| entry.get(key))
    }

    /// The writes that a database restored to a moment of the common clock must and must not contain.
    pub(super) fn kept_at(&self, at_ns: u64) -> Kept {
        Kept {
            acknowledged_before_ns: Some(at_ns.saturating_sub(self.lag().as_nanos() as u64)),
            sent_after_ns: Some(at_ns + CLOCKS_DIFFER_NS),
        }
    }

    /// The requested point in time, by the common clock.
    pub(super) fn point_in_time_ns(&self, moments: &Moments) -> u64 {
        let back = Duration::from_secs_f64(self.seconds_before_disaster);
        moments.disaster_ns.saturating_sub(back.as_nanos() as u64)
    }

    /// The configuration file, as JSON, which is valid YAML. `place` are the keys of the replica's entry that say where it
    /// is.
    pub(super) fn configuration(&self, database: &Path, place: Settings) -> String {
        let mut replica_entry = self.replica.clone();
        replica_entry.extend(place);
        let mut database_entry = self.database.clone();
        database_entry.insert("path".into(), json!(database));
        // Version 0.3 supports only the list, and 0.5 still accepts it.
        database_entry.insert("replicas".into(), json!([replica_entry]));
        let mut config = self.config.clone();
        config.insert("dbs".into(), json!([database_entry]));
        Value::Object(config).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(toml: &str) -> Litestream {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn what_is_kept_depends_on_the_intervals_and_the_requested_point_in_time() {
        let moments = Moments { backup_began_ns: 1, older_backup_ns: None, disaster_ns: 100_000_000_000 };
        let quick = "database.monitor-interval = '50ms'\nreplica.sync-interval = '150ms'\n";
        assert_eq!(settings(quick).lag(), Duration::from_millis(1200));
        let earlier = settings(&format!("seconds_before_disaster = 2.5\n{quick}"));
        assert_eq!(
            earlier.kept_at(earlier.point_in_time_ns(&moments)),
            Kept { acknowledged_before_ns: Some(96_300_000_000), sent_after_ns: Some(97_505_000_000) }
        );
    }

    #[test]
    fn invalid_settings_are_refused() {
        let refused = |toml| settings(toml).check_values().unwrap_err();
        let messages = [
            refused("binary = '/bin/litestream'\nversion = '0.5.17'"),
            refused("version = '../0.5.17'"),
            refused("config.dbs = []"),
            refused("database.path = '/elsewhere'"),
            refused("replica.url = 's3://bucket'"),
            refused("replica.sync-interval = 1"),
            refused("database.monitor-interval = 'often'"),
            refused("seconds_before_disaster = -1.0"),
        ];
        insta::assert_snapshot!(messages.join("\n"), @r#"
        binary and version both choose the program: give only one
        version is '../0.5.17': it must look like "0.5.17"
        config.dbs is set by the harness: remove it
        database.path is set by the harness: remove it
        replica.url is set by the harness: remove it
        sync-interval is 1: it must be a duration such as "500ms"
        monitor-interval is "often": it must be a duration such as "500ms"
        seconds_before_disaster must be from 0 to 1000000
        "#);
    }

    #[test]
    fn every_key_of_the_configuration_file_can_be_set() {
        let given = "config.snapshot.interval = '1h'\ndatabase.monitor-interval = '50ms'\nreplica.sync-interval = '60ms'";
        let place = Settings::from_iter([("path".to_owned(), json!("/artifact/replica"))]);
        insta::assert_snapshot!(
            settings(given).configuration(Path::new("/live/database.sqlite"), place),
            @r#"{"dbs":[{"monitor-interval":"50ms","path":"/live/database.sqlite","replicas":[{"path":"/artifact/replica","sync-interval":"60ms"}]}],"snapshot":{"interval":"1h"}}"#
        );
    }
}
