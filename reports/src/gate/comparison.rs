//! The result of a comparison: an answer for each metric of each subject.

use serde::Serialize;

use super::metric::Unit;
use crate::compare::Spread;

/// The answer for a metric, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// There is no change larger than the margin.
    Equivalent,
    /// Better by more than the margin, and statistically significant.
    Improved,
    /// The measurements do not allow another answer.
    Inconclusive,
    /// Worse by more than the margin, and statistically significant.
    Regressed,
}

impl Answer {
    /// All answers, the worst first.
    pub const WORST_FIRST: [Answer; 4] =
        [Answer::Regressed, Answer::Inconclusive, Answer::Improved, Answer::Equivalent];

    /// The word in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Answer::Equivalent => "equivalent",
            Answer::Improved => "improved",
            Answer::Inconclusive => "inconclusive",
            Answer::Regressed => "regressed",
        }
    }
}

/// Candidate divided by baseline: 1 is no change, 1.25 is 25 % more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The geometric mean over the pairs.
    pub ratio: f64,
    /// Lower end of its 90 % interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// The answer for one metric of one subject.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The id that the trials share, without the repetition.
    pub subject: String,
    /// `verdict`, or the name of one of [`METRICS`](super::METRICS).
    pub metric: &'static str,
    /// The unit of the metric; null for verdicts.
    pub unit: Option<Unit>,
    /// Median of the baseline with its unit, or its worst verdict; null when it has no value.
    pub baseline: Option<String>,
    /// The same of the candidate.
    pub candidate: Option<String>,
    /// Median and range of the candidate, for files that other programs read.
    #[serde(skip)]
    pub candidate_values: Option<Spread>,
    /// Number of pairs of repetitions in which both have a value.
    pub pairs: usize,
    /// Candidate divided by baseline; null for answers without statistics, and with fewer than two pairs.
    pub change: Option<Change>,
    /// The answer.
    pub answer: Answer,
    /// The reason for the answer.
    pub because: String,
    /// Number of pairs that would give an answer; null where that is not known or not needed.
    pub pairs_needed: Option<usize>,
    /// Whether the answer depends on chance, so that another measurement can change it.
    pub is_statistical: bool,
    /// Ids of the trials that the answer is based on.
    #[serde(skip)]
    pub trials: Vec<String>,
}

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Id of the baseline run.
    pub baseline: String,
    /// Id of the run that is judged; the same as the baseline for pairs within a run.
    pub candidate: String,
    /// Notes that a reader must know first: different machines, different conditions.
    pub notes: Vec<String>,
    /// A row for the verdict and for each metric of each subject.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// The worst answer.
    pub fn answer(&self) -> Answer {
        self.rows.iter().map(|row| row.answer).max().unwrap_or(Answer::Inconclusive)
    }

    /// How many rows have this answer.
    pub fn count(&self, answer: Answer) -> usize {
        self.rows.iter().filter(|row| row.answer == answer).count()
    }

    /// The regressions that a second measurement can confirm.
    pub fn flagged(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_statistical && row.answer == Answer::Regressed)
    }

    /// Withdraws regressions that a second comparison of the flagged rows did not confirm.
    #[must_use]
    pub fn confirmed_by(mut self, again: &Comparison) -> Comparison {
        for row in self.rows.iter_mut().filter(|row| row.is_statistical && row.answer == Answer::Regressed) {
            let second =
                again.rows.iter().find(|other| (&other.subject, other.metric) == (&row.subject, row.metric));
            match second {
                Some(second) if second.answer == Answer::Regressed => {
                    row.because += "; confirmed by a second measurement"
                }
                _ => {
                    row.answer = Answer::Inconclusive;
                    row.because = "regressed in the first measurement, not confirmed by the second".into();
                }
            }
        }
        self
    }
}
