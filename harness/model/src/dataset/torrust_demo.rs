//! The shape of the public Torrust demo tracker's database, as measured by its operators.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::hashes::Hashes;
use super::heavy_tail::HeavyTail;
use super::original_torrents::{OriginalTorrents, Torrent};
use super::permutation::Permutation;
use super::profile::{Profile, Shape};
use super::rows::{Columns, FewRows, Rows, Table, Value};

/// The profile's line in the registry.
pub(crate) const PROFILE: Profile = Profile {
    name: "torrust-demo",
    description: "The public Torrust demo tracker: many torrents, few of which were ever completed.",
    shape,
};

/// Size of the demo's database in bytes: 4,297,957 pages.
const DEMO_BYTES: u64 = 4_297_957 * 4_096;
/// Rows of its table `torrents`.
const DEMO_TORRENTS: u64 = 161_454_700;
/// Rows of its table `whitelist`.
const DEMO_WHITELIST: u64 = 30_076;
/// Rows of its table `keys`.
const DEMO_KEYS: u64 = 10;
/// Number of torrents out of 1,000 that were ever completed.
const COMPLETED_PER_MILLE: u64 = 31;
/// Average completed downloads of a torrent that was ever completed.
const COMPLETED_MEAN: f64 = 5.39;
/// Chosen so that the most downloaded torrent has 120,194 completed downloads at the demo's own size.
const COMPLETED_OFFSET: f64 = 5.174_65;
/// Digits of a key that the tracker issues to a user.
const KEY_DIGITS: usize = 32;
/// When the first key expires: early in 2033, in seconds since 1970.
const VALID_UNTIL: i64 = 2_000_000_000;
/// The tracker's name for the total of all completed downloads.
const DOWNLOADS_METRIC: &str = "torrents_downloads_total";

fn shape(target_bytes: u64, seed: u64) -> Shape {
    let torrents = Torrents::new(scaled(DEMO_TORRENTS, target_bytes), part_seed(seed, "torrents"));
    let whitelist =
        Whitelist(Hashes::new(scaled(DEMO_WHITELIST, target_bytes), part_seed(seed, "whitelist")));
    let keys = keys(scaled(DEMO_KEYS, target_bytes).min(DEMO_KEYS), part_seed(seed, "keys"));
    let downloads = Value::Integer(torrents.completed.total() as i64);
    let metrics = FewRows::new(vec![vec![Value::Text(DOWNLOADS_METRIC.into()), downloads]]);
    let original = Box::new(torrents.clone());
    let tables = vec![
        Table {
            name: "whitelist",
            columns: &[
                ("sqlite", "(id INTEGER PRIMARY KEY AUTOINCREMENT, info_hash TEXT NOT NULL UNIQUE)"),
                ("mysql", "(id INTEGER PRIMARY KEY AUTO_INCREMENT, info_hash VARCHAR(40) NOT NULL)"),
            ],
            unique: "info_hash",
            rows: Arc::new(whitelist),
        },
        Table {
            name: "keys",
            columns: &[
                (
                    "sqlite",
                    "(id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, valid_until INTEGER)",
                ),
                (
                    "mysql",
                    "(`id` INT NOT NULL AUTO_INCREMENT, `key` VARCHAR(32) NOT NULL, `valid_until` INT(10), \
                            PRIMARY KEY (`id`))",
                ),
            ],
            unique: "key",
            rows: Arc::new(keys),
        },
        Table {
            name: "torrents",
            columns: &[
                (
                    "sqlite",
                    "(id INTEGER PRIMARY KEY AUTOINCREMENT, info_hash TEXT NOT NULL UNIQUE, \
                             completed INTEGER DEFAULT 0 NOT NULL)",
                ),
                (
                    "mysql",
                    "(id INTEGER PRIMARY KEY AUTO_INCREMENT, info_hash VARCHAR(40) NOT NULL, \
                            completed INTEGER DEFAULT 0 NOT NULL)",
                ),
            ],
            unique: "info_hash",
            rows: Arc::new(torrents),
        },
        Table {
            name: "torrent_aggregate_metrics",
            columns: &[
                (
                    "sqlite",
                    "(id INTEGER PRIMARY KEY AUTOINCREMENT, metric_name TEXT NOT NULL UNIQUE, \
                             value INTEGER DEFAULT 0 NOT NULL)",
                ),
                (
                    "mysql",
                    "(id INTEGER PRIMARY KEY AUTO_INCREMENT, metric_name VARCHAR(50) NOT NULL, \
                            value BIGINT DEFAULT 0 NOT NULL)",
                ),
            ],
            unique: "metric_name",
            rows: Arc::new(metrics),
        },
    ];
    Shape { tables, original }
}

/// Scales a number of the demo's rows to another file size. The result is at least one.
fn scaled(demo_rows: u64, target_bytes: u64) -> u64 {
    let rows = u128::from(demo_rows) * u128::from(target_bytes) + u128::from(DEMO_BYTES / 2);
    ((rows / u128::from(DEMO_BYTES)) as u64).max(1)
}

/// A different seed for each table.
fn part_seed(seed: u64, part: &str) -> u64 {
    xxh3_64_with_seed(part.as_bytes(), seed)
}

/// The table `torrents`.
#[derive(Clone)]
struct Torrents {
    hashes: Hashes,
    /// The position of each torrent in the order from the most to the least completed.
    places: Permutation,
    completed: HeavyTail,
}

