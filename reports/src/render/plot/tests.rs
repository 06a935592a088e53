//! Properties of every plot, whatever was measured.

use proptest::prelude::*;
use roxmltree::Document;

use super::{
    FILES, backup_against_latency, files, loss_against_recovery, names, plots, scaling_rate, timeline,
};
use crate::record::{PhaseStart, Results, Sample, Trial, Verdict};
use crate::{arbitrary, example};

const MIB: u64 = 1 << 20;

/// All texts of a plot, its description first.
fn words(svg: &str) -> String {
    let document = Document::parse(svg).unwrap();
    document.descendants().filter_map(|node| node.text()).collect::<Vec<_>>().join("\n")
}

/// Checks what a browser needs to draw a plot, and a screen reader to read it.
fn check(svg: &str, id: &str) -> Result<(), TestCaseError> {
    let document = Document::parse(svg).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let root = document.root_element();
    prop_assert_eq!(root.attribute("role"), Some("img"));
    for label in root.attribute("aria-labelledby").unwrap().split(' ') {
        prop_assert!(label.starts_with(id));
        prop_assert_eq!(document.descendants().filter(|node| node.attribute("id") == Some(label)).count(), 1);
    }
    let numbers = ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "points"];
    for node in document.descendants() {
        for name in numbers {
            let values =
                node.attribute(name).unwrap_or_default().split([' ', ',']).filter(|text| !text.is_empty());
            for value in values {
                let number: f64 = value.parse().unwrap();
                prop_assert!(
                    number.is_finite() && (-100.0..20_000.0).contains(&number),
                    "{}: {}",
                    name,
                    value
                );
            }
        }
    }
    Ok(())
}

fn number() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(prop_oneof![4 => 0.0..100.0f64, 1 => any::<f64>()])
}

fn sample() -> impl Strategy<Value = Sample> {
    let counters = (prop::option::of(any::<u64>()), prop::option::of(any::<u64>()));
    (any::<f64>(), any::<u64>(), number(), number(), number(), counters).prop_map(
        |(at_seconds, acknowledged_writes, latency, remaining, cpu, (read, written))| Sample {
            at_seconds,
            phase: "backup".into(),
            acknowledged_writes,
            latency_p50_ms: latency,
            latency_p99_ms: latency,
            latency_max_ms: remaining,
            journal_bytes: read,
            artifact_bytes: written,
            backup_remaining: remaining,
            subject_cpu_seconds: cpu,
            strategy_cpu_seconds: latency,
            strategy_memory_bytes: read,
            harness_cpu_seconds: None,
            subject_disk_bytes_read: read,
            subject_disk_bytes_written: written,
            strategy_disk_bytes_read: written,
            strategy_disk_bytes_written: written,
            harness_disk_bytes_read: None,
            harness_disk_bytes_written: read,
            unwritten_bytes: written,
            disk_write_ms: latency,
            disk_flush_ms: cpu,
        },
    )
}

/// One strategy at two sizes, and another one that never finished at the larger size.
fn two_sizes() -> Results {
    let sized = |strategy: &str, mib: u64, verdict: Verdict| {
        let mut trial = example::trial(strategy, verdict);
        (trial.dataset.target_bytes, trial.dataset.bytes) = (mib * MIB, mib * MIB);
        trial.id = format!("{strategy}-{mib}");
        trial
    };
    let mut larger = sized("one-step", 1200, Verdict::Restorable);
    larger.backup.as_mut().unwrap().seconds = Some(5.0);
    let trials = vec![
        sized("one-step", 300, Verdict::Restorable),
        larger,
        sized("shell", 300, Verdict::Restorable),
        sized("shell", 1200, Verdict::Stalled),
    ];
    example::results(trials)
}

fn at_rate(rate: f64, verdict: Verdict) -> Trial {
    let mut trial = example::restarting("shell", verdict, 3);
    trial.workload.writes_per_second = Some(rate);
    trial.id = format!("shell-{rate}");
    trial
}

#[test]
fn a_small_plot() {
    insta::assert_snapshot!(loss_against_recovery(&example::all_verdicts(), "a").unwrap());
}

#[test]
fn unfinished_strategies_are_named_below_and_the_others_are_in_the_plot() {
    let results = example::all_verdicts();
    let svg = loss_against_recovery(&results, "a").unwrap();
    let words = words(&svg);
    for name in
        ["one-step", "cold-copy", "shipper", "hot-copy", "slow", "shell-locked", "litestream", "vacuum-into"]
    {
        assert!(words.contains(name), "{name} is missing");
    }
    assert!(words.contains("Never finished: shell-backup step_pages=100"));
    assert!(words.contains("Median of up to 2 trials each"));
}

