//! Irregularities of a database apart from its content, before a trial and after the restore.
//!
//! The user's own database may have irregularities before the trial. A restored copy must have the same ones and no
//! more, so those that were found before are subtracted from those that are found after the restore.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::findings::Findings;
use super::unreadable::Unreadable;

/// The irregularities of a database, and what could not be checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// By kind: the line, with `#` in place of every number.
    wrong: BTreeMap<String, Irregularity>,
    /// What could not be checked, and why.
    unchecked: BTreeSet<String>,
}

/// Lines of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Irregularity {
    count: u64,
    first: String,
}

impl Condition {
    /// Adds an irregularity. A restore may renumber pages and rows, so lines are compared without their numbers.
    pub fn wrong(&mut self, line: String) {
        let kind = without_numbers(&line);
        self.wrong.entry(kind).or_insert(Irregularity { count: 0, first: line }).count += 1;
    }

    /// Adds something that could not be checked.
    pub fn unchecked(&mut self, line: impl Into<String>) {
        self.unchecked.insert(line.into());
    }

    /// A file that the engine calls malformed is damaged; any other error only prevented the check.
    pub fn unreadable(&mut self, unreadable: &Unreadable) {
        if unreadable.malformed {
            self.wrong(unreadable.reason.clone());
        } else {
            self.unchecked(&unreadable.reason);
        }
    }

    /// Adds the results of another part of the examination.
    pub fn absorb(&mut self, other: Condition) {
        for (kind, Irregularity { count, first }) in other.wrong {
            self.wrong.entry(kind).or_insert(Irregularity { count: 0, first }).count += count;
        }
        self.unchecked.extend(other.unchecked);
    }

    /// One line for each irregularity, and for each check that could not be completed.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.wrong.values().map(Irregularity::line).chain(self.unchecked.iter().cloned())
    }

    /// The same lines, for the user before the trials start.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        let wrong = self
            .wrong
            .values()
            .map(|irregularity| format!("found before any trial: {}", irregularity.line()));
        wrong.chain(self.unchecked.iter().map(|line| format!("not checked: {line}")))
    }

    /// Adds to `findings` the irregularities that were not there `before`.
    pub fn judge(&self, before: &Condition, findings: &mut Findings) {
        for (kind, irregularity) in &self.wrong {
            let known = before.wrong.get(kind).map_or(0, |irregularity| irregularity.count);
            if irregularity.count > known {
                findings.wrong(|| match known {
                    0 => irregularity.line(),
                    known => format!("{}, but {known} before the trial", irregularity.line()),
                });
            }
        }
        for line in self.unchecked.difference(&before.unchecked) {
            findings.cannot(line);
        }
    }

    /// The irregularities that were there `before` and are not there any more.
    pub fn gone(&self, before: &Condition) -> Vec<String> {
        let gone = before.wrong.iter().filter(|(kind, _)| !self.wrong.contains_key(*kind));
        gone.map(|(_, irregularity)| irregularity.line()).collect()
    }
}

impl Irregularity {
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
    fn only_irregularities_from_before_the_trial_are_expected() {
        let before = condition(&["Page 7: never used", "NULL value in t.a"], &["module x is not known here"]);
        assert_eq!(judged(&before, &before), (Some(Check::Pass), Vec::new()));
        // A restore may renumber pages.
        let moved = condition(&["Page 12: never used", "NULL value in t.a"], &[]);
        assert_eq!(judged(&before, &moved), (Some(Check::Pass), Vec::new()));
        let more = condition(&["Page 7: never used", "Page 8: never used"], &[]);
        let line = "integrity: Page 7: never used (2 of this kind), but 1 before the trial";
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
