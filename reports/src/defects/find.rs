//! Finds defects in the records of trials.

use super::upstream::{UPSTREAM, Upstream};
use crate::record::{Results, Run, Trial, Verdict};
use crate::render::words::each_once;

/// A defect of one tool: a verdict that no correct backup tool gets.
pub struct Defect<'a> {
    /// The tool: the strategy that runs it, or the name of the variant for a user's own command.
    pub tool: &'a str,
    /// The verdict.
    pub verdict: Verdict,
    /// The trials that show it, the oldest version of the tool first.
    pub trials: Vec<(&'a Run, &'a Trial)>,
    /// Versions that were tried under the same settings and conditions, in the same runs, and did not show it.
    pub free: Vec<&'a str>,
    /// Issues upstream that describe what these trials show.
    pub upstream: Vec<&'static Upstream>,
}

impl Defect<'_> {
    /// Whether only the comparison with the ledger shows it: the tool reported success.
    pub fn is_silent(&self) -> bool {
        is_silent(self.verdict)
    }

    /// Versions of the tool that show it.
    pub fn versions(&self) -> Vec<&str> {
        each_once(self.trials.iter().filter_map(|(_, trial)| version(trial)))
    }
}

fn is_silent(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Corrupt | Verdict::Lossy)
}

/// All defects that these runs show, silent ones first. Negative controls are wrong on purpose, and a trial that could
/// not run or proved nothing shows no defect.
pub fn find(runs: &[Results]) -> Vec<Defect<'_>> {
    let mut found: Vec<Defect<'_>> = Vec::new();
    for (run, trial) in trials(runs).filter(|(_, trial)| is_defect(trial)) {
        let is_same =
            |defect: &&mut Defect<'_>| defect.tool == tool(trial) && defect.verdict == trial.verdict;
        match found.iter_mut().find(is_same) {
            Some(defect) => defect.trials.push((run, trial)),
            None => found.push(Defect {
                tool: tool(trial),
                verdict: trial.verdict,
                trials: vec![(run, trial)],
                free: Vec::new(),
                upstream: Vec::new(),
            }),
        }
    }
    for defect in &mut found {
        defect.trials.sort_by_key(|(_, trial)| version_key(trial));
        defect.free = free_of(defect, runs);
        let describes =
            |upstream: &&Upstream| defect.trials.iter().any(|(_, trial)| describes(upstream, trial));
        defect.upstream = UPSTREAM.iter().filter(describes).collect();
    }
    found.sort_by_key(|defect| (!defect.is_silent(), defect.tool));
    found
}

/// All trials that show something about a tool, in the order of the runs.
pub(super) fn trials(runs: &[Results]) -> impl Iterator<Item = (&Run, &Trial)> {
    let all = runs.iter().flat_map(|results| results.trials.iter().map(|trial| (&results.run, trial)));
    let proves = |trial: &Trial| !matches!(trial.verdict, Verdict::Unavailable | Verdict::Unverified);
    all.filter(move |(_, trial)| !trial.control && trial.fault.is_none() && proves(trial))
}

fn is_defect(trial: &Trial) -> bool {
    trial.verdict != Verdict::Restorable
}

/// The tool of a trial.
pub(super) fn tool(trial: &Trial) -> &str {
    if trial.strategy == "external" { &trial.variant } else { &trial.strategy }
}

/// The version of the tool of a trial, where it was determined: the first word of what it printed that begins as a number.
pub(super) fn version(trial: &Trial) -> Option<&str> {
    let printed = trial.versions.get(&trial.strategy)?;
    let mut words = printed.split_whitespace().map(|word| word.trim_start_matches('v').trim_end_matches(','));
    words.find(|word| word.starts_with(|first: char| first.is_ascii_digit())).or(Some(printed))
}

/// Orders versions by their numbers: 0.5.9 is older than 0.5.10.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|digit: char| !digit.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// What trials of one tool are ordered by.
pub(super) fn version_key(trial: &Trial) -> Vec<u64> {
    version(trial).map_or(Vec::new(), numbers)
}

