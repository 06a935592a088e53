//! Reads the table of the torrents once, in the order of their ids, and keeps only the rows that writes have changed.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::atomic::AtomicU64;

use super::digest::{Field, RowBytes, RowsDigest};
use super::findings::Findings;
use super::reader::{DatabaseReader, RawTorrent, Unreadable};
use crate::dataset::OriginalTorrents;
use crate::writes::{InfoHash, Role, role};

/// The value of `completed` for a torrent that was never completed.
const NEVER: Field<'static> = Field::Integer(0);

/// Parameters of a comparison with the dataset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Maximum number of differing rows that are kept, so that a database full of garbage does not fill the memory.
    pub(super) changed_max: u64,
    /// Torrents that were never completed should be left out.
    pub(super) without_never_completed: bool,
}

/// The two ranges of ids that are read concurrently: together they contain every possible id.
pub(super) fn halves(torrents: u64) -> [RangeInclusive<i64>; 2] {
    let middle = (torrents / 2) as i64;
    [i64::MIN..=middle, middle + 1..=i64::MAX]
}

/// `id` as an id of the dataset, if it is from 1 to `torrents`.
fn dataset_id(id: i64, torrents: u64) -> Option<u64> {
    u64::try_from(id).ok().filter(|id| (1..=torrents).contains(id))
}

/// The rows that the workload never changes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Untouched {
    pub(super) all: RowsDigest,
    /// Those that were completed at least once.
    pub(super) completed: RowsDigest,
}

impl Untouched {
    pub(super) fn absorb(&mut self, other: Untouched) {
        self.all.absorb(other.all);
        self.completed.absorb(other.completed);
    }
}

/// Adds a row to `untouched` if the workload never changes it.
pub(super) fn digest_untouched(
    torrent: &RawTorrent<'_>,
    torrents: u64,
    bytes: &mut RowBytes,
    untouched: &mut Untouched,
) {
    let Field::Integer(id) = torrent.id else { return };
    if dataset_id(id, torrents).is_some_and(|id| role(id) == Role::Untouched) {
        bytes.clear();
        bytes.push(torrent.id);
        bytes.push(torrent.info_hash);
        bytes.push(torrent.completed);
        untouched.all.add(bytes);
        if torrent.completed != NEVER {
            untouched.completed.add(bytes);
        }
    }
}

/// A row with an id that the dataset does not have.
#[derive(Debug)]
pub(super) struct Added {
    pub(super) id: i64,
    pub(super) info_hash: InfoHash,
    pub(super) completed: i64,
}

/// A slot with another value than in the dataset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) completed: i64,
    /// The value in the dataset.
    pub(super) original: i64,
}

/// The differences between the table and the dataset.
pub(super) struct Torrents {
    /// The highest id.
    pub(super) id_max: Option<i64>,
    /// The rows that the workload never changes.
    pub(super) untouched: Untouched,
    /// (info_hash, id) of every row: the entries that an index over the hashes must have.
    pub(super) entries: RowsDigest,
    /// The slots that differ from the dataset, by id.
    pub(super) slots: HashMap<u64, Slot>,
    /// The rows that the dataset does not have.
    pub(super) added: Vec<Added>,
    /// The accounts that differ from the dataset: id and completions gained.
    pub(super) gains: HashMap<u64, i128>,
    /// More rows have changed than the writes in the ledger can change; not all of them were kept.
    pub(super) overflowed: bool,
    pub(super) prefix: Findings,
    pub(super) transactions: Findings,
    pub(super) content: Findings,
}

impl Torrents {
    fn new() -> Torrents {
        Torrents {
            id_max: None,
            untouched: Untouched::default(),
            entries: RowsDigest::default(),
            slots: HashMap::new(),
            added: Vec::new(),
            gains: HashMap::new(),
            overflowed: false,
            prefix: Findings::new("prefix"),
            transactions: Findings::new("transactions"),
            content: Findings::new("content"),
        }
    }

