//! Claims about SQLite backups that copy some pages per step, and about backups that do not restart.

use super::finding::{Answer, Finding};
use super::load::{DEMO_BYTES, has_writes, target_size};
use super::medians::{elapsed, median};
use crate::advise::expected_seconds;
use crate::compare::Spread;
use crate::record::{Trial, Verdict};
use crate::render::number;

/// This number of commits may go unnoticed by a backup: one before its first step, one after its last.
const UNNOTICED_COMMITS: f64 = 2.0;
/// A backup that wrote more than this many times the size of the database has restarted.
const WRITTEN_AGAIN: f64 = 1.2;
/// The rates of the measurement at 300 MB, in writes per second.
const RATES: [f64; 3] = [1.0, 4.0, 20.0];
/// The pass took 0.5 s in that measurement; passes outside this range, in seconds, are not comparable.
const PASS_SECONDS: std::ops::RangeInclusive<f64> = 0.3..=0.7;
/// Fewer finished backups are not enough for an average.
const FINISHED_MIN: usize = 8;
/// The restart model holds where the mean time is within this factor of the predicted one.
const MODEL_FACTOR: f64 = 2.0;
/// A backup that fails within this time failed at once.
const AT_ONCE_SECONDS: f64 = 2.0;
/// From this size in bytes on, a trial is evidence for the claim about a live 100 GB database.
const HUGE_BYTES: u64 = 90_000_000_000;
/// The claimed time in seconds, with a margin for other machines.
const HUGE_SECONDS_MAX: f64 = 600.0;

fn number_of(trial: &Trial, setting: &str) -> Option<i64> {
    trial.settings.get(setting)?.as_i64()
}

fn in_mode(trial: &Trial, mode: &str) -> bool {
    trial.workload.journal_mode.as_deref() == Some(mode)
}

fn is_shell_backup(trial: &Trial) -> bool {
    trial.strategy == "sqlite-cli-backup"
}

fn is_pinned(trial: &Trial) -> bool {
    trial.settings.get("pinned").is_some_and(|pinned| pinned == true)
}

/// Copies some pages per step, each step in a separate read transaction.
fn is_stepping(trial: &Trial) -> bool {
    let steps = trial.strategy == "sqlite-online-backup"
        && number_of(trial, "step_pages").is_some_and(|pages| pages > 0)
        && !is_pinned(trial);
    steps || is_shell_backup(trial)
}

pub(super) fn steps_in_wal(trial: &Trial) -> bool {
    is_stepping(trial) && in_mode(trial, "wal") && has_writes(trial)
}

pub(super) fn has_one_step_in_wal(trial: &Trial) -> bool {
    let one_step = number_of(trial, "step_pages") == Some(-1);
    trial.strategy == "sqlite-online-backup" && one_step && in_mode(trial, "wal") && has_writes(trial)
}

pub(super) fn has_one_step_at_100_gb(trial: &Trial) -> bool {
    has_one_step_in_wal(trial) && trial.dataset.target_bytes >= HUGE_BYTES
}

pub(super) fn is_pinned_in_steps_of_100(trial: &Trial) -> bool {
    trial.strategy == "sqlite-online-backup"
        && is_pinned(trial)
        && number_of(trial, "step_pages") == Some(100)
        && in_mode(trial, "wal")
        && has_writes(trial)
}

pub(super) fn is_shell_backup_of_demo(trial: &Trial) -> bool {
    is_shell_backup(trial) && has_writes(trial) && trial.dataset.target_bytes >= DEMO_BYTES
}

fn is_shell_backup_in_delete_mode(trial: &Trial) -> bool {
    is_shell_backup(trial) && in_mode(trial, "delete") && has_writes(trial)
}

pub(super) fn has_no_timeout_in_delete_mode(trial: &Trial) -> bool {
    is_shell_backup_in_delete_mode(trial) && number_of(trial, "timeout_ms") == Some(0)
}

pub(super) fn has_timeout_in_delete_mode(trial: &Trial) -> bool {
    is_shell_backup_in_delete_mode(trial) && number_of(trial, "timeout_ms").is_some_and(|timeout| timeout > 0)
}

/// A stepping backup under Poisson arrivals, at one of the rates of the measurement at 300 MB.
pub(super) fn is_at_a_rate_of_300_mb(trial: &Trial) -> bool {
    is_of_the_restart_model(trial)
        && trial.workload.writes_per_second.is_some_and(|rate| RATES.contains(&rate))
}

fn is_poisson(trial: &Trial) -> bool {
    trial.workload.arrivals == "poisson" && trial.workload.pattern == "constant"
}

/// A backup that every commit restarts, with a known pass time, at a known rate.
pub(super) fn is_of_the_restart_model(trial: &Trial) -> bool {
    let pass = trial.backup.as_ref().and_then(|backup| backup.pass_seconds);
    steps_in_wal(trial) && is_poisson(trial) && pass.is_some() && trial.workload.writes_per_second.is_some()
}

fn commits(trial: &Trial) -> f64 {
    let commits =
        trial.backup.as_ref().and_then(|backup| Some(backup.commits_per_second? * backup.elapsed_seconds));
    commits.unwrap_or(0.0)
}

