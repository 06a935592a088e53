//! The conditions that all trials of a run share, and how they differ when a run is resumed.
//!
//! A report compares the trials of a run with each other, so a run may only be resumed under the conditions under which
//! it began: the scenario's values, the build of this program, the user's own database, the machine, the images and the
//! versions of tools. What is specific to a trial (its strategy, its settings and so on) is compared with its record.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;
use machine::docker;
use machine::error::{Error, Result};
use machine::program_cache::ProgramCache;
use machine::tool::Tool;
use reports::printable;
use reports::record::{Results, Verdict};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use crate::plan::{Plan, TrialPlan, settings_map};
use crate::scenario::Scenario;
use crate::stages::ConfiguredStages;
use crate::trial::Images;

/// Values by name, as the run's record holds them.
pub(super) type Conditions = BTreeMap<String, Value>;

/// The name of the build of this program.
pub(super) const BUILD: &str = "build of the harness";
/// Prefix of the names of conditions that are found on the machine.
const VERSION: &str = "version of ";

/// Parts of a scenario that only select trials, or do not influence them. Each record contains its own values of these.
const NO_CONDITIONS: [&str; 12] = [
    "/description",
    "/repetitions",
    "/thresholds",
    "/variants",
    "/faults",
    "/stages",
    "/subject/engines",
    "/subject/apps",
    "/subject/journal_modes",
    "/subject/file_systems",
    "/dataset/sizes",
    "/workload/rates",
];

/// The conditions that are known before anything has an effect: the scenario, the user's own database, and the build of
/// this program.
///
/// # Errors
/// [`Error::Input`] when the user's own database cannot be read.
pub(super) fn declared(scenario: &Scenario) -> Result<Conditions> {
    let mut conditions = Conditions::new();
    let values = serde_json::to_value(scenario).context("a scenario is plain data")?;
    flatten("", &values, &mut conditions);
    if let Some(file) = &scenario.database {
        let (_, files) = engines::registry::of_files();
        let bytes = files.bytes(file)?;
        let modified = file.metadata().and_then(|metadata| metadata.modified());
        let modified = modified.context("cannot read when the database was changed")?;
        let modified = Timestamp::try_from(modified).context("a file has a time")?;
        conditions.insert("database.bytes".into(), bytes.into());
        conditions.insert("database.modified".into(), modified.to_string().into());
    }
    let program = std::fs::read("/proc/self/exe").context("cannot read this program")?;
    conditions.insert(BUILD.into(), format!("{:032x}", xxh3_128(&program)).into());
    Ok(conditions)
}

fn flatten(place: &str, value: &Value, conditions: &mut Conditions) {
    if NO_CONDITIONS.contains(&place) {
        return;
    }
    match value {
        Value::Object(values) => {
            values.iter().for_each(|(key, value)| flatten(&format!("{place}/{key}"), value, conditions));
        }
        value => {
            conditions.insert(place.trim_start_matches('/').replace('/', "."), value.clone());
        }
    }
}

/// The conditions that trials find on this machine: images, versions of commands, and the files that their settings
/// name.
pub(super) fn found(trials: &[&TrialPlan], scenario: &Scenario, images: &Images) -> Conditions {
    let mut conditions = Conditions::new();
    let mut enter = |name: String, value: String| conditions.insert(format!("{VERSION}{name}"), value.into());
    let tools = images.tools.iter().filter_map(|(kind, image)| Some((kind, image.as_ref().ok()?)));
    for (kind, image) in images.subjects.iter().chain(tools) {
        enter(format!("image {}", kind.name), format!("{} {}", image.reference, image.id));
        if let Ok(version) = docker::server_version() {
            enter("docker".into(), version);
        }
    }
    for tool in tools_of(trials).into_values() {
        if let Some(version) = tool.version() {
            enter(tool.command.into(), version);
        }
    }
    for word in words_of(trials) {
        if let Some(identity) = identity_of(&scenario.directory.join(&word)) {
            enter(format!("file {word}"), identity);
        }
    }
    conditions
}

/// Scripts are smaller than this. A larger file is data, and reading it could take longer than the trials.
const SCRIPT_BYTES_MAX: u64 = 1 << 20;

/// Identifies the version of a file; `None` if it is not a regular file: for example a word of a shell command, or an
/// endless device.
fn identity_of(file: &Path) -> Option<String> {
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    if metadata.len() > SCRIPT_BYTES_MAX {
        let modified = Timestamp::try_from(metadata.modified().ok()?).ok()?;
        return Some(format!("{} bytes, changed {modified}", metadata.len()));
    }
    let content = std::fs::read(file).ok()?;
    Some(format!("{:032x}", xxh3_128(&content)))
}

