//! The section on artifacts that left the machine.

use super::text::plain;
use crate::record::Trial;
use crate::render::offsite::{LEGEND, offsite};

/// The section on artifacts that left the machine, where any did.
pub(super) fn blocks(trials: &[Trial]) -> Vec<String> {
    let Some(tables) = offsite(trials) else { return Vec::new() };
    vec![
        "## Off the machine".to_string(),
        plain(LEGEND),
        tables.summary.markdown(),
        "### Each stage".to_string(),
        tables.stages.markdown(),
    ]
}
