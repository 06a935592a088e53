//! Which writes are present, according to the stamps that they left.

use std::collections::{HashMap, HashSet};

use super::added::{added_by_hash, judge_unknown};
use super::evidence::Evidence;
use super::findings::Findings;
use super::torrents::{Added, Slot, Torrents};
use crate::ledger::{Ledger, Outcome};
use crate::writes::{InfoHash, Key, Model, stamp, unstamp};

/// What the rows show about every write, writer by writer. Rows that no write explains, and refused writes that are
/// present, are added to `prefix`. Partially applied writes are added to `transactions`.
pub(super) fn replay(
    ledger: &Ledger,
    model: &Model,
    torrents: &Torrents,
    prefix: &mut Findings,
    transactions: &mut Findings,
) -> Vec<Vec<Evidence>> {
    let mut rows = StampedRows::new(torrents, prefix);
    let mut writers: Vec<Vec<Evidence>> = Vec::with_capacity(ledger.writers() as usize);
    for writer in 0..ledger.writers() {
        let ledger = ledger.writer(writer);
        let mut writes = Vec::with_capacity(ledger.count() as usize);
        for index in 0..ledger.count() {
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
struct StampedRows<'a> {
    torrents: &'a Torrents,
    added: HashMap<&'a InfoHash, &'a Added>,
    explained: HashSet<u64>,
}

impl<'a> StampedRows<'a> {
    fn new(torrents: &'a Torrents, prefix: &mut Findings) -> StampedRows<'a> {
        let added = added_by_hash(torrents, prefix);
        StampedRows { torrents, added, explained: HashSet::with_capacity(torrents.slots.len()) }
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
