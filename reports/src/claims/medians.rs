//! Medians of what trials measured, for the text of a finding.

use crate::compare::Spread;
use crate::record::Trial;
use crate::render::number;

pub(super) fn median(values: impl IntoIterator<Item = f64>, format: fn(f64) -> String) -> String {
    number::or_missing(Spread::of(values).map(|spread| spread.median), format)
}

/// Seconds that each backup ran until it finished or was ended.
pub(super) fn elapsed<'a>(trials: &'a [&Trial]) -> impl Iterator<Item = f64> + 'a {
    trials.iter().filter_map(|trial| Some(trial.backup.as_ref()?.elapsed_seconds))
}