#[test]
fn records_without_loss_at_completion_show_that_at_the_disaster() {
    let mut results = example::all_verdicts();
    assert!(words(&loss_against_recovery(&results, "a").unwrap()).contains("Data loss at backup completion"));
    for point in results.trials.iter_mut().filter_map(|trial| trial.recovery_point.as_mut()) {
        point.lost_seconds_at_completion = None;
    }
    assert!(words(&loss_against_recovery(&results, "a").unwrap()).contains("Data loss at disaster"));
}

#[test]
fn lines_are_dashed_where_nothing_was_measured_and_what_never_finished_has_a_row() {
    let results = two_sizes();
    assert_eq!(names(&results).iter().map(|(name, _)| *name).collect::<Vec<_>>(), FILES[..3]);
    let svg = super::scaling_size(&results, "a").unwrap();
    assert!(svg.contains("\"line hue-0\"") && svg.contains("\"line dashed hue-0\""));
    assert_eq!(svg.matches(">finished</text>").count(), 1, "only the backup never finishes");
}

#[test]
fn the_restart_model_is_explained_where_a_backup_restarts() {
    let trials = vec![at_rate(1.0, Verdict::Restorable), at_rate(20.0, Verdict::Stalled)];
    let svg = scaling_rate(&example::results(trials), "a").unwrap();
    assert!(words(&svg).contains("(e^(rT) \u{2212} 1) / r seconds on average"));
    assert!(scaling_rate(&example::all_verdicts(), "a").is_none(), "one rate shows no course");
}

#[test]
fn a_separate_file_follows_dark_mode_and_an_embedded_plot_follows_its_page() {
    let results = example::all_verdicts();
    assert!(files(&results).iter().all(|file| file.content.contains("prefers-color-scheme:dark")));
    assert!(plots(&results, "").iter().all(|plot| !plot.svg.contains("prefers-color-scheme")));
}

#[test]
fn a_timeline_has_panels_for_what_was_sampled_only() {
    let mut trial = example::trial("one-step", Verdict::Restorable);
    assert_eq!(timeline(&trial, "a"), None);
    let sample: Sample = serde_json::from_str(
        r#"{"at_seconds": 1.0, "phase": "backup", "acknowledged_writes": 9, "journal_bytes": 4096, "backup_remaining": null,
            "subject_cpu_seconds": null, "strategy_cpu_seconds": null, "strategy_memory_bytes": null}"#,
    )
    .unwrap();
    let busy = Sample { disk_flush_ms: Some(40.0), unwritten_bytes: Some(1 << 30), ..sample.clone() };
    trial.samples = vec![sample, Sample { at_seconds: 2.0, acknowledged_writes: 29, ..busy }];
    trial.phases.push(PhaseStart { phase: "disaster".into(), at_seconds: 1.5 });
    let words = words(&timeline(&trial, "a").unwrap());
    assert!(words.contains("Acknowledged writes per second") && words.contains("Size of the database's log"));
    assert!(words.contains("disaster"));
    assert!(
        words.contains("writes and flushes, mean\n") && words.contains("Page cache not yet written to disk")
    );
    assert!(!words.contains("Processor cores") && !words.contains("Write latency"));
}

proptest! {
    // A case draws several plots.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_record_makes_plots_of_finite_numbers(results in arbitrary::results()) {
        for plot in plots(&results, "p-") {
            check(&plot.svg, &format!("p-{}", plot.name.trim_end_matches(".svg")))?;
        }
        for trial in &results.trials {
            prop_assert_eq!(timeline(trial, "p"), None, "no samples, no timeline");
        }
    }

    #[test]
    fn any_samples_make_a_timeline_of_finite_numbers(
        samples in prop::collection::vec(sample(), 1..12), starts in prop::collection::vec(any::<f64>(), 0..8)
    ) {
        let mut trial = example::trial("any", Verdict::Restorable);
        trial.samples = samples;
        trial.phases = starts.into_iter().map(|at_seconds| PhaseStart { phase: "tail".into(), at_seconds }).collect();
        if let Some(svg) = timeline(&trial, "p") {
            check(&svg, "p")?;
        }
    }

    #[test]
    fn names_chosen_by_users_are_text(name in "\\PC{1,30}") {
        let mut trial = example::trial("any", Verdict::Restorable);
        trial.strategy = name.clone();
        let results = example::results(vec![trial]);
        for svg in [loss_against_recovery(&results, "p"), backup_against_latency(&results, "p")] {
            let svg = svg.unwrap();
            check(&svg, "p")?;
            let shown: Vec<&str> = name.split_whitespace().collect();
            prop_assert!(words(&svg).contains(&shown.join(" ")));
        }
    }
}
