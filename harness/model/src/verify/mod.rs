//! Verifies a restored database with the ledger.
//!
//! The six checks, in the order of [`Verification`]:
//!
//! 1. integrity: the file's length and leftover journals (SQLite), the engine's own check, and every index against
//!    its table;
//! 2. prefix: for every writer exactly the rows after its first n writes;
//! 3. order: if a write is present, every write acknowledged before it was sent is present;
//! 4. transactions: rows that change together agree;
//! 5. content: everything that no write changes is unchanged;
//! 6. loss: no write is missing that was promised to be kept.
//!
//! The database is read once and never changed. The torrents are streamed, and only rows that differ from the dataset
//! are kept in memory, so that memory grows with the number of writes and not with the database. All checks that follow
//! use only these rows, the model and the ledger, and are independent of the engine.
//!
//! The result of a check that could not be completed is null, with the reason. It is never a pass.

mod added;
mod compare;
pub mod condition;
pub mod content;
mod counts;
pub mod digest;
mod evidence;
pub mod findings;
pub mod integrity;
mod judge;
mod presence;
pub mod reader;
mod reading;
mod request;
mod stamps;
mod torrents;
mod transactions;
mod unreadable;
mod unwritten;

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use machine::error::Result;
use machine::measure::clock::{now_ns, seconds_between};
pub use reports::record::Level;
use reports::record::{RecoveryPoint, Verification};
use serde::{Deserialize, Serialize};

use crate::dataset::OriginalTorrents;
use crate::ledger::Ledger;
use crate::writes::Marks;
use compare::{compare, judge_sequence};
use condition::Condition;
pub use content::ContentDigest;
use content::Tables;
use findings::Findings;
use integrity::examine;
use judge::{judge_order, judge_prefix, measure_loss};
use presence::{Presence, replay};
use reader::{DatabaseReader, Location, Unreadable};
use reading::{Reading, SourceReading, read_restored, read_source};
pub use request::Request;
use torrents::{Torrents, judge_never_completed, name_changed_rows};
use transactions::judge_transactions;
pub use unwritten::unwritten;

/// The result of a verification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The six checks.
    pub verification: Verification,
    /// What was lost; null when the rows could not be read.
    pub recovery_point: Option<RecoveryPoint>,
    /// Whether the probe write of the restored application is present; null when the rows could not be read.
    pub probed: Option<bool>,
}

impl Report {
    /// Whether the database could be read as far as integrity and rows need it.
    pub fn is_complete(&self) -> bool {
        self.verification.integrity.is_some() && self.recovery_point.is_some()
    }
}

/// The result of a verification when the engine itself does not run on the restored data: integrity fails, and the
/// other checks cannot be completed.
pub fn refused_by_the_engine(how: &str) -> Report {
    let mut checks = Checks::new();
    checks.integrity.wrong(|| how.to_owned());
    checks.nothing_but_integrity("the engine does not run on the data");
    Report { verification: checks.conclude(), recovery_point: None, probed: None }
}

/// The content of a source before any write. The source has the torrents of `original`.
///
/// The user's own database is examined first, as thoroughly as `integrity` says: its irregularities become a part of
/// the expected content. `None` means a generated database, which has no irregularities.
///
/// `progress` is called with the share done, from 0 to 1.
///
/// # Errors
/// When the database cannot be read, has a leftover journal, or lacks the tables that the workload writes to.
pub fn content_digest(
    database: &dyn Location,
    original: &dyn OriginalTorrents,
    integrity: Option<Level>,
    progress: &mut dyn FnMut(f64),
) -> Result<ContentDigest> {
    let describe = |unreadable: Unreadable| anyhow!("{database}: {}", unreadable.reason);
    let names = original.tables();
    let engine = database.reader(names);
    engine.require_settled()?;
    let SourceReading { tables, untouched, condition } =
        read_source(engine.as_ref(), original.torrents(), integrity, progress).map_err(describe)?;
    let Tables { schema, digests, rowids, layout, metric, sequence, unchecked: _ } =
        tables.map_err(describe)?;
    if integrity.is_none()
        && let Some(line) = condition.lines().next()
    {
        return Err(anyhow!("{database}: {line}").into());
    }
    // Tables that cannot be read are listed in the condition.
    let read = digests.into_iter().filter_map(|(table, digest)| Some((table, digest.ok()?)));
    let mut tables: BTreeMap<_, _> = read.collect();
    tables.insert(names.torrents.to_owned(), untouched.all);
    let metric = metric.map_err(describe)?;
    let metric = metric.with_context(|| format!("{database}: has no torrents_downloads_total"))?;
    let sequence = sequence.transpose().map_err(describe)?.flatten();
    let completed = untouched.completed;
    Ok(ContentDigest { schema, tables, rowids, layout, completed, metric, sequence, condition })
}

