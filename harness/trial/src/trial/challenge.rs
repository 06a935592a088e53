//! What happened during a backup: a copy that no concurrent change disturbed proves little.

use std::fs::Metadata;
use std::path::Path;

use engines::log_events::LogEvents;
use machine::measure::clock::{Span, monotonic_ns_of};
use machine::measure::storage;
use reports::record;
use strategies::contract::Family;

use super::context::TrialContext;
use super::phase_results::BackedUp;
use crate::trial::impact::Writes;

/// The part of a backup in which its artifact was made: from the creation of its first file to the last change of any
/// of its files. What a script does before that cannot disturb the copy. The whole backup if the times of the files are
/// not usable.
pub(super) fn copying(artifact: &Path, backup: Span) -> Span {
    let files: Vec<Metadata> =
        storage::files(artifact).iter().filter_map(|file| file.metadata().ok()).collect();
    let first = files.iter().filter_map(|file| file.created().ok()).min().and_then(monotonic_ns_of);
    let last = files.iter().filter_map(|file| file.modified().ok()).max().and_then(monotonic_ns_of);
    let within = |at_ns: u64| at_ns.clamp(backup.from_ns, backup.to_ns);
    let from_ns = first.map_or(backup.from_ns, within);
    // Snapshots, and copies that preserve times, have the times of the original.
    let to_ns = last.filter(|last| *last >= from_ns).map_or(backup.to_ns, within);
    Span { from_ns, to_ns }
}

impl TrialContext<'_> {
    /// What happened while the artifact was made; `None` if there is no artifact, or if the application was stopped
    /// during all of that time, so that nothing could disturb it.
    pub(super) fn challenge(
        &self,
        backup: &BackedUp,
        writes: &Writes<'_>,
        outages: &[Span],
    ) -> Option<record::Challenge> {
        let span = backup.artifact.as_ref().ok()?.copying;
        let stopped = |outage: &Span| outage.from_ns <= span.from_ns && span.to_ns <= outage.to_ns;
        if outages.iter().any(stopped) {
            return None;
        }
        let met = writes.met(span);
        let log = backup.log_events.as_ref();
        let within = |times: fn(&LogEvents) -> &Vec<u64>| {
            // An event at exactly the time of the first byte may have been before it, for example a checkpoint that the
            // script itself ran.
            let inside = |at: &&u64| span.from_ns < **at && **at < span.to_ns;
            log.map(|events| times(events).iter().filter(inside).count() as u64)
        };
        let mut challenge = record::Challenge {
            seconds: span.seconds(),
            writes: met.waiting,
            commits: met.acknowledged,
            checkpoints: within(|events| &events.checkpoints_ns),
            log_resets: within(|events| &events.resets_ns),
            growth_bytes: log.map(|events| events.growth_bytes(span)),
            challenged: false,
        };
        let has_log = self.plan.deployment.mode.is_some_and(|mode| mode.has_log);
        challenge.challenged = match (self.plan.strategy.card().family, has_log) {
            // Strategies that copy files are disturbed only by changes to the copied bytes; commits only append to the
            // log.
            (Family::Cold | Family::Control | Family::External | Family::Snapshot, true) => {
                challenge.checkpoints > Some(0) || challenge.log_resets > Some(0)
            }
            _ => challenge.writes > 0,
        };
        Some(challenge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    use machine::measure::clock::now_ns;

    #[test]
    fn a_copy_lasts_from_the_first_byte_of_its_files_to_their_last() {
        let directory = tempfile::tempdir().unwrap();
        // File times may have the resolution of the kernel's tick.
        let tick = || std::thread::sleep(std::time::Duration::from_millis(20));
        let began_ns = now_ns();
        tick();
        let before_ns = now_ns();
        tick();
        std::fs::write(directory.path().join("copy"), "half").unwrap();
        std::fs::write(directory.path().join("log"), "whole").unwrap();
        tick();
        let after_ns = now_ns();
        let backup = Span { from_ns: began_ns, to_ns: after_ns };
        let span = copying(directory.path(), backup);
        assert!(before_ns < span.from_ns && span.from_ns <= span.to_ns && span.to_ns < after_ns, "{span:?}");

        let old = SystemTime::now() - std::time::Duration::from_secs(3600);
        for name in ["copy", "log"] {
            let file = std::fs::File::options().write(true).open(directory.path().join(name)).unwrap();
            file.set_modified(old).unwrap();
        }
        assert_eq!(
            copying(directory.path(), backup).to_ns,
            backup.to_ns,
            "these files have the times of the original"
        );
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(copying(nothing.path(), backup), backup);
    }
}