    /// True when a torrent was added with this key.
    pub(super) fn hold(&self, info_hash: &InfoHash) -> bool {
        self.added.iter().any(|row| row.info_hash == *info_hash)
    }

    /// Joins the halves of one table.
    pub(super) fn absorb(&mut self, other: Torrents) {
        self.id_max = self.id_max.max(other.id_max);
        self.untouched.absorb(other.untouched);
        self.entries.absorb(other.entries);
        self.slots.extend(other.slots);
        self.added.extend(other.added);
        self.gains.extend(other.gains);
        self.overflowed |= other.overflowed;
        self.prefix.absorb(other.prefix);
        self.transactions.absorb(other.transactions);
        self.content.absorb(other.content);
    }
}

/// Compares rows with the dataset while they are read, in the order of their ids.
pub(super) struct Comparison<'a> {
    original: &'a dyn OriginalTorrents,
    /// The id of the dataset that must come next, and the last one of this range.
    next: u64,
    last: u64,
    limits: Limits,
    bytes: RowBytes,
    found: Torrents,
}

impl<'a> Comparison<'a> {
    /// Compares the rows with an id in `ids`.
    pub(super) fn new(
        original: &'a dyn OriginalTorrents,
        ids: &RangeInclusive<i64>,
        limits: Limits,
    ) -> Comparison<'a> {
        let next = u64::try_from(*ids.start()).unwrap_or(0).max(1);
        let last = u64::try_from(*ids.end()).unwrap_or(0).min(original.torrents());
        Comparison { original, next, last, limits, bytes: RowBytes::default(), found: Torrents::new() }
    }

    /// Compares the next row.
    pub(super) fn visit(&mut self, torrent: &RawTorrent<'_>) {
        let Field::Integer(id) = torrent.id else {
            self.found.content.wrong(|| "torrents has a row whose id is not a number".to_owned());
            return;
        };
        self.found.id_max = self.found.id_max.max(Some(id));
        self.bytes.clear();
        self.bytes.push(torrent.info_hash);
        self.bytes.push(torrent.id);
        self.found.entries.add(&self.bytes);
        digest_untouched(torrent, self.original.torrents(), &mut self.bytes, &mut self.found.untouched);
        let Some(id) = dataset_id(id, self.original.torrents()) else {
            self.visit_added(id, torrent);
            return;
        };
        if id < self.next {
            self.found.content.wrong(|| format!("torrents row {id} comes after row {}", self.next - 1));
            return;
        }
        self.missing_until(id);
        self.next = id + 1;
        if self.limits.without_never_completed && torrent.completed == NEVER {
            self.found.content.wrong(|| was_to_be_left_out(id as i64));
        }
        match role(id) {
            Role::Untouched => {}
            Role::Slot => self.visit_slot(id, torrent),
            Role::Account => self.visit_account(id, torrent),
        }
    }

    /// The range has been read to its end.
    pub(super) fn finish(mut self) -> Torrents {
        self.missing_until(self.last + 1);
        self.found
    }

    fn missing_until(&mut self, id: u64) {
        for missing in self.next..id {
            if self.limits.without_never_completed && self.is_left_out(missing) {
                continue;
            }
            let findings = match role(missing) {
                Role::Untouched => &mut self.found.content,
                Role::Slot => &mut self.found.prefix,
                Role::Account => &mut self.found.transactions,
            };
            findings.wrong(|| format!("torrents row {missing} is missing"));
        }
    }

    /// Whether a row may be missing if rows with the value 0 were left out. If writes have changed it, it is kept as if
    /// it was present with this value, and must be explained by writes like every other row.
    fn is_left_out(&mut self, id: u64) -> bool {
        let original = self.original.torrent(id).completed;
        match role(id) {
            _ if original == 0 => {}
            Role::Untouched => return false,
            Role::Slot => self.keep_slot(id, 0, original),
            Role::Account => self.keep_account(id, 0, original),
        }
        true
    }

    fn keep_slot(&mut self, id: u64, completed: i64, original: i64) {
        if completed != original && self.has_room() {
            self.found.slots.insert(id, Slot { completed, original });
        }
    }

    fn keep_account(&mut self, id: u64, completed: i64, original: i64) {
        if completed != original && self.has_room() {
            self.found.gains.insert(id, i128::from(completed) - i128::from(original));
        }
    }

    fn visit_slot(&mut self, id: u64, torrent: &RawTorrent<'_>) {
        let original = self.original.torrent(id);
        self.compare_hash(id, &original.info_hash, torrent.info_hash);
        let Field::Integer(completed) = torrent.completed else {
            self.found.prefix.wrong(|| not_a_number(id));
            return;
        };
        self.keep_slot(id, completed, original.completed);
    }

    fn visit_account(&mut self, id: u64, torrent: &RawTorrent<'_>) {
        let original = self.original.torrent(id);
        self.compare_hash(id, &original.info_hash, torrent.info_hash);
        let Field::Integer(completed) = torrent.completed else {
            self.found.transactions.wrong(|| not_a_number(id));
            return;
        };
        self.keep_account(id, completed, original.completed);
    }

    fn visit_added(&mut self, id: i64, torrent: &RawTorrent<'_>) {
        let hash: Option<InfoHash> = match torrent.info_hash {
            Field::Text(text) => text.try_into().ok(),
            _ => None,
        };
        match (hash, torrent.completed) {
            (Some(info_hash), Field::Integer(completed)) if id > 0 => {
                if self.has_room() {
                    self.found.added.push(Added { id, info_hash, completed });
                }
            }
            _ => self
                .found
                .prefix
                .wrong(|| format!("torrents row {id} belongs neither to the dataset nor to a write")),
        }
    }

    fn compare_hash(&mut self, id: u64, original: &InfoHash, found: Field<'_>) {
        if found != Field::Text(original) {
            self.found
                .content
                .wrong(|| format!("torrents row {id} has a different info_hash than in the dataset"));
        }
    }

    fn has_room(&mut self) -> bool {
        let found = &mut self.found;
        let kept = (found.slots.len() + found.added.len() + found.gains.len()) as u64;
        found.overflowed |= kept >= self.limits.changed_max;
        !found.overflowed
    }
}

