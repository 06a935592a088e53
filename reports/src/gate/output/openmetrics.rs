//! OpenMetrics text, for a push gateway or for a file that a collector reads.

use super::findings::Findings;
use super::measured::measured;

/// The medians of a run, its verdicts, and its comparisons.
pub fn openmetrics(findings: &Findings<'_>) -> String {
    let run = label("run", &findings.results.run.id);
    let mut values = Family::new(
        "backup_drill_measured",
        "Median over the repetitions, in the unit given by the label unit.",
    );
    for one in measured(findings.results) {
        let labels = [
            label("subject", one.subject),
            label("metric", one.metric.name),
            label("unit", one.metric.unit.name()),
        ];
        values.add(&run, &labels, one.spread.median);
    }
    let mut verdicts = Family::new("backup_drill_verdict", "1 for the verdict of each trial.");
    for trial in &findings.results.trials {
        verdicts.add(&run, &[label("trial", &trial.id), label("verdict", trial.verdict.name())], 1.0);
    }
    let mut changes = Family::new(
        "backup_drill_change_ratio",
        "Candidate divided by baseline: geometric mean over the pairs.",
    );
    let mut answers = Family::new("backup_drill_answer", "1 for the answer for each metric.");
    for row in findings.comparisons.iter().flat_map(|comparison| &comparison.rows) {
        let labels = [label("subject", &row.subject), label("metric", row.metric)];
        if let Some(change) = row.change {
            changes.add(&run, &labels, change.ratio);
        }
        answers.add(&run, &[&labels[..], &[label("answer", row.answer.name())]].concat(), 1.0);
    }
    let families = [values, verdicts, changes, answers].map(Family::text);
    families.concat() + "# EOF\n"
}

struct Family {
    name: &'static str,
    text: String,
    is_empty: bool,
}

impl Family {
    fn new(name: &'static str, help: &str) -> Family {
        Family { name, text: format!("# TYPE {name} gauge\n# HELP {name} {help}\n"), is_empty: true }
    }

    fn add(&mut self, run: &str, labels: &[String], value: f64) {
        self.text += &format!("{}{{{run},{}}} {value}\n", self.name, labels.join(","));
        self.is_empty = false;
    }

    fn text(self) -> String {
        if self.is_empty { String::new() } else { self.text }
    }
}

fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{}\"", value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}
