//! Files that remain of trials: evidence that was kept on purpose, and files that could not be removed.

use super::text::{code, plain, sentence};
use crate::record::{Kept, Trial};
use crate::render::number;

/// Kept evidence, evidence that could not be kept, and files that could not be removed.
pub(super) fn blocks(trials: &[Trial]) -> Vec<String> {
    let kept = trials.iter().filter_map(|trial| Some((trial, trial.kept.as_ref()?)));
    let kept = kept.map(|(trial, kept)| format!("- {}: {}", code(&trial.id), evidence(kept)));
    let leftovers = trials.iter().filter_map(|trial| Some((trial, trial.leftover.as_ref()?)));
    let leftovers =
        leftovers.map(|(trial, leftover)| format!("- {}: {}", code(&trial.id), sentence(leftover)));
    let mut blocks = section(
        "Kept evidence",
        "Paths are relative to the directory of this report. `cargo xtask judge` verifies the evidence again.",
        kept.collect(),
    );
    blocks.extend(section(
        "Not removed",
        "These trials left files on the machine that could not be removed. Other trials are not affected.",
        leftovers.collect(),
    ));
    blocks
}

fn section(title: &str, text: &str, items: Vec<String>) -> Vec<String> {
    if items.is_empty() {
        return Vec::new();
    }
    vec![format!("### {title}"), text.to_string(), items.join("\n")]
}

fn evidence(kept: &Kept) -> String {
    let there = match &kept.path {
        Some(path) => format!("{}, {}.", code(path), number::bytes(kept.bytes as f64)),
        None => "nothing kept.".to_string(),
    };
    let left_out = kept.left_out.iter().map(|part| plain(part)).collect::<Vec<_>>().join("; ");
    if left_out.is_empty() { there } else { format!("{there} Not kept: {}", sentence(&left_out)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::Verdict;

    #[test]
    fn what_is_still_there_is_listed_with_its_path() {
        let mut trials = vec![example::trial("one-step", Verdict::Restorable); 4];
        assert_eq!(blocks(&trials), Vec::<String>::new());
        let kept = |path: Option<&str>, left_out: &[&str]| {
            let left_out = left_out.iter().map(|part| part.to_string()).collect();
            Some(Kept { path: path.map(str::to_owned), bytes: 3 << 20, left_out })
        };
        trials[0].kept = kept(Some("kept/one-step"), &[]);
        trials[1].kept =
            kept(Some("kept/one-step+"), &["artifact: 3.0 GiB are more than --keep-bytes leaves"]);
        trials[2].kept = kept(None, &["the disk is full"]);
        trials[3].leftover = Some("artifact/copy.db: Operation not permitted, it is immutable".into());
        insta::assert_snapshot!(blocks(&trials).join("\n\n"));
    }
}
