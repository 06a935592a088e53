//! Claims about copies of files, dumps, selective backups, and verification.

use super::finding::{Answer, Finding};
use super::load::{DEMO_BYTES, has_writes, target_size};
use super::medians::{elapsed, median};
use crate::record::{Check, Trial, Verdict};
use crate::render::number;

/// A copy with the application stopped counts as fast as the disk from this share of a plain copy's speed on.
const COPY_SPEED_MIN: f64 = 0.5;
/// The time in seconds that stopping and starting an application may add to the copy: 18 s in the published claim.
const STOP_AND_START_SECONDS_MAX: f64 = 30.0;
/// A dump counts as blocking when writes were blocked for more than this share of its time.
const BLOCKED_SHARE_MAX: f64 = 0.1;
/// The claimed recovery time of a small MySQL database, in seconds.
const SMALL_RECOVERY_SECONDS: f64 = 15.0;
/// A database counts as small up to this size in bytes.
const SMALL_BYTES_MAX: u64 = 100_000_000;
/// The size of a backup without never-completed torrents, as a share of the database: 247 MB of 17.6 GB.
const SELECTIVE_SHARE: f64 = 247e6 / 17_604_431_872.0;
/// Other compression or other text may double that share.
const SELECTIVE_FACTOR: f64 = 2.0;

pub(super) fn is_cold_copy_of_sqlite(trial: &Trial) -> bool {
    trial.strategy == "cold-copy" && trial.engine == "sqlite"
}

pub(super) fn is_mysqldump(trial: &Trial) -> bool {
    trial.strategy == "mysql-dump" && has_writes(trial)
}

pub(super) fn is_restored_mysqldump_of_a_small_database(trial: &Trial) -> bool {
    is_mysqldump(trial)
        && trial.verdict == Verdict::Restorable
        && trial.dataset.target_bytes <= SMALL_BYTES_MAX
}

pub(super) fn is_live_copy(trial: &Trial) -> bool {
    trial.strategy == "hot-copy" && has_writes(trial)
}

pub(super) fn is_selective_of_sqlite(trial: &Trial) -> bool {
    trial.strategy == "selective" && trial.engine == "sqlite"
}

pub(super) fn is_large_under_load(trial: &Trial) -> bool {
    !trial.control && trial.dataset.target_bytes >= DEMO_BYTES && has_writes(trial)
}

pub(super) fn is_verified(trial: &Trial) -> bool {
    trial.verification.is_some()
}

/// One text per dataset size, in ascending order.
fn by_size(trials: &[&Trial], text: impl Fn(&[&Trial]) -> String) -> String {
    let mut sorted = trials.to_vec();
    sorted.sort_by_key(|trial| trial.dataset.target_bytes);
    let sizes = sorted.chunk_by(|a, b| a.dataset.target_bytes == b.dataset.target_bytes);
    let texts = sizes.map(|here| format!("{}: {}", target_size(here[0]), text(here)));
    texts.collect::<Vec<_>>().join("; ") + "."
}

/// Like [`Answer::of`], but fully confirmed only where a database of the demo's size is among the trials that agree.
fn of_demo(agreeing: &[&Trial], all: usize) -> Answer {
    let large = agreeing.iter().any(|trial| trial.dataset.target_bytes >= DEMO_BYTES);
    match Answer::of(agreeing.len(), all) {
        Answer::Confirmed if !large => Answer::ConfirmedUnderConditions,
        answer => answer,
    }
}

/// With the application stopped, the speed of the disk alone decides.
pub(super) fn judge_cold_copy(trials: &[&Trial]) -> Finding {
    let downtime = |trial: &Trial| {
        let impact = trial.impact.as_ref()?;
        impact.downtime_seconds.or(impact.blocked_seconds)
    };
    let as_claimed = |trial: &&&Trial| {
        let Some(backup) = &trial.backup else { return false };
        let (Some(speed), Some(seconds), Some(down)) = (backup.vs_copy, backup.seconds, downtime(trial))
        else {
            return false;
        };
        speed >= COPY_SPEED_MIN && down <= seconds + STOP_AND_START_SECONDS_MAX
    };
    let agreeing: Vec<&Trial> = trials.iter().filter(as_claimed).copied().collect();
    let text = by_size(trials, |here| {
        let rates = here
            .iter()
            .filter_map(|trial| Some(trial.dataset.bytes as f64 / trial.backup.as_ref()?.seconds?));
        format!(
            "{} for the copy ({}/s, copy speed {}), {} of downtime",
            median(here.iter().filter_map(|trial| trial.backup.as_ref()?.seconds), number::seconds),
            median(rates, number::bytes),
            median(here.iter().filter_map(|trial| trial.backup.as_ref()?.vs_copy), number::ratio),
            median(here.iter().filter_map(|trial| downtime(trial)), number::seconds),
        )
    });
    Finding::new(of_demo(&agreeing, trials.len()), text)
}

fn is_single_transaction(trial: &Trial) -> bool {
    trial.settings.get("consistency").is_some_and(|consistency| consistency == "single-transaction")
}

fn blocked(trial: &Trial) -> Option<f64> {
    trial.impact.as_ref()?.blocked_seconds
}

