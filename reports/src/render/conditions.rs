//! The conditions of trials: shared conditions are stated once, and a row states only how it differs.

use std::borrow::Cow;

use serde_json::Value;

use crate::record::Trial;
use crate::render::number;

/// One condition of a trial.
#[derive(Clone, Copy)]
struct Condition {
    /// Its name.
    label: &'static str,
    /// The condition of one trial, as text; empty where the engine does not have it: MySQL has no journal mode.
    text: fn(&Trial) -> String,
    /// Whether the text needs its label in a row: `4` does, `tracker` does not.
    is_labelled: bool,
}

impl Condition {
    const fn labelled(label: &'static str, text: fn(&Trial) -> String) -> Condition {
        Condition { label, text, is_labelled: true }
    }

    const fn plain(label: &'static str, text: fn(&Trial) -> String) -> Condition {
        Condition { label, text, is_labelled: false }
    }

    fn with_label(&self, text: &str) -> String {
        format!("{} {text}", self.label)
    }
}

/// All conditions except strategy and variant, the most important ones first.
const CONDITIONS: [Condition; 20] = [
    Condition::plain("engine", |trial| trial.engine.clone()),
    Condition::plain("application", |trial| trial.app.clone()),
    Condition::plain("dataset", |trial| trial.dataset.profile.clone()),
    Condition::plain("size", size),
    Condition::labelled("journal mode", |trial| text(&trial.workload.journal_mode)),
    Condition::plain("file system", |trial| text(&trial.file_system)),
    Condition::labelled("extents", extents),
    Condition::plain("writes", rate),
    Condition::labelled("arrivals", arrivals),
    Condition::labelled("writers", |trial| trial.workload.writers.to_string()),
    Condition::labelled("synchronous", |trial| text(&trial.workload.synchronous)),
    Condition::labelled("busy timeout", |trial| {
        let timeout = trial.workload.busy_timeout_ms;
        timeout.map_or(String::new(), |timeout| number::milliseconds(timeout as f64))
    }),
    Condition::labelled("automatic checkpoint", automatic_checkpoint),
    Condition::labelled("log size limit", |trial| {
        let limit = trial.workload.journal_size_limit;
        limit.map_or(String::new(), |bytes| number::bytes(bytes as f64))
    }),
    Condition::labelled("checkpoints by another connection", |trial| text(&trial.workload.checkpoints)),
    Condition::labelled("announces", |trial| text(&trial.workload.announces)),
    Condition::labelled("server options", server_options),
    Condition::labelled("page cache", |trial| trial.workload.cache.clone()),
    Condition::labelled("fault", |trial| {
        trial.fault.as_ref().map_or("none".to_string(), |fault| fault.label.clone())
    }),
    Condition::labelled("stages", |trial| {
        trial.offsite.as_ref().map_or(String::new(), |offsite| offsite.label.clone())
    }),
];

/// The conditions of some trials, compared.
pub(crate) struct Conditions {
    /// Each condition with the text that all, or more than half, of the trials have.
    usual: Vec<(Condition, Usual)>,
}

struct Usual {
    text: Option<String>,
    is_shared_by_all: bool,
}

impl Conditions {
    /// Compares these trials.
    pub(crate) fn of(trials: &[&Trial]) -> Conditions {
        let usual = CONDITIONS.into_iter().map(|condition| (condition, usual(&condition, trials)));
        Conditions { usual: usual.collect() }
    }

    /// The same without one condition, which is shown elsewhere.
    pub(crate) fn without(mut self, label: &str) -> Conditions {
        self.usual.retain(|(condition, _)| condition.label != label);
        self
    }

    /// The shared conditions as one line: `engine sqlite; size 300 MiB; file system ext4 unless stated`.
    pub(crate) fn shared(&self) -> String {
        let texts = self.usual.iter().filter_map(|(condition, usual)| {
            let text = usual.text.as_ref()?;
            let unless = if usual.is_shared_by_all { "" } else { " unless stated" };
            Some(condition.with_label(text) + unless)
        });
        texts.collect::<Vec<_>>().join("; ")
    }

    /// How one trial differs: `, tracker, journal mode delete`; empty when it does not.
    pub(crate) fn difference(&self, trial: &Trial) -> String {
        let texts = self.usual.iter().filter_map(|(condition, usual)| {
            let text = (condition.text)(trial);
            let is_usual = usual.text.as_ref() == Some(&text);
            let shown = if condition.is_labelled { condition.with_label(&text) } else { text.clone() };
            (!is_usual && !text.is_empty()).then(|| format!(", {shown}"))
        });
        texts.collect()
    }

    /// The name of a row: strategy, variant, and how its conditions differ.
    pub(crate) fn row_name(&self, trial: &Trial) -> String {
        format!("{}{}", label(trial), self.difference(trial))
    }
}

/// The text that most of the trials have. Trials without the condition (engine or application) do not count.
fn usual(condition: &Condition, trials: &[&Trial]) -> Usual {
    let mut counted: Vec<(String, usize)> = Vec::new();
    let texts = trials.iter().map(|trial| (condition.text)(trial)).filter(|text| !text.is_empty());
    for text in texts {
        match counted.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => counted.push((text, 1)),
        }
    }
    let all: usize = counted.iter().map(|(_, count)| count).sum();
    let most = counted.iter().find(|(_, count)| count * 2 > all);
    Usual { text: most.map(|(text, _)| text.clone()), is_shared_by_all: counted.len() <= 1 }
}

