//! What each write does: a pure function of (seed, writer, index), so that the state after any number of writes can be
//! computed and compared with a restored database.
//!
//! Every write stores [`stamp`]`(k)` in at least one torrent of its own writer, so the restored rows show how many of a
//! writer's writes are present. Rows of the dataset have roles according to their id:
//!
//! | id modulo 16 | role |
//! | --- | --- |
//! | 0 | slot: overwritten with stamps by the writer that owns it |
//! | 8 | account: a writer moves completions between two of its own accounts, so their total is fixed |
//! | others | never changed: covered by the content digest |
//!
//! The writes are spread over the whole file because the rows are. One write in eight inserts a new torrent.
//!
//! A tracker stores no stamps, only counts: see [`Marks`].

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::dataset::permutation::Permutation;

/// A torrent's key: 40 hexadecimal digits.
pub type InfoHash = [u8; 40];

/// Every 16th row is a slot, and every 16th an account.
const STRIDE: u64 = 16;
/// Stamps are above every count in a dataset (at most 120,194 in `torrust-demo`).
const STAMP_BASE: i64 = 1 << 24;
/// A writer uses at most this many accounts.
const ACCOUNTS_MAX: u64 = 1024;
/// One plain write in this many inserts.
const INSERT_EVERY: u64 = 8;

/// The value that a writer's `k`-th write stores in a slot or in a new torrent.
pub fn stamp(k: u64) -> i64 {
    STAMP_BASE + k as i64
}

/// The index of the write that stored `value`, if it is a stamp.
pub fn unstamp(value: i64) -> Option<u64> {
    (value >= STAMP_BASE).then(|| (value - STAMP_BASE) as u64)
}

/// The role of a row of the dataset in the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Overwritten with stamps.
    Slot,
    /// Completions are moved between accounts.
    Account,
    /// Never changed.
    Untouched,
}

/// The role of the dataset's torrent with this id (ids count from 1).
pub fn role(id: u64) -> Role {
    match id % STRIDE {
        0 => Role::Slot,
        8 => Role::Account,
        _ => Role::Untouched,
    }
}

/// A torrent that a write stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The dataset's torrent with this id.
    Dataset(u64),
    /// The torrent that writer `writer` inserted as row `row` of its write `index`.
    New {
        /// The writer.
        writer: u32,
        /// Index of the write.
        index: u64,
        /// Row within the write.
        row: u32,
    },
}

/// The rows that change together with the stamped ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// Nothing else changes.
    Nothing,
    /// The aggregate metric is incremented by one.
    Metric,
    /// `amount` completions move from one account to another.
    Transfer {
        /// Id of the torrent that loses completions.
        from: u64,
        /// Id of the torrent that gains them.
        to: u64,
        /// How many.
        amount: i64,
    },
}

/// One write: one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The torrents that get the write's stamp, each once.
    pub stamped: Vec<Key>,
    /// What changes in the same transaction.
    pub together: Together,
}

/// The trace that a write leaves in the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Marks {
    /// The stamp of its index, in every torrent that it stamps.
    #[default]
    Stamps,
    /// A download counted by a tracker, for one torrent. The tracker stores how many downloads it has counted since it
    /// started, regardless of the value in the database: 0 at the announcement that a download has started, and one
    /// more for each that is completed.
    ///
    /// Such a count does not identify a write. So every write gets its own torrent as long as possible: the slots of a
    /// writer are reused only after all of them were used, and one write in eight uses a torrent that is not in the
    /// dataset.
    Counts,
}

/// The parameters that determine all writes of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The trace that the writes leave in the database.
    #[serde(default)]
    pub marks: Marks,
    /// Seed of the workload.
    pub seed: u64,
    /// Number of writers.
    pub writers: u32,
    /// Torrents that a plain write stamps; has no effect on counts.
    pub rows_per_transaction: u32,
    /// Share of the writes that change several rows which must stay consistent, from 0 to 1; half of them increment the
    /// metric, half move completions. Has no effect on counts.
    pub multi_row_share: f64,
    /// Torrents in the dataset: their ids are 1 to this.
    pub torrents: u64,
}

