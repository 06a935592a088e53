//! Which writes are in, by what the rows say.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use super::counts;
use super::findings::Findings;
use super::torrents::{Added, Slot, Torrents};
use crate::dataset::Origin;
use crate::ledger::{Entry, Ledger, Outcome};
use crate::writes::{InfoHash, Key, Marks, Model, stamp, unstamp};

/// What the torrents that a write stamped say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// At least one holds its stamp, and none lacks it.
    Held,
    /// One holds its stamp and another lacks it.
    Torn,
    /// None holds its stamp, and at least one lacks it.
    Absent,
    /// The rows cannot tell: later writes have overwritten them all, or the count would be the same either way.
    Overwritten,
}

/// What the rows say about every write in the ledger.
pub(super) struct Presence<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) model: &'a Model,
    never_written: HashSet<(u32, u64)>,
    writers: Vec<Vec<Evidence>>,
}

impl Presence<'_> {
    /// Excuses acknowledged writes that the application itself never wrote: from now on they are indeterminate.
    pub(super) fn excuse(mut self, never_written: &[(u32, u64)]) -> Self {
        self.never_written.extend(never_written);
        if self.model.marks == Marks::Counts {
            for (writer, evidence) in (0..).zip(&mut self.writers) {
                let is_lacking = |index| self.never_written.contains(&(writer, index));
                counts::infer(evidence, self.ledger.writer(writer), is_lacking);
            }
        }
        self
    }

    /// How many torrents the writes that are in have entered or stamped, each counted once a write.
    pub(super) fn stamped(&self) -> RangeInclusive<i64> {
        let (mut certain, mut undecided) = (0, 0);
        for (writer, index, entry, evidence) in self.writes() {
            let stamped = || self.model.write(writer, index).stamped.len() as i64;
            if is_in(entry, evidence) {
                certain += stamped();
            } else if is_undecided(entry, evidence) {
                undecided += stamped();
            }
        }
        certain..=certain + undecided
    }

    /// Every write with what the rows say about it.
    pub(super) fn writes(&self) -> impl Iterator<Item = (u32, u64, Entry, Evidence)> {
        self.ledger.entries().map(|(writer, index, mut entry)| {
            if self.never_written.contains(&(writer, index)) {
                entry.outcome = Outcome::Indeterminate;
            }
            (writer, index, entry, self.writers[writer as usize][index as usize])
        })
    }
}

/// True when a write may be in or not: it has no answer, and later writes have overwritten every torrent that could tell.
pub(super) fn is_undecided(entry: Entry, evidence: Evidence) -> bool {
    entry.outcome == Outcome::Indeterminate && evidence == Evidence::Overwritten
}

/// True when a write is in for certain: an acknowledged one that no row denies, or one without an answer whose
/// stamp is there.
pub(super) fn is_in(entry: Entry, evidence: Evidence) -> bool {
    match entry.outcome {
        Outcome::Acknowledged(_) => evidence != Evidence::Absent,
        Outcome::Indeterminate => matches!(evidence, Evidence::Held | Evidence::Torn),
        Outcome::Refused(_) => false,
    }
}

/// Replays the ledger over the rows. What no write explains goes to `prefix`; so do refused writes that are in.
/// Writes that are in by half go to `transactions`.
pub(super) fn replay<'a>(
    ledger: &'a Ledger,
    model: &'a Model,
    torrents: &Torrents,
    origin: &dyn Origin,
    prefix: &mut Findings,
    transactions: &mut Findings,
) -> Presence<'a> {
    let writers = match model.marks {
        Marks::Stamps => replay_stamps(ledger, model, torrents, prefix, transactions),
        Marks::Counts => counts::replay(ledger, model, torrents, origin, prefix),
    };
    Presence { ledger, model, never_written: HashSet::new(), writers }
}

fn replay_stamps(
    ledger: &Ledger,
    model: &Model,
    torrents: &Torrents,
    prefix: &mut Findings,
    transactions: &mut Findings,
) -> Vec<Vec<Evidence>> {
    let mut rows = Rows::new(torrents, prefix);
    let mut writers: Vec<Vec<Evidence>> = Vec::with_capacity(ledger.writers() as usize);
    for writer in 0..ledger.writers() {
        let ledger = ledger.writer(writer);
        let mut writes = Vec::with_capacity(ledger.len() as usize);
        for index in 0..ledger.len() {
            let stamped = model.write(writer, index).stamped;
            let evidence = rows.evidence(&stamped, index, model, prefix);
            let is_there = matches!(evidence, Evidence::Held | Evidence::Torn);
            if is_there && matches!(ledger.entry(index).outcome, Outcome::Refused(_)) {
                prefix.wrong(|| format!("writer {writer}: write {index} was refused, and it is in"));
            } else if evidence == Evidence::Torn {
                transactions
                    .wrong(|| format!("writer {writer}: of write {index} some rows are in and some are not"));
            }
            writes.push(evidence);
        }
        writers.push(writes);
    }
    rows.judge_unexplained(model, prefix);
    writers
}