/// The versions of the trials that differ from those of a defect only in the version, and do not show it.
fn free_of<'a>(defect: &Defect<'_>, runs: &'a [Results]) -> Vec<&'a str> {
    let affected = defect.versions();
    let is_alike = |trial: &Trial| {
        defect.trials.iter().any(|(_, other)| {
            tool(trial) == defect.tool && settings_but_version(trial) == settings_but_version(other)
        })
    };
    let alike = trials(runs).map(|(_, trial)| trial).filter(|trial| is_alike(trial));
    let mut free = each_once(alike.filter_map(version).filter(|version| !affected.contains(version)));
    free.sort_by_key(|version| numbers(version));
    free
}

fn settings_but_version(trial: &Trial) -> Vec<(&String, &serde_json::Value)> {
    trial.settings.iter().filter(|(name, _)| *name != "version").collect()
}

fn describes(upstream: &Upstream, trial: &Trial) -> bool {
    let [first, last] = upstream.versions.map(numbers);
    let texts = evidence(trial);
    upstream.tool == tool(trial)
        && (first..=last).contains(&version_key(trial))
        && upstream.signs.iter().any(|sign| texts.iter().any(|text| text.contains(sign)))
}

/// What a trial found: its reason, the findings of its restores, and what the restore printed.
pub(super) fn evidence(trial: &Trial) -> Vec<&str> {
    let live = trial.live_restores.iter().map(|live| &live.verification);
    let findings = live.chain(&trial.verification).flat_map(|verification| &verification.findings);
    let output = trial.restore.as_ref().and_then(|restore| restore.output.as_ref());
    std::iter::once(&trial.reason).chain(findings).chain(output).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::Verdict::*;

    fn trial(version: &str, verdict: Verdict, finding: &str) -> Trial {
        let mut trial = example::trial("litestream", verdict);
        trial.versions.insert("litestream".into(), version.into());
        trial.settings.insert("version".into(), version.into());
        if let Some(verification) = &mut trial.verification {
            verification.findings = vec![finding.into()];
        }
        trial
    }

    #[test]
    fn a_defect_has_its_versions_in_order_and_those_that_are_free_of_it() {
        let trials = vec![
            trial("0.5.10", Corrupt, "integrity: integrity_check: page 3 is never used"),
            trial("0.5.9", Corrupt, "row 1 is torn"),
            trial("0.5.17", Restorable, ""),
            trial("v0.3.13", Restorable, ""),
        ];
        let runs = [example::results(trials)];
        let found = find(&runs);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].versions(), ["0.5.9", "0.5.10"]);
        assert_eq!(found[0].free, ["0.3.13", "0.5.17"]);
        assert!(found[0].upstream.iter().any(|upstream| upstream.link.ends_with("/1164")));
        assert!(
            found[0].upstream.iter().all(|upstream| !upstream.link.ends_with("/582")),
            "of another version"
        );
    }

    #[test]
    fn a_version_is_the_first_number_of_what_a_tool_prints() {
        let of = |printed: &str| version(&trial(printed, Corrupt, "")).map(str::to_owned).unwrap();
        let printed = [
            "v0.3.13",
            "3.40.1 2022-12-28 df5c253c",
            "mysqldump  Ver 9.7.4-2 for Linux",
            "mydumper 0.10.0, built against MySQL 10.11.14",
            "unknown",
        ];
        assert_eq!(printed.map(of), ["0.3.13", "3.40.1", "9.7.4-2", "0.10.0", "unknown"]);
    }

    #[test]
    fn other_settings_do_not_free_a_version() {
        let mut gentle = trial("0.5.17", Restorable, "");
        gentle.settings.insert("restart".into(), true.into());
        let runs = [example::results(vec![trial("0.5.9", Lossy, ""), gentle])];
        assert!(find(&runs)[0].free.is_empty());
    }

    #[test]
    fn controls_and_trials_that_proved_nothing_are_no_defects() {
        let mut control = example::trial("hot-copy", Corrupt);
        control.control = true;
        let trials = vec![control, example::trial("a", Unavailable), example::trial("b", Unverified)];
        assert!(find(&[example::results(trials)]).is_empty());
    }

    #[test]
    fn silent_defects_come_first_and_a_users_command_is_named_by_its_variant() {
        let mut own = example::trial("external", Stalled);
        own.variant = "Tcl, db backup".into();
        let runs = [example::results(vec![own, trial("0.5.9", Corrupt, "")])];
        let found: Vec<(&str, bool)> =
            find(&runs).iter().map(|defect| (defect.tool, defect.is_silent())).collect();
        assert_eq!(found, [("litestream", true), ("Tcl, db backup", false)]);
    }
}
