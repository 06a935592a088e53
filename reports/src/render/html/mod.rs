//! `report.html`: an interactive page for choosing a strategy, in one self-contained file.
//!
//! All content that does not need a script is rendered here; the scripts sort, filter and decide. The page may not
//! load anything, and runs only its own script: the content security policy in its head contains the digest of that
//! script.

mod comparison;
mod contenders;
mod faults;
mod figures;
mod label;
mod offsite;
mod trial;
mod trial_fault;

use std::borrow::Cow;

use askama::Template;
use base64::Engine;
use sha2::{Digest, Sha256};

use self::comparison::Comparison;
use self::faults::FaultSection;
use self::offsite::OffsiteSection;
use self::trial::Section;
use crate::compare::{Spread, is_cut_short, without_faults};
use crate::record::{Calibration, Results, Verdict};
use crate::render::plot::{self, Plot};
use crate::render::{number, words};

const STYLE: &str = include_str!("style.css");
/// One script: later parts use the functions of earlier ones, and the last one starts everything.
const SCRIPT: &str = concat!(
    include_str!("units.js"),
    include_str!("sizing.js"),
    include_str!("decide.js"),
    include_str!("comparison.js"),
    include_str!("page.js"),
);

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    title: String,
    policy: String,
    style: &'a str,
    script: &'a str,
    /// The data of the script as JSON, escaped so that it cannot end a script element.
    data: String,
    results: &'a Results,
    /// The number of trials with each verdict: class, words, count.
    counts: Vec<(&'static str, &'static str, usize)>,
    is_cut_short: bool,
    started: String,
    memory: String,
    calibration: Vec<[String; 5]>,
    plots: Vec<Plot>,
    /// Whether there are trials without faults, which can be compared.
    is_comparison: bool,
    comparison: Comparison,
    faults: Option<FaultSection>,
    offsite: Option<OffsiteSection>,
    sections: Vec<Section>,
}

/// The page of a run.
pub fn html(results: &Results) -> String {
    let good_days = without_faults(results);
    let is_comparison = good_days.is_some();
    let good_days =
        good_days.unwrap_or_else(|| Cow::Owned(Results { trials: Vec::new(), ..results.clone() }));
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(SCRIPT));
    let page = Page {
        title: format!("{} · Backup Drill", results.run.scenario),
        policy: format!(
            "default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; \
             base-uri 'none'; form-action 'none'"
        ),
        style: STYLE,
        script: SCRIPT,
        data: in_a_script(&contenders::of(&good_days, &results.trials)),
        results,
        counts: counts(results),
        is_cut_short: is_cut_short(results),
        started: results.run.started_at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        memory: number::bytes(results.run.host.memory_bytes as f64),
        calibration: calibration(results),
        plots: plot::plots(results, "run-"),
        is_comparison,
        comparison: comparison::of(&good_days),
        faults: faults::of(&results.trials),
        offsite: offsite::of(&good_days.trials),
        sections: trial::sections(results),
    };
    page.render().expect("a template writes to a string, which does not fail")
}

/// JSON that is safe in a script element, whatever its texts contain.
fn in_a_script(data: &impl serde::Serialize) -> String {
    let json = serde_json::to_string(data).expect("its keys are texts");
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn counts(results: &Results) -> Vec<(&'static str, &'static str, usize)> {
    let mut counts: Vec<(Verdict, usize)> = Vec::new();
    for trial in &results.trials {
        match counts.iter_mut().find(|(verdict, _)| *verdict == trial.verdict) {
            Some((_, count)) => *count += 1,
            None => counts.push((trial.verdict, 1)),
        }
    }
    counts.sort();
    counts.into_iter().map(|(verdict, count)| (verdict.name(), words::verdict(verdict), count)).collect()
}

/// Best performance of the machine, one row per dataset.
fn calibration(results: &Results) -> Vec<[String; 5]> {
    let speed = |bytes_per_second: f64| {
        number::or_missing(Some(bytes_per_second), |speed| format!("{}/s", number::bytes(speed)))
    };
    let row = |one: &Calibration| {
        let copies = Spread::of(one.copy_seconds.iter().copied());
        [
            number::bytes(one.dataset_bytes as f64),
            speed(one.dataset_bytes as f64 / one.sequential_read_seconds),
            speed(one.durable_write_bytes_per_second),
            number::spread(copies, one.copy_seconds.len(), number::seconds),
            number::or_missing(Some(one.fsync_ms), number::milliseconds),
        ]
    };
    results.run.calibration.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::html;
    use crate::compare::{groups, without_faults};
    use crate::record::Verdict::Restorable;
    use crate::{arbitrary, example};

    /// The visible part of the page: everything except styles, scripts and their data.
    fn body(page: &str) -> String {
        let mut rest = page;
        let mut body = String::new();
        for (begin, end) in [("<style>", "</style>"), ("<script", "</script>"), ("<script", "</script>")] {
            let (before, from) = rest.split_once(begin).unwrap();
            body += before;
            rest = from.split_once(end).unwrap().1;
        }
        body + rest
    }

    #[test]
    fn a_run_that_was_cut_short_or_has_no_trial_says_so() {
        let mut results = example::results(vec![example::trial("one-step", Restorable)]);
        assert!(!html(&results).contains("This run is incomplete."));
        results.run.planned_trials = 5;
        assert!(html(&results).contains("1 of 5 planned trials have a record."));
        results.trials.clear();
        assert!(html(&results).contains("No trial has a record."));
    }

    #[test]
    fn foreign_text_is_not_markup_and_does_not_end_a_script() {
        let mut trial = example::trial("<b>bold</b>", Restorable);
        trial.id = "</script><b>".into();
        trial.reason = "<b>&</b>".into();
        let page = html(&example::results(vec![trial]));
        assert!(!page.contains("<b>"), "{page}");
        assert_eq!(page.matches("</script>").count(), 2);
        assert!(page.contains("&#60;b&#62;&#38;&#60;/b&#62;"));
    }

    proptest! {
        #[test]
        fn any_record_makes_a_page_with_finite_numbers_only(results in arbitrary::results()) {
            let page = html(&results);
            let body = body(&page);
            let compared = without_faults(&results).map_or(0, |plain| groups(&plain.trials).len());
            prop_assert_eq!(body.matches("<tr role=\"row\" data-verdict").count(), compared);
            prop_assert_eq!(body.matches("<section class=\"trial\"").count(), results.trials.len());
            for word in ["NaN", "inf ", "null", "None", "Some("] {
                prop_assert!(!body.contains(word), "{} in {}", word, body);
            }
        }
    }
}
