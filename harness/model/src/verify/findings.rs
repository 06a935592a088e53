//! The findings of one check while it runs.

use reports::record::Check;

/// The finding after a restore that left no database at all.
pub const NOTHING_RESTORED: &str = "no database file was restored";
/// Maximum number of lines that one check adds to the findings: thousands of similar lines do not help the reader.
const LINES_MAX: usize = 5;

/// The findings of one check so far. The check passes when nothing is wrong and it could be completed.
#[derive(Debug)]
pub struct Findings {
    check: &'static str,
    wrong: Vec<String>,
    wrong_count: u64,
    obstacles: Vec<String>,
}

impl Findings {
    /// A check that has found nothing yet.
    pub fn new(check: &'static str) -> Findings {
        Findings { check, wrong: Vec::new(), wrong_count: 0, obstacles: Vec::new() }
    }

    /// Adds something that is wrong. The line is only built if it will be shown.
    pub fn wrong(&mut self, line: impl FnOnce() -> String) {
        self.wrong_count += 1;
        if self.wrong.len() < LINES_MAX {
            self.wrong.push(line());
        }
    }

    /// The check could not be completed: it cannot pass any more.
    pub fn cannot(&mut self, line: impl Into<String>) {
        self.obstacles.push(line.into());
    }

    /// Adds the findings of another part of the same check.
    pub fn absorb(&mut self, other: Findings) {
        debug_assert_eq!(self.check, other.check);
        self.wrong_count += other.wrong_count;
        self.wrong.extend(other.wrong);
        self.wrong.truncate(LINES_MAX);
        self.obstacles.extend(other.obstacles);
    }

    /// True when nothing is wrong so far.
    pub fn is_clean(&self) -> bool {
        self.wrong_count == 0
    }

    /// True when so much is wrong that another line would not be shown.
    pub fn is_full(&self) -> bool {
        self.wrong.len() == LINES_MAX
    }

    /// The result of the check; its lines are added to `lines`.
    pub fn conclude(self, lines: &mut Vec<String>) -> Option<Check> {
        let check = self.check;
        let more = self.wrong_count - self.wrong.len() as u64;
        lines.extend(self.wrong.iter().map(|line| format!("{check}: {line}")));
        if more > 0 {
            lines.push(format!("{check}: and {more} more"));
        }
        lines.extend(
            self.obstacles.iter().take(LINES_MAX).map(|line| format!("{check}: not checked: {line}")),
        );
        match (self.wrong_count, self.obstacles.is_empty()) {
            (0, true) => Some(Check::Pass),
            (0, false) => None,
            _ => Some(Check::Fail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_could_not_be_completed_does_not_pass() {
        let mut lines = Vec::new();
        let mut findings = Findings::new("order");
        findings.cannot("no rows");
        assert_eq!(findings.conclude(&mut lines), None);
        assert_eq!(lines, ["order: not checked: no rows"]);
    }

    #[test]
    fn many_findings_are_counted_and_few_are_shown() {
        let mut findings = Findings::new("prefix");
        for row in 0..9 {
            findings.wrong(|| format!("row {row}"));
        }
        let mut lines = Vec::new();
        assert_eq!(findings.conclude(&mut lines), Some(Check::Fail));
        assert_eq!(lines.len(), LINES_MAX + 1);
        assert_eq!(lines[LINES_MAX], "prefix: and 4 more");
    }
}
