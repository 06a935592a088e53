//! Wording that all reports share.

use crate::record::Verdict;
use crate::render::number;

/// A verdict for people. Records have [`Verdict::name`].
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unverified => "inconclusive",
        Verdict::TimedOut => "timed out",
        other => other.name(),
    }
}

/// Whether a backup survives the loss of the database's disk, in a word.
pub(crate) fn survives_disk_loss(survives: Option<bool>) -> &'static str {
    match survives {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known",
    }
}

/// `a, b and c`.
pub(crate) fn in_a_row(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// `1 strategy`, `3 strategies`.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", number::count(count as f64), if count == 1 { one } else { many })
}

/// Each text once, in the order of first appearance.
pub(crate) fn each_once<T: PartialEq>(texts: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut once: Vec<T> = Vec::new();
    for text in texts {
        if !once.contains(&text) {
            once.push(text);
        }
    }
    once
}