/// The rows that differ from the dataset, and which of them a write explains.
struct Rows<'a> {
    torrents: &'a Torrents,
    added: HashMap<&'a InfoHash, &'a Added>,
    explained: HashSet<u64>,
}

impl<'a> Rows<'a> {
    fn new(torrents: &'a Torrents, prefix: &mut Findings) -> Rows<'a> {
        let added = added_by_hash(torrents, prefix);
        Rows { torrents, added, explained: HashSet::with_capacity(torrents.slots.len()) }
    }

    fn evidence(&mut self, stamped: &[Key], index: u64, model: &Model, prefix: &mut Findings) -> Evidence {
        let (mut holds, mut lacks) = (false, false);
        for key in stamped {
            match *key {
                Key::Dataset(id) => match self.stamp(id) {
                    Some(found) if found == index => {
                        holds = true;
                        self.explained.insert(id);
                    }
                    Some(found) if found > index => {}
                    _ => lacks = true,
                },
                Key::New { writer, index, row } => {
                    match self.added.remove(&model.new_info_hash(writer, index, row)) {
                        Some(row) => {
                            holds = true;
                            judge_added(writer, index, row, prefix);
                        }
                        None => lacks = true,
                    }
                }
            }
        }
        match (holds, lacks) {
            (true, false) => Evidence::Held,
            (true, true) => Evidence::Torn,
            (false, true) => Evidence::Absent,
            (false, false) => Evidence::Overwritten,
        }
    }

    /// The index of the write that a slot holds the stamp of.
    fn stamp(&self, id: u64) -> Option<u64> {
        unstamp(self.torrents.slots.get(&id)?.completed)
    }

    fn judge_unexplained(self, model: &Model, prefix: &mut Findings) {
        let slots = self.torrents.slots.iter();
        let mut unexplained: Vec<_> = slots.filter(|(id, _)| !self.explained.contains(id)).collect();
        // The same database gives the same findings.
        unexplained.sort_by_key(|(id, _)| **id);
        for (id, &Slot { completed, original }) in unexplained {
            prefix.wrong(|| match unstamp(completed) {
                Some(index) => {
                    format!("torrents row {id} holds the stamp of a write {index} that never stamped it")
                }
                None => format!(
                    "torrents row {id}: completed is {completed}: neither the dataset's {original} nor a write's"
                ),
            });
        }
        judge_unknown(self.added, model, |completed| completed == stamp(0), prefix);
    }
}

/// The torrents that the dataset does not have. Twins go to `prefix`.
pub(super) fn added_by_hash<'a>(
    torrents: &'a Torrents,
    prefix: &mut Findings,
) -> HashMap<&'a InfoHash, &'a Added> {
    let mut added = HashMap::with_capacity(torrents.added.len());
    for row in &torrents.added {
        if let Some(twin) = added.insert(&row.info_hash, row) {
            let twin: &Added = twin;
            prefix.wrong(|| format!("torrents rows {} and {} have the same info_hash", twin.id, row.id));
        }
    }
    added
}

/// Names the torrents that no writer inserted. The probe's is none of them, if it holds what a probe leaves.
pub(super) fn judge_unknown(
    added: HashMap<&InfoHash, &Added>,
    model: &Model,
    is_probes: impl Fn(i64) -> bool,
    prefix: &mut Findings,
) {
    let probe = model.probe_info_hash();
    let mut unknown: Vec<_> = added.into_values().collect();
    unknown.sort_by_key(|row| row.id);
    for &Added { id, info_hash, completed } in unknown {
        if info_hash != probe {
            prefix.wrong(|| format!("torrents row {id} is neither the dataset's nor a write's"));
        } else if !is_probes(completed) {
            prefix.wrong(|| format!("torrents row {id} is the probe's, and completed is {completed}"));
        }
    }
}

fn judge_added(writer: u32, index: u64, row: &Added, prefix: &mut Findings) {
    let &Added { id, completed, .. } = row;
    if completed != stamp(index) {
        prefix.wrong(|| {
            format!(
                "torrents row {id}: writer {writer}'s write {index} inserted it, and completed is {completed}"
            )
        });
    }
}
