//! Which writes are present, according to the rows.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use super::counts;
use super::findings::Findings;
use super::torrents::{Added, Slot, Torrents};
use crate::dataset::Origin;
use crate::ledger::{Entry, Ledger, Outcome};
use crate::writes::{InfoHash, Key, Marks, Model, stamp, unstamp};

/// What the torrents that a write stamped show about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// At least one has its stamp, and none lacks it.
    Held,
    /// One has its stamp and another lacks it.
    Torn,
    /// None has its stamp, and at least one lacks it.
    Absent,
    /// The rows do not show it: later writes have overwritten all of them, or the count would be the same either way.
    Overwritten,
}

/// What the rows show about every write in the ledger.
pub(super) struct Presence<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) model: &'a Model,
    never_written: HashSet<(u32, u64)>,
    writers: Vec<Vec<Evidence>>,
}

impl Presence<'_> {
    /// Treats acknowledged writes that the application itself never wrote as indeterminate.
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

    /// How many torrents the present writes have inserted or stamped, counted once for each write.
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

    /// Every write, and what the rows show about it.
    pub(super) fn writes(&self) -> impl Iterator<Item = (u32, u64, Entry, Evidence)> {
        self.ledger.entries().map(|(writer, index, mut entry)| {
            if self.never_written.contains(&(writer, index)) {
                entry.outcome = Outcome::Indeterminate;
            }
            (writer, index, entry, self.writers[writer as usize][index as usize])
        })
    }
}

/// True when a write may or may not be present: it has no answer, and later writes have overwritten all of its
/// torrents.
pub(super) fn is_undecided(entry: Entry, evidence: Evidence) -> bool {
    entry.outcome == Outcome::Indeterminate && evidence == Evidence::Overwritten
}

/// True when a write counts as present: it was acknowledged and no row contradicts that, or it has no answer but its
/// stamp is present.
pub(super) fn is_in(entry: Entry, evidence: Evidence) -> bool {
    match entry.outcome {
        Outcome::Acknowledged(_) => evidence != Evidence::Absent,
        Outcome::Indeterminate => matches!(evidence, Evidence::Held | Evidence::Torn),
        Outcome::Refused(_) => false,
    }
}

/// Replays the ledger over the rows. Rows that no write explains, and refused writes that are present, are added to
/// `prefix`. Partially applied writes are added to `transactions`.
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
                prefix.wrong(|| format!("writer {writer}: write {index} was refused, but it is present"));
            } else if evidence == Evidence::Torn {
                transactions.wrong(|| {
                    format!(
                        "writer {writer}: write {index} is partially applied: some of its rows are missing"
                    )
                });
            }
            writes.push(evidence);
        }
        writers.push(writes);
    }
    rows.judge_unexplained(model, prefix);
    writers
}

/// The rows that differ from the dataset, and those of them that a write explains.
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

    /// The index of the write whose stamp a slot has.
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
                    format!("torrents row {id} has the stamp of a write {index} that did not stamp it")
                }
                None => format!(
                    "torrents row {id}: completed is {completed}, which is neither the dataset's {original} nor the \
                     value of a write"
                ),
            });
        }
        judge_unknown(self.added, model, |completed| completed == stamp(0), prefix);
    }
}

/// The torrents that the dataset does not have. Duplicates are added to `prefix`.
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

/// Reports the torrents that no writer inserted, except the probe's torrent, if its value is that of a probe.
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
            prefix.wrong(|| format!("torrents row {id} belongs neither to the dataset nor to a write"));
        } else if !is_probes(completed) {
            prefix.wrong(|| format!("torrents row {id} belongs to the probe, but completed is {completed}"));
        }
    }
}

fn judge_added(writer: u32, index: u64, row: &Added, prefix: &mut Findings) {
    let &Added { id, completed, .. } = row;
    if completed != stamp(index) {
        prefix.wrong(|| {
            format!(
                "torrents row {id}: writer {writer}'s write {index} inserted it, but completed is {completed}"
            )
        });
    }
}