impl Model {
    /// The minimum number of torrents that a dataset needs for this many writers and rows. With stamps, each writer
    /// needs two accounts and twice as many slots as a write stamps; with counts, one slot.
    pub fn torrents_min(marks: Marks, writers: u32, rows_per_transaction: u32) -> u64 {
        let blocks = match marks {
            Marks::Stamps => 2 * (u64::from(rows_per_transaction) + 1),
            Marks::Counts => 1,
        };
        STRIDE * u64::from(writers) * blocks
    }

    /// What writer `writer`'s write number `index` does.
    pub fn write(&self, writer: u32, index: u64) -> Write {
        match self.marks {
            Marks::Stamps => self.stamped_write(writer, index),
            Marks::Counts => {
                Write { stamped: vec![self.counted(writer, index)], together: Together::Nothing }
            }
        }
    }

    fn stamped_write(&self, writer: u32, index: u64) -> Write {
        let share = self.draw(writer, index, 0) as f64 / u64::MAX as f64;
        if share < self.multi_row_share {
            let together = if share < self.multi_row_share / 2.0 {
                Together::Metric
            } else {
                self.transfer(writer, index)
            };
            return Write { stamped: vec![self.slot(writer, index, 0)], together };
        }
        let mut stamped = Vec::with_capacity(self.rows_per_transaction as usize);
        for row in 0..self.rows_per_transaction {
            let key = if self.draw(writer, index, row_stream(row)).is_multiple_of(INSERT_EVERY) {
                Key::New { writer, index, row }
            } else {
                self.slot(writer, index, row)
            };
            stamped.push(key);
        }
        Write { stamped, together: Together::Nothing }
    }

    /// The torrent that a write is counted for.
    fn counted(&self, writer: u32, index: u64) -> Key {
        // One of every eight consecutive writes inserts, so that the number of slots used before is known.
        let (eight, place) = (index / INSERT_EVERY, index % INSERT_EVERY);
        let inserts_at = self.draw(writer, eight, 0) % INSERT_EVERY;
        if place == inserts_at {
            return Key::New { writer, index, row: 0 };
        }
        let nth = eight * (INSERT_EVERY - 1) + place - u64::from(place > inserts_at);
        let slots = self.torrents / STRIDE / u64::from(self.writers);
        let order = Permutation::new(slots, self.draw(writer, 0, 1));
        Key::Dataset(self.owned(writer, order.forward(nth % slots), 0))
    }

    /// The key of a torrent that a write inserts.
    pub fn new_info_hash(&self, writer: u32, index: u64, row: u32) -> InfoHash {
        let input = bytes(writer, index, row);
        let low = xxh3_64_with_seed(&input, !self.seed) as u32;
        let high = xxh3_128_with_seed(&input, self.seed);
        info_hash(high, low)
    }

    /// The torrent that a restored subject writes once to show that it responds, with the stamp of write 0. No writer
    /// uses this key.
    pub fn probe_info_hash(&self) -> InfoHash {
        self.new_info_hash(u32::MAX, 0, 0)
    }

    /// Rows of one write use neighbouring slots, so that they are all different.
    fn slot(&self, writer: u32, index: u64, row: u32) -> Key {
        let slots = self.torrents / STRIDE / u64::from(self.writers);
        let first = self.draw(writer, index, 1) % slots;
        Key::Dataset(self.owned(writer, (first + u64::from(row)) % slots, 0))
    }

    fn transfer(&self, writer: u32, index: u64) -> Together {
        let accounts = (self.torrents / STRIDE / u64::from(self.writers)).min(ACCOUNTS_MAX);
        let from = self.draw(writer, index, 2) % accounts;
        let to = (from + 1 + self.draw(writer, index, 3) % (accounts - 1)) % accounts;
        let spread = |nth: u64| {
            // The few accounts are spread over the whole file, so that a transfer changes pages that are far apart.
            nth * (self.torrents / STRIDE / u64::from(self.writers) / accounts)
        };
        Together::Transfer {
            from: self.owned(writer, spread(from), 8),
            to: self.owned(writer, spread(to), 8),
            amount: (self.draw(writer, index, 4) % 9 + 1) as i64,
        }
    }