impl Torrents {
    fn new(count: u64, seed: u64) -> Torrents {
        let completed = (count * COMPLETED_PER_MILLE).div_ceil(1_000);
        Torrents {
            hashes: Hashes::new(count, seed),
            places: Permutation::new(count, part_seed(seed, "completed")),
            completed: HeavyTail::new(completed, COMPLETED_MEAN, COMPLETED_OFFSET),
        }
    }

    fn completed(&self, id: u64) -> i64 {
        let place = self.places.forward(id - 1);
        if place < self.completed.count() { self.completed.value(place) } else { 0 }
    }
}

impl OriginalTorrents for Torrents {
    fn torrents(&self) -> u64 {
        self.hashes.count()
    }

    fn torrent(&self, id: u64) -> Torrent {
        assert!(
            (1..=self.hashes.count()).contains(&id),
            "there is no torrent {id}: ids are 1 to {}",
            self.hashes.count()
        );
        Torrent { info_hash: self.hashes.of_id(id), completed: self.completed(id) }
    }
}

impl Rows for Torrents {
    fn count(&self) -> u64 {
        self.hashes.count()
    }

    fn row_bytes_max(&self, bytes: &dyn Fn(&[Value]) -> usize) -> usize {
        bytes(&[any_hash(), Value::Integer(self.completed.value(0))])
    }

    fn entry_bytes_max(&self, bytes: &dyn Fn(&[Value]) -> usize) -> usize {
        bytes(&[any_hash(), Value::Integer(self.hashes.count() as i64)])
    }

    fn row(&self, id: u64, columns: &mut dyn Columns) {
        columns.push_text(&self.hashes.of_id(id));
        columns.push_integer(self.completed(id));
    }

    fn entry(&self, rank: u64, columns: &mut dyn Columns) {
        push_hash_entry(&self.hashes, rank, columns);
    }
}

/// All info-hashes are equally long.
fn any_hash() -> Value {
    Value::Text("0".repeat(40))
}

fn push_hash_entry(hashes: &Hashes, rank: u64, columns: &mut dyn Columns) {
    columns.push_text(&hashes.of_rank(rank));
    columns.push_integer(hashes.id_at(rank) as i64);
}

/// The table `whitelist`.
struct Whitelist(Hashes);

impl Rows for Whitelist {
    fn count(&self) -> u64 {
        self.0.count()
    }

    fn row_bytes_max(&self, bytes: &dyn Fn(&[Value]) -> usize) -> usize {
        bytes(&[any_hash()])
    }

    fn entry_bytes_max(&self, bytes: &dyn Fn(&[Value]) -> usize) -> usize {
        bytes(&[any_hash(), Value::Integer(self.count() as i64)])
    }

    fn row(&self, id: u64, columns: &mut dyn Columns) {
        columns.push_text(&self.0.of_id(id));
    }

    fn entry(&self, rank: u64, columns: &mut dyn Columns) {
        push_hash_entry(&self.0, rank, columns);
    }
}

/// The table `keys`: every second key never expires, the others a day apart.
fn keys(count: u64, seed: u64) -> FewRows {
    let hashes = Hashes::new(count, seed);
    let row = |id: u64| {
        let key = hashes.of_id(id)[..KEY_DIGITS].iter().map(|digit| char::from(*digit)).collect();
        let expires = id % 2 == 1;
        let valid_until = VALID_UNTIL + id as i64 * 86_400;
        vec![Value::Text(key), if expires { Value::Integer(valid_until) } else { Value::Null }]
    };
    FewRows::new((1..=count).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_itself_is_reproduced() {
        let shape = shape(DEMO_BYTES, 1);
        let counts: Vec<u64> = shape.tables.iter().map(|table| table.rows.count()).collect();
        assert_eq!(counts, [DEMO_WHITELIST, DEMO_KEYS, DEMO_TORRENTS, 1]);
        let torrents = Torrents::new(DEMO_TORRENTS, 1);
        assert_eq!(torrents.completed.value(0), 120_194);
        let mean = torrents.completed.total() as f64 / torrents.completed.count() as f64;
        assert!((mean - COMPLETED_MEAN).abs() < 0.01, "{mean}");
        let share = torrents.completed.count() as f64 / DEMO_TORRENTS as f64;
        assert!((share - 0.031).abs() < 1e-6, "{share}");
    }

    #[test]
    fn smaller_sizes_keep_the_proportions() {
        for target in [1 << 20, 10_000_000, 300 << 20] {
            let torrents = Torrents::new(scaled(DEMO_TORRENTS, target), 2);
            let counts = (1..=torrents.count()).map(|id| torrents.torrent(id).completed).filter(|n| *n > 0);
            let (mut completed, mut sum) = (0u64, 0);
            for count in counts {
                completed += 1;
                sum += count;
            }
            let share = completed as f64 / torrents.count() as f64;
            assert!((share - 0.031).abs() < 0.0002, "{share} at {target}");
            let mean = sum as f64 / completed as f64;
            assert!((mean - COMPLETED_MEAN).abs() < 0.01, "{mean} at {target}");
            assert!(torrents.completed.value(0) < 120_194);
        }
    }

    #[test]
    fn no_table_is_ever_empty_and_keys_stay_few() {
        for (target, keys) in [(1 << 20, 1), (DEMO_BYTES / 2, 5), (DEMO_BYTES * 4, 10)] {
            let counts: Vec<u64> = shape(target, 3).tables.iter().map(|table| table.rows.count()).collect();
            assert!(counts.iter().all(|count| *count >= 1), "{counts:?}");
            assert_eq!(counts[1], keys);
        }
    }

    #[test]
    #[should_panic(expected = "there is no torrent 0")]
    fn ids_start_at_one() {
        Torrents::new(10, 1).torrent(0);
    }
}
