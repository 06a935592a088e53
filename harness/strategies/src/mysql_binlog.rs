//! `mysql-binlog`: a base backup, and the binary log shipped all the while.
//!
//! `mysqlbinlog --read-from-remote-server --raw --stop-never` follows the server from before the base backup on. The
//! base is `CLONE LOCAL DATA DIRECTORY`; the server that runs on it knows the position that it stands for, and from
//! there on the shipped files are applied: to their last complete event, or to a point in time. See the manual,
//! "Point-in-Time (Incremental) Recovery".

use std::path::PathBuf;
use std::time::Duration;

use engines::mysql::server::ARTIFACT;
use machine::container::Container;
use machine::error::Error;
use machine::measure::clock::{monotonic_ns, wall_ns};
use machine::process::Account;
use machine::tool::CP;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::halt::Halt;
use crate::mysql_tools::{clone_data, has_binary_log, options, pipeline};
use crate::strategy::{
    BackupContext, Card, Cost, Keeps, Kept, Kind, Moments, Promise, RestoreContext, Settings, Shipper,
    Strategy, complete, settings_of,
};

pub struct MysqlBinlog;

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BinlogSettings {
    seconds_before_disaster: u32,
}

/// An acknowledged write may not have been shipped yet when the server dies.
const LAST: Duration = Duration::from_secs(1);
/// The server reads another clock than the ledger; both run on the same machine.
const CLOCKS_DIFFER_NS: u64 = 5_000_000;
const SECOND_NS: u64 = 1_000_000_000;
/// No other replica of the server may have this id.
const SERVER_ID: u32 = 4_242;

impl Strategy for MysqlBinlog {
    fn card(&self) -> Card {
        Card {
            name: "mysql-binlog",
            summary: "a clone, and mysqlbinlog --raw --stop-never shipping every change from before it on",
            engines: &["mysql"],
            kind: Kind::Continuous,
            promise: Promise {
                text: "consistent; keeps every write acknowledged until a second before the disaster, or those until \
                       the point in time that is asked for and none after it; writers go on",
                keeps: Keeps::AllBut { last: LAST },
            },
            settings: &[(
                "seconds_before_disaster",
                "restore to the whole second that lies this many seconds before the disaster; 0: to the last event",
            )],
            tools: &[CP],
            contained: true,
            cost: Cost { backup: 1.5, restore: 3.0 },
        }
    }

    fn complete(&self, given: &Settings) -> Result<Settings, String> {
        complete::<BinlogSettings>(given).map(|(_, complete)| complete)
    }

    fn kept(&self, settings: &Settings, moments: &Moments) -> Kept {
        match point_in_time(settings, moments) {
            None => Kept {
                acknowledged_before_ns: Some(moments.disaster_ns - LAST.as_nanos() as u64),
                sent_after_ns: None,
            },
            Some(wall_second) => {
                let at_ns = monotonic_ns(wall_second * SECOND_NS);
                Kept {
                    acknowledged_before_ns: Some(at_ns - CLOCKS_DIFFER_NS),
                    sent_after_ns: Some(at_ns + CLOCKS_DIFFER_NS),
                }
            }
        }
    }

    fn arm(&self, context: &mut BackupContext<'_>) -> Result<Option<Box<dyn Shipper>>, Halt> {
        let server = context.subject.server_mut()?;
        if !has_binary_log(server)? {
            return Err(Halt::Unavailable(
                "the server has no binary log: remove 'skip_log_bin' or 'disable_log_bin' from subject.mysql_options"
                    .into(),
            ));
        }
        let logs = context.destination.join(LOGS);
        std::fs::create_dir(&logs)
            .map_err(|error| Error::Environment(format!("cannot make {}: {error}", logs.display())))?;
        let options = options();
        let script = format!(
            "first=$(mysql {options} -N -e 'SHOW BINARY LOGS' | tail -n 1 | cut -f 1)\n\
             mysqlbinlog {options} --read-from-remote-server --raw --stop-never --connection-server-id={SERVER_ID} \
             --result-file={ARTIFACT}/{LOGS}/ \"$first\""
        );
        let spec = pipeline("mysqlbinlog", context.tools, server, context.destination, &script)?;
        let container = Container::start(&context.watch.launcher, Account::Strategy, spec)?;
        context.watch.wait_until(&mut || {
            if container.is_running() {
                Ok(files_of(&logs).iter().any(|file| file.metadata().is_ok_and(|file| file.len() > 0)))
            } else {
                Err(format!("mysqlbinlog ended: {}", container.last_words()))
            }
        })?;
        Ok(Some(Box::new(container)))
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> Result<(), Halt> {
        clone_data(context)
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> Result<(), Halt> {
        files::restore(context)?;
        let server = context.subject.server_mut()?;
        if let Err(error) = server.start() {
            // Where it ended by itself, the restored data is what it refuses.
            return Err(server.ended().map_or(error.into(), Halt::Failed));
        }
        let options = options();
        let stop = point_in_time(context.settings, &context.moments)
            .map_or(String::new(), |second| format!("--stop-datetime='{}'", utc(second)));
        // The last event of the last file may be cut off: what stands before it is applied all the same.
        let script = format!(
            "at=$(mysql {options} -N -e 'SELECT binlog_file, binlog_position FROM performance_schema.clone_status')\n\
             set -- $at\n\
             cd {ARTIFACT}/{LOGS}\n\
             files=$(ls | sort | awk -v first=\"$1\" '$0 >= first')\n\
             [ -n \"$files\" ] || {{ echo \"the log file $1, where the base ends, was not shipped\" >&2; exit 1; }}\n\
             {{ mysqlbinlog --start-position=$2 {stop} $files || echo 'the last event is not complete' >&2; }} \
             | mysql {options}"
        );
        let spec = pipeline("mysqlbinlog", context.tools, server, context.artifact, &script)?;
        context.watch.contain(spec)
    }
}

const LOGS: &str = "binlog";

fn files_of(directory: &std::path::Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The second that is asked for, in seconds since 1970.
fn point_in_time(settings: &Settings, moments: &Moments) -> Option<u64> {
    let BinlogSettings { seconds_before_disaster } = settings_of(settings);
    let back = u64::from(seconds_before_disaster);
    (back > 0).then(|| wall_ns(moments.disaster_ns) / SECOND_NS - back)
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
        let moments = Moments { backup_began_ns: 1, disaster_ns: machine::measure::clock::now_ns() };
        let (_, latest) = complete::<BinlogSettings>(&Settings::new()).unwrap();
        assert_eq!(MysqlBinlog.kept(&latest, &moments).sent_after_ns, None);
        let mut given = Settings::new();
        given.insert("seconds_before_disaster".into(), 3.into());
        let (_, earlier) = complete::<BinlogSettings>(&given).unwrap();
        let kept = MysqlBinlog.kept(&earlier, &moments);
        let (before, after) = (kept.acknowledged_before_ns.unwrap(), kept.sent_after_ns.unwrap());
        assert_eq!(wall_ns((before + after) / 2) % SECOND_NS, 0);
        let back = moments.disaster_ns - before;
        assert!((3 * SECOND_NS..5 * SECOND_NS).contains(&back), "{back}");
    }

    #[test]
    fn a_second_is_written_as_mysql_reads_it() {
        assert_eq!(utc(1_700_000_000), "2023-11-14 22:13:20");
    }
}