fn tools_of(trials: &[&TrialPlan]) -> BTreeMap<&'static str, &'static Tool> {
    let of = |trial: &&TrialPlan| {
        let file_system = trial.deployment.file_system;
        let tools = trial.strategy.card().tools(trial.deployment.engine).iter();
        let of_stages = trial.stages.iter().flat_map(|stages| stages.tools()).copied();
        let of_fault = trial.fault.iter().flat_map(|fault| fault.tools()).copied();
        let of_system = file_system.maker().into_iter().chain(file_system.manager());
        tools.chain(of_system).chain(of_stages).chain(of_fault).collect::<Vec<_>>()
    };
    trials.iter().flat_map(of).map(|tool| (tool.command, tool)).collect()
}

/// Words in the settings; some of them may be paths of files.
fn words_of(trials: &[&TrialPlan]) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for trial in trials {
        trial.strategy.settings().values().for_each(|value| words_in(value, &mut words));
    }
    words
}

fn words_in(value: &Value, words: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let plain = text.split_whitespace().map(|word| word.trim_matches(['"', '\'', ';']));
            words.extend(plain.filter(|word| !word.is_empty()).map(str::to_owned));
        }
        Value::Array(values) => values.iter().for_each(|value| words_in(value, words)),
        Value::Object(values) => values.values().for_each(|value| words_in(value, words)),
        _ => {}
    }
}

/// The differences between two sets of values, one line each.
fn differences(then: &Conditions, now: &Conditions) -> Vec<String> {
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let line = |name: &String| difference(name, then.get(name), now.get(name));
    names.into_iter().filter_map(line).collect()
}

fn difference(name: &str, then: Option<&Value>, now: Option<&Value>) -> Option<String> {
    let shown = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), Value::to_string);
    (then != now).then(|| format!("{name} was {} and is {}", shown(then), shown(now)))
}

/// The differences between the conditions of a run and those that are [`declared`] now.
pub(super) fn declared_differences(then: &Conditions, now: &Conditions) -> Vec<String> {
    let declared = then.iter().filter(|(name, _)| !name.starts_with(VERSION));
    differences(&declared.map(|(name, value)| (name.clone(), value.clone())).collect(), now)
}

/// The differences between the conditions of a run and those that are [`found`] now. Conditions that only one of them
/// has are ignored: no trial of the other used them.
pub(super) fn found_differences(then: &Conditions, now: &Conditions) -> Vec<String> {
    let both = now.iter().filter_map(|(name, now)| difference(name, Some(then.get(name)?), Some(now)));
    both.collect()
}

/// The differences between the records of a run and the plan of the same trials.
pub(super) fn plan_differences(results: &Results, plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for trial in &results.trials {
        let Some(planned) = plan.trials.iter().find(|planned| planned.id == trial.id) else { continue };
        let now = settings_map(planned.strategy.settings());
        let of_trial = |line| format!("settings of '{}': {line}", trial.id);
        lines.extend(differences(&trial.settings, &now).into_iter().map(of_trial));
        let now = planned.stages.as_ref().map(ConfiguredStages::settings).unwrap_or_default();
        let then = trial.offsite.as_ref().map_or(&[][..], |offsite| &offsite.settings);
        for (then, now) in then.iter().zip(&now) {
            let of_stage = |line| format!("settings of '{}': {} of {line}", trial.id, now.stage);
            lines.extend(differences(&then.settings, &now.settings).into_iter().map(of_stage));
        }
        if trial.expected != planned.expected {
            let names =
                |verdicts: &[Verdict]| verdicts.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ");
            let (then, now) = (names(&trial.expected), names(&planned.expected));
            lines.push(format!("expect of '{}' was [{then}] and is [{now}]", trial.id));
        }
    }
    lines
}

/// The differences between the programs that recorded trials used and those that the remaining trials would use with
/// the same settings.
///
/// # Errors
/// [`Error::Interrupted`].
pub(super) fn program_differences(
    results: &Results,
    left: &[&TrialPlan],
    scenario: &Scenario,
    programs: &ProgramCache<'_>,
) -> Result<Vec<String>> {
    let mut lines = BTreeSet::new();
    for planned in left {
        let settings = settings_map(planned.strategy.settings());
        let is_same = |trial: &&reports::record::Trial| {
            let ran = trial.verdict != Verdict::Unavailable;
            ran && trial.strategy == planned.strategy.name() && trial.settings == settings
        };
        let Some(trial) = results.trials.iter().find(is_same) else { continue };
        let (name, now) = match versioned(planned, scenario, programs) {
            Ok(Some(found)) => found,
            // A missing program does not prevent the run: the trial gets the verdict `unavailable`.
            Ok(None) | Err(Error::Environment(_)) => continue,
            Err(error) => return Err(error),
        };
        if let Some(then) = trial.versions.get(name).filter(|then| **then != now) {
            lines.insert(format!("{VERSION}{name} was '{then}' and is '{now}'"));
        }
    }
    Ok(lines.into_iter().collect())
}

