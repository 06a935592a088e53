//! Generates arbitrary records, for properties that must hold whatever was measured and whatever is missing.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::example;
use crate::record::*;

/// A run of a few trials in which every optional value is sometimes missing.
pub fn results() -> impl Strategy<Value = Results> {
    (vec(trial(), 0..5), 0..8u32, vec(calibration(), 0..3), text()).prop_map(
        |(trials, planned_trials, calibration, words)| {
            let mut results = example::results(trials);
            results.run.planned_trials = planned_trials;
            results.run.calibration = calibration;
            (results.run.scenario, results.run.description) = (words.clone(), words.clone());
            (results.run.command, results.run.host.cpu) = (words.clone(), words);
            results
        },
    )
}

/// Text that contains everything with a meaning in Markdown, and no letters that could spell `NaN` or `inf`.
fn text() -> impl Strategy<Value = String> {
    "[xyz |\n`*<\\\\]{0,8}"
}

/// Numbers of all magnitudes, and some that are not finite.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![8 => 0.0..100.0f64, 2 => any::<f64>(), 1 => Just(0.0), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)]
}

fn maybe() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(number())
}

fn whole() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(prop_oneof![0..1000u64, any::<u64>()])
}

fn verdict() -> impl Strategy<Value = Verdict> {
    use Verdict::*;
    prop::sample::select(vec![Restorable, Unavailable, Unverified, TimedOut, Stalled, Failed, Lossy, Corrupt])
}

fn trial() -> impl Strategy<Value = Trial> {
    let measured = (
        prop::option::of(backup()),
        prop::option::of(impact()),
        prop::option::of((number(), maybe())),
        prop::option::of((any::<u64>(), maybe())),
        prop::option::of(verification()),
        whole(),
    );
    let kinds = prop::sample::select(vec![None, Some("cold"), Some("snapshot"), Some("continuous")]);
    let kind = kinds.prop_map(|kind| kind.map(str::to_owned));
    let kind = (kind, any::<Option<bool>>());
    let planned = (verdict(), vec(verdict(), 0..3), any::<bool>(), text(), workload(), any::<u64>(), kind);
    (planned, measured).prop_map(|((verdict, expected, control, words, workload, size, kind), measured)| {
        let (backup, impact, restore, lost, verification, memory) = measured;
        let mut trial = example::trial("any", verdict);
        (trial.id, trial.variant, trial.reason, trial.promise) =
            (words.clone(), words.clone(), words.clone(), words.clone());
        trial.fault = Some(words.clone()).filter(|words| words.len() > 6).map(fault);
        trial.offsite = Some(words.clone()).filter(|words| words.len() == 6).map(offsite);
        let words = Some(words).filter(|words| words.len() > 4);
        (trial.control, trial.expected, trial.workload) = (control, expected, workload);
        (trial.kind, trial.survives_disk_loss) = kind;
        (trial.dataset.bytes, trial.dataset.target_bytes) = (size, size);
        (trial.backup, trial.impact, trial.verification) = (backup, impact, verification);
        trial.restore = restore.map(|(seconds, recovery_seconds)| Restore {
            seconds: Some(seconds),
            recovery_seconds,
            output: None,
        });
        trial.recovery_point = lost.map(|(lost_writes, lost_seconds)| RecoveryPoint {
            acknowledged_writes: lost_writes,
            indeterminate_writes: 0,
            lost_writes,
            lost_promised_writes: 0,
            never_written: None,
            lost_seconds,
            lost_writes_at_completion: Some(lost_writes),
            lost_seconds_at_completion: lost_seconds,
            staleness_at_completion_seconds: lost_seconds,
        });
        trial.resources.strategy.memory_bytes_max = memory;
        trial.leftover = words.clone();
        trial.kept = memory.map(|bytes| Kept {
            path: words.clone(),
            bytes,
            left_out: words.iter().cloned().collect(),
        });
        trial
    })
}

fn fault(words: String) -> Fault {
    let aftermath = |ok| Some(Aftermath { ok, reason: words.clone() });
    Fault {
        label: words.clone(),
        proof: Some(words.clone()),
        reported_seconds: Some(f64::NAN),
        previous_backup: aftermath(true),
        source: aftermath(false),
        leftovers: vec![words.clone()],
        ..Fault::default()
    }
}

fn offsite(words: String) -> Offsite {
    let stage = |is_back, seconds| Stage {
        name: words.clone(),
        is_back,
        seconds,
        bytes_in: 0,
        bytes_out: u64::MAX,
        cpu_seconds: Some(f64::INFINITY),
        memory_bytes_max: None,
        requests: None,
    };
    Offsite {
        label: words.clone(),
        stages: vec![stage(false, f64::NAN), stage(true, 0.0)],
        ..Offsite::default()
    }
}

fn workload() -> impl Strategy<Value = Workload> {
    let arrivals = prop::sample::select(vec!["constant", "poisson", "closed"]);
    let pattern = prop::sample::select(vec!["constant", "burst"]);
    (maybe(), arrivals, pattern).prop_map(|(writes_per_second, arrivals, pattern)| Workload {
        writes_per_second,
        arrivals: arrivals.into(),
        pattern: pattern.into(),
        ..example::trial("any", Verdict::Restorable).workload
    })
}

fn backup() -> impl Strategy<Value = Backup> {
    let times = (maybe(), number(), maybe(), maybe(), maybe(), maybe(), maybe(), maybe());
    let counts = (whole(), whole(), whole(), prop::option::of(text()));
    (times, counts).prop_map(|(times, (artifact_bytes, bytes_written, restarts, output))| Backup {
        seconds: times.0,
        elapsed_seconds: times.1,
        progress: times.2,
        pass_seconds: times.3,
        commits_per_second: times.4,
        eta_seconds: times.5,
        copy_seconds: times.6,
        vs_copy: times.7,
        artifact_bytes,
        bytes_written,
        restarts,
        output,
        ..Backup::default()
    })
}

fn impact() -> impl Strategy<Value = Impact> {
    let window = || {
        prop::option::of((maybe(), maybe())).prop_map(|measured| {
            measured.map(|(p99_ms, max_ms)| Window {
                seconds: 5.0,
                writes: None,
                p50_ms: None,
                p99_ms,
                p999_ms: None,
                max_ms,
                writes_per_second: 0.0,
                errors: 0,
            })
        })
    };
    (window(), window(), maybe()).prop_map(|(reference, during, blocked_seconds)| Impact {
        reference,
        during,
        blocked_seconds,
        longest_blocked_seconds: None,
        downtime_seconds: None,
    })
}

fn verification() -> impl Strategy<Value = Verification> {
    let check = || prop::option::of(prop_oneof![Just(Check::Pass), Just(Check::Fail)]);
    let level = prop::option::of(prop_oneof![Just(Level::Full), Just(Level::Fast)]);
    (level, check(), check(), vec(text(), 0..9), vec(text(), 0..3)).prop_map(
        |(level, integrity, loss, findings, remarks)| Verification {
            level,
            integrity,
            loss,
            findings,
            remarks,
            ..Verification::default()
        },
    )
}

fn calibration() -> impl Strategy<Value = Calibration> {
    (any::<u64>(), number(), vec(number(), 0..4)).prop_map(|(dataset_bytes, seconds, copy_seconds)| {
        Calibration {
            dataset_bytes,
            sequential_read_seconds: seconds,
            durable_write_bytes_per_second: seconds,
            copy_seconds,
            fsync_ms: seconds,
            hash_bytes_per_second: seconds,
        }
    })
}
