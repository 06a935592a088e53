//! The claims, in the order of the page.

use super::claim::Claim;
use super::{away, copies, stepping};

const DEMO: &str = "https://github.com/torrust/torrust-tracker-deployer/blob/main/docs/research/backup-strategies/databases/\
                    sqlite/large-database-backup.md";
const RESEARCH: &str =
    "https://github.com/torrust/torrust-tracker-deployer/tree/main/docs/research/backup-strategies";
const BACKUP_API: &str = "https://www.sqlite.org/c3ref/backup_finish.html";
const SELECTION: &str = "https://github.com/torrust/torrust-tracker/issues/1651";

const NOT_VALIDATED: &str = "Torrust Tracker Deployer, which lists it as not validated";
const NO_TRIAL: &str = "No recorded trial tests this.";

/// All claims.
pub const CLAIMS: &[Claim] = &[
    Claim {
        name: "A stepping backup restarts",
        statement: "SQLite's command line `.backup` copies 100 pages per step, and restarts from the first page when \
                    another connection has written in between.",
        source: "SQLite's documentation of sqlite3_backup_step",
        link: BACKUP_API,
        criterion: "Backups in WAL mode that copy some pages per step. Confirmed when every backup with commits \
                    during the copy restarted. Where the tool reports no restarts, a backup counts as restarted when \
                    it wrote more than 1.2 times the size of the database.",
        command: "cargo xtask run claims-rates",
        untested: NO_TRIAL,
        concerns: stepping::steps_in_wal,
        judge: stepping::judge_restarts,
    },
    Claim {
        name: "The 17 GB demo database",
        statement: "On the 17 GB database of the Torrust demo tracker under load, `.backup` reached 10 % in 16 hours (37 MB \
                    per hour), while the disk read 445 MB/s.",
        source: "Torrust Tracker Deployer, research on large SQLite databases",
        link: DEMO,
        criterion: "`.backup` of 16 GB or more under writes. Confirmed when no backup finished before it was ended.",
        command: "cargo xtask run demo-17gb --only sqlite-cli-backup",
        untested: NO_TRIAL,
        concerns: stepping::is_shell_backup_of_demo,
        judge: stepping::judge_demo,
    },
    Claim {
        name: "The restart model",
        statement: "The deciding factor is not the size, but the time of one pass relative to the time between \
                    commits: with Poisson commits at rate r, a pass of T seconds that every commit restarts takes \
                    (e^(rT) - 1) / r seconds on average.",
        source: "This project, derived in docs/the-backup-that-never-ends.md",
        link: "",
        criterion: "Stepping backups in WAL mode under Poisson writes. Confirmed when the mean time over at least 8 \
                    finished backups is within a factor of 2 of the predicted one; the time of backups that were \
                    ended early counts, too.",
        command: "cargo xtask run claims-rates --repetitions 3",
        untested: NO_TRIAL,
        concerns: stepping::is_of_the_restart_model,
        judge: stepping::judge_model,
    },
    Claim {
        name: "300 MB at 1, 4 and 20 writes per second",
        statement: "A stepping backup of a 300 MB database finished in 0.5 s at 1 write per second, restarted 5 \
                    times at 4, and never finished at 20.",
        source: "This project's design, measured once by hand",
        link: "",
        criterion: "Stepping backups in WAL mode under Poisson writes, at sizes with a pass of 0.3 to 0.7 s, as 300 \
                    MB had in the original measurement. Holds at a size when all backups finished at 1 write per \
                    second, at least one restarted and finished at 4, and none finished at 20.",
        command: "cargo xtask run claims-rates",
        untested: NO_TRIAL,
        concerns: stepping::is_at_a_rate_of_300_mb,
        judge: stepping::judge_300_mb,
    },
    Claim {
        name: "One step for all pages",
        statement: "A copy of the whole database in one step in WAL mode never restarts.",
        source: "SQLite's documentation of sqlite3_backup_step",
        link: BACKUP_API,
        criterion: "Online backups with `step_pages = -1` in WAL mode. Confirmed when all backups with commits \
                    during the copy were restorable and did not restart.",
        command: "cargo xtask run claims-rates --only step_pages=-1",
        untested: NO_TRIAL,
        concerns: stepping::has_one_step_in_wal,
        judge: stepping::judge_no_restart,
    },
    Claim {
        name: "A live database of 100 GB in minutes",
        statement: "A live 100 GB database in WAL mode was copied in one step in 4 to 5 minutes.",
        source: "This project's design; no public page is known",
        link: "",
        criterion: "Online backups in one step of 90 GB or more in WAL mode under writes. Confirmed when they took at most 10 \
                    minutes.",
        command: "cargo xtask run demo-17gb --only step_pages=-1 --size 100GB",
        untested: NO_TRIAL,
        concerns: stepping::has_one_step_at_100_gb,
        judge: stepping::judge_100_gb,
    },
    Claim {
        name: "A pinned read transaction",
        statement: "The same holds for steps of 100 pages inside one read transaction that stays open.",
        source: "This project's design",
        link: "",
        criterion: "Online backups with `step_pages = 100` and `pinned = true` in WAL mode. Confirmed when all \
                    backups with commits during the copy were restorable and did not restart.",
        command: "cargo xtask run claims-rates --only pinned",
        untested: NO_TRIAL,
        concerns: stepping::is_pinned_in_steps_of_100,
        judge: stepping::judge_no_restart,
    },
    Claim {
        name: "A copy with the application stopped",
        statement: "With the tracker stopped, `cp` of 17 GB took 72 seconds (about 240 MB/s), with 90 seconds of downtime in \
                    total: only the speed of the disk matters.",
        source: "Torrust Tracker Deployer, research on large SQLite databases",
        link: DEMO,
        criterion: "Cold copies of SQLite databases. Holds when the copy reached half the speed of a plain `cp` with fsync and \
                    the downtime was at most 30 s longer than the copy; fully confirmed only from 16 GB on.",
        command: "cargo xtask run demo-17gb --only cold-copy",
        untested: NO_TRIAL,
        concerns: copies::is_cold_copy_of_sqlite,
        judge: copies::judge_cold_copy,
    },
    Claim {
        name: "Delete mode: database is locked",
        statement: "In journal mode `delete`, the command line `.backup` against a busy writer fails at once with 'database is \
                    locked'.",
        source: "This project's design",
        link: "",
        criterion: "`.backup` without a timeout in delete mode under writes. Confirmed when all failed with that message within 2 s.",
        command: "cargo xtask run claims --only sqlite-cli-backup/delete",
        untested: NO_TRIAL,
        concerns: stepping::has_no_timeout_in_delete_mode,
        judge: stepping::judge_locked,
    },
    Claim {
        name: "Delete mode: a timeout helps",
        statement: "With a timeout, `.backup` does not fail at once.",
        source: "This project's design",
        link: "",
        criterion: "`.backup` with `.timeout` in delete mode under writes. Confirmed when none failed with that \
                    message, under conditions when some failed after more than 2 s. It does not have to finish.",
        command: "cargo xtask run claims --only timeout_ms",
        untested: NO_TRIAL,
        concerns: stepping::has_timeout_in_delete_mode,
        judge: stepping::judge_timeout,
    },
    Claim {
        name: "mysqldump in one transaction",
        statement: "`mysqldump --single-transaction` does not block InnoDB writers.",
        source: "The manual of mysqldump",
        link: "https://dev.mysql.com/doc/refman/8.4/en/mysqldump.html",
        criterion: "Dumps of MySQL with `consistency = \"single-transaction\"` under writes. Holds when writes were blocked for at \
                    most 10 % of the dump's time.",
        command: "cargo xtask run claims --only mysql-dump",
        untested: NO_TRIAL,
        concerns: copies::is_mysqldump,
        judge: copies::judge_mysqldump,
    },
    Claim {
        name: "A small MySQL database in 15 seconds",
        statement: "A small MySQL database is restored from a dump in about 15 seconds.",
        source: "Torrust Tracker Deployer, research on backup strategies",
        link: RESEARCH,
        criterion: "Restored dumps of MySQL databases with the rows of a SQLite database of up to 100 MB. Holds at \
                    sizes with a recovery time of at most 15 s.",
        command: "cargo xtask run claims --only mysql-dump",
        untested: NO_TRIAL,
        concerns: copies::is_restored_mysqldump_of_a_small_database,
        judge: copies::judge_small_recovery,
    },
    Claim {
        name: "cp of live files",
        statement: "Copying live database files with `cp` can give a corrupt or torn backup without any error.",
        source: "SQLite, How To Corrupt An SQLite Database File",
        link: "https://www.sqlite.org/howtocorrupt.html",
        criterion: "The negative control `hot-copy` under writes. Confirmed when one or more copies were corrupt or lacked writes; \
                    correct copies do not refute it.",
        command: "cargo xtask run claims --only hot-copy",
        untested: NO_TRIAL,
        concerns: copies::is_live_copy,
        judge: copies::judge_live_copy,
    },
    Claim {
        name: "Leaving out never-completed torrents",
        statement: "Leaving out the torrents that were never completed shrinks a 17 GB backup to about 247 MB (1.4 %).",
        source: "Torrust Tracker, the statistics of the demo database",
        link: SELECTION,
        criterion: "`selective` on SQLite. Holds when it was restorable and the backup was at most 2.8 % of the database; \
                    fully confirmed only from 16 GB on.",
        command: "cargo xtask run claims --only selective",
        untested: NO_TRIAL,
        concerns: copies::is_selective_of_sqlite,
        judge: copies::judge_selective,
    },
    Claim {
        name: "Open: large databases under load",
        statement: "A database of 16 GB or more can be backed up under continuous write load and restored.",
        source: NOT_VALIDATED,
        link: RESEARCH,
        criterion: "All strategies except negative controls, at 16 GB or more under writes. Confirmed when one or \
                    more were restorable.",
        command: "cargo xtask run demo-17gb",
        untested: NO_TRIAL,
        concerns: copies::is_large_under_load,
        judge: copies::judge_large,
    },
    Claim {
        name: "Open: automatic verification",
        statement: "A restored database can be verified automatically.",
        source: NOT_VALIDATED,
        link: RESEARCH,
        criterion: "All restored databases. Confirmed when correct ones passed all six checks and damage was found \
                    in a negative control; both are required.",
        command: "cargo xtask run claims",
        untested: NO_TRIAL,
        concerns: copies::is_verified,
        judge: copies::judge_verification,
    },
    Claim {
        name: "Open: off-site storage",
        statement: "A backup that is sent to another machine can be restored from there.",
        source: NOT_VALIDATED,
        link: RESEARCH,
        criterion: "Trials with a destination on a server (S3, SFTP, rsync), whose restore had nothing but what was there. \
                    Confirmed when all were restorable.",
        command: "cargo xtask run offsite",
        untested: NO_TRIAL,
        concerns: away::is_on_a_server,
        judge: away::judge_restored,
    },
    Claim {
        name: "Open: encryption",
        statement: "An encrypted backup can be restored with nothing but its key.",
        source: NOT_VALIDATED,
        link: RESEARCH,
        criterion: "Trials whose artifact was encrypted with age, or is an encrypted repository, and whose restore had only the \
                    key. Confirmed when all were restorable.",
        command: "cargo xtask run repositories",
        untested: NO_TRIAL,
        concerns: away::is_encrypted,
        judge: away::judge_restored,
    },
    Claim {
        name: "Open: alerting",
        statement: "A failed backup raises an alert.",
        source: NOT_VALIDATED,
        link: RESEARCH,
        criterion: "Tested by `prove alerts`, not by the trials of a run: docs/alerts.md has what it measured.",
        command: "cargo xtask prove alerts",
        untested: "Not by the trials of a run: docs/alerts.md has what 'prove alerts' measured.",
        concerns: |_| false,
        judge: away::judge_restored,
    },
];

#[cfg(test)]
mod tests {
    use super::CLAIMS;

    #[test]
    fn every_claim_has_a_unique_name_a_source_and_a_command() {
        for (at, claim) in CLAIMS.iter().enumerate() {
            assert!(CLAIMS[..at].iter().all(|other| other.name != claim.name), "{}", claim.name);
            assert!(claim.command.starts_with("cargo xtask "), "{}", claim.name);
            assert!(claim.link.is_empty() || claim.link.starts_with("https://"), "{}", claim.name);
            for text in [claim.statement, claim.source, claim.criterion] {
                assert!(!text.is_empty(), "{}", claim.name);
            }
        }
    }
}