/// Compares a restored database with the ledger of the writes, the dataset and the source's content.
///
/// `progress` is called with the share done, from 0 to 1. The report contains what is wrong with the database, and why
/// a check could not be completed.
///
/// # Errors
/// When the ledger cannot be read, or the dataset is not the one that the model was made for.
pub fn verify<D: Location>(
    request: &Request<D>,
    original: &dyn OriginalTorrents,
    progress: &mut dyn FnMut(f64),
) -> Result<Report> {
    let start_ns = now_ns();
    if original.torrents() != request.model.torrents {
        let (dataset, model) = (original.torrents(), request.model.torrents);
        return Err(anyhow!("the dataset has {dataset} torrents and the model {model}").into());
    }
    let ledger = request.open_ledger()?;
    let mut checks = Checks::new();
    let (mut recovery_point, mut probed) = (None, None);
    let engine = request.database.reader(original.tables());
    if engine.look(&mut checks.integrity) {
        let limits = request.limits(&ledger);
        let reading = read_restored(engine.as_ref(), request.integrity, original, limits, progress);
        checks.judge_integrity(&reading, &request.expected.condition);
        checks.judge_content(&reading, request, engine.as_ref(), original);
        probed =
            reading.torrents.as_ref().ok().map(|torrents| torrents.hold(&request.model.probe_info_hash()));
        recovery_point = checks.judge_writes(reading, request, &ledger, engine.as_ref(), original);
    } else {
        checks.nothing_but_integrity("there is no database");
    }
    let mut verification = checks.conclude();
    verification.level = Some(request.integrity);
    verification.seconds = seconds_between(start_ns, now_ns());
    Ok(Report { verification, recovery_point, probed })
}

/// The six checks while they run.
struct Checks {
    integrity: Findings,
    prefix: Findings,
    order: Findings,
    transactions: Findings,
    content: Findings,
    loss: Findings,
    /// Differences that are not damage.
    remarks: Vec<String>,
}

impl Checks {
    fn new() -> Checks {
        Checks {
            integrity: Findings::new("integrity"),
            prefix: Findings::new("prefix"),
            order: Findings::new("order"),
            transactions: Findings::new("transactions"),
            content: Findings::new("content"),
            loss: Findings::new("loss"),
            remarks: Vec::new(),
        }
    }

    fn nothing_but_integrity(&mut self, why: &str) {
        self.content.cannot(why);
        self.no_writes(why);
    }

    fn no_writes(&mut self, why: &str) {
        for findings in [&mut self.prefix, &mut self.order, &mut self.transactions, &mut self.loss] {
            findings.cannot(why);
        }
    }

    /// Check 1. Irregularities from before the trial are expected.
    fn judge_integrity(&mut self, reading: &Reading, before: &Condition) {
        let Reading { engine, indexes, tables, torrents } = reading;
        let entries = torrents.as_ref().ok().map(|torrents| torrents.entries);
        let mut condition = examine(engine, indexes, tables, entries);
        // Other reasons why tables could not be read are reported by the checks that need them.
        let unread = [tables.as_ref().err(), torrents.as_ref().err()];
        for unreadable in unread.into_iter().flatten().filter(|unreadable| unreadable.malformed) {
            condition.unreadable(unreadable);
        }
        condition.judge(before, &mut self.integrity);
        let gone = condition.gone(before).into_iter();
        self.remarks.extend(
            gone.map(|line| format!("found before the trial, but not in the restored database: {line}")),
        );
    }

    fn judge_content<D>(
        &mut self,
        reading: &Reading,
        request: &Request<D>,
        engine: &dyn DatabaseReader,
        original: &dyn OriginalTorrents,
    ) {
        let names = original.tables();
        let mut expected = request.expected.clone();
        if request.without_never_completed {
            expected = expected.without_never_completed(names);
        }
        let torrents = match &reading.torrents {
            Ok(torrents) => Some(torrents),
            Err(unreadable) => {
                self.content.cannot(&unreadable.reason);
                None
            }
        };
        let tables = match &reading.tables {
            Ok(tables) => tables,
            Err(unreadable) => return self.content.cannot(&unreadable.reason),
        };
        if let Some(torrents) = torrents.filter(|_| request.without_never_completed) {
            judge_never_completed(torrents, &request.model.probe_info_hash(), &mut self.content);
        }
        let untouched = torrents.map(|torrents| torrents.untouched.all);
        let (content, remarks) = (&mut self.content, &mut self.remarks);
        let difference = compare(&expected, names, tables, untouched, engine, content, remarks);
        // A virtual table that no longer matches the rows has failed the integrity check.
        self.remarks.extend(difference.remark_on_rowids(!self.integrity.is_clean()));
        if difference.torrents
            && let Err(unreadable) = name_changed_rows(engine, original, &mut self.content)
        {
            self.content.cannot(unreadable.reason);
        }
    }

