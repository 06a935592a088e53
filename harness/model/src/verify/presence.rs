//! Which writes are present, according to the rows.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::evidence::{Evidence, is_in, is_undecided};
use super::findings::Findings;
use super::torrents::Torrents;
use super::{counts, stamps};
use crate::dataset::OriginalTorrents;
use crate::ledger::{Entry, Ledger, Outcome};
use crate::writes::{Marks, Model};

/// What the rows show about every write in the ledger.
pub(super) struct Presence<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) model: &'a Model,
    never_written: HashSet<(u32, u64)>,
    writers: Vec<Vec<Evidence>>,
}

impl Presence<'_> {
    /// Treats acknowledged writes that the application itself never wrote as indeterminate.
    pub(super) fn without_never_written(mut self, never_written: &[(u32, u64)]) -> Self {
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

/// Replays the ledger over the rows. Rows that no write explains, and refused writes that are present, are added to
/// `prefix`. Partially applied writes are added to `transactions`.
pub(super) fn replay<'a>(
    ledger: &'a Ledger,
    model: &'a Model,
    torrents: &Torrents,
    original: &dyn OriginalTorrents,
    prefix: &mut Findings,
    transactions: &mut Findings,
) -> Presence<'a> {
    let writers = match model.marks {
        Marks::Stamps => stamps::replay(ledger, model, torrents, prefix, transactions),
        Marks::Counts => counts::replay(ledger, model, torrents, original, prefix),
    };
    Presence { ledger, model, never_written: HashSet::new(), writers }
}
