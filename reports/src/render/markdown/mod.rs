//! `report.md`: what a run found, for a repository or a page of documentation.

mod challenge;
mod evidence;
mod kept;
mod machine;
mod reading;
mod remarks;
mod shipping;
mod summary;
pub(crate) mod text;
mod viability;

use crate::record::Results;
use crate::render::comparison::comparison;
use crate::render::table::{Column, Rank};

/// The report of a run as GitHub-flavoured Markdown.
pub fn markdown(results: &Results) -> String {
    let mut blocks = summary::blocks(results);
    blocks.extend(machine::blocks(results));
    blocks.extend(comparison_blocks(results));
    blocks.extend(shipping::blocks(&results.trials));
    blocks.extend(challenge::blocks(&results.trials));
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
        let is_main = |column: &Column| column.rank < Rank::Detail(0);
        blocks.push(block.table.select(is_main).markdown());
        blocks.push(block.table.select(|column| !is_main(column) || column.key == "strategy").markdown());
    }
    if results.trials.is_empty() {
        blocks.push("No trial has a record.".to_string());
    }
    blocks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

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

    #[test]
    fn an_application_that_acknowledges_too_early_is_told_apart_from_the_strategies() {
        let mut trials = vec![example::trial("one-step", Restorable), example::trial("shell", Restorable)];
        assert!(!markdown(&example::results(trials.clone())).contains("before it acknowledges"));
        for (trial, lacked) in trials.iter_mut().zip([3, 0]) {
            trial.app = "tracker".into();
            trial.recovery_point.as_mut().unwrap().never_written = Some(lacked);
        }
        let report = markdown(&example::results(trials));
        assert!(report.contains("its own database lacked 3, in 1 of 2 trials."), "{report}");
    }

    /// The sections of a report, as a reader of Markdown finds them; free text must not add or hide one.
    fn sections(report: &str) -> Vec<String> {
        let mut sections = Vec::new();
        let mut in_section = false;
        for event in Parser::new_ext(report, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { level: HeadingLevel::H2, .. }) => {
                    in_section = true;
                    sections.push(String::new());
                }
                Event::End(TagEnd::Heading(_)) => in_section = false,
                Event::Text(text) if in_section => *sections.last_mut().unwrap() += &text,
                Event::Html(html) | Event::InlineHtml(html) => panic!("{html} in {report}"),
                _ => {}
            }
        }
        sections
    }

    proptest! {
        #[test]
        fn any_record_makes_a_report_without_anything_that_is_no_number(results in arbitrary::results()) {
            let report = markdown(&results);
            let mut expected = vec![
                "Machine and calibration", "Comparison", "What the verdicts rest on",
                "Where each strategy stops being viable", "How to reproduce", "How to read this", "Limitations",
            ];
            expected.retain(|section| {
                !section.starts_with("Where") || !crate::advise::viability(&results).is_empty()
            });
            prop_assert_eq!(sections(&report), expected);
            for word in ["NaN", "inf ", "null", "None", "Some("] {
                prop_assert!(!report.contains(word), "{} in {}", word, report);
            }
        }
    }
}