fn not_a_number(id: u64) -> String {
    format!("torrents row {id}: completed is not a number")
}

fn was_to_be_left_out(id: i64) -> String {
    format!("torrents row {id} was never completed and should have been left out, but is present")
}

/// Reports the added torrents that should have been left out. The probe's torrent was added after the restore.
pub(super) fn judge_never_completed(torrents: &Torrents, probe: &InfoHash, content: &mut Findings) {
    for row in torrents.added.iter().filter(|row| row.completed == 0 && row.info_hash != *probe) {
        content.wrong(|| was_to_be_left_out(row.id));
    }
}

/// Reports rows that the workload never changes and that differ from the dataset, as many as are shown.
pub(super) fn name_changed_rows(
    engine: &dyn DatabaseReader,
    original: &dyn OriginalTorrents,
    content: &mut Findings,
) -> Result<(), Unreadable> {
    engine.torrents(&(1..=original.torrents() as i64), &AtomicU64::new(0), &mut |torrent| {
        let Field::Integer(id) = torrent.id else {
            return true;
        };
        let Some(id) = dataset_id(id, original.torrents()).filter(|&id| role(id) == Role::Untouched) else {
            return true;
        };
        let original = original.torrent(id);
        if torrent.info_hash != Field::Text(&original.info_hash) {
            content.wrong(|| format!("torrents row {id} has a different info_hash than in the dataset"));
        } else if torrent.completed != Field::Integer(original.completed) {
            let (now, before) = (torrent.completed, original.completed);
            content
                .wrong(|| format!("torrents row {id}: completed is {now:?}, but the dataset has {before}"));
        }
        !content.is_full()
    })
}