    /// The `nth` slot (offset 0) or account (offset 8) of a writer. Slots start at id 16, accounts at id 8.
    fn owned(&self, writer: u32, nth: u64, offset: u64) -> u64 {
        let block = nth * u64::from(self.writers) + u64::from(writer);
        if offset == 0 { (block + 1) * STRIDE } else { block * STRIDE + offset }
    }

    fn draw(&self, writer: u32, index: u64, stream: u32) -> u64 {
        xxh3_64_with_seed(&bytes(writer, index, stream), self.seed)
    }
}

/// Streams below 16 are used by the draws for a whole write.
fn row_stream(row: u32) -> u32 {
    16 + row
}

fn bytes(writer: u32, index: u64, stream: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&index.to_le_bytes());
    bytes[8..12].copy_from_slice(&writer.to_le_bytes());
    bytes[12..].copy_from_slice(&stream.to_le_bytes());
    bytes
}

/// 160 bits as 40 lower-case hexadecimal digits, the 128 `high` ones first.
pub fn info_hash(high: u128, low: u32) -> InfoHash {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 40];
    let bytes = high.to_be_bytes().into_iter().chain(low.to_be_bytes());
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn models() -> impl Strategy<Value = Model> {
        (marks(), any::<u64>(), 1..9u32, 1..12u32, 0.0..=1.0, 0..5000u64).prop_map(
            |(marks, seed, writers, rows_per_transaction, multi_row_share, more)| Model {
                marks,
                seed,
                writers,
                rows_per_transaction,
                multi_row_share,
                torrents: Model::torrents_min(marks, writers, rows_per_transaction) + more,
            },
        )
    }

    fn marks() -> impl Strategy<Value = Marks> {
        prop_oneof![Just(Marks::Stamps), Just(Marks::Counts)]
    }

    proptest! {
        #[test]
        fn writers_never_touch_each_others_rows(model in models(), index in 0..10_000u64, writer in 0..8u32) {
            let writer = writer % model.writers;
            let write = model.write(writer, index);
            prop_assert!(!write.stamped.is_empty());
            let distinct: HashSet<_> = write.stamped.iter().collect();
            prop_assert_eq!(distinct.len(), write.stamped.len());
            for key in &write.stamped {
                if let Key::Dataset(id) = *key {
                    prop_assert!(id >= 1 && id <= model.torrents);
                    prop_assert_eq!(role(id), Role::Slot);
                    prop_assert_eq!((id / STRIDE - 1) % u64::from(model.writers), u64::from(writer));
                }
            }
            if let Together::Transfer { from, to, amount } = write.together {
                prop_assert!(from != to && amount > 0);
                for id in [from, to] {
                    prop_assert!(id >= 1 && id <= model.torrents);
                    prop_assert_eq!(role(id), Role::Account);
                    prop_assert_eq!((id / STRIDE) % u64::from(model.writers), u64::from(writer));
                }
            }
        }

        #[test]
        fn counts_use_every_slot_before_any_is_reused(model in models(), writer in 0..8u32) {
            let model = Model { marks: Marks::Counts, ..model };
            let writer = writer % model.writers;
            let slots = (model.torrents / STRIDE / u64::from(model.writers)) as usize;
            let keys: Vec<Key> =
                (0..3 * slots as u64).map(|index| model.write(writer, index).stamped[0]).collect();
            let (taken, new): (Vec<Key>, Vec<Key>) =
                keys.into_iter().partition(|key| matches!(key, Key::Dataset(_)));
            for round in taken.chunks(slots) {
                prop_assert_eq!(round.iter().collect::<HashSet<_>>().len(), round.len());
            }
            prop_assert!(new.len() >= 3 * slots / 8 && new.len() <= 3 * slots / 8 + 1);
        }

        #[test]
        fn a_stamp_tells_its_index(index in 0..1u64 << 40) {
            prop_assert_eq!(unstamp(stamp(index)), Some(index));
        }
    }

    #[test]
    fn counts_of_the_dataset_are_not_stamps() {
        assert_eq!(unstamp(120_194), None);
    }
}
