//! Claims about backups that leave the machine.

use super::finding::{Answer, Finding};
use crate::record::{Trial, Verdict};
use crate::render::words::each_once;

/// Destinations that are servers.
const SERVERS: [&str; 3] = ["s3", "sftp", "rsync"];
/// Strategies whose repository is always encrypted.
const ENCRYPTED_REPOSITORIES: [&str; 3] = ["borg", "restic", "rustic"];

fn has_stage(trial: &Trial, names: &[&str]) -> bool {
    let stages = trial.offsite.iter().flat_map(|offsite| &offsite.stages);
    stages.map(|stage| stage.name.as_str()).any(|name| names.contains(&name))
}

/// The artifact was published at a server.
pub(super) fn is_on_a_server(trial: &Trial) -> bool {
    let replicates_to = trial.settings.get("destination").and_then(|destination| destination.as_str());
    has_stage(trial, &SERVERS) || replicates_to.is_some_and(|name| SERVERS.contains(&name))
}

/// The artifact was encrypted.
pub(super) fn is_encrypted(trial: &Trial) -> bool {
    has_stage(trial, &["age"]) || ENCRYPTED_REPOSITORIES.contains(&trial.strategy.as_str())
}

/// What came back is right.
pub(super) fn judge_restored(trials: &[&Trial]) -> Finding {
    let good: Vec<&&Trial> = trials.iter().filter(|trial| trial.verdict == Verdict::Restorable).collect();
    let ways = each_once(good.iter().map(|trial| match &trial.offsite {
        Some(offsite) => offsite.label.as_str(),
        None => trial.strategy.as_str(),
    }));
    let by = if ways.is_empty() { String::new() } else { format!(": {}", ways.join(", ")) };
    let text = format!("{} of {} trials were restorable{by}.", good.len(), trials.len());
    Finding::new(Answer::of(good.len(), trials.len()), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::{Offsite, Stage};

    fn by_way_of(stages: &[&str], verdict: Verdict) -> Trial {
        let stage = |name: &&str| Stage {
            name: (*name).into(),
            is_back: false,
            seconds: 1.0,
            bytes_in: 1,
            bytes_out: 1,
            cpu_seconds: None,
            memory_bytes_max: None,
            requests: None,
        };
        let stages: Vec<Stage> = stages.iter().map(stage).collect();
        let label = stages.iter().map(|stage| stage.name.clone()).collect::<Vec<_>>().join("+");
        let mut trial = example::trial("sqlite-live-copy", verdict);
        trial.offsite = Some(Offsite { label, stages, ..Offsite::default() });
        trial
    }

    #[test]
    fn a_server_and_a_key_make_a_trial_evidence() {
        let local = by_way_of(&["pack", "directory"], Verdict::Restorable);
        assert!(!is_on_a_server(&local) && !is_encrypted(&local));
        let away = by_way_of(&["pack", "age", "s3"], Verdict::Restorable);
        assert!(is_on_a_server(&away) && is_encrypted(&away));
        let mut replica = example::trial("litestream", Verdict::Restorable);
        assert!(!is_on_a_server(&replica));
        replica.settings.insert("destination".into(), "sftp".into());
        assert!(is_on_a_server(&replica) && !is_encrypted(&replica));
        assert!(is_encrypted(&example::trial("borg", Verdict::Restorable)));
    }

    #[test]
    fn one_that_does_not_come_back_limits_the_claim_and_each_way_is_named_once() {
        let trials = [
            by_way_of(&["zstd", "s3"], Verdict::Restorable),
            by_way_of(&["zstd", "s3"], Verdict::Restorable),
            by_way_of(&["sftp"], Verdict::Failed),
        ];
        let all: Vec<&Trial> = trials.iter().collect();
        let finding = judge_restored(&all);
        assert_eq!(finding.answer, Answer::ConfirmedUnderConditions);
        assert_eq!(finding.measured, "2 of 3 trials were restorable: zstd+s3.");
        assert_eq!(judge_restored(&all[2..]).answer, Answer::Refuted);
    }
}