/// From the counter of the tool if there is one, else from the number of bytes written.
fn restarted(trial: &Trial) -> bool {
    let Some(backup) = &trial.backup else { return false };
    match (backup.restarts, backup.bytes_written) {
        (Some(restarts), _) => restarts > 0,
        (None, Some(written)) => written as f64 > WRITTEN_AGAIN * trial.dataset.bytes as f64,
        (None, None) => false,
    }
}

fn finished(trial: &Trial) -> bool {
    trial.backup.as_ref().is_some_and(|backup| backup.seconds.is_some())
}

/// Every commit of another connection restarts the backup.
pub(super) fn judge_restarts(trials: &[&Trial]) -> Finding {
    let disturbed: Vec<&&Trial> =
        trials.iter().filter(|trial| restarted(trial) || commits(trial) > UNNOTICED_COMMITS).collect();
    if disturbed.is_empty() {
        return Finding::not_tested("No commit happened during any of these backups.");
    }
    let again = disturbed.iter().filter(|trial| restarted(trial)).count();
    let counted =
        disturbed.iter().filter_map(|trial| Some((trial.backup.as_ref()?.restarts?, trial.backup.as_ref()?)));
    let most = counted.max_by_key(|(restarts, _)| *restarts).map_or(String::new(), |(restarts, backup)| {
        let elapsed = number::seconds(backup.elapsed_seconds);
        let commits = number::or_missing(backup.commits_per_second, number::rate);
        format!(" Most restarts: {} in {elapsed} at {commits}.", number::count(restarts as f64))
    });
    let text =
        format!("{again} of {} backups with commits during the copy restarted.{most}", disturbed.len());
    Finding::new(Answer::of(again, disturbed.len()), text)
}

/// The backup finishes at 1 write per second, restarts and finishes at 4, and never finishes at 20.
pub(super) fn judge_300_mb(trials: &[&Trial]) -> Finding {
    let mut sorted = trials.to_vec();
    sorted.sort_by_key(|trial| trial.dataset.target_bytes);
    let sizes = sorted.chunk_by(|a, b| a.dataset.target_bytes == b.dataset.target_bytes);
    let (mut holding, mut comparable, mut texts) = (0, 0, Vec::new());
    for here in sizes {
        let size = target_size(here[0]);
        let passes = here.iter().filter_map(|trial| trial.backup.as_ref()?.pass_seconds);
        let Some(pass) = Spread::of(passes).map(|spread| spread.median) else { continue };
        if !PASS_SECONDS.contains(&pass) {
            texts.push(format!("{size}: not comparable, a pass took {}", number::seconds(pass)));
            continue;
        }
        let [slow, medium, fast] = RATES.map(|rate| -> Vec<&Trial> {
            here.iter().filter(|trial| trial.workload.writes_per_second == Some(rate)).copied().collect()
        });
        if slow.is_empty() || medium.is_empty() || fast.is_empty() {
            texts.push(format!("{size}: not all of the rates 1, 4 and 20 /s were tested"));
            continue;
        }
        comparable += 1;
        let holds = slow.iter().all(|trial| finished(trial))
            && medium.iter().any(|trial| restarted(trial) && finished(trial))
            && !fast.iter().any(|trial| finished(trial));
        holding += usize::from(holds);
        let again = medium.iter().filter(|trial| restarted(trial)).count();
        texts.push(format!(
            "{size}, a pass of {}: at 1 /s {}; at 4 /s {}, and {again} restarted; at 20 /s {}",
            number::seconds(pass),
            how_many_finished(&slow),
            how_many_finished(&medium),
            how_many_finished(&fast),
        ));
    }
    Finding::new(Answer::of(holding, comparable), texts.join(". ") + ".")
}

fn how_many_finished(trials: &[&Trial]) -> String {
    let finished: Vec<&Trial> = trials.iter().filter(|trial| finished(trial)).copied().collect();
    let median = match finished.as_slice() {
        [] => String::new(),
        some => format!(" (median {})", median(elapsed(some), number::seconds)),
    };
    format!("{} of {} finished{median}", finished.len(), trials.len())
}

/// The mean time is (e^(rT) - 1) / r.
///
/// Times of single backups vary as in an exponential distribution, and some backups were ended early. The estimate is
/// therefore the total time spent, in units of the predicted mean, divided by the number of backups that finished.
pub(super) fn judge_model(trials: &[&Trial]) -> Finding {
    let spent = trials.iter().filter_map(|trial| {
        let backup = trial.backup.as_ref()?;
        let predicted = expected_seconds(backup.pass_seconds?, trial.workload.writes_per_second?);
        Some(predicted.map_or(0.0, |predicted| backup.elapsed_seconds / predicted))
    });
    let spent: f64 = spent.sum();
    let finished = trials.iter().filter(|trial| finished(trial)).count();
    if finished < FINISHED_MIN {
        return Finding::not_tested(format!(
            "{finished} of {} backups finished: at least {FINISHED_MIN} are needed for an average.",
            trials.len()
        ));
    }
    let ratio = spent / finished as f64;
    let right = (1.0 / MODEL_FACTOR..=MODEL_FACTOR).contains(&ratio);
    let answer = if right { Answer::Confirmed } else { Answer::Refuted };
    let text = format!(
        "{} backups, of which {finished} finished: the mean time was {} times the predicted one.",
        trials.len(),
        number::ratio(ratio)
    );
    Finding::new(answer, text)
}

