//! `mariadb-backup`: copies the files of a live InnoDB together with its redo log, in full and then incrementally.
//!
//! The backups are prepared at the restore, as the manual describes it: first the full one, then each incremental one is
//! applied to it in order. Preparing changes and uses up both, so it is done on copies, and the artifact stays as it
//! is. With a destination, each backup is published by itself as soon as it is made. See the manual, "Full Backup and
//! Restore with mariadb-backup" and "Incremental Backup and Restore".

use std::path::{Path, PathBuf};

use engines::mariadb;
use engines::mysql::server::{ARTIFACT, RUN};
use machine::container::{BindMount, Spec};
use machine::tool::CP;
use serde::{Deserialize, Serialize};

use crate::artifact_server::{ArtifactAccess, Purpose};
use crate::contract::{
    Abilities, BackupContext, BackupResult, Card, Chain, Cost, Definition, Family, Keeps, OnEngine, Promise,
    RestoreContext, RestoreResult, Strategy, StrategyEntry, StrategyFailure,
};
use crate::files;
use crate::mysql_tools::pipeline;
use crate::published::{self, DESTINATION, PublishedPlace};
use crate::watch::Watch;

inventory::submit! { StrategyEntry::of::<MariadbBackup>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MariadbBackup {
    destination: ArtifactAccess,
    incrementals: u32,
}

const PROGRAM: &str = "mariadb-backup";
/// The last line of a run that succeeded ends with this.
const SUCCESS: &str = "completed OK!";
/// The directories of incremental backups have this name, and a number from 1.
const INCREMENTAL: &str = "incremental-";
/// Where the restored files are in the container that prepares them.
const RESTORED: &str = "/restored";

impl Definition for MariadbBackup {
    const CARD: Card = Card {
        name: "mariadb-backup",
        summary: "mariadb-backup --backup, also incrementally, then --prepare on a copy",
        family: Family::Online,
        on: &[OnEngine { engine: "mariadb", tools: &[CP], image: Some(&mariadb::IMAGE) }],
        settings: &[
            DESTINATION,
            (
                "incrementals",
                "number of incremental backups that follow the full one, each based on the one before (at most 100)",
            ),
        ],
        cost: Cost { backup: 1.5, restore: 2.0, artifact: 1.5 },
    };

    fn validate(&self) -> Result<(), String> {
        if self.incrementals > 100 {
            return Err("incrementals must be at most 100".into());
        }
        Ok(())
    }
}

impl Strategy for MariadbBackup {
    fn promise(&self) -> Promise {
        Promise {
            text: "consistent; keeps every write acknowledged before the backup began; blocks writers for a short \
                   lock at the end of each backup",
            keeps: Keeps::Earlier,
        }
    }

    fn abilities(&self) -> Abilities<'_> {
        let chain = (self.incrementals > 0).then_some(self as &dyn Chain);
        Abilities {
            chain,
            access: self.destination,
            publishes: self.destination.is_remote(),
            ..Abilities::default()
        }
    }

    fn backup(&self, context: &mut BackupContext<'_>) -> BackupResult {
        let names = self.names(&file_name(&context.target()));
        let launcher = context.watch.launcher();
        let published =
            PublishedPlace::open(self.destination, Purpose::BackUp, launcher, context.destination)?;
        for (index, name) in names.iter().enumerate() {
            let base = index.checked_sub(1).map(|base| &names[base]);
            if base.is_some() {
                // It contains the changed pages only.
                context.watch.begin_part(vec![context.destination.join(name)], None);
            }
            let script = backup_command(name, base);
            let server = context.subject.server_mut()?;
            let mut spec = pipeline(PROGRAM, &context.equipment, server, context.destination, &script)?;
            spec.mounts.push(server.data_mount());
            run(context.watch, spec)?;
            if let Some(place) = &published {
                let made = context.destination.join(name);
                place.publish(context.watch, &made, &Self::CARD, self.promise().text)?;
            }
        }
        if published.is_some() {
            // Each was the base of the next one until now.
            for name in &names {
                files::remove_directory(&context.destination.join(name))?;
            }
        }
        context.watch.complete_backup()
    }

    fn restore(&self, context: &mut RestoreContext<'_>) -> RestoreResult {
        let data = context.subject.data();
        let place = data.parent().expect("a data directory lies in a directory").to_owned();
        let names = self.names(&file_name(data));
        let launcher = context.watch.launcher();
        match PublishedPlace::open(self.destination, Purpose::Restore, launcher, context.artifact)? {
            Some(published) => {
                for (number, name) in names.iter().enumerate() {
                    published.fetch(context.watch, number, &place.join(name))?;
                }
            }
            None => {
                let backups: Vec<_> = names.iter().map(|name| context.artifact.join(name)).collect();
                files::copy(context.watch, &backups, &place)?;
            }
        }
        for name in &names {
            let incremental = (*name != names[0]).then_some(name);
            let script = prepare_command(&names[0], incremental);
            let mut spec = context.equipment.container(PROGRAM, context.artifact, &script)?;
            // One mount for all: it moves files from an incremental backup into the data directory.
            spec.mounts.push(BindMount { host: place.clone(), container: RESTORED.into(), read_only: false });
            run(context.watch, spec)?;
        }
        context.watch.complete_restore()
    }
}

