//! Plots as SVG, made from records: for pages that embed them, and as files beside the report.
//!
//! Every plot is a picture with a title and a description in words, its texts are text, and its colours are custom
//! properties (`--plot-ink`, `--plot-paper`, ...: see `style.rs`), so that a page can set them for a dark ground.
//! Whoever embeds several plots in one page gives each another `id`: letters, digits and hyphens, with which the ids
//! in it begin.

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

use super::File;
use crate::record::{Results, Trial};

/// The names of all files that [`files`] may give.
pub const FILES: [&str; 4] =
    ["loss-against-recovery.svg", "backup-against-latency.svg", "scaling-size.svg", "scaling-rate.svg"];

/// A plot of a whole run.
pub struct Plot {
    /// Its name as a file.
    pub name: &'static str,
    /// What it shows, in a few words, for those who do not see it.
    pub alt: &'static str,
    /// The SVG, for a page that embeds it.
    pub svg: String,
}

/// Data loss against recovery time, one mark a strategy: blocked time is the area of its bubble, the verdict its shape.
/// `None` where no trial has both.
pub fn loss_against_recovery(results: &Results, id: &str) -> Option<String> {
    tradeoff::loss_against_recovery(results, id)
}

/// Backup time against the max write latency meanwhile, drawn as [`loss_against_recovery`].
pub fn backup_against_latency(results: &Results, id: &str) -> Option<String> {
    tradeoff::backup_against_latency(results, id)
}

/// A trial over time: its phases, and what was sampled in them. `None` without samples.
pub fn timeline(trial: &Trial, id: &str) -> Option<String> {
    timeline::draw(trial, id)
}

/// Backup and recovery time against the size of the database. `None` where the run has one size.
pub fn scaling_size(results: &Results, id: &str) -> Option<String> {
    scaling::by_size(results, id)
}

/// Backup time against commits a second, with what the restart model predicts. `None` where the run has one rate.
pub fn scaling_rate(results: &Results, id: &str) -> Option<String> {
    scaling::by_rate(results, id)
}

/// The plots that there is something to show in, in the order in which a reader asks for them. Their ids begin with
/// `id` and their name.
pub fn plots(results: &Results, id: &str) -> Vec<Plot> {
    type Draw = fn(&Results, &str) -> Option<String>;
    let all: [(&str, Draw); 4] = [
        ("Data loss against recovery time of each strategy", loss_against_recovery),
        ("Backup time against max write latency of each strategy", backup_against_latency),
        ("Backup and recovery time against the size of the database", scaling_size),
        ("Backup time against commits a second", scaling_rate),
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

/// The plots of a run as files of their own.
pub fn files(results: &Results) -> Vec<File> {
    plots(results, "")
        .into_iter()
        .map(|plot| File { name: plot.name, content: svg::standalone(&plot.svg) })
        .collect()
}
