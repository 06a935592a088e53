//! Measures the error of the model: it is fitted to small databases and compared with measurements of large ones.

use crate::compare::Spread;
use crate::record::{Results, Trial};
use crate::render::number;
use crate::render::table::Table;

use super::contender::Contender;
use super::fit::{FIGURES, bytes, copies, fit_groups, gather};
use super::range::Range;
use super::text;

/// One figure of one strategy at one size that the model was not fitted to.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Strategy and variant.
    pub label: String,
    /// The figure's name.
    pub figure: &'static str,
    /// Size of the database in bytes.
    pub bytes: f64,
    /// The measurements, in seconds or bytes. Never empty.
    pub measured: Vec<f64>,
    /// The prediction.
    pub predicted: Range,
    /// The resolution, in the same unit: smaller values count as 0.
    pub resolution: f64,
}

impl Checked {
    /// The number of measurements within the 90 % interval.
    pub fn inside(&self) -> usize {
        let within = |value: &&f64| (self.predicted.low..=self.predicted.high).contains(*value);
        self.measured.iter().filter(within).count()
    }

    /// The error as a factor of 1 or more: a prediction of half and one of twice the measured value have the same
    /// error.
    fn error(&self) -> f64 {
        let ratio = (self.median() + self.resolution) / (self.predicted.point + self.resolution);
        ratio.max(1.0 / ratio)
    }

    fn median(&self) -> f64 {
        Spread::of(self.measured.iter().copied()).map_or(f64::NAN, |spread| spread.median)
    }
}

/// Fits the model to the trials up to this size, and predicts all larger ones of the same strategies.
pub fn check(runs: &[&Results], fit_up_to_bytes: f64) -> Vec<Checked> {
    let is_small = |trial: &&Trial| bytes(trial) <= fit_up_to_bytes;
    let (mut small, mut large): (Vec<Vec<&Trial>>, Vec<Vec<&Trial>>) = (Vec::new(), Vec::new());
    for trials in gather(runs) {
        let (fitted, predicted): (Vec<&Trial>, Vec<&Trial>) = trials.into_iter().partition(is_small);
        if !fitted.is_empty() && !predicted.is_empty() {
            small.push(fitted);
            large.push(predicted);
        }
    }
    let mut contenders = fit_groups(&small, copies(runs));
    contenders
        .iter_mut()
        .zip(&large)
        .flat_map(|(contender, trials)| of_contender(contender, trials))
        .collect()
}

fn of_contender(contender: &mut Contender, trials: &[&Trial]) -> Vec<Checked> {
    let mut checked: Vec<Checked> = Vec::new();
    for figure in FIGURES {
        let Some(line) = (figure.line)(contender).clone() else { continue };
        for trial in trials {
            let x = (figure.x)(trial);
            let Some(predicted) = line.predict(x) else { continue };
            for value in (figure.values)(trial) {
                let same = |known: &&mut Checked| known.figure == figure.name && known.bytes == bytes(trial);
                match checked.iter_mut().find(same) {
                    Some(known) => known.measured.push(value),
                    None => checked.push(Checked {
                        label: contender.label.clone(),
                        figure: figure.name,
                        bytes: bytes(trial),
                        measured: vec![value],
                        predicted,
                        resolution: figure.shift,
                    }),
                }
            }
        }
    }
    checked
}

/// Predictions and measurements, one row per strategy, figure and size.
pub fn details(checked: &[Checked]) -> Table {
    let header =
        ["Strategy", "Figure", "Size", "Predicted (90 %)", "Measured", "Measured / predicted", "Inside"];
    let row = |one: &Checked| {
        let format = if one.figure == "artifact" { number::bytes } else { number::seconds };
        let ratio = one.median() / one.predicted.point;
        vec![
            one.label.clone(),
            one.figure.to_owned(),
            number::bytes(one.bytes),
            text::range(Some(one.predicted), format),
            number::spread(Spread::of(one.measured.iter().copied()), one.measured.len(), format),
            number::or_missing(Some(ratio), number::ratio),
            format!("{} of {}", one.inside(), one.measured.len()),
        ]
    };
    Table::of_texts(header, checked.iter().map(row).collect())
}

/// For each figure and size: the errors of the predictions, and how many measurements were within the intervals.
pub fn summary(checked: &[Checked]) -> Table {
    let mut places: Vec<(&str, f64)> = checked.iter().map(|one| (one.figure, one.bytes)).collect();
    places.sort_by(|a, b| a.0.cmp(b.0).then(a.1.total_cmp(&b.1)));
    places.dedup();
    let mut rows: Vec<Vec<String>> = places
        .into_iter()
        .map(|(figure, bytes)| {
            let here = checked.iter().filter(|one| one.figure == figure && one.bytes == bytes);
            summary_row(figure, number::bytes(bytes), &here.collect::<Vec<_>>())
        })
        .collect();
    if !checked.is_empty() {
        rows.push(summary_row("all", "all".to_owned(), &checked.iter().collect::<Vec<_>>()));
    }
    let header =
        ["Figure", "Size", "Strategies", "Median error", "Largest error", "Inside the 90 % interval"];
    Table::of_texts(header, rows)
}

fn summary_row(figure: &str, size: String, checked: &[&Checked]) -> Vec<String> {
    let spread = Spread::of(checked.iter().map(|one| one.error()));
    let factor =
        |error: Option<f64>| number::or_missing(error, |error| format!("factor {}", number::ratio(error)));
    let inside: usize = checked.iter().map(|one| one.inside()).sum();
    let all: usize = checked.iter().map(|one| one.measured.len()).sum();
    vec![
        figure.to_owned(),
        size,
        checked.len().to_string(),
        factor(spread.map(|spread| spread.median)),
        factor(spread.map(|spread| spread.max)),
        format!("{inside} of {all} ({})", number::percent(inside as f64 / all.max(1) as f64)),
    ]
}
