//! Plots of records as SVG: to embed in pages, and as files beside the report.
//!
//! Every plot has a title and a description for screen readers. Its texts are text elements. Its colours are custom
//! properties (`--plot-ink`, `--plot-paper`, ...: see `style.rs`), so that a page can set them for a dark background.
//! Several plots in one page need different `id`s: letters, digits and hyphens, used as a prefix of the ids in the
//! plot.

mod caption;
mod label;
mod lines;
mod mark;
mod naming;
mod scale;
mod scaling;
mod scatter;
mod style;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod timeline;
mod tradeoff;

use crate::compare::without_faults;
use crate::record::{Results, Trial};
use crate::render::file::File;

/// The names of all files that [`files`] may give.
pub const FILES: [&str; 4] =
    ["loss-against-recovery.svg", "backup-against-latency.svg", "scaling-size.svg", "scaling-rate.svg"];

/// A plot of a whole run.
pub struct Plot {
    /// Its file name.
    pub name: &'static str,
    /// Alternative text: what the plot shows, in a few words.
    pub alt: &'static str,
    /// The SVG, for a page that embeds it.
    pub svg: String,
}

/// Data loss against recovery time, with one mark per strategy. The area of its bubble shows the blocked time, its
/// shape the verdict. `None` where no trial has both values.
pub fn loss_against_recovery(results: &Results, id: &str) -> Option<String> {
    tradeoff::loss_against_recovery(results, id)
}

/// Backup time against max write latency during the backup, drawn like [`loss_against_recovery`].
pub fn backup_against_latency(results: &Results, id: &str) -> Option<String> {
    tradeoff::backup_against_latency(results, id)
}

/// A trial over time: its phases and samples. `None` without samples.
pub fn timeline(trial: &Trial, id: &str) -> Option<String> {
    timeline::draw(trial, id)
}

/// Backup and recovery time against the size of the database. `None` where the run has only one size.
pub fn scaling_size(results: &Results, id: &str) -> Option<String> {
    scaling::by_size(results, id)
}

/// Backup time against commits per second, with the predictions of the restart model. `None` where the run has only
/// one rate.
pub fn scaling_rate(results: &Results, id: &str) -> Option<String> {
    scaling::by_rate(results, id)
}

/// The plots that have something to show, the most important ones first. Their ids begin with `id` and their name. Trials
/// with faults are in none of them.
pub fn plots(results: &Results, id: &str) -> Vec<Plot> {
    let Some(results) = &without_faults(results) else { return Vec::new() };
    type Draw = fn(&Results, &str) -> Option<String>;
    let all: [(&str, Draw); 4] = [
        ("Data loss against recovery time of each strategy", loss_against_recovery),
        ("Backup time against max write latency of each strategy", backup_against_latency),
        ("Backup and recovery time against the size of the database", scaling_size),
        ("Backup time against commits per second", scaling_rate),
    ];
    FILES
        .into_iter()
        .zip(all)
        .filter_map(|(name, (alt, draw))| {
            let svg = draw(results, &format!("{id}{}", name.trim_end_matches(".svg")))?;
            Some(Plot { name, alt, svg })
        })
        .collect()
}

/// File name and alternative text of each plot of a run that is a file beside its report.
pub fn names(results: &Results) -> Vec<(&'static str, &'static str)> {
    plots(results, "").into_iter().map(|plot| (plot.name, plot.alt)).collect()
}

/// The plots of a run as separate files.
pub fn files(results: &Results) -> Vec<File> {
    plots(results, "")
        .into_iter()
        .map(|plot| File { name: plot.name, content: svg::standalone(&plot.svg) })
        .collect()
}
