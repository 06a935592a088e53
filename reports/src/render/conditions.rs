//! The conditions that tell trials apart: columns where they vary, one line where they do not.

use crate::record::Trial;
use crate::render::number;

/// One condition of a trial.
#[derive(Clone, Copy)]
pub(crate) struct Condition {
    /// The column's header.
    pub label: &'static str,
    /// The condition of one trial, as text.
    pub text: fn(&Trial) -> String,
}

/// All conditions but strategy and variant, in the order in which a reader asks for them.
const CONDITIONS: [Condition; 17] = [
    Condition { label: "Engine", text: |trial| trial.engine.clone() },
    Condition { label: "Application", text: |trial| trial.app.clone() },
    Condition { label: "Dataset", text: |trial| trial.dataset.profile.clone() },
    Condition { label: "Size", text: size },
    Condition { label: "Journal mode", text: |trial| text(&trial.workload.journal_mode) },
    Condition { label: "File system", text: |trial| text(&trial.file_system) },
    Condition { label: "Extents", text: extents },
    Condition { label: "Writes", text: rate },
    Condition { label: "Arrivals", text: arrivals },
    Condition { label: "Writers", text: |trial| trial.workload.writers.to_string() },
    Condition { label: "Synchronous", text: |trial| text(&trial.workload.synchronous) },
    Condition {
        label: "Busy timeout",
        text: |trial| {
            let timeout = trial.workload.busy_timeout_ms;
            timeout.map_or(String::new(), |timeout| number::milliseconds(timeout as f64))
        },
    },
    Condition { label: "Automatic checkpoint", text: automatic_checkpoint },
    Condition { label: "Announces", text: |trial| text(&trial.workload.announces) },
    Condition { label: "Server options", text: server_options },
    Condition { label: "Page cache", text: |trial| trial.workload.cache.clone() },
    Condition { label: "Fault", text: |trial| trial.fault.clone().unwrap_or("none".to_string()) },
];

/// The conditions in which these trials differ.
pub(crate) fn varying(trials: &[&Trial]) -> Vec<Condition> {
    CONDITIONS.into_iter().filter(|condition| varies(condition, trials)).collect()
}

/// The conditions that these trials share, as one line: `Engine sqlite; Size 300 MiB; ...`.
pub(crate) fn shared(trials: &[&Trial]) -> String {
    let Some(first) = trials.first() else {
        return String::new();
    };
    let texts = CONDITIONS.into_iter().filter(|condition| !varies(condition, trials)).map(|condition| {
        let text = (condition.text)(first);
        // An engine may not know a condition: MySQL has no journal mode.
        if text.is_empty() { text } else { format!("{} {text}", condition.label.to_lowercase()) }
    });
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
}

/// The strategy with the settings that tell its variants apart, marked when it is a control.
pub(crate) fn strategy(trial: &Trial) -> String {
    let mut text = trial.strategy.clone();
    if !trial.variant.is_empty() {
        text += &format!(" {}", trial.variant);
    }
    if trial.control {
        text += " (control)";
    }
    text
}

/// The system under test in a few words: `tracker on sqlite (delete)`.
pub(crate) fn subject(trial: &Trial) -> String {
    let mode = trial.workload.journal_mode.as_ref().map_or(String::new(), |mode| format!(" ({mode})"));
    format!("{} on {}{mode}", trial.app, trial.engine)
}

fn automatic_checkpoint(trial: &Trial) -> String {
    let pages = trial.workload.wal_autocheckpoint;
    pages.map_or(String::new(), |pages| format!("after {pages} pages"))
}

/// The size of the dataset that was asked for.
pub(crate) fn size(trial: &Trial) -> String {
    number::bytes(trial.dataset.target_bytes as f64)
}

/// The declared rate.
pub(crate) fn rate(trial: &Trial) -> String {
    match trial.workload.writes_per_second {
        Some(per_second) => number::or_missing(Some(per_second), number::rate),
        None => "closed loop".to_string(),
    }
}

fn text(condition: &Option<String>) -> String {
    condition.clone().unwrap_or_default()
}

fn extents(trial: &Trial) -> String {
    trial.workload.extents.map_or(String::new(), |extents| number::count(extents as f64))
}

fn server_options(trial: &Trial) -> String {
    let options = trial.workload.server_options.iter();
    options.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

fn arrivals(trial: &Trial) -> String {
    match (trial.workload.pattern.as_str(), trial.workload.arrivals.as_str()) {
        ("constant", arrivals) => arrivals.to_string(),
        (pattern, arrivals) => format!("{arrivals}, {pattern}"),
    }
}

fn varies(condition: &Condition, trials: &[&Trial]) -> bool {
    let mut texts = trials.iter().map(|trial| (condition.text)(trial));
    let first = texts.next();
    texts.any(|text| Some(text) != first)
}
