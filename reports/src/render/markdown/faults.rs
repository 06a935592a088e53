//! The section on faults.

use super::text::{code, plain, sentence};
use crate::record::Trial;
use crate::render::faults::{LEGEND, Matrix, faults};
use crate::render::number;
use crate::render::table::Table;

/// The section on faults, where there were any.
pub(super) fn blocks(trials: &[Trial]) -> Vec<String> {
    let Some(found) = faults(trials) else { return Vec::new() };
    let mut blocks = vec!["## Faults".to_string(), plain(&found.summary)];
    blocks.extend(list("Silent: success was reported, and the result is wrong or missing", &found.silent));
    blocks.extend(list("Harmed", &found.harmed));
    blocks.push("### How each strategy reacted".to_string());
    blocks.push(matrix(&found.matrix).markdown());
    let words = LEGEND.map(|(word, meaning)| format!("**{word}**: {meaning}"));
    blocks.push(format!("{}. A dash: the fault makes no sense there, or was not tried.", words.join("; ")));
    blocks.push("### What came through".to_string());
    blocks.push(found.details.markdown());
    blocks.extend(list("Inconclusive", &found.inconclusive));
    blocks
}

fn list(title: &str, items: &[(&Trial, String)]) -> Vec<String> {
    if items.is_empty() {
        return Vec::new();
    }
    let proof = |trial: &Trial| trial.fault.as_ref().and_then(|fault| fault.proof.clone());
    let item = |(trial, reason): &(&Trial, String)| {
        let struck = proof(trial).map_or(String::new(), |proof| format!(" Fault: {}", sentence(&proof)));
        format!("- {}: {}{struck}", code(&trial.id), sentence(reason))
    };
    vec![format!("### {title}"), items.iter().map(item).collect::<Vec<_>>().join("\n")]
}

fn matrix(matrix: &Matrix<'_>) -> Table {
    let header = std::iter::once("Strategy").chain(matrix.faults.iter().map(String::as_str));
    let row = |(name, cells): &(String, Vec<_>)| {
        let texts = cells.iter().map(|cell: &Option<crate::render::faults::MatrixCell<'_>>| {
            cell.as_ref().map_or(number::MISSING.to_string(), |cell| cell.text.clone())
        });
        std::iter::once(name.clone()).chain(texts).collect()
    };
    Table::of_texts(header, matrix.rows.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::faults::example_run;

    #[test]
    fn what_is_silent_comes_first() {
        assert!(blocks(&[]).is_empty());
        insta::assert_snapshot!(blocks(&example_run::trials()).join("\n\n"));
    }
}
