//! All strategies.

use machine::error::{Error, Result, unknown};
use machine::worker::{Job, Progress};
use serde_json::Value;

use crate::strategy::{Strategy, Work};
use crate::{
    cold_copy, external, hot_copy, litestream, maintenance_window, mydumper, mysql_binlog, mysql_clone,
    mysql_dump, selective, sidecar, snapshot, sqlite_cli_backup, sqlite_dump, sqlite_online_backup,
    sqlite_vacuum_into, sqlite3_rsync, xtrabackup,
};

/// All strategies, in alphabetical order.
pub const STRATEGIES: &[&dyn Strategy] = &[
    &cold_copy::ColdCopy,
    &external::External,
    &hot_copy::HotCopy,
    &litestream::Litestream,
    &maintenance_window::MaintenanceWindow,
    &mydumper::Mydumper,
    &mysql_binlog::MysqlBinlog,
    &mysql_clone::MysqlClone,
    &mysql_dump::MysqlDump,
    &selective::Selective,
    &sidecar::Sidecar,
    &snapshot::Snapshot,
    &sqlite_cli_backup::SqliteCliBackup,
    &sqlite_dump::SqliteDump,
    &sqlite_online_backup::SqliteOnlineBackup,
    &sqlite_vacuum_into::SqliteVacuumInto,
    &sqlite3_rsync::Sqlite3Rsync,
    &xtrabackup::Xtrabackup,
];

/// The strategy with this name.
///
/// # Errors
/// [`Error::Input`] with the known names.
pub fn named(name: &str) -> Result<&'static dyn Strategy> {
    let names: Vec<&str> = STRATEGIES.iter().map(|strategy| strategy.card().name).collect();
    match names.iter().position(|known| *known == name) {
        Some(index) => Ok(STRATEGIES[index]),
        None => Err(Error::Input(unknown("strategy", name, &names))),
    }
}

impl Job for Work {
    const NAME: &'static str = "strategy";
    type Answer = Value;

    fn title(&self) -> String {
        self.strategy.clone()
    }

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<Value> {
        named(&self.strategy)?.work(self.task, report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::Settings;

    #[test]
    fn the_registry_is_in_alphabetical_order_and_every_setting_is_documented() {
        let names: Vec<&str> = STRATEGIES.iter().map(|strategy| strategy.card().name).collect();
        assert!(names.is_sorted(), "{names:?}");
        for strategy in STRATEGIES {
            let card = strategy.card();
            let defaults = strategy.complete(&Settings::new()).unwrap();
            let mut documented: Vec<&str> = card.settings.iter().map(|(name, _)| *name).collect();
            documented.sort_unstable();
            assert_eq!(defaults.keys().map(String::as_str).collect::<Vec<_>>(), documented, "{}", card.name);
        }
    }

    #[test]
    fn an_unknown_strategy_is_refused_with_the_nearest_name() {
        let Err(error) = named("cold-cpoy") else { panic!("there is no such strategy") };
        insta::assert_snapshot!(
            error,
            @"unknown strategy 'cold-cpoy' (did you mean 'cold-copy'?): expected one of cold-copy, external, hot-copy, litestream, maintenance-window, mydumper, mysql-binlog, mysql-clone, mysql-dump, selective, sidecar, snapshot, sqlite-cli-backup, sqlite-dump, sqlite-online-backup, sqlite-vacuum-into, sqlite3-rsync, xtrabackup"
        );
    }
}
