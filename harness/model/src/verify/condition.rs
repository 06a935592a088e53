//! What is odd about a database apart from its content, before a trial and after the restore.
//!
//! A database of the user's own may have been odd before anything was done to it. A restored copy has to show the same
//! and nothing more, so what was found before is subtracted from what is found after.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::findings::Findings;
use crate::verify::reader::Unreadable;

/// What is wrong with a database, and what could not be checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// By kind: a line with `#` for every number.
    wrong: BTreeMap<String, Oddity>,
    /// What could not be checked, and why.
    unchecked: BTreeSet<String>,
}

/// Lines of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Oddity {
    count: u64,
    first: String,
}

impl Condition {
    /// True when nothing is odd.
    pub fn is_clean(&self) -> bool {
        self.wrong.is_empty() && self.unchecked.is_empty()
    }

    /// Something is wrong. Pages and rows may be numbered anew by a restore, so lines are told apart without numbers.
    pub fn wrong(&mut self, line: String) {
        let kind = without_numbers(&line);
        self.wrong.entry(kind).or_insert(Oddity { count: 0, first: line }).count += 1;
    }

    /// Something could not be checked.
    pub fn unchecked(&mut self, line: impl Into<String>) {
        self.unchecked.insert(line.into());
    }

    /// A file that the engine calls malformed is damaged; anything else only kept the checker from looking.
    pub fn unreadable(&mut self, unreadable: &Unreadable) {
        if unreadable.malformed {
            self.wrong(unreadable.reason.clone());
        } else {
            self.unchecked(&unreadable.reason);
        }
    }

    /// Takes over what another part of the examination has found.
    pub fn absorb(&mut self, other: Condition) {
        for (kind, Oddity { count, first }) in other.wrong {
            self.wrong.entry(kind).or_insert(Oddity { count: 0, first }).count += count;
        }
        self.unchecked.extend(other.unchecked);
    }

    /// A line for each thing that is odd.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.wrong.values().map(Oddity::line).chain(self.unchecked.iter().cloned())
    }

    /// The same, for who is told before the trials.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        let wrong = self.wrong.values().map(|oddity| format!("odd before any trial: {}", oddity.line()));
        wrong.chain(self.unchecked.iter().map(|line| format!("not checked: {line}")))
    }

    /// Enters what was not odd `before`.
    pub fn judge(&self, before: &Condition, findings: &mut Findings) {
        for (kind, oddity) in &self.wrong {
            let known = before.wrong.get(kind).map_or(0, |oddity| oddity.count);
            if oddity.count > known {
                findings.wrong(|| match known {
                    0 => oddity.line(),
                    known => format!("{}, and {known} before the trial", oddity.line()),
                });
            }
        }
        for line in self.unchecked.difference(&before.unchecked) {
            findings.cannot(line);
        }
    }

    /// What was odd `before` and is not any more.
    pub fn gone(&self, before: &Condition) -> Vec<String> {
        let gone = before.wrong.iter().filter(|(kind, _)| !self.wrong.contains_key(*kind));
        gone.map(|(_, oddity)| oddity.line()).collect()
    }
}

impl Oddity {
    fn line(&self) -> String {
        match self.count {
            1 => self.first.clone(),
            count => format!("{} ({count} of this kind)", self.first),
        }
    }
}

fn without_numbers(line: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_matches(|mark: char| mark.is_ascii_punctuation());
        let is_number = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { word.replace(bare, "#") } else { word.to_owned() }
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use reports::record::Check;

    use super::*;

    fn condition(wrong: &[&str], unchecked: &[&str]) -> Condition {
        let mut condition = Condition::default();
        wrong.iter().for_each(|line| condition.wrong((*line).to_owned()));
        unchecked.iter().for_each(|line| condition.unchecked(*line));
        condition
    }

    fn judged(before: &Condition, after: &Condition) -> (Option<Check>, Vec<String>) {
        let mut findings = Findings::new("integrity");
        after.judge(before, &mut findings);
        let mut lines = Vec::new();
        (findings.conclude(&mut lines), lines)
    }

    #[test]
    fn what_was_odd_before_is_expected_and_nothing_more() {
        let before = condition(&["Page 7: never used", "NULL value in t.a"], &["module x is not known here"]);
        assert_eq!(judged(&before, &before), (Some(Check::Pass), Vec::new()));
        // A restore may number pages anew.
        let moved = condition(&["Page 12: never used", "NULL value in t.a"], &[]);
        assert_eq!(judged(&before, &moved), (Some(Check::Pass), Vec::new()));
        let more = condition(&["Page 7: never used", "Page 8: never used"], &[]);
        let line = "integrity: Page 7: never used (2 of this kind), and 1 before the trial";
        assert_eq!(judged(&before, &more), (Some(Check::Fail), vec![line.to_owned()]));
        assert_eq!(more.gone(&before), ["NULL value in t.a"]);
        let other = condition(&["NULL value in t.b"], &[]);
        assert_eq!(judged(&before, &other).0, Some(Check::Fail));
        let unread = condition(&[], &["table t: malformed JSON"]);
        assert_eq!(judged(&before, &unread).0, None);
    }

    #[test]
    fn only_whole_words_are_numbers() {
        assert_eq!(
            without_numbers("Tree 5 page 7 cell 3: row 12 missing from index i7"),
            "Tree # page # cell #: row # missing from index i7"
        );
    }
}
