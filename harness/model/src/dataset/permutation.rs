//! A shuffle without a table: the position of each number is computed, in both directions.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A Feistel network needs at least four rounds to look random in both directions.
const ROUNDS: usize = 4;

/// A pseudo-random permutation of the numbers below `items`, determined by a seed.
///
/// It is a Feistel network over a grid of `rows` x `columns` cells, which is only slightly larger than `items`. A
/// number that lands on one of the spare cells is permuted again until it lands on a real one.
#[derive(Clone, Debug)]
pub(crate) struct Permutation {
    items: u64,
    rows: u64,
    columns: u64,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// A shuffle of `items` numbers, at least one and at most 2^62.
    pub(crate) fn new(items: u64, seed: u64) -> Permutation {
        assert!((1..=1 << 62).contains(&items), "cannot shuffle {items} items");
        let columns = items.isqrt();
        let keys = std::array::from_fn(|round| xxh3_64_with_seed(&[round as u8], seed));
        Permutation { items, rows: items.div_ceil(columns), columns, keys }
    }

    /// The position of `item` after the shuffle.
    pub(crate) fn forward(&self, item: u64) -> u64 {
        debug_assert!(item < self.items);
        let mut at = item;
        loop {
            at = self.forward_once(at);
            if at < self.items {
                return at;
            }
        }
    }

    /// The item at `place` after the shuffle.
    pub(crate) fn backward(&self, place: u64) -> u64 {
        debug_assert!(place < self.items);
        let mut at = place;
        loop {
            at = self.backward_once(at);
            if at < self.items {
                return at;
            }
        }
    }

    fn forward_once(&self, at: u64) -> u64 {
        let (mut row, mut column) = (at / self.columns, at % self.columns);
        for pair in self.keys.chunks_exact(2) {
            row = add(row, below(self.rows, column, pair[0]), self.rows);
            column = add(column, below(self.columns, row, pair[1]), self.columns);
        }
        row * self.columns + column
    }

    fn backward_once(&self, at: u64) -> u64 {
        let (mut row, mut column) = (at / self.columns, at % self.columns);
        for pair in self.keys.chunks_exact(2).rev() {
            column = subtract(column, below(self.columns, row, pair[1]), self.columns);
            row = subtract(row, below(self.rows, column, pair[0]), self.rows);
        }
        row * self.columns + column
    }
}

/// A number below `limit`, computed from `input` and `key`.
fn below(limit: u64, input: u64, key: u64) -> u64 {
    // Both halves of the product together depend on every bit of the input.
    let product = u128::from(input ^ key) * 0x9e37_79b9_7f4a_7c15;
    let mixed = (product >> 64) as u64 ^ product as u64;
    scale(mixed, limit)
}

/// Scales `fraction` from the range of 2^64 to the range below `limit`.
pub(crate) fn scale(fraction: u64, limit: u64) -> u64 {
    ((u128::from(fraction) * u128::from(limit)) >> 64) as u64
}

fn add(a: u64, b: u64, modulus: u64) -> u64 {
    let sum = a + b;
    if sum >= modulus { sum - modulus } else { sum }
}

fn subtract(a: u64, b: u64, modulus: u64) -> u64 {
    if a >= b { a - b } else { a + modulus - b }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_place_is_taken_once(items in 1..3_000u64, seed: u64) {
            let permutation = Permutation::new(items, seed);
            let mut places: Vec<u64> = (0..items).map(|item| permutation.forward(item)).collect();
            for (item, place) in places.iter().enumerate() {
                prop_assert_eq!(permutation.backward(*place), item as u64);
            }
            places.sort_unstable();
            prop_assert!(places.into_iter().eq(0..items));
        }

        #[test]
        fn large_shuffles_can_be_undone(items in 1..1u64 << 40, seed: u64, share: u64) {
            let permutation = Permutation::new(items, seed);
            let item = scale(share, items);
            let place = permutation.forward(item);
            prop_assert!(place < items);
            prop_assert_eq!(permutation.backward(place), item);
        }
    }

    #[test]
    fn neighbours_land_far_apart() {
        let items = 1_000_000;
        let permutation = Permutation::new(items, 7);
        let apart = |step: u64| {
            let distances = (0..10_000).map(|n| {
                let item = n * 97;
                permutation.forward(item).abs_diff(permutation.forward(item + step))
            });
            distances.sum::<u64>() as f64 / 10_000.0
        };
        // The average distance of two random numbers below n is n / 3.
        for step in 1..20 {
            let share = apart(step) / items as f64;
            assert!((0.32..0.347).contains(&share), "step {step}: {share}");
        }
    }

    #[test]
    fn the_seed_decides() {
        let places = |seed| {
            let permutation = Permutation::new(1_000, seed);
            (0..1_000).map(|item| permutation.forward(item)).collect::<Vec<_>>()
        };
        assert_ne!(places(1), places(2));
        assert_eq!(places(1), places(1));
    }
}