    /// Checks 2, 3, 4 and 6, and the sequence: everything that follows from which writes are present.
    fn judge_writes<D>(
        &mut self,
        reading: Reading,
        request: &Request<D>,
        ledger: &Ledger,
        engine: &dyn DatabaseReader,
        original: &dyn OriginalTorrents,
    ) -> Option<RecoveryPoint> {
        let mut torrents = match reading.torrents {
            Ok(torrents) => torrents,
            Err(unreadable) => {
                self.no_writes(&unreadable.reason);
                return None;
            }
        };
        self.take_over(&mut torrents);
        if torrents.overflowed {
            self.prefix
                .wrong(|| "more torrents have changed than all writes in the ledger can change".to_owned());
            self.no_writes("too many torrents have changed");
            return None;
        }
        let presence =
            replay(ledger, &request.model, &torrents, original, &mut self.prefix, &mut self.transactions)
                .without_never_written(&request.never_written);
        judge_prefix(&presence, &mut self.prefix);
        judge_order(&presence, &mut self.order);
        match reading.tables {
            Ok(tables) => {
                self.judge_metric(&presence, &torrents, request, tables.metric);
                self.judge_sequence(&presence, &torrents, request, tables.sequence, engine);
            }
            Err(unreadable) => self.transactions.cannot(unreadable.reason),
        }
        let point = measure_loss(&presence, request, &mut self.loss);
        if point.acknowledged_writes == 0 {
            // Without an acknowledged write to compare the rows with, the checks prove nothing.
            self.no_writes("no write was acknowledged");
        }
        Some(point)
    }

    fn judge_metric<D>(
        &mut self,
        presence: &Presence<'_>,
        torrents: &Torrents,
        request: &Request<D>,
        metric: std::result::Result<Option<i64>, Unreadable>,
    ) {
        let (before, transactions) = (request.expected.metric, &mut self.transactions);
        match metric {
            Ok(metric) => {
                judge_transactions(presence, torrents, before, metric, transactions);
            }
            Err(unreadable) => transactions.cannot(unreadable.reason),
        }
    }

    /// The sequence is content that writes increase. If the writes are correct, its exact value is known; a tracker
    /// inserts more torrents than the model contains.
    fn judge_sequence<D>(
        &mut self,
        presence: &Presence<'_>,
        torrents: &Torrents,
        request: &Request<D>,
        sequence: Option<std::result::Result<Option<i64>, Unreadable>>,
        engine: &dyn DatabaseReader,
    ) {
        let sequence = match sequence {
            Some(Ok(sequence)) => sequence,
            Some(Err(unreadable)) => return self.content.cannot(unreadable.reason),
            None => return,
        };
        let is_exact = request.model.marks == Marks::Stamps
            && engine.has_exact_sequence()
            && self.prefix.is_clean()
            && self.transactions.is_clean();
        let before = request.expected.sequence.filter(|_| is_exact);
        let due = before.map(|before| {
            let probe = i64::from(torrents.hold(&request.model.probe_info_hash()));
            let stamped = presence.stamped();
            before + probe + stamped.start()..=before + probe + stamped.end()
        });
        judge_sequence(sequence, torrents.id_max, due, &mut self.content);
    }

    /// Adds the findings that were made while the torrents were read.
    fn take_over(&mut self, torrents: &mut Torrents) {
        let take = |findings: &mut Findings, check| std::mem::replace(findings, Findings::new(check));
        self.prefix.absorb(take(&mut torrents.prefix, "prefix"));
        self.transactions.absorb(take(&mut torrents.transactions, "transactions"));
        self.content.absorb(take(&mut torrents.content, "content"));
    }

    fn conclude(self) -> Verification {
        let mut findings = Vec::new();
        Verification {
            level: None,
            integrity: self.integrity.conclude(&mut findings),
            prefix: self.prefix.conclude(&mut findings),
            order: self.order.conclude(&mut findings),
            transactions: self.transactions.conclude(&mut findings),
            content: self.content.conclude(&mut findings),
            loss: self.loss.conclude(&mut findings),
            // Configuration files are not part of the database, and are checked elsewhere.
            configuration: None,
            findings,
            remarks: self.remarks,
            seconds: 0.0,
        }
    }
}
