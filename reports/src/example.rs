//! Small records for tests: a restorable trial, and how every other verdict differs from it.

use std::collections::BTreeMap;

use crate::record::*;

const MIB: u64 = 1 << 20;

/// A complete run of these trials.
pub fn results(trials: Vec<Trial>) -> Results {
    Results {
        schema: SCHEMA.into(),
        run: Run {
            id: "example-20260301-120000".into(),
            scenario: "example".into(),
            description: "Every verdict once, on a small database.".into(),
            command: "cargo xtask run scenarios/example.toml --seed 7".into(),
            planned_trials: trials.len() as u32,
            started_at: "2026-03-01T12:00:00Z".parse().unwrap(),
            seed: 7,
            harness_version: "0.1.0 (211b65f)".into(),
            host: Host {
                os: "Debian GNU/Linux 12 (bookworm)".into(),
                kernel: "6.1.0".into(),
                cpu: "Example CPU".into(),
                cpus: 2,
                memory_bytes: 24 * 1024 * MIB,
                filesystem: "ext4".into(),
                free_bytes: 100 * 1024 * MIB,
            },
            calibration: vec![Calibration {
                dataset_bytes: 300 * MIB,
                sequential_read_seconds: 0.7,
                durable_write_bytes_per_second: 420e6,
                copy_seconds: vec![0.9, 1.0, 1.2],
                fsync_ms: 1.5,
                hash_bytes_per_second: 12e9,
            }],
            conditions: BTreeMap::new(),
            shard: None,
            machines: Vec::new(),
        },
        trials,
    }
}

/// One trial with 300 MiB in WAL mode at 20 writes per second. A trial with this verdict ends at the same phase.
pub fn trial(strategy: &str, verdict: Verdict) -> Trial {
    let mut trial = restorable(strategy);
    trial.verdict = verdict;
    match verdict {
        Verdict::Restorable => {}
        Verdict::Lossy => {
            trial.reason = "3 writes are missing that the strategy promised to keep".into();
            let verification = trial.verification.as_mut().unwrap();
            verification.loss = Some(Check::Fail);
            verification.findings = vec!["writer 0: rows end at write 97, acknowledged up to 100".into()];
            trial.recovery_point.as_mut().unwrap().lost_promised_writes = 3;
        }
        Verdict::Corrupt => {
            trial.reason = "the restored database is wrong: 2 of 6 checks failed".into();
            let verification = trial.verification.as_mut().unwrap();
            verification.integrity = Some(Check::Fail);
            verification.transactions = Some(Check::Fail);
            verification.findings = (1..=9).map(|row| format!("row {row} is torn: a|b")).collect();
        }
        Verdict::Stalled | Verdict::TimedOut | Verdict::Failed => {
            trial.reason = "no progress for 12 s".into();
            let backup = trial.backup.as_mut().unwrap();
            backup.seconds = None;
            backup.artifact_bytes = None;
            backup.vs_copy = None;
            backup.progress = Some(0.31);
            without_restore(&mut trial);
        }
        Verdict::Unavailable | Verdict::Unverified => {
            trial.reason = match verdict {
                Verdict::Unavailable => "litestream is not on PATH: install version 0.5 or newer".into(),
                _ => "no write was acknowledged".into(),
            };
            (trial.backup, trial.impact) = (None, None);
            trial.resources = Resources::default();
            without_restore(&mut trial);
        }
    }
    trial
}

/// A trial of a backup that every commit restarts: 0.5 s per pass, at 20 Poisson commits per second.
pub fn restarting(strategy: &str, verdict: Verdict, restarts: u64) -> Trial {
    let mut trial = trial(strategy, verdict);
    let backup = trial.backup.as_mut().unwrap();
    backup.restarts = Some(restarts);
    backup.pass_seconds = Some(0.5);
    backup.commits_per_second = Some(20.0);
    backup.bytes_written = Some(4800 * MIB);
    trial
}

/// A run with every verdict, a control, repetitions and an expectation.
pub fn all_verdicts() -> Results {
    let mut repeated = trial("one-step", Verdict::Restorable);
    repeated.repetition = 2;
    let backup = repeated.backup.as_mut().unwrap();
    (backup.seconds, backup.elapsed_seconds, backup.vs_copy) = (Some(1.5), 1.5, Some(1.0 / 1.5));
    let mut expected = restarting("shell-backup", Verdict::Stalled, 240);
    expected.expected = vec![Verdict::Stalled, Verdict::TimedOut];
    expected.variant = "step_pages=100".into();
    expected.backup.as_mut().unwrap().eta_seconds = Some(1101.0);
    let mut lucky = restarting("shell-backup", Verdict::Restorable, 3);
    lucky.variant = "step_pages=1000".into();
    let mut failed = trial("shell-locked", Verdict::Failed);
    failed.reason = "exit status 1".into();
    failed.backup.as_mut().unwrap().output = Some("Error: database is locked".into());
    let mut cold = trial("cold-copy", Verdict::Restorable);
    cold.kind = Some("cold".into());
    let impact = cold.impact.as_mut().unwrap();
    (impact.blocked_seconds, impact.downtime_seconds) = (Some(1.5), Some(1.5));
    let mut control = trial("hot-copy", Verdict::Corrupt);
    control.control = true;
    control.promise = "nothing".into();
    let mut trials = vec![
        trial("one-step", Verdict::Restorable),
        cold,
        expected,
        lucky,
        trial("slow", Verdict::TimedOut),
        failed,
        trial("shipper", Verdict::Lossy),
        trial("litestream", Verdict::Unavailable),
        trial("vacuum-into", Verdict::Unverified),
        control,
        repeated,
    ];
    for (at, trial) in trials.iter_mut().enumerate() {
        trial.id = format!("t{:02}-{}", at + 1, trial.strategy);
    }
    results(trials)
}

