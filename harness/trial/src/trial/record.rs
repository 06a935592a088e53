//! The record of a trial: everything that was measured, in the terms of the results schema.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use engines::applications::App;
use machine::error::{Error, Result};
use machine::file_system::{FileSystem, mount_of};
use machine::measure::clock::{Span, seconds_between};
use machine::process::{Account, Counters, Io};
use model::ledger::{Ledger, Outcome};
use reports::printable;
use reports::record::{self, Trial, Usage};
use strategies::contract::FailureCause;

use super::blame;
use super::brief::in_brief;
use super::context::{TrialContext, own_counters};
use super::observed::Observed;
use super::phase_results::{BackedUp, Ending, FaultResults, PhaseResults, Provisioned, Referenced, Tail};
use crate::fault::{ConfiguredFault, Moment};
use crate::plan::settings_map;
use crate::trial::impact::{Offered, Writes};

impl TrialContext<'_> {
    /// The record of a trial, and what was observed; `None` if only the error that ended it is known.
    pub(super) fn record(
        &self,
        results: &PhaseResults,
        ending: &Ending,
    ) -> Result<(Trial, Option<Observed>)> {
        self.timeline.enter("record");
        match Ledger::open(&self.ledger(), self.plan.model.writers).context("cannot read the ledger") {
            Ok(ledger) => {
                let (trial, observed) = self.measured(results, ending, &ledger);
                Ok((trial, Some(observed)))
            }
            Err(error) => Ok((self.proved_nothing(results, error.into())?, None)),
        }
    }

    fn measured(&self, results: &PhaseResults, ending: &Ending, ledger: &Ledger) -> (Trial, Observed) {
        let writes = results.provisioned.as_ref().map(|provisioned| self.writes(ledger, provisioned, ending));
        let observed = self.observed(results, ending, ledger, writes.as_ref());
        let served = observed.served(results.report());
        let (verdict, reason) = results.evidence(&observed, served.as_ref()).verdict();
        let mut trial = self.blank(results, verdict, self.text(&reason));
        trial.workload.offered_writes_per_second = observed.offered.writes_per_second;
        // A backup that never began has no measurements.
        let backed_up = results.backed_up.as_ref().filter(|_| verdict != record::Verdict::Unavailable);
        if let (Some(writes), Some(referenced), Some(backed_up)) = (writes, &results.referenced, backed_up) {
            let impact = impact(&writes, referenced, backed_up);
            let challenge = self.challenge(backed_up, &writes, &ending.outages);
            trial.backup =
                Some(record::Backup { challenge, ..self.backup_record(results, backed_up, &impact) });
            trial.impact = Some(impact);
        }
        trial.live_restores = self.live_records(results);
        trial.restore = results.restored.as_ref().map(|restored| {
            let recovery_seconds = served.as_ref().and_then(|served| served.as_ref().ok().copied());
            let seconds = restored.failure.is_none().then_some(restored.seconds);
            record::Restore { seconds, recovery_seconds, output: self.output(&restored.output) }
        });
        trial.recovery_point = results.report().and_then(|report| report.recovery_point.clone());
        if let (Some(point), Some(verified)) = (&mut trial.recovery_point, &results.verified) {
            point.never_written = verified.never_written.as_ref().map(|writes| writes.len() as u64);
        }
        trial.verification = results.report().map(|report| self.checks(&report.verification));
        trial.phases = self.timeline.phases();
        trial.samples = self.timeline.samples();
        trial.resources = self.resources(&results.tail);
        (trial, observed)
    }

    fn writes<'a>(&self, ledger: &'a Ledger, provisioned: &Provisioned, ending: &Ending) -> Writes<'a> {
        let (load, seed) = (self.plan.load, self.plan.model.seed);
        Writes::new(ledger, load, seed, provisioned.epoch_ns, ending.killed_ns, &ending.outages)
    }

    fn observed(
        &self,
        results: &PhaseResults,
        ending: &Ending,
        ledger: &Ledger,
        writes: Option<&Writes<'_>>,
    ) -> Observed {
        let offered = writes.zip(results.referenced.as_ref()).map(|(writes, referenced)| {
            writes.offered(Span { from_ns: referenced.span.from_ns, to_ns: ending.killed_ns })
        });
        Observed {
            acknowledged: ledger
                .entries()
                .any(|(_, _, entry)| matches!(entry.outcome, Outcome::Acknowledged(_))),
            died: results.died().cloned(),
            obstacle: ending.obstacle.clone(),
            missed: self.missed(results),
            offered: offered.unwrap_or(Offered::NOTHING),
            errors_allowed: self.scenario.workload.errors_allowed,
            answered: results.served.clone(),
        }
    }

    /// A text for the record: printable in any terminal and report, and without the path of the working directory,
    /// which is private to this machine.
    fn text(&self, text: &str) -> String {
        let below = |text: &str, directory: &Path| text.replace(&format!("{}/", directory.display()), "");
        printable(&below(&below(text, &self.disk()), self.environment.directory))
    }

    fn output(&self, printed: &str) -> Option<String> {
        Some(self.text(printed)).filter(|output| !output.is_empty())
    }

    /// The checks, with texts for the record: findings contain names of tables, rows and files that this program did
    /// not choose.
    pub(super) fn checks(&self, verification: &record::Verification) -> record::Verification {
        let texts = |texts: &[String]| texts.iter().map(|text| self.text(&in_brief(text))).collect();
        let (findings, remarks) = (texts(&verification.findings), texts(&verification.remarks));
        record::Verification { findings, remarks, ..verification.clone() }
    }

    fn backup_record(
        &self,
        results: &PhaseResults,
        backup: &BackedUp,
        impact: &record::Impact,
    ) -> record::Backup {
        let (measured, made, lost) = (&backup.measured, backup.artifact.as_ref().ok(), results.lost.as_ref());
        let outcome = backup.outcome(&results.tail, lost);
        let (passes, io) = (measured.passes, measured.counters.io);
        let seconds = made.map(|made| seconds_between(backup.span.from_ns, made.durable_ns));
        let commits_per_second = impact.during.as_ref().map(|window| window.writes_per_second);
        let pass_seconds = passes.seconds;
        let unfinished = matches!(outcome, Err(FailureCause::Stalled(_) | FailureCause::TimedOut));
        let law = pass_seconds.zip(commits_per_second).filter(|_| self.plan.load.is_poisson());
        // A backup that restarts, or that has stalled, gets no closer to completion with time.
        let steady = matches!(outcome, Err(FailureCause::TimedOut)) && !passes.unreported;
        let eta_seconds = match law {
            Some((pass, rate)) => reports::advise::expected_seconds(pass, rate),
            None => measured
                .furthest
                .filter(|furthest| *furthest > 0.0 && steady && pass_seconds.is_none())
                .map(|furthest| backup.span.seconds() / furthest),
        };
        let copy_seconds = results.settled.as_ref().map(|settled| settled.copy_seconds);
        let mut printed = measured.clone();
        printed.append_output(lost.map_or("", |lost| &lost.replication_output));
        record::Backup {
            seconds,
            elapsed_seconds: backup.span.seconds(),
            artifact_bytes: match lost.filter(|_| outcome.is_ok()) {
                Some(lost) => lost.artifact_bytes,
                None => made.and_then(|made| made.bytes),
            },
            bytes_read: io.map(|io| io.bytes_read),
            bytes_read_from_disk: io.map(|io| io.disk_bytes_read),
            bytes_written: io.map(|io| io.bytes_written),
            bytes_written_to_disk: io.map(|io| io.disk_bytes_written),
            restarts: passes.restarts,
            pages_copied: passes.pages_copied,
            progress: if seconds.is_some() { Some(1.0) } else { measured.furthest },
            pass_seconds,
            commits_per_second,
            eta_seconds: eta_seconds.filter(|_| unfinished),
            copy_seconds,
            vs_copy: copy_seconds.zip(seconds).map(|(copy, seconds)| copy / seconds),
            output: self.output(&printed.output),
            challenge: None,
        }
    }

    /// Why the fault of a trial did not strike; `None` when it did, or when the trial ended before its moment.
    fn missed(&self, results: &PhaseResults) -> Option<String> {
        let fault = self.plan.fault.as_ref()?;
        let is_over = match fault.moment() {
            Moment::BeforeRestore => false,
            _ => results.backed_up.is_some(),
        };
        let is_late = results.restored.is_some() || is_over;
        (is_late && results.fault.strike.is_none()).then(|| {
            format!("the fault '{}' did not strike: there was nothing to strike at its moment", fault.name())
        })
    }

    fn fault_record(&self, fault: &ConfiguredFault, results: &PhaseResults) -> record::Fault {
        let FaultResults { strike, ended_ns, leftovers, aftermath, .. } = &results.fault;
        let struck_ns = strike.as_ref().map(|(at_ns, _)| *at_ns);
        let has_failed = results.backed_up.as_ref().is_some_and(|backed_up| backed_up.artifact.is_err());
        let reported = struck_ns.zip(ended_ns.filter(|_| has_failed));
        let aftermath = aftermath
            .clone()
            .map(|part| part.map(|part| record::Aftermath { reason: self.text(&part.reason), ..part }));
        let [previous_backup, source, next_backup] = aftermath;
        record::Fault {
            name: fault.name().into(),
            settings: settings_map(fault.settings()),
            label: fault.label().into(),
            struck_at_seconds: struck_ns.map(|at_ns| self.timeline.at_seconds(at_ns)),
            proof: strike.as_ref().map(|(_, proof)| self.text(proof)),
            reported_seconds: reported.map(|(struck, ended)| seconds_between(struck, ended)),
            previous_backup,
            source,
            next_backup,
            leftovers: leftovers.iter().map(|left| self.text(left)).collect(),
        }
    }

    fn resources(&self, tail: &Tail) -> record::Resources {
        let processes = self.launcher.processes();
        let mut own = own_counters().since(&self.harness_before);
        // The kernel adds the input and output of a reaped child to its parent's, but no other counters.
        for account in [Account::Subject, Account::Strategy, Account::Stage, Account::Preparation] {
            let child = processes.used_by_children(account);
            own.io = own.since(&child).io;
        }
        // The input and output of the verifier are already included.
        let verifier = Counters { io: Some(Io::default()), ..processes.used_by_children(Account::Harness) };
        own.add(&verifier);
        record::Resources {
            subject: processes.used(Account::Subject).map(usage).unwrap_or_default(),
            strategy: processes.used(Account::Strategy).map(usage).unwrap_or_default(),
            harness: usage(own),
            journal_bytes_max: self.timeline.journal_bytes_max(),
            shipping_cpu_share: tail.shipping_cpu_share,
        }
    }

    pub(super) fn unavailable(&self, missing: &str) -> Trial {
        self.blank(&PhaseResults::default(), record::Verdict::Unavailable, self.text(missing))
    }

    /// The record of a trial of which only the error that ended it is known.
    fn proved_nothing(&self, results: &PhaseResults, error: Error) -> Result<Trial> {
        let reason = blame::obstacle(&self.phase(), error)?;
        Ok(self.blank(results, record::Verdict::Unverified, self.text(&in_brief(&reason))))
    }

    /// The versions of all software that takes part.
    fn versions(&self) -> BTreeMap<String, String> {
        let engine_tools = self.plan.strategy.card().tools(self.plan.deployment.engine).iter();
        let file_system = self.plan.deployment.file_system;
        let tools = engine_tools.chain(file_system.maker()).chain(file_system.manager());
        let mut versions: BTreeMap<String, String> =
            tools.filter_map(|tool| Some((tool.command.to_owned(), tool.version()?))).collect();
        versions
            .extend(self.program.iter().map(|program| (program.name.to_owned(), program.version.clone())));
        let (deployment, images) = (self.plan.deployment, self.environment.images);
        versions.extend(deployment.engine.versions());
        let of_subject = deployment.images().filter_map(|kind| images.subjects.get(kind));
        for image in of_subject.chain(self.strategy_image()) {
            versions.insert(format!("image {}", image.reference), image.id.clone());
            versions.extend(image.versions.clone());
        }
        let strategy = &self.plan.strategy;
        let commands = strategy.abilities().user_commands;
        let version = commands.and_then(|commands| commands.version(&self.scenario.directory));
        versions.extend(version.map(|version| (strategy.card().name.to_owned(), printable(&version))));
        versions
    }

    /// The file system of the data, and whether it is on a loop device.
    fn file_system_name(&self) -> Option<String> {
        match self.plan.deployment.file_system {
            FileSystem::Disk => mount_of(self.environment.directory).ok().map(|mount| mount.kind),
            FileSystem::Zfs => Some("zfs in a file".into()),
            made => Some(format!("{} on a loop device", made.name())),
        }
    }

    /// A record with everything that is known without a measurement.
    fn blank(&self, results: &PhaseResults, verdict: record::Verdict, reason: String) -> Trial {
        let (plan, scenario) = (self.plan, self.scenario);
        let promise = plan.strategy.promise();
        let deployment = plan.deployment;
        let is_tracker = deployment.app == App::Tracker;
        let mut workload = record::Workload {
            writes_per_second: plan.load.rate.writes_per_second(),
            offered_writes_per_second: None,
            pattern: plan.load.pattern.name().into(),
            arrivals: plan.load.arrivals_name().into(),
            writers: plan.model.writers,
            rows_per_transaction: plan.model.rows_per_transaction,
            multi_row_share: plan.model.multi_row_share,
            journal_mode: deployment.mode.map(|mode| mode.name.into()),
            synchronous: None,
            busy_timeout_ms: None,
            wal_autocheckpoint: None,
            journal_size_limit: None,
            checkpoints: None,
            announces: is_tracker.then(|| scenario.subject.announces.name().into()),
            server_options: BTreeMap::new(),
            cache: scenario.subject.cache.name().into(),
            cached_share: results.armed.as_ref().and_then(|armed| armed.cached_share),
            extents: results.referenced.as_ref().and_then(|referenced| referenced.extents),
        };
        deployment.engine.record(&scenario.subject.settings, deployment.mode, deployment.app, &mut workload);
        Trial {
            id: plan.id.clone(),
            engine: deployment.engine.name().into(),
            app: deployment.app.name().into(),
            strategy: plan.strategy.name().into(),
            kind: Some(plan.strategy.card().family.name().into()),
            control: promise.is_none(),
            promise: promise.text.into(),
            survives_disk_loss: self.survives_disk_loss,
            settings: settings_map(plan.strategy.settings()),
            variant: plan.variant.clone(),
            dataset: record::Dataset {
                profile: plan.dataset.profile.clone(),
                target_bytes: plan.dataset.target_bytes,
                bytes: self.environment.source.bytes,
                rows: self.environment.source.rows,
                seed: plan.dataset.seed,
                remarks: self.environment.source.remarks.iter().map(|remark| self.text(remark)).collect(),
            },
            file_system: self.file_system_name(),
            workload,
            fault: plan.fault.as_ref().map(|fault| self.fault_record(fault, results)),
            offsite: plan.stages.as_ref().map(|stages| self.offsite_record(stages, &results.offsite)),
            repetition: plan.repetition,
            verdict,
            reason,
            expected: plan.expected.clone(),
            thresholds: plan.thresholds.clone(),
            versions: self.versions(),
            phases: Vec::new(),
            backup: None,
            impact: None,
            live_restores: Vec::new(),
            restore: None,
            recovery_point: None,
            verification: None,
            resources: record::Resources::default(),
            samples: Vec::new(),
            kept: None,
            leftover: None,
        }
    }
}

fn impact(writes: &Writes<'_>, referenced: &Referenced, backup: &BackedUp) -> record::Impact {
    let during = writes.window(backup.span);
    let (downtimes, blocked) = (writes.downtimes(backup.span), writes.blocked(backup.span));
    let sum = |spans: &[Span]| spans.iter().map(Span::seconds).fold(0.0, |sum, one| sum + one);
    // If no write was due and the application was not stopped, it is not known whether a write would have waited.
    let known = during.is_some() || !downtimes.is_empty();
    record::Impact {
        reference: writes.window(referenced.span),
        blocked_seconds: known.then(|| sum(&blocked)),
        longest_blocked_seconds: known.then(|| blocked.iter().map(Span::seconds).fold(0.0, f64::max)),
        downtime_seconds: Some(sum(&downtimes)),
        during,
    }
}

fn usage(counters: Counters) -> Usage {
    Usage {
        cpu_seconds: Some(counters.cpu_seconds),
        memory_bytes_max: counters.memory_bytes_max,
        bytes_read: counters.io.map(|io| io.disk_bytes_read),
        bytes_written: counters.io.map(|io| io.disk_bytes_written),
    }
}
