//! Which writes are present, according to the counts that a tracker has stored.
//!
//! Torrust Tracker 3.0.0 never reads a count from the database: it stores how many downloads it has counted since it
//! started. The first announcement for a torrent of the dataset sets the count to 0, even if the write that this
//! announcement belongs to then fails. So the count of a torrent that writes were sent for is the dataset's, or a
//! number from 0 to the number of writes that can have been counted. A restart of the tracker, which the verifier does
//! not know of, can only lower it.
//!
//! This decides whether a write is present if it is the only one sent for its torrent. If there are several, a count
//! that is high enough shows that a write is present, but no count shows that it is missing.

use std::collections::HashMap;

use super::added::{added_by_hash, judge_unknown};
use super::evidence::Evidence;
use super::findings::Findings;
use super::torrents::{Added, Torrents};
use crate::dataset::OriginalTorrents;
use crate::ledger::{Entry, Ledger, Outcome, WriterLedger};
use crate::writes::{InfoHash, Key, Model};

/// What the rows show about every write, writer by writer. Rows that no write explains are added to `prefix`.
pub(super) fn replay(
    ledger: &Ledger,
    model: &Model,
    torrents: &Torrents,
    original: &dyn OriginalTorrents,
    prefix: &mut Findings,
) -> Vec<Vec<Evidence>> {
    let mut counts = Counts::new(torrents, original, model, prefix);
    for (writer, index, entry) in ledger.entries().filter(|(_, _, entry)| entry.sent_ns.is_some()) {
        counts.announce(writer, index, entry);
    }
    let evidence = (0..ledger.writers()).map(|writer| {
        let entries = ledger.writer(writer);
        (0..entries.count()).map(|index| counts.evidence(writer, index, entries.entry(index))).collect()
    });
    let evidence = evidence.collect();
    counts.judge(prefix);
    evidence
}

/// Decides the writes that the rows of one writer leave open, as far as that follows from its other writes. They were
/// made one after the other, so if one is missing, all later ones are missing, unless a later one shows that this rule
/// was broken.
pub(super) fn infer(evidence: &mut [Evidence], ledger: &WriterLedger, is_lacking: impl Fn(u64) -> bool) {
    let held = evidence.iter().rposition(|evidence| *evidence == Evidence::Held);
    let mut ended = false;
    for (index, evidence) in (0..).zip(evidence).skip(held.map_or(0, |held| held + 1)) {
        let acknowledged = matches!(ledger.entry(index).outcome, Outcome::Acknowledged(_));
        match evidence {
            Evidence::Absent => ended |= acknowledged && !is_lacking(index),
            Evidence::Overwritten if ended => *evidence = Evidence::Absent,
            _ => {}
        }
    }
}

/// One torrent that writes were sent for.
struct Announced {
    /// Its count, and its count before any write; 0 if the torrent is missing.
    count: i64,
    original: i64,
    /// Writes that were sent for it, and those of them that may have been counted.
    sent: i64,
    counted_max: i64,
    /// How many of the latter have been examined so far.
    counted_before: i64,
}

impl Announced {
    /// True if the count is the dataset's own and may also have been stored by the tracker.
    fn is_ambiguous(&self) -> bool {
        self.count == self.original && (1..=self.counted_max).contains(&self.count)
    }

    fn is_explained(&self) -> bool {
        self.count == self.original || (0..=self.counted_max).contains(&self.count)
    }
}

struct Counts<'a> {
    torrents: &'a Torrents,
    original: &'a dyn OriginalTorrents,
    model: &'a Model,
    /// The torrents that are not in the dataset and not yet explained by a write.
    added: HashMap<&'a InfoHash, &'a Added>,
    announced: HashMap<Key, Announced>,
}

impl<'a> Counts<'a> {
    fn new(
        torrents: &'a Torrents,
        original: &'a dyn OriginalTorrents,
        model: &'a Model,
        prefix: &mut Findings,
    ) -> Counts<'a> {
        let added = added_by_hash(torrents, prefix);
        Counts { torrents, original, model, added, announced: HashMap::new() }
    }

    /// Adds a write that was sent.
    fn announce(&mut self, writer: u32, index: u64, entry: Entry) {
        let key = self.key(writer, index);
        if !self.announced.contains_key(&key) {
            let (count, original) = self.find(key);
            let announced = Announced { count, original, sent: 0, counted_max: 0, counted_before: 0 };
            self.announced.insert(key, announced);
        }
        let announced = self.announced.get_mut(&key).expect("it was entered");
        announced.sent += 1;
        announced.counted_max += i64::from(!matches!(entry.outcome, Outcome::Refused(_)));
    }

    fn key(&self, writer: u32, index: u64) -> Key {
        let [key] = self.model.write(writer, index).stamped[..] else {
            unreachable!("a write is counted for one torrent")
        };
        key
    }

    /// The count of the torrent, and its count before any write.
    fn find(&mut self, key: Key) -> (i64, i64) {
        match key {
            Key::Dataset(id) => {
                let original = self.original.torrent(id).completed;
                (self.torrents.slots.get(&id).map_or(original, |slot| slot.completed), original)
            }
            Key::New { writer, index, row } => {
                let row = self.added.remove(&self.model.new_info_hash(writer, index, row));
                (row.map_or(0, |row| row.completed), 0)
            }
        }
    }

    /// What the rows show about a write. Must be called in the order of the writes.
    fn evidence(&mut self, writer: u32, index: u64, entry: Entry) -> Evidence {
        // A refused write is not counted. Whether more writes were counted than announced is checked for each torrent.
        if matches!(entry.outcome, Outcome::Refused(_)) {
            return Evidence::Absent;
        }
        let key = self.key(writer, index);
        let announced = self.announced.get_mut(&key).expect("every write that was sent has been entered");
        let before = announced.counted_before;
        announced.counted_before += 1;
        if announced.is_ambiguous() {
            Evidence::Overwritten
        } else if announced.count > before && announced.count != announced.original {
            Evidence::Held
        } else if announced.sent == 1 {
            Evidence::Absent
        } else {
            Evidence::Overwritten
        }
    }

    /// Reports the counts that no write explains.
    fn judge(self, prefix: &mut Findings) {
        let mut unexplained: Vec<_> =
            self.announced.iter().filter(|(_, announced)| !announced.is_explained()).collect();
        // The same database must give the same findings.
        unexplained.sort_by_key(|(key, _)| **key);
        for (key, Announced { count, counted_max, .. }) in unexplained {
            prefix.wrong(|| {
                let torrent = match key {
                    Key::Dataset(id) => format!("torrents row {id}"),
                    Key::New { writer, index, .. } => {
                        format!("the torrent of writer {writer}'s write {index}")
                    }
                };
                format!(
                    "{torrent}: completed is {count}, but of the writes announced for it at most {counted_max} can \
                     have been counted"
                )
            });
        }
        let slots = self.torrents.slots.iter();
        let mut untouched: Vec<_> =
            slots.filter(|(id, _)| !self.announced.contains_key(&Key::Dataset(**id))).collect();
        untouched.sort_by_key(|(id, _)| **id);
        for (id, slot) in untouched {
            prefix.wrong(|| {
                let (completed, original) = (slot.completed, slot.original);
                format!(
                    "torrents row {id}: completed is {completed}, but the dataset has {original} and no write was sent \
                     for it"
                )
            });
        }
        // The probe's second announcement may not have been counted.
        judge_unknown(self.added, self.model, |completed| (0..=1).contains(&completed), prefix);
    }
}
