//! Remarks that are not damage: on the source database before any trial, and on restored databases.

use super::text::{plain, sentence};
use crate::record::Trial;
use crate::render::conditions;

/// The remarks on the source database and on the restored databases, each once.
pub(super) fn blocks(trials: &[Trial]) -> Vec<String> {
    let mut blocks = Vec::new();
    let source = trials.iter().flat_map(|trial| &trial.dataset.remarks).map(|remark| sentence(remark));
    blocks.extend(section(
        "### Irregularities in the source database",
        "These existed before any trial. A restored database must show the same irregularities and no others. Parts \
         that could not be checked on this machine do not affect a verdict.",
        source,
    ));
    let restored = trials.iter().flat_map(|trial| {
        let live = trial.live_restores.iter().map(|live| &live.verification);
        let remarks = trial.verification.iter().chain(live).flat_map(|verification| &verification.remarks);
        remarks.map(|remark| format!("{}: {}", plain(&conditions::strategy(trial)), sentence(remark)))
    });
    blocks.extend(section(
        "### Harmless differences in restored databases",
        "These are not damage: no query shows them, or nothing is known to rely on them.",
        restored,
    ));
    blocks
}

/// A list without duplicates under a heading; empty without items.
fn section(heading: &str, meaning: &str, items: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in items.map(|item| format!("- {item}")) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if lines.is_empty() {
        return Vec::new();
    }
    vec![heading.to_string(), meaning.to_string(), lines.join("\n")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::Verdict;

    #[test]
    fn each_remark_is_shown_once() {
        let mut trial = example::trial("dump", Verdict::Restorable);
        assert_eq!(blocks(std::slice::from_ref(&trial)), Vec::<String>::new());
        trial.dataset.remarks = vec!["found before any trial: NULL value in t.a".into()];
        let verification = trial.verification.as_mut().unwrap();
        verification.remarks = vec!["page_size was 1024 and is 4096".into()];
        let mut other = trial.clone();
        other.strategy = "other".into();
        insta::assert_snapshot!(blocks(&[trial.clone(), trial, other]).join("\n\n"), @r"
        ### Irregularities in the source database

        These existed before any trial. A restored database must show the same irregularities and no others. Parts that could not be checked on this machine do not affect a verdict.

        - found before any trial: NULL value in t.a.

        ### Harmless differences in restored databases

        These are not damage: no query shows them, or nothing is known to rely on them.

        - dump: page_size was 1024 and is 4096.
        - other: page_size was 1024 and is 4096.
        ");
    }
}