/// A dump in one transaction does not block writers. A dump that locks tables shows that blocking would be noticed.
pub(super) fn judge_mysqldump(trials: &[&Trial]) -> Finding {
    let (single, others): (Vec<&Trial>, Vec<&Trial>) =
        trials.iter().copied().partition(|trial| is_single_transaction(trial));
    let goes_on = |trial: &&&Trial| {
        let seconds = trial.backup.as_ref().and_then(|backup| backup.seconds);
        blocked(trial).zip(seconds).is_some_and(|(blocked, seconds)| blocked <= BLOCKED_SHARE_MAX * seconds)
    };
    let good = single.iter().filter(goes_on).count();
    let times = |trials: &[&Trial]| {
        let blocked = median(trials.iter().filter_map(|trial| blocked(trial)), number::seconds);
        format!("{blocked} blocked in a dump of {}", median(elapsed(trials), number::seconds))
    };
    let mut text =
        format!("{good} of {} dumps did not block writers: median {}.", single.len(), times(&single));
    let locking: Vec<&Trial> = others
        .into_iter()
        .filter(|trial| trial.settings.get("consistency").is_some_and(|how| how == "lock-tables"))
        .collect();
    if !locking.is_empty() {
        text += &format!(" With locked tables: {}.", times(&locking));
    }
    if single.is_empty() {
        return Finding::not_tested("Only dumps with other settings were tested.");
    }
    Finding::new(Answer::of(good, single.len()), text)
}

/// A small database is restored in about 15 seconds.
pub(super) fn judge_small_recovery(trials: &[&Trial]) -> Finding {
    let recovery = |trial: &Trial| trial.restore.as_ref()?.recovery_seconds;
    let quick = |trial: &&&Trial| recovery(trial).is_some_and(|seconds| seconds <= SMALL_RECOVERY_SECONDS);
    let good = trials.iter().filter(quick).count();
    let text =
        by_size(trials, |here| median(here.iter().filter_map(|trial| recovery(trial)), number::seconds));
    Finding::new(Answer::of(good, trials.len()), text)
}

/// A copy of live files can be wrong without any error. Correct copies refute nothing: they may be luck.
pub(super) fn judge_live_copy(trials: &[&Trial]) -> Finding {
    let wrong = |verdict| trials.iter().filter(|trial| trial.verdict == verdict).count();
    let (corrupt, lossy) = (wrong(Verdict::Corrupt), wrong(Verdict::Lossy));
    let all = trials.len();
    if corrupt + lossy == 0 {
        return Finding::not_tested(format!(
            "{all} copies of live files, no failure observed. This does not prove that there is none."
        ));
    }
    let text = format!(
        "{corrupt} of {all} copies were corrupt and {lossy} lacked writes, and no copy reported an error."
    );
    Finding::new(Answer::Confirmed, text)
}

/// Without never-completed torrents, a backup is about 1.4 % of the database.
pub(super) fn judge_selective(trials: &[&Trial]) -> Finding {
    let share =
        |trial: &Trial| Some(trial.backup.as_ref()?.artifact_bytes? as f64 / trial.dataset.bytes as f64);
    let as_small = |trial: &&&Trial| {
        trial.verdict == Verdict::Restorable
            && share(trial).is_some_and(|share| share <= SELECTIVE_FACTOR * SELECTIVE_SHARE)
    };
    let agreeing: Vec<&Trial> = trials.iter().filter(as_small).copied().collect();
    let text = by_size(trials, |here| {
        let sizes = here.iter().filter_map(|trial| Some(trial.backup.as_ref()?.artifact_bytes? as f64));
        format!(
            "{} ({} of the database)",
            median(sizes, number::bytes),
            median(here.iter().filter_map(|trial| share(trial)), number::percent)
        )
    });
    Finding::new(of_demo(&agreeing, trials.len()), text)
}

/// At least one strategy restores a database of the demo's size.
pub(super) fn judge_large(trials: &[&Trial]) -> Finding {
    let good: Vec<&str> = trials
        .iter()
        .filter(|trial| trial.verdict == Verdict::Restorable)
        .map(|trial| trial.strategy.as_str())
        .collect();
    let answer = if good.is_empty() { Answer::Refuted } else { Answer::Confirmed };
    let mut names = good.clone();
    names.sort_unstable();
    names.dedup();
    let by = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    Finding::new(answer, format!("{} of {} trials were restorable{by}.", good.len(), trials.len()))
}

/// Correct databases pass, and damaged ones are found.
pub(super) fn judge_verification(trials: &[&Trial]) -> Finding {
    let passes = |trial: &Trial| {
        trial.verification.as_ref().is_some_and(|checks| {
            let six = [
                checks.integrity,
                checks.prefix,
                checks.order,
                checks.transactions,
                checks.content,
                checks.loss,
            ];
            six.iter().all(|check| *check == Some(Check::Pass))
        })
    };
    let right = trials.iter().filter(|trial| !trial.control && passes(trial)).count();
    let controls: Vec<&&Trial> = trials.iter().filter(|trial| trial.control).collect();
    let found = controls.iter().filter(|trial| trial.verdict == Verdict::Corrupt).count();
    let text = format!(
        "{right} restored databases passed all six checks, and damage was found in {found} of {} negative controls.",
        controls.len()
    );
    match (right, found) {
        (0, _) | (_, 0) => Finding::not_tested(format!("{text} Both are required.")),
        _ => Finding::new(Answer::Confirmed, text),
    }
}

#[cfg(test)]
mod tests;