fn without_restore(trial: &mut Trial) {
    (trial.restore, trial.recovery_point, trial.verification) = (None, None, None);
}

fn restorable(strategy: &str) -> Trial {
    Trial {
        id: format!("{strategy}-1"),
        engine: "sqlite".into(),
        app: "embedded".into(),
        strategy: strategy.into(),
        kind: Some("online".into()),
        control: false,
        promise: "the state at some moment of the backup; later writes are lost".into(),
        survives_disk_loss: Some(true),
        settings: BTreeMap::new(),
        variant: String::new(),
        dataset: dataset(),
        file_system: Some("ext4".into()),
        workload: workload(),
        fault: None,
        offsite: None,
        repetition: 1,
        verdict: Verdict::Restorable,
        reason: "all checks passed".into(),
        expected: Vec::new(),
        thresholds: BTreeMap::new(),
        versions: BTreeMap::from([("sqlite".into(), "3.53.0".into())]),
        phases: vec![PhaseStart { phase: "provision".into(), at_seconds: 0.0 }],
        backup: Some(Backup {
            seconds: Some(1.25),
            elapsed_seconds: 1.25,
            artifact_bytes: Some(300 * MIB),
            bytes_written: Some(300 * MIB),
            restarts: Some(0),
            copy_seconds: Some(1.0),
            vs_copy: Some(0.8),
            ..Backup::default()
        }),
        impact: Some(impact()),
        live_restores: Vec::new(),
        restore: Some(Restore { seconds: Some(1.1), recovery_seconds: Some(1.4), output: None }),
        recovery_point: Some(recovery_point()),
        verification: Some(passed()),
        resources: Resources {
            strategy: Usage { memory_bytes_max: Some(12 * MIB), ..Usage::default() },
            ..Resources::default()
        },
        samples: Vec::new(),
        kept: None,
        leftover: None,
    }
}

fn dataset() -> Dataset {
    Dataset {
        profile: "torrust-demo".into(),
        target_bytes: 300 * MIB,
        bytes: 300 * MIB,
        rows: 2_900_000,
        seed: 7,
        remarks: Vec::new(),
    }
}

fn impact() -> Impact {
    Impact {
        reference: Some(window(2.5, 12.0)),
        during: Some(window(8.0, 130.0)),
        blocked_seconds: Some(0.0),
        longest_blocked_seconds: Some(0.0),
        downtime_seconds: Some(0.0),
    }
}

fn recovery_point() -> RecoveryPoint {
    RecoveryPoint {
        acknowledged_writes: 100,
        indeterminate_writes: 0,
        lost_writes: 40,
        lost_promised_writes: 0,
        never_written: None,
        lost_seconds: Some(2.0),
        lost_writes_at_completion: Some(1),
        lost_seconds_at_completion: Some(0.01),
        staleness_at_completion_seconds: Some(0.01),
    }
}

fn passed() -> Verification {
    Verification {
        level: Some(Level::Full),
        integrity: Some(Check::Pass),
        prefix: Some(Check::Pass),
        order: Some(Check::Pass),
        transactions: Some(Check::Pass),
        content: Some(Check::Pass),
        loss: Some(Check::Pass),
        configuration: None,
        findings: Vec::new(),
        remarks: Vec::new(),
        seconds: 3.0,
    }
}

fn workload() -> Workload {
    Workload {
        writes_per_second: Some(20.0),
        offered_writes_per_second: Some(19.8),
        pattern: "constant".into(),
        arrivals: "poisson".into(),
        writers: 2,
        rows_per_transaction: 1,
        multi_row_share: 0.1,
        journal_mode: Some("wal".into()),
        synchronous: Some("full".into()),
        busy_timeout_ms: Some(5000),
        wal_autocheckpoint: Some(1000),
        journal_size_limit: None,
        checkpoints: None,
        announces: None,
        server_options: BTreeMap::new(),
        cache: "cold".into(),
        cached_share: Some(0.01),
        extents: None,
    }
}

fn window(p99_ms: f64, max_ms: f64) -> Window {
    Window {
        seconds: 5.0,
        writes: Some(100),
        p50_ms: Some(1.2),
        p99_ms: Some(p99_ms),
        p999_ms: Some(max_ms),
        max_ms: Some(max_ms),
        writes_per_second: 20.0,
        errors: 0,
    }
}
