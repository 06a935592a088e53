//! `mysql-binlog`: a base backup, and continuous streaming of the binary log.
//!
//! `mysqlbinlog --read-from-remote-server --raw --stop-never` follows the server, starting before the base backup. The
//! base is made with `CLONE LOCAL DATA DIRECTORY`. A server that runs on it knows the binary log position of the clone,
//! and the streamed files are applied from there: up to their last complete event, or up to a point in time. See the
//! manual, "Point-in-Time (Incremental) Recovery".
//!
//! With a destination, the base is published there, and what was streamed follows once a second, part by part; a restore uses
//! only what is there.

mod shipping;

use std::any::Any;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engines::images::TOOLS;
use engines::mysql::server::ARTIFACT;
use machine::container::Container;
use machine::error::Error;
use machine::measure::clock::{monotonic_ns, wall_ns};
use machine::process::Account;
use machine::tool::CP;
use serde::{Deserialize, Serialize};

use crate::artifact_server::{ArtifactAccess, Purpose};
use crate::contract::{
    Abilities, BackupContext, BackupResult, Card, Chain, Continuous, Cost, Definition, FailureCause, Family,
    Keeps, Kept, Moments, OnEngine, PointInTime, Promise, Replication, RestoreContext, RestoreResult,
    Strategy, StrategyEntry, StrategyFailure,
};
use crate::files;
use crate::mysql_tools::{clone_data, has_binary_log, options, pipeline};
use crate::published::{self, DESTINATION, PublishedPlace};
use shipping::Shipping;

