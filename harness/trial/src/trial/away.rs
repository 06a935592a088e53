//! The way of an artifact off the machine, and back after the disaster.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use engines::subject::Subject;
use jiff::Timestamp;
use machine::error::{Error, Result};
use machine::process::{Account, Counters, Group};
use machine::removal;
use machine::worker::Job;
use offsite::content::Content;
use offsite::destination::Moved;
use offsite::jobs::{Fetch, Pack, Publish, Transform, Unpack, Which, Withdraw};
use offsite::manifest::Backup;
use offsite::pack::Packed;
use offsite::server::LineQuality;
use offsite::settings::Settings;
use offsite::transform::{Direction, TransformChoice};
use reports::record;

use super::context::TrialContext;
use super::phase_results::{FaultResults, OffsiteResults, PublishedBackup};
use crate::stages::ConfiguredStages;

/// The directory of the trial for files between two stages.
const BETWEEN: &str = "stage";
/// The file with the generated key, which is kept where the disaster does not reach it.
const KEYS: &str = "keys";

/// A stage that has run.
struct Ran<T> {
    answer: T,
    seconds: f64,
    used: Option<Counters>,
}

impl TrialContext<'_> {
    /// Transforms the artifact and publishes it, under the fault of the trial if that is one of publications. Returns why
    /// it is not published, if it is not.
    pub(super) fn publish(
        &self,
        stages: &ConfiguredStages,
        subject: &Subject,
        results: &mut OffsiteResults,
        struck: &mut FaultResults,
    ) -> Result<Option<String>> {
        match self.plan.fault_of_publication() {
            None => self.publish_once(stages, results),
            Some(fault) => self.publish_with_fault(fault, stages, subject.location(), results, struck),
        }
    }

    pub(super) fn publish_once(
        &self,
        stages: &ConfiguredStages,
        results: &mut OffsiteResults,
    ) -> Result<Option<String>> {
        self.timeline.enter("publish");
        failure("publishing", self.publish_stages(stages, results))
    }

    fn publish_stages(&self, stages: &ConfiguredStages, results: &mut OffsiteResults) -> Result<()> {
        std::fs::create_dir_all(self.between()).context("cannot make a directory for the stages")?;
        let destination = stages.target.at(&self.place_of(stages, results)?)?.choice();
        let mut file = self.between().join("artifact.tar");
        let pack = Pack { directory: self.artifact(), tar: file.clone() };
        let packed: Ran<Packed> = self.run_stage(&pack)?;
        let mut content = packed.answer.content;
        let bytes_in = self.artifact_bytes().unwrap_or(content.bytes);
        results.add("pack", false, &packed, (bytes_in, content.bytes), Moved::default());
        for transform in &stages.transforms {
            let to = file.with_extension(format!("tar.{}", transform.entry().suffix));
            let job = self.transform(transform.choice(), Direction::Apply, file.clone(), to.clone());
            let ran: Ran<Content> = self.run_stage(&job)?;
            let bytes = (content.bytes, ran.answer.bytes);
            results.add(transform.entry().name, false, &ran, bytes, Moved::default());
            std::fs::remove_file(&file).context("cannot remove a file between two stages")?;
            (file, content) = (to, ran.answer);
        }
        let job = Publish {
            destination: destination.clone(),
            file: file.clone(),
            content,
            packed: packed.answer,
            transforms: stages.transforms.iter().map(|transform| public(transform.choice())).collect(),
            backup: self.description(),
            work_directory: self.environment.directory.to_owned(),
        };
        let ran = self.run_stage(&job)?;
        let moved = ran.answer.moved;
        results.add(&destination.name, false, &ran, (content.bytes, moved.bytes), moved);
        results.published = Some(PublishedBackup { destination, names: ran.answer, bytes: content.bytes });
        std::fs::remove_file(&file).context("cannot remove a file that was published")?;
        Ok(())
    }

    /// The settings that say where the place is which the harness provides. It is provided once.
    pub(super) fn place_of(
        &self,
        stages: &ConfiguredStages,
        results: &mut OffsiteResults,
    ) -> Result<Settings> {
        let Some(server) = stages.target.server else { return Ok(Settings::default()) };
        if results.provided.is_none() {
            let bytes = 2 * self.plan.artifact_bytes_max();
            let (name, cache) = (stages.target.entry.name, self.environment.cache);
            let line = stages.target.line;
            let has_line = self.plan.fault_of_publication().is_some() || line != LineQuality::default();
            let line = has_line.then_some(line);
            results.provided = Some(server.provide(name, &self.launcher, cache, bytes, line)?);
        }
        Ok(results.provided.as_ref().map_or_else(Settings::default, |provided| provided.settings.clone()))
    }

    /// Whether a backup is at its destination, with the content that its manifest says.
    pub(super) fn look_for(&self, published: &PublishedBackup) -> Result<Option<String>> {
        std::fs::create_dir_all(self.between()).context("cannot make a directory for the stages")?;
        let job = Fetch {
            destination: published.destination.clone(),
            which: Which::Named(published.names.manifest.clone()),
            to: self.between().join("looked-for"),
            work_directory: self.environment.directory.to_owned(),
        };
        let found = failure("fetching it", self.run_stage(&job).map(|_| ()))?;
        let _ = std::fs::remove_file(&job.to);
        Ok(found)
    }

    /// What the disaster takes besides the live data: the artifact, and everything between two stages. The keys and the
    /// destination are elsewhere. Returns how long the removal took.
    pub(super) fn lose_artifact(&self) -> Result<Duration> {
        let began = Instant::now();
        let lost = self.destination().join("lost-artifact");
        self.move_all(self.artifact(), lost.clone())?;
        for directory in [lost, self.between()] {
            removal::remove(&directory).map_err(|left| Error::Environment(left.to_string()))?;
        }
        Ok(began.elapsed())
    }

    /// Fetches the artifact into its empty place. Returns why it is not there, if it is not.
    pub(super) fn fetch(
        &self,
        stages: &ConfiguredStages,
        results: &mut OffsiteResults,
    ) -> Result<Option<String>> {
        self.timeline.enter("fetch");
        failure("fetching the backup", self.fetch_stages(stages, results))
    }

    fn fetch_stages(&self, stages: &ConfiguredStages, results: &mut OffsiteResults) -> Result<()> {
        let Some(PublishedBackup { destination, names, .. }) = results.published.clone() else {
            return Err(Error::Bug(anyhow!("a backup is fetched that was not published")));
        };
        std::fs::create_dir_all(self.between()).context("cannot make a directory for the stages")?;
        let mut file = self.between().join("fetched");
        let work_directory = self.environment.directory.to_owned();
        // What the backup was called is lost with the machine.
        let which = Which::Newest;
        let job = Fetch { destination: destination.clone(), which, to: file.clone(), work_directory };
        let ran = self.run_stage(&job)?;
        if ran.answer.name != names.manifest {
            return Err(Error::Environment(format!(
                "the newest backup at the destination is '{}', not '{}' of this trial: give each run a place of its own",
                ran.answer.name, names.manifest
            )));
        }
        let (manifest, moved) = (&ran.answer.manifest, ran.answer.moved);
        let mut bytes = manifest.object.content.bytes;
        results.add(&destination.name, true, &ran, (moved.bytes, bytes), moved);
        for (number, transform) in stages.transforms.iter().enumerate().rev() {
            let to = self.between().join(format!("reverted-{number}"));
            let job = self.transform(transform.choice(), Direction::Revert, file.clone(), to.clone());
            let ran: Ran<Content> = self.run_stage(&job)?;
            results.add(transform.entry().name, true, &ran, (bytes, ran.answer.bytes), Moved::default());
            std::fs::remove_file(&file).context("cannot remove a file between two stages")?;
            (file, bytes) = (to, ran.answer.bytes);
        }
        let job = Unpack { tar: file.clone(), directory: self.artifact(), files: manifest.files.clone() };
        let ran: Ran<u64> = self.run_stage(&job)?;
        results.add("pack", true, &ran, (bytes, ran.answer), Moved::default());
        std::fs::remove_file(&file).context("cannot remove a file that was unpacked")?;
        Ok(())
    }

    /// Removes the backup from a place of the user's own. The places that the harness provides go with the trial.
    pub(super) fn withdraw(&self, stages: &ConfiguredStages, results: &OffsiteResults) -> Result<()> {
        let Some(PublishedBackup { destination, names, .. }) =
            results.published.clone().filter(|_| stages.target.server.is_none())
        else {
            return Ok(());
        };
        let (manifest, object) = (names.manifest, names.object);
        let work_directory = self.environment.directory.to_owned();
        self.run_stage(&Withdraw { destination, manifest, object, work_directory }).map(|_| ())
    }

    /// Removes what a publication that failed has left between two stages.
    pub(super) fn clear_between(&self) -> Result<()> {
        removal::remove(&self.between()).map_err(|left| Error::Environment(left.to_string()))
    }

    fn between(&self) -> PathBuf {
        self.place(BETWEEN)
    }

    fn transform(
        &self,
        transform: TransformChoice,
        direction: Direction,
        from: PathBuf,
        to: PathBuf,
    ) -> Transform {
        Transform { transform, direction, from, to, identity_file: self.environment.directory.join(KEYS) }
    }

    /// What the manifest says of the backup.
    fn description(&self) -> Backup {
        let deployment = &self.plan.deployment;
        Backup {
            source: serde_json::json!({
                "engine": deployment.engine.name(),
                "database_bytes": self.environment.source.bytes,
            }),
            strategy: self.plan.strategy.name().into(),
            promise: self.plan.strategy.promise().text.into(),
            versions: deployment.engine.versions().into_iter().collect(),
            moment: Timestamp::now(),
        }
    }

    /// Runs one stage in a process of its own, within the deadline of the scenario.
    fn run_stage<J: Job>(&self, job: &J) -> Result<Ran<J::Answer>> {
        let deadline = Duration::from_secs_f64(self.scenario.trial.deadline_seconds);
        let before = self.launcher.processes().reaped_count();
        let began = Instant::now();
        let (child, stdin) = self.launcher.worker(Account::Stage, job)?;
        drop(stdin);
        let mut group = Group::new(vec![child]);
        let ended = group.wait(|_| {
            self.launcher.cancel.check()?;
            if began.elapsed() > deadline {
                return Err(Error::Environment(format!("{}: not complete at the deadline", job.title())));
            }
            Ok(())
        })?;
        let answer = serde_json::from_value(ended.result()?).context("a worker's answer has another type")?;
        let seconds = began.elapsed().as_secs_f64();
        let used = self.launcher.processes().reaped_since(before, Account::Stage);
        Ok(Ran { answer, seconds, used })
    }

    pub(super) fn offsite_record(
        &self,
        stages: &ConfiguredStages,
        results: &OffsiteResults,
    ) -> record::Offsite {
        record::Offsite {
            label: stages.label.clone(),
            settings: stages.settings(),
            object_bytes: results.published.as_ref().map(|published| published.bytes),
            stages: results.stages.clone(),
        }
    }
}

/// A transform as the manifest names it: without the place of the secret key, which concerns nobody else.
fn public(mut choice: TransformChoice) -> TransformChoice {
    choice.settings.remove("identity_file");
    choice
}

impl OffsiteResults {
    fn add<T>(&mut self, name: &str, is_back: bool, ran: &Ran<T>, bytes: (u64, u64), moved: Moved) {
        self.stages.push(record::Stage {
            name: name.to_owned(),
            is_back,
            seconds: ran.seconds,
            bytes_in: bytes.0,
            bytes_out: bytes.1,
            cpu_seconds: ran.used.map(|used| used.cpu_seconds),
            memory_bytes_max: ran.used.and_then(|used| used.memory_bytes_max),
            requests: moved.requests,
        });
    }
}

/// A destination or a machine that refuses ends the trial as a failure of its stages; other errors are not theirs.
fn failure(doing: &str, done: Result<()>) -> Result<Option<String>> {
    match done {
        Ok(()) => Ok(None),
        Err(Error::Environment(cause) | Error::Input(cause)) => Ok(Some(format!("{doing} failed: {cause}"))),
        Err(error) => Err(error),
    }
}
