//! A trial with a fault of the publication: the publications before, under and after it, and what came through it.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use engines::database::Database;
use machine::error::{Error, Result};
use machine::measure::clock::now_ns;
use machine::process::StopOnDrop;
use reports::record::Aftermath;

use super::context::TrialContext;
use super::faulted::{ATTEMPTS, Strike, harmed, strike_after};
use super::phase_results::{FaultResults, Lost, OffsiteResults, PublishedBackup};
use crate::fault::{ConfiguredFault, Scene};
use crate::stages::ConfiguredStages;

impl TrialContext<'_> {
    /// Publishes the artifact while a fault strikes. It is also published before that, and again after it has failed.
    /// Returns why it is not published, if it is not.
    pub(super) fn publish_with_fault(
        &self,
        fault: &ConfiguredFault,
        stages: &ConfiguredStages,
        database: Database,
        offsite: &mut OffsiteResults,
        results: &mut FaultResults,
    ) -> Result<Option<String>> {
        self.place_of(stages, offsite)?;
        let began = Instant::now();
        let mut previous = self
            .publish_unrecorded(stages, offsite)?
            .map_err(|why| Error::Environment(format!("no publication before the fault: {why}")))?;
        let mut latest = began.elapsed();
        let line = offsite.provided.as_ref().and_then(|provided| provided.line.clone());
        let scene = Scene { line, ..self.scene(fault, database, None) };
        let (mut failed, mut ended_ns, mut strike) =
            self.publish_struck(fault, stages, &scene, latest, offsite)?;
        for _ in 1..ATTEMPTS {
            if strike.is_some() || failed.is_some() {
                break;
            }
            // The fault came too late.
            latest /= 2;
            previous = offsite.published.take().unwrap_or(previous);
            offsite.stages.clear();
            (failed, ended_ns, strike) = self.publish_struck(fault, stages, &scene, latest, offsite)?;
        }
        results.ended_ns = Some(ended_ns);
        if let Some(strike) = strike {
            results.strike = Some((strike.at_ns, strike.injected.proof));
            (strike.injected.heal)()?;
        }
        let healed_ns = now_ns();
        results.healed_ns = Some(healed_ns);
        let next = match &failed {
            None => None,
            Some(_) => {
                self.clear_between()?;
                let mut again =
                    OffsiteResults { provided: offsite.provided.take(), ..OffsiteResults::default() };
                let next = self.publish_unrecorded(stages, &mut again)?;
                offsite.provided = again.provided;
                Some(next)
            }
        };
        results.published = Some((previous, next));
        self.wait_until_it_works(healed_ns)?;
        Ok(failed)
    }

    /// A publication that the fault strikes at a random moment until `latest`. Returns why it failed, if it did, and when
    /// it ended.
    fn publish_struck<'s>(
        &self,
        fault: &ConfiguredFault,
        stages: &ConfiguredStages,
        scene: &'s Scene<'s>,
        latest: Duration,
        offsite: &mut OffsiteResults,
    ) -> Result<(Option<String>, u64, Option<Strike<'s>>)> {
        let share = scene.random_below(1 << 20, "moment") as f64 / f64::from(1 << 20);
        let stop = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            let striking = scope.spawn(move || strike_after(latest.mul_f64(share), fault, scene, stop));
            let failed = {
                let _stop = StopOnDrop(stop);
                self.publish_once(stages, offsite)
            };
            // The fault may last longer.
            let ended_ns = now_ns();
            let strike = striking.join().map_err(|_| Error::Bug(anyhow!("a fault panicked")))?;
            Ok((failed?, ended_ns, strike?))
        })
    }

    /// A publication of which no stage is recorded.
    fn publish_unrecorded(
        &self,
        stages: &ConfiguredStages,
        offsite: &mut OffsiteResults,
    ) -> Result<std::result::Result<PublishedBackup, String>> {
        let failed = self.publish_once(stages, offsite)?;
        offsite.stages.clear();
        Ok(match (failed, offsite.published.take()) {
            (None, Some(published)) => Ok(published),
            (why, _) => Err(why.unwrap_or_default()),
        })
    }

    /// Finds out whether the publications before and after the fault are complete, and verifies the database that the
    /// disaster left.
    pub(super) fn examine_publications(&self, results: &mut FaultResults, lost: &Lost) -> Result<()> {
        let Some((previous, next)) = &results.published else { return Ok(()) };
        if results.strike.is_none() {
            return Ok(());
        }
        self.timeline.enter("aftermath");
        let judged = |published: &PublishedBackup| -> Result<Aftermath> {
            Ok(match self.look_for(published)? {
                None => Aftermath { ok: true, reason: "it was fetched, as its manifest says".into() },
                Some(why) => harmed(&why),
            })
        };
        let next = match next {
            None => None,
            Some(Ok(published)) => Some(judged(published)?),
            Some(Err(why)) => Some(harmed(why)),
        };
        let source = self.verify_source(results.healed_ns, lost)?;
        results.aftermath = [Some(judged(previous)?), Some(source), next];
        Ok(())
    }
}
