//! `report.html`: a page to decide by, in one file that needs nothing else.
//!
//! Everything that can be read without a script is rendered here; the scripts sort, filter, choose and decide. The page
//! may load nothing, and runs no script but its own: a policy in its head holds the script's digest.

mod comparison;
mod contenders;
mod figures;
mod label;
mod plots;
mod trial;

use askama::Template;
use base64::Engine;
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::comparison::Comparison;
use self::trial::Section;
use crate::compare::is_cut_short;
use crate::record::Results;
use crate::render::{number, words};

const STYLE: &str = include_str!("style.css");
/// One script: later parts use the functions of earlier ones, and the last one starts it all.
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
    /// The data of the script as JSON, with nothing in it that ends a script element.
    data: String,
    results: &'a Results,
    /// How many trials came to each verdict: class, words, count.
    counts: Vec<(&'static str, &'static str, usize)>,
    is_cut_short: bool,
    started: String,
    memory: String,
    calibration: Vec<[String; 5]>,
    plots: Vec<String>,
    comparison: Comparison,
    sections: Vec<Section>,
}

/// The page of a run. `sizing` is the model that answers for sizes and rates that were not tried.
pub fn html(results: &Results, sizing: Option<&Value>) -> String {
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(SCRIPT));
    let page = Page {
        title: format!("{} · Backup Drill", results.run.scenario),
        policy: format!(
            "default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; \
             base-uri 'none'; form-action 'none'"
        ),
        style: STYLE,
        script: SCRIPT,
        data: in_a_script(&contenders::of(results, sizing)),
        results,
        counts: counts(results),
        is_cut_short: is_cut_short(results),
        started: results.run.started_at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        memory: number::bytes(results.run.host.memory_bytes as f64),
        calibration: calibration(results),
        plots: plots::of_run(results),
        comparison: comparison::of(results),
        sections: trial::sections(results),
    };
    page.render().expect("a template writes to a string, which does not fail")
}

/// JSON that can stand in a script element, whatever its texts are.
fn in_a_script(data: &impl serde::Serialize) -> String {
    let json = serde_json::to_string(data).expect("its keys are texts and its numbers finite");
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn counts(results: &Results) -> Vec<(&'static str, &'static str, usize)> {
    let mut counts: Vec<(crate::record::Verdict, usize)> = Vec::new();
    for trial in &results.trials {
        match counts.iter_mut().find(|(verdict, _)| *verdict == trial.verdict) {
            Some((_, count)) => *count += 1,
            None => counts.push((trial.verdict, 1)),
        }
    }
    counts.sort();
    counts.into_iter().map(|(verdict, count)| (verdict.name(), words::verdict(verdict), count)).collect()
}

/// What the machine can do at best, one row a dataset.
fn calibration(results: &Results) -> Vec<[String; 5]> {
    let speed = |bytes_per_second: f64| {
        number::or_missing(Some(bytes_per_second), |speed| format!("{}/s", number::bytes(speed)))
    };
    let row = |one: &crate::record::Calibration| {
        let copies = crate::compare::Spread::of(one.copy_seconds.iter().copied());
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