/// The backup never restarts, however many commits happen during the copy.
pub(super) fn judge_no_restart(trials: &[&Trial]) -> Finding {
    let disturbed: Vec<&Trial> = trials.iter().filter(|trial| commits(trial) > 0.0).copied().collect();
    if disturbed.is_empty() {
        return Finding::not_tested("No commit happened during any of these backups.");
    }
    let steady = |trial: &&&Trial| {
        let restarts = trial.backup.as_ref().and_then(|backup| backup.restarts);
        trial.verdict == Verdict::Restorable && restarts == Some(0)
    };
    let good = disturbed.iter().filter(steady).count();
    let most = disturbed.iter().map(|trial| commits(trial)).fold(0.0, f64::max);
    let largest = disturbed.iter().max_by_key(|trial| trial.dataset.target_bytes);
    let speeds = disturbed.iter().filter_map(|trial| trial.backup.as_ref()?.vs_copy);
    let text = format!(
        "{good} of {} backups were restorable without a restart, up to {} and with up to {} commits during the copy; \
         median copy speed {} (1.0 is as fast as a plain copy).",
        disturbed.len(),
        largest.map_or(String::new(), |trial| target_size(trial)),
        number::count(most.round()),
        median(speeds, number::ratio)
    );
    // One restart is enough to refute "never".
    let answer = if good == disturbed.len() { Answer::Confirmed } else { Answer::Refuted };
    Finding::new(answer, text)
}

/// A live database of 100 GB is copied in one step within minutes.
pub(super) fn judge_100_gb(trials: &[&Trial]) -> Finding {
    let quick = |trial: &&&Trial| {
        let seconds = trial.backup.as_ref().and_then(|backup| backup.seconds);
        trial.verdict == Verdict::Restorable && seconds.is_some_and(|seconds| seconds <= HUGE_SECONDS_MAX)
    };
    let good = trials.iter().filter(quick).count();
    let text =
        format!("{good} of {} copies, median {}.", trials.len(), median(elapsed(trials), number::seconds));
    Finding::new(Answer::of(good, trials.len()), text)
}

/// The command line `.backup` does not finish on the demo database.
pub(super) fn judge_demo(trials: &[&Trial]) -> Finding {
    let unfinished = trials.iter().filter(|trial| !finished(trial)).count();
    let progress = trials.iter().filter_map(|trial| trial.backup.as_ref()?.progress);
    let text = format!(
        "{unfinished} of {} backups did not finish: they copied at most {} in {}.",
        trials.len(),
        number::or_missing(progress.reduce(f64::max), number::percent),
        median(elapsed(trials), number::seconds)
    );
    Finding::new(Answer::of(unfinished, trials.len()), text)
}

fn found_lock(trial: &Trial) -> bool {
    let output = trial.backup.as_ref().and_then(|backup| backup.output.as_deref());
    trial.verdict == Verdict::Failed
        && [output.unwrap_or_default(), &trial.reason].iter().any(|text| text.contains("locked"))
}

fn failed_at_once(trial: &Trial) -> bool {
    let elapsed = trial.backup.as_ref().map(|backup| backup.elapsed_seconds);
    found_lock(trial) && elapsed.is_some_and(|seconds| seconds <= AT_ONCE_SECONDS)
}

/// Without a timeout, a single lock makes the backup fail at once.
pub(super) fn judge_locked(trials: &[&Trial]) -> Finding {
    let at_once: Vec<&Trial> = trials.iter().filter(|trial| failed_at_once(trial)).copied().collect();
    let text = format!(
        "{} of {} backups failed at once with 'database is locked', after {} (median).",
        at_once.len(),
        trials.len(),
        median(elapsed(&at_once), number::seconds)
    );
    Finding::new(Answer::of(at_once.len(), trials.len()), text)
}

/// With a timeout, no lock makes the backup fail at once. It may still never finish.
pub(super) fn judge_timeout(trials: &[&Trial]) -> Finding {
    let late: Vec<&Trial> =
        trials.iter().filter(|trial| found_lock(trial) && !failed_at_once(trial)).copied().collect();
    let at_once = trials.iter().filter(|trial| failed_at_once(trial)).count();
    let done = trials.iter().filter(|trial| finished(trial)).count();
    let answer = match Answer::of(trials.len() - at_once, trials.len()) {
        Answer::Confirmed if !late.is_empty() => Answer::ConfirmedUnderConditions,
        answer => answer,
    };
    let text = format!(
        "Of {} backups with a timeout, {at_once} failed at once, {} failed with 'database is locked' after {} \
         (median), and {done} finished.",
        trials.len(),
        late.len(),
        median(elapsed(&late), number::seconds)
    );
    Finding::new(answer, text)
}

#[cfg(test)]
mod tests;
