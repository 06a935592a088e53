//! `report.md`: the findings of a run, for a repository or a documentation page.

mod best;
mod challenge;
mod evidence;
mod faults;
mod growth;
mod kept;
mod machine;
mod offsite;
mod outputs;
mod reading;
mod remarks;
mod restart_model;
mod shipping;
mod summary;
pub(crate) mod text;
mod viability;

pub(crate) use shipping::restored_while_running;

use crate::compare::without_faults;
use crate::record::Results;
use crate::render::comparison::{Block, comparison, measures};
use crate::render::number;
use crate::render::plot;
use crate::render::table::{Column, Rank};

/// The report of a run as GitHub-flavoured Markdown.
pub fn markdown(results: &Results) -> String {
    let good_days = without_faults(results);
    let mut blocks = summary::blocks(results, good_days.as_deref());
    blocks.extend(faults::blocks(&results.trials));
    if let Some(results) = good_days.as_deref() {
        let plots = plot::names(results).into_iter();
        blocks.extend(plots.map(|(name, shows)| format!("![{}]({name})", text::plain(shows))));
        blocks.extend(comparison_blocks(results));
        blocks.extend(offsite::blocks(&results.trials));
        blocks.extend(growth::blocks(&results.trials));
        blocks.extend(shipping::blocks(&results.trials));
        blocks.extend(challenge::blocks(&results.trials));
        blocks.extend(evidence::blocks(results));
        blocks.extend(viability::blocks(results));
    }
    blocks.extend(machine::blocks(results));
    blocks.extend(reading::blocks(results));
    blocks.join("\n\n") + "\n"
}

/// The comparison: first the main columns, then all others.
fn comparison_blocks(results: &Results) -> Vec<String> {
    let found = comparison(results);
    if found.is_empty() {
        return vec!["## Comparison".to_string(), "No trial has a record.".to_string()];
    }
    let is_main = |column: &Column| column.rank < Rank::Detail(0);
    let mut blocks = vec!["## Comparison".to_string()];
    for block in &found {
        blocks.extend(title(block));
        blocks.push(format!("All rows: {}.", text::plain(&block.shared)));
        blocks.push(block.table.select(is_main).markdown());
    }
    blocks.push("## Details".to_string());
    for block in &found {
        blocks.extend(title(block));
        let details = block.table.select(|column| !is_main(column) || column.key == "strategy");
        let has_few_writes = details.rows().flatten().any(|cell| cell.text.ends_with(measures::FEW_WRITES));
        blocks.push(details.markdown());
        blocks.extend(has_few_writes.then(|| {
            format!(
                "\\{} Fewer than {} writes in one of the two windows: this percentile is based on fewer than ten \
                 writes.",
                measures::FEW_WRITES,
                number::count(measures::WRITES_FOR_P99 as f64)
            )
        }));
    }
    blocks
}

fn title(block: &Block) -> Option<String> {
    (!block.title.is_empty()).then(|| format!("### {}", text::plain(&block.title)))
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
    fn an_application_that_acknowledges_too_early_is_reported_separately_from_the_strategies() {
        let mut trials = vec![example::trial("one-step", Restorable), example::trial("shell", Restorable)];
        assert!(!markdown(&example::results(trials.clone())).contains("acknowledged but not written"));
        for (trial, lacked) in trials.iter_mut().zip([3, 0]) {
            trial.app = "tracker".into();
            trial.recovery_point.as_mut().unwrap().never_written = Some(lacked);
        }
        let report = markdown(&example::results(trials));
        assert!(
            report.contains("acknowledged writes, 3 were not in its database, in 1 of 2 trials."),
            "{report}"
        );
    }

    /// The sections of a report, as a Markdown parser finds them. Free text must not add or hide one.
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

    /// A heading without any content before the next heading of the same or a higher level.
    fn empty_heading(report: &str) -> Option<&str> {
        let level = |line: &str| line.chars().take_while(|character| *character == '#').count();
        let lines: Vec<&str> = report.lines().filter(|line| !line.is_empty()).collect();
        let nothing_follows = |at: &usize| {
            let level_here = level(lines[*at]);
            level_here > 0 && lines.get(at + 1).is_none_or(|next| (1..=level_here).contains(&level(next)))
        };
        (0..lines.len()).find(nothing_follows).map(|at| lines[at])
    }

    proptest! {
        #[test]
        fn any_record_makes_a_report_with_finite_numbers_only(results in arbitrary::results()) {
            let report = markdown(&results);
            let plain = crate::compare::without_faults(&results);
            let mut expected = vec![
                "Faults", "Comparison", "Details", "Off the machine", "Evidence", "Limits found", "Machine and calibration",
                "How to reproduce", "How to read this report", "Limitations",
            ];
            expected.retain(|section| match *section {
                "Faults" => results.trials.iter().any(|trial| trial.fault.is_some()),
                "Comparison" => plain.is_some(),
                "Off the machine" => {
                    plain.as_deref().is_some_and(|plain| plain.trials.iter().any(|trial| trial.offsite.is_some()))
                }
                "Limits found" => plain.as_deref().is_some_and(super::viability::is_varied),
                "Details" | "Evidence" => plain.as_deref().is_some_and(|plain| !plain.trials.is_empty()),
                _ => true,
            });
            prop_assert_eq!(sections(&report), expected);
            prop_assert_eq!(empty_heading(&report), None);
            for word in ["NaN", "inf ", "null", "None", "Some("] {
                prop_assert!(!report.contains(word), "{} in {}", word, report);
            }
        }
    }
}
