//! `report.md`: what a run found, for a repository or a page of documentation.

mod evidence;
mod machine;
mod reading;
mod summary;
mod text;
mod viability;

use crate::record::Results;
use crate::render::table::comparison;

/// The report of a run as GitHub-flavoured Markdown.
pub fn markdown(results: &Results) -> String {
    let mut blocks = summary::blocks(results);
    blocks.extend(machine::blocks(results));
    blocks.extend(comparison_blocks(results));
    blocks.extend(evidence::blocks(results));
    blocks.extend(viability::blocks(results));
    blocks.extend(reading::blocks(results));
    blocks.join("\n\n") + "\n"
}

fn comparison_blocks(results: &Results) -> Vec<String> {
    let mut blocks = vec!["## Comparison".to_string()];
    for block in comparison(results) {
        if !block.title.is_empty() {
            blocks.push(format!("### {}", text::plain(&block.title)));
        }
        blocks.push(format!("All of these: {}.", text::plain(&block.shared)));
        blocks.push(text::table(&block.table));
    }
    if results.trials.is_empty() {
        blocks.push("No trial has a record.".to_string());
    }
    blocks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::markdown;
    use crate::record::Verdict::*;
    use crate::{arbitrary, example};

    #[test]
    fn every_verdict_has_its_place_in_the_report() {
        insta::assert_snapshot!(markdown(&example::all_verdicts()));
    }

    #[test]
    fn a_run_that_was_cut_short_says_so_at_the_top() {
        let mut results = example::results(vec![example::trial("one-step", Restorable)]);
        results.run.planned_trials = 5;
        let report = markdown(&results);
        let warning = report.find("1 of 5 planned trials").unwrap();
        assert!(warning < report.find("Every verdict once").unwrap(), "{report}");
        results.trials.clear();
        assert!(markdown(&results).contains("No trial has a record."));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_record_makes_a_report_without_anything_that_is_no_number(results in arbitrary::results()) {
            let report = markdown(&results);
            for word in ["NaN", "inf ", "null", "None", "Some("] {
                prop_assert!(!report.contains(word), "{} in {}", word, report);
            }
        }
    }
}