inventory::submit! { StrategyEntry::of::<MysqlBinlog>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MysqlBinlog {
    destination: ArtifactAccess,
    seconds_before_disaster: u32,
}

/// When the server is killed, the writes acknowledged within this time may not have been streamed yet.
const LAST: Duration = Duration::from_secs(1);
/// With a destination, they may not have left the machine yet: they wait for the next part, and it takes time to upload.
const LAST_PUBLISHED: Duration = Duration::from_secs(3);
/// The server uses another clock than the ledger; both are on the same machine.
const CLOCKS_DIFFER_NS: u64 = 5_000_000;
const SECOND_NS: u64 = 1_000_000_000;
/// The server id of this replica. No other replica may have the same.
const SERVER_ID: u32 = 4_242;

impl Definition for MysqlBinlog {
    const CARD: Card = Card {
        name: "mysql-binlog",
        summary: "a clone, and continuous streaming of the binary log with mysqlbinlog --raw --stop-never",
        family: Family::Continuous,
        on: &[OnEngine { engine: "mysql", tools: &[CP], image: Some(&TOOLS) }],
        settings: &[
            DESTINATION,
            (
                "seconds_before_disaster",
                "point-in-time recovery to the second this many seconds before the disaster; 0: to the last event",
            ),
        ],
        cost: Cost { backup: 1.5, restore: 3.0, artifact: 1.0 },
    };
}

impl Strategy for MysqlBinlog {
    fn promise(&self) -> Promise {
        if self.destination.is_remote() {
            return Promise {
                text: "consistent; keeps every write acknowledged up to 3 s before the disaster; with point-in-time \
                       recovery, those of them up to that moment, and none after it; does not block writers",
                keeps: Keeps::AllBut { last: LAST_PUBLISHED },
            };
        }
        Promise {
            text: "consistent; keeps every write acknowledged up to 1 s before the disaster; with point-in-time \
                   recovery, every write up to that moment and none after it; does not block writers",
            keeps: Keeps::AllBut { last: LAST },
        }
    }

    fn abilities(&self) -> Abilities<'_> {
        let to_a_moment = self.seconds_before_disaster > 0;
        Abilities {
            continuous: Some(self),
            point_in_time: to_a_moment.then_some(self as &dyn PointInTime),
            chain: Some(self),
            access: self.destination,
            publishes: self.destination.is_remote(),
            ..Abilities::default()
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let outcome = clone_data(context)?;
        let replication: &dyn Any = context.take_replication()?;
        let Some(shipping) = replication.downcast_ref::<Shipping>() else { return Ok(outcome) };
        let base = context.target();
        shipping.place.publish(context.watch, &base, &Self::CARD, self.promise().text)?;
        files::remove_directory(&base)?;
        context.watch.complete_backup()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        let launcher = context.watch.launcher();
        let streamed =
            match PublishedPlace::open(self.destination, Purpose::Restore, launcher, context.artifact)? {
                None => {
                    files::restore(context)?;
                    context.artifact.to_owned()
                }
                Some(place) => {
                    let fetched = files::empty_directory(launcher, "fetched")?;
                    place.fetch(context.watch, 0, context.subject.data())?;
                    place.collect(context.watch, &fetched.join(LOGS))?;
                    context.watch.complete_restore()?;
                    fetched
                }
            };
        let server = context.subject.server_mut()?;
        if let Err(error) = server.start() {
            // If the server exited, it could not start on the restored data, which is the strategy's failure.
            return Err(server.ended().map_or(error.into(), |ended| context.watch.failed(ended)));
        }
        let options = options();
        let stop = match self.seconds_before_disaster {
            0 => String::new(),
            _ => format!("--stop-datetime='{}'", utc(self.second(&context.moments))),
        };
        // The last event of the last file may be truncated: the events before it are applied all the same.
        let script = format!(
            "at=$(mysql {options} -N -e 'SELECT binlog_file, binlog_position FROM performance_schema.clone_status')\n\
             set -- $at\n\
             cd {ARTIFACT}/{LOGS}\n\
             files=$(ls | sort | awk -v first=\"$1\" '$0 >= first')\n\
             [ -n \"$files\" ] || {{ echo \"the log file $1, where the base ends, was not streamed\" >&2; exit 1; }}\n\
             echo \"$files\" | awk -F . '{CONSECUTIVE}' || exit 1\n\
             {{ mysqlbinlog --start-position=$2 {stop} $files || echo 'the last event is not complete' >&2; }} \
             | mysql {options}"
        );
        let spec = pipeline("mysqlbinlog", &context.equipment, server, &streamed, &script)?;
        context.watch.run_container(spec)?;
        Ok(context.watch.measured())
    }
}

impl Continuous for MysqlBinlog {
    fn start(&self, context: &mut BackupContext<'_>) -> Result<Box<dyn Replication>, StrategyFailure> {
        let launcher = context.watch.launcher().clone();
        let place = PublishedPlace::open(self.destination, Purpose::BackUp, &launcher, context.destination)?;
        let streamed = match &place {
            Some(_) => files::empty_directory(&launcher, "streamed")?,
            None => context.destination.to_owned(),
        };
        let server = context.subject.server_mut()?;
        if !has_binary_log(server)? {
            return Err(context.watch.failure(FailureCause::Unavailable(
                "the server has no binary log: remove 'skip_log_bin' or 'disable_log_bin' from subject.mysql_options"
                    .into(),
            )));
        }
        let logs = streamed.join(LOGS);
        std::fs::create_dir(&logs)
            .map_err(|error| Error::Environment(format!("cannot make {}: {error}", logs.display())))?;
        let options = options();
        // When it is started again, the newest file may lack its end: it is streamed again from its beginning.
        let script = format!(
            "first=$(ls {ARTIFACT}/{LOGS} | sort | tail -n 1)\n\
             [ -n \"$first\" ] || first=$(mysql {options} -N -e 'SHOW BINARY LOGS' | tail -n 1 | cut -f 1)\n\
             mysqlbinlog {options} --read-from-remote-server --raw --stop-never --connection-server-id={SERVER_ID} \
             --result-file={ARTIFACT}/{LOGS}/ \"$first\""
        );
        let spec = pipeline("mysqlbinlog", &context.equipment, server, &streamed, &script)?;
        let container = Container::start(context.watch.launcher(), Account::Strategy, spec)?;
        context.watch.wait_until(&mut || {
            if container.is_running() {
                Ok(files_of(&logs).iter().any(|file| file.metadata().is_ok_and(|file| file.len() > 0)))
            } else {
                Err(format!("mysqlbinlog ended: {}", container.last_words()))
            }
        })?;
        Ok(match place {
            Some(place) => Box::new(Shipping::start(container, place, &logs, &launcher)?),
            None => Box::new(container),
        })
    }
}

impl Chain for MysqlBinlog {
    fn pieces(&self, artifact: &Path) -> Vec<PathBuf> {
        if self.destination.is_remote() {
            // The names of the base begin with a digit.
            return published::files_of(artifact);
        }
        let mut logs = files_of(&artifact.join(LOGS));
        logs.sort();
        let base = files_of(artifact).into_iter().filter(|piece| !piece.ends_with(LOGS));
        base.chain(logs).collect()
    }
}

impl PointInTime for MysqlBinlog {
    fn kept(&self, moments: &Moments) -> Kept {
        let at_ns = monotonic_ns(self.second(moments) * SECOND_NS);
        let promised = self.promise().kept(moments).acknowledged_before_ns;
        Kept {
            acknowledged_before_ns: promised.map(|promised_ns| promised_ns.min(at_ns - CLOCKS_DIFFER_NS)),
            sent_after_ns: Some(at_ns + CLOCKS_DIFFER_NS),
        }
    }
}

impl MysqlBinlog {
    /// The requested point in time, in seconds since 1970.
    fn second(&self, moments: &Moments) -> u64 {
        wall_ns(moments.disaster_ns) / SECOND_NS - u64::from(self.seconds_before_disaster)
    }
}

const LOGS: &str = "binlog";
/// A program for awk that fails when one of the numbered files is missing: mysqlbinlog would go on after the hole.
const CONSECUTIVE: &str = "NR > 1 && $NF != last + 1 { print \"the log file before \" $0 \" is missing\" > \"/dev/stderr\"; exit 1 } \
                           { last = $NF }";

fn files_of(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn utc(second: u64) -> String {
    let time = jiff::Timestamp::from_second(second as i64).expect("the clock is in range");
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_is_a_whole_second_and_nothing_sent_after_it_is_kept() {
        let moments = Moments {
            backup_began_ns: 1,
            older_backup_ns: None,
            disaster_ns: machine::measure::clock::now_ns(),
        };
        assert!(MysqlBinlog::default().abilities().point_in_time.is_none());
        let earlier = MysqlBinlog { seconds_before_disaster: 3, ..MysqlBinlog::default() };
        let kept = earlier.abilities().point_in_time.unwrap().kept(&moments);
        let (before, after) = (kept.acknowledged_before_ns.unwrap(), kept.sent_after_ns.unwrap());
        assert_eq!(wall_ns((before + after) / 2) % SECOND_NS, 0);
        let back = moments.disaster_ns - before;
        assert!((3 * SECOND_NS..5 * SECOND_NS).contains(&back), "{back}");
        let published = MysqlBinlog { seconds_before_disaster: 1, destination: ArtifactAccess::S3 };
        let kept = published.abilities().point_in_time.unwrap().kept(&moments);
        let promised = moments.disaster_ns - LAST_PUBLISHED.as_nanos() as u64;
        assert_eq!(
            kept.acknowledged_before_ns,
            Some(promised),
            "the last writes may not have been published"
        );
        assert!(kept.sent_after_ns.unwrap() > promised);
    }

    #[test]
    fn a_second_is_written_as_mysql_reads_it() {
        assert_eq!(utc(1_700_000_000), "2023-11-14 22:13:20");
    }
}
