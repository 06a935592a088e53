//! The section on faults.

use super::trial::anchor;
use crate::printable;
use crate::reaction::Reaction;
use crate::record::Trial;
use crate::render::faults::{self, LEGEND, MatrixCell};
use crate::render::number;

/// The content of the section on faults.
pub(super) struct FaultSection {
    pub summary: String,
    /// Lists of trials, each with its title.
    pub lists: Vec<(&'static str, Vec<Item>)>,
    pub columns: Vec<String>,
    pub rows: Vec<(String, Vec<LinkedCell>)>,
    pub legend: &'static [(&'static str, &'static str)],
    pub detail_columns: Vec<String>,
    pub details: Vec<Vec<String>>,
}

/// What is said about a trial, with a link to its section.
pub(super) struct Item {
    pub anchor: String,
    pub id: String,
    pub text: String,
}

/// A cell that links to the section of a trial.
pub(super) struct LinkedCell {
    pub text: String,
    pub class: &'static str,
    /// Empty for a fault that was not tried.
    pub anchor: String,
}

/// The section on faults; `None` when no trial had one.
pub(super) fn of(trials: &[Trial]) -> Option<FaultSection> {
    let found = faults::faults(trials)?;
    let item = |(trial, reason): &(&Trial, String)| {
        let proof = trial.fault.as_ref().and_then(|fault| fault.proof.as_ref());
        let struck = proof.map_or(String::new(), |proof| format!(" (fault: {proof})"));
        let text = printable(&format!("{reason}{struck}"));
        Item { anchor: anchor(&trial.id), id: trial.id.clone(), text }
    };
    let lists = [
        ("Silent: success was reported, and the result is wrong or missing", &found.silent),
        ("Harmed", &found.harmed),
        ("Inconclusive", &found.inconclusive),
    ];
    let lists = lists.into_iter().filter(|(_, items)| !items.is_empty());
    let cell = |cell: &Option<MatrixCell<'_>>| match cell {
        None => LinkedCell { text: number::MISSING.into(), class: "", anchor: String::new() },
        Some(cell) => LinkedCell {
            text: cell.text.clone(),
            class: cell.reaction.map_or("", Reaction::name),
            anchor: anchor(&cell.trial.id),
        },
    };
    let rows = found.matrix.rows.iter().map(|(name, cells)| (name.clone(), cells.iter().map(cell).collect()));
    let details = found.details.rows().map(|row| row.iter().map(|cell| printable(&cell.text)).collect());
    Some(FaultSection {
        summary: found.summary.clone(),
        lists: lists.map(|(title, items)| (title, items.iter().map(item).collect())).collect(),
        columns: found.matrix.faults.clone(),
        rows: rows.collect(),
        legend: &LEGEND,
        detail_columns: found.details.columns.iter().map(|column| column.label.clone()).collect(),
        details: details.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::faults::example_run;

    #[test]
    fn each_cell_links_to_a_trial() {
        let trials = example_run::trials();
        let section = of(&trials).unwrap();
        let cells: Vec<&LinkedCell> = section.rows.iter().flat_map(|(_, cells)| cells).collect();
        let linked = cells.iter().filter(|cell| !cell.anchor.is_empty()).count();
        assert_eq!((cells.len(), linked), (6, 5));
        assert_eq!(section.lists.iter().map(|(_, items)| items.len()).collect::<Vec<_>>(), [1, 1, 1]);
        assert!(of(&[]).is_none());
    }
}
