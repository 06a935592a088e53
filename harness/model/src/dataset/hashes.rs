//! Keys that look random in the order of the rows, but can be listed in ascending order without sorting.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::permutation::{Permutation, scale};
use crate::writes::{InfoHash, info_hash};

/// The unique info-hashes of a table's rows: keys increase with their rank, and the rank is a permutation of the id.
#[derive(Clone, Debug)]
pub(crate) struct Hashes {
    count: u64,
    ranks: Permutation,
    /// Distance between the lowest possible keys of two neighbouring ranks, in the first 64 bits.
    width: u64,
    seed: u64,
}

impl Hashes {
    /// The keys of `count` rows, at least one.
    pub(crate) fn new(count: u64, seed: u64) -> Hashes {
        Hashes { count, ranks: Permutation::new(count, seed), width: u64::MAX / count, seed }
    }

    /// Number of keys.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The key of the row with this id (from 1).
    pub(crate) fn of_id(&self, id: u64) -> InfoHash {
        self.of_rank(self.ranks.forward(id - 1))
    }

    /// The id of the row whose key has this rank (from 0) in ascending order.
    pub(crate) fn id_at(&self, rank: u64) -> u64 {
        self.ranks.backward(rank) + 1
    }

    /// The key with this rank (from 0) in ascending order.
    pub(crate) fn of_rank(&self, rank: u64) -> InfoHash {
        let noise = xxh3_128_with_seed(&rank.to_le_bytes(), self.seed);
        let (jitter, middle) = ((noise >> 64) as u64, noise as u64);
        // The jitter is less than the width, so the first 64 bits alone determine the order.
        let first = rank * self.width + scale(jitter, self.width);
        let last = (jitter ^ middle.rotate_left(29)).wrapping_mul(0xa076_1d64_78bd_642f) >> 32;
        info_hash((u128::from(first) << 64) | u128::from(middle), last as u32)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_rise_with_their_rank(count in 2..1u64 << 36, seed: u64, share: u64) {
            let hashes = Hashes::new(count, seed);
            let rank = scale(share, count - 1);
            prop_assert!(hashes.of_rank(rank) < hashes.of_rank(rank + 1));
            prop_assert_eq!(hashes.of_id(hashes.id_at(rank)), hashes.of_rank(rank));
        }
    }

    #[test]
    fn a_single_row_has_a_key() {
        let hashes = Hashes::new(1, 3);
        assert_eq!(hashes.of_id(1), hashes.of_rank(0));
    }

    #[test]
    fn digits_are_evenly_distributed_at_every_position() {
        let count = 64_000;
        let hashes = Hashes::new(count, 5);
        let mut uses = vec![[0u32; 256]; 40];
        for id in 1..=count {
            for (place, digit) in hashes.of_id(id).into_iter().enumerate() {
                uses[place][usize::from(digit)] += 1;
            }
        }
        for (place, uses) in uses.iter().enumerate() {
            for digit in b"0123456789abcdef" {
                let share = f64::from(uses[usize::from(*digit)]) / count as f64 * 16.0;
                assert!((0.93..1.07).contains(&share), "digit {digit} in place {place}: {share}");
            }
        }
    }

    #[test]
    fn keys_of_different_seeds_differ() {
        let keys = [1, 2].into_iter().flat_map(|seed| {
            let hashes = Hashes::new(500, seed);
            (1..=500).map(move |id| hashes.of_id(id))
        });
        assert_eq!(keys.collect::<HashSet<_>>().len(), 1_000);
    }
}