/// The strategy with its variant, marked when it is a negative control.
pub(crate) fn strategy(trial: &Trial) -> String {
    if trial.control { label(trial) + " (negative control)" } else { label(trial) }
}

/// The strategy with its variant.
pub(crate) fn label(trial: &Trial) -> String {
    if trial.variant.is_empty() {
        return trial.strategy.clone();
    }
    format!("{} {}", trial.strategy, variant(trial))
}

/// The variant for people: settings in JSON are shown as `monitor-interval=50ms`.
pub(crate) fn variant(trial: &Trial) -> String {
    if !trial.variant.contains(['{', '[']) {
        return trial.variant.clone();
    }
    let named = |name: &str| {
        let begins = format!("{name}=");
        trial.variant.starts_with(&begins) || trial.variant.contains(&format!(", {begins}"))
    };
    let settings = trial.settings.iter().filter(|(name, _)| named(name));
    let texts: Vec<String> = settings.map(|(name, value)| setting(name, value)).collect();
    if texts.is_empty() { trial.variant.clone() } else { texts.join(", ") }
}

/// A setting for people: `threads=2`.
pub(crate) fn setting(name: &str, value: &Value) -> String {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| setting(name, value)).collect::<Vec<_>>().join(", ")
        }
        Value::Array(parts) => {
            format!("{name}={}", parts.iter().map(bare).collect::<Vec<_>>().join(" "))
        }
        other => format!("{name}={}", bare(other)),
    }
}

/// A value without quotation marks.
fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A short name of the system under test: `tracker on sqlite (delete)`.
pub(crate) fn subject(trial: &Trial) -> String {
    let mode = trial.workload.journal_mode.as_ref().map_or(String::new(), |mode| format!(" ({mode})"));
    format!("{} on {}{mode}", trial.app, trial.engine)
}

fn automatic_checkpoint(trial: &Trial) -> String {
    match trial.workload.wal_autocheckpoint {
        None => String::new(),
        Some(0) => "never".into(),
        Some(pages) => format!("after {pages} pages"),
    }
}

/// The command that repeats a trial of a run with this command. The id is quoted, so that it is one word of a shell
/// command.
pub(crate) fn repeat(trial: &Trial, command: &str) -> String {
    let id = shlex::try_quote(&trial.id).unwrap_or(Cow::Borrowed(&trial.id));
    format!("{command} --only {id}")
}

/// The requested size of the dataset.
pub(crate) fn size(trial: &Trial) -> String {
    number::chosen_bytes(trial.dataset.target_bytes as f64)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Conditions, strategy};
    use crate::example;
    use crate::record::Trial;
    use crate::record::Verdict::Restorable;

    fn trials(change: impl Fn(usize, &mut Trial)) -> Vec<Trial> {
        let mut trials = vec![example::trial("one-step", Restorable); 3];
        trials.iter_mut().enumerate().for_each(|(at, trial)| change(at, trial));
        trials
    }

    #[test]
    fn shared_conditions_are_stated_once_and_usual_ones_are_not_repeated() {
        let trials = trials(|at, trial| {
            trial.workload.writers = [1, 2, 3][at];
            if at == 2 {
                (trial.app, trial.workload.journal_mode) = ("tracker".into(), None);
            }
        });
        let trials: Vec<&Trial> = trials.iter().collect();
        let conditions = Conditions::of(&trials);
        let shared = conditions.shared();
        assert!(shared.starts_with("engine sqlite; application embedded unless stated; dataset"), "{shared}");
        assert!(shared.contains("journal mode wal;") && !shared.contains("writers"), "{shared}");
        assert_eq!(conditions.row_name(trials[0]), "one-step, writers 1");
        assert_eq!(conditions.row_name(trials[2]), "one-step, tracker, writers 3");
    }

    #[test]
    fn a_condition_that_an_engine_does_not_have_is_left_out() {
        let trials = trials(|_, trial| trial.workload.synchronous = None);
        let shared = Conditions::of(&trials.iter().collect::<Vec<_>>()).shared();
        assert!(!shared.contains("synchronous") && shared.contains("fault none"), "{shared}");
        assert_eq!(Conditions::of(&[]).shared(), "");
    }

    #[test]
    fn settings_in_json_are_shown_without_it() {
        let mut trial = example::trial("litestream", Restorable);
        trial.variant = r#"database={"monitor-interval":"50ms"}, version=0.5"#.into();
        trial.settings.insert("database".into(), json!({"monitor-interval": "50ms"}));
        trial.settings.insert("version".into(), json!("0.5"));
        trial.settings.insert("restores".into(), json!(2));
        assert_eq!(strategy(&trial), "litestream monitor-interval=50ms, version=0.5");
        trial.control = true;
        trial.variant = "unsafe [1]".into();
        assert_eq!(strategy(&trial), "litestream unsafe [1] (negative control)");
    }
}