impl Chain for MariadbBackup {
    fn pieces(&self, artifact: &Path) -> Vec<PathBuf> {
        if self.destination.is_remote() {
            return published::files_of(artifact);
        }
        let made = std::fs::read_dir(artifact).into_iter().flatten().flatten();
        let mut pieces: Vec<PathBuf> = made.map(|entry| entry.path()).collect();
        // The full backup has another name, which does not begin with this one.
        pieces.sort_by_key(|piece| (file_name(piece).starts_with(INCREMENTAL), file_name(piece)));
        pieces
    }
}

impl MariadbBackup {
    /// The directories of the backups in the artifact: the full one has the name of the data directory.
    fn names(&self, data: &str) -> Vec<String> {
        let incrementals = (1..=self.incrementals).map(|number| format!("{INCREMENTAL}{number}"));
        [data.to_owned()].into_iter().chain(incrementals).collect()
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().expect("a data directory has a name").to_string_lossy().into_owned()
}

/// The command that makes a backup, full or based on another one.
fn backup_command(name: &str, base: Option<&String>) -> String {
    let base = base.map(|base| format!(" --incremental-basedir={ARTIFACT}/{base}")).unwrap_or_default();
    // --defaults-file must be the first option.
    format!("{PROGRAM} --defaults-file={RUN}/client.cnf --backup --target-dir={ARTIFACT}/{name}{base}")
}

/// The command that prepares a full backup, or applies an incremental one to it. It finds the options of the server in
/// the backup.
fn prepare_command(full: &str, incremental: Option<&String>) -> String {
    let incremental =
        incremental.map(|name| format!(" --incremental-dir={RESTORED}/{name}")).unwrap_or_default();
    format!("{PROGRAM} --prepare --target-dir={RESTORED}/{full}{incremental}")
}

/// Runs it. Its exit status alone does not mean success.
fn run(watch: &mut Watch, spec: Spec) -> Result<(), StrategyFailure> {
    watch.run_container(spec)?;
    let output = watch.measured().output;
    if succeeded(&output) {
        return Ok(());
    }
    Err(watch.failed(format!("'{PROGRAM}' did not report '{SUCCESS}': {output}")))
}

fn succeeded(output: &str) -> bool {
    output.trim_end().ends_with(SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_incremental_backup_is_based_on_the_one_before() {
        let names = MariadbBackup { incrementals: 2, ..MariadbBackup::default() }.names("mariadb");
        assert_eq!(names, ["mariadb", "incremental-1", "incremental-2"]);
        assert_eq!(
            backup_command(&names[2], Some(&names[1])),
            "mariadb-backup --defaults-file=/run/drill/client.cnf --backup --target-dir=/artifact/incremental-2 \
             --incremental-basedir=/artifact/incremental-1"
        );
        assert_eq!(
            prepare_command(&names[0], Some(&names[2])),
            "mariadb-backup --prepare --target-dir=/restored/mariadb --incremental-dir=/restored/incremental-2"
        );
    }

    #[test]
    fn only_its_own_last_words_mean_success() {
        let done = "[00] 2026-01-01 00:00:00 Redo log (from LSN 1 to 2) was copied.\n[00] 2026-01-01 00:00:00 completed OK!\n";
        assert!(succeeded(done));
        assert!(!succeeded(""));
        assert!(!succeeded(&format!("{done}[00] FATAL ERROR: 2026-01-01 00:00:01 Can't rename t/a.new\n")));
    }
}