/// The program that a trial's settings name, or the user's own commands, with the version; `None` where neither is known.
fn versioned(
    planned: &TrialPlan,
    scenario: &Scenario,
    programs: &ProgramCache<'_>,
) -> Result<Option<(&'static str, String)>> {
    let (abilities, name) = (planned.strategy.abilities(), planned.strategy.name());
    if let Some(program) = abilities.program {
        return program.locate(programs).map(|program| Some((program.name, program.version)));
    }
    let commands = abilities.user_commands;
    let version = commands.and_then(|commands| commands.version(&scenario.directory));
    Ok(version.map(|version| (name, printable(&version))))
}

/// Refuses to resume a run under other conditions.
///
/// # Errors
/// [`Error::Input`] with all differences, if there are any.
pub(super) fn refuse(directory: &Path, results: &Results, differences: &[String]) -> Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::Input(format!(
        "cannot resume the run in {} under other conditions: {}; resume it under the same conditions, as in '{}', or \
         start a new run without --resume",
        directory.display(),
        differences.join("; "),
        results.run.command
    )))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::scenario::Overrides;

    const SMALL: &str = r#"
        description = "small"
        [dataset]
        sizes = ["1MiB"]
        [workload]
        rates = [10]
        [[variants]]
        name = "mine"
        strategy = "external"
        settings = { backup = "sh backup.sh 'now'; cat /dev/zero", restore = ["./restore.sh", "now"] }
    "#;

    fn scenario(text: &str) -> Scenario {
        Scenario::parse("small", text).unwrap()
    }

    fn declared_by(text: &str) -> Conditions {
        declared(&scenario(text)).unwrap()
    }

    #[test]
    fn every_value_of_a_scenario_is_a_condition_except_those_that_select_trials() {
        let then = declared_by(SMALL);
        let differences =
            |from: &str, to: &str| declared_differences(&then, &declared_by(&SMALL.replace(from, to)));
        let subject = "[subject]\nsynchronous = \"off\"\nsync_binlog = 0\nmysql_options = { skip_log_bin = 1 }\n[dataset]";
        let found = [
            differences("[dataset]", "[trial]\ndeadline_seconds = 60.0\n[dataset]"),
            differences("[dataset]", subject),
            differences("[10]", "[10]\npattern = { wave = { amplitude = 0.5, period_seconds = 2.0 } }"),
        ];
        insta::assert_snapshot!(found.concat().join("\n"), @r#"
        trial.deadline_seconds was 3600.0 and is 60.0
        subject.mysql_options.skip_log_bin was absent and is 1
        subject.sync_binlog was 1 and is 0
        subject.synchronous was "full" and is "off"
        workload.pattern was "constant" and is absent
        workload.pattern.wave.amplitude was absent and is 0.5
        workload.pattern.wave.period_seconds was absent and is 2.0
        "#);
        let more = [("[10]", "[10, 20]"), ("\"1MiB\"", "\"1MiB\", \"2MiB\""), ("\"small\"", "\"other\"")];
        for (from, to) in more {
            assert_eq!(differences(from, to), Vec::<String>::new(), "{to}");
        }
        assert_eq!(
            differences("[dataset]", "[subject]\nengines = [\"mysql\"]\n[dataset]"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn scripts_that_settings_name_are_found_and_compared_with_those_of_the_other_trials() {
        let directory = tempfile::tempdir().unwrap();
        for script in ["backup.sh", "restore.sh"] {
            let path = directory.path().join(script);
            std::fs::write(&path, "exit 1").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut scenario = scenario(SMALL);
        scenario.directory = directory.path().to_owned();
        let plan = Plan::new(scenario, &Overrides::default());
        let plan = plan.unwrap_or_else(|error| panic!("{error}"));
        let trials: Vec<&TrialPlan> = plan.trials.iter().collect();
        let find = || found(&trials, &plan.scenario, &Images::default());
        let then = find();
        let names: Vec<&String> = then.keys().filter(|name| name.contains("file")).collect();
        assert_eq!(names, ["version of file ./restore.sh", "version of file backup.sh"]);
        std::fs::write(directory.path().join("backup.sh"), "exit 0").unwrap();
        let differences = found_differences(&then, &find());
        assert_eq!(differences.len(), 1);
        assert!(differences[0].starts_with("version of file backup.sh was \""), "{differences:?}");
        assert_eq!(
            found_differences(&Conditions::new(), &then),
            Vec::<String>::new(),
            "no trial used it before"
        );
    }

    #[test]
    fn only_small_regular_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let large = directory.path().join("large");
        std::fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
        assert!(identity_of(&large).unwrap().starts_with("1099511627776 bytes, changed "));
        for endless in ["/dev/zero", "/dev/stdin", "/", "/no/such/file"] {
            assert_eq!(identity_of(Path::new(endless)), None, "{endless}");
        }
    }
}
