//! The states in which a device can be after a power cut.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::log::{Entry, LogPosition};

/// What a device writes atomically, in bytes: an aligned block. A longer write can be torn between blocks.
pub(super) const BLOCK_BYTES: u64 = 4096;

/// Which crash states are wanted.
#[derive(Clone, Debug, Default)]
pub struct CrashPlan {
    /// Seed of the reorderings: the same seed gives the same states of the same log.
    pub seed: u64,
    /// Maximum number of reorderings of the writes between two flushes. If they have no more than that, all are taken.
    pub reorderings_per_interval: usize,
    /// Only power cuts at or after this moment: the beginning of a backup, for example. The default is the beginning of
    /// the log.
    pub from: LogPosition,
    /// Only power cuts before or at this moment; the end of the log if this is `None`.
    pub until: Option<LogPosition>,
    /// Moments that have a state of their own, in which exactly the requests before them are complete: when a tool
    /// reported success, for example.
    pub markers: Vec<LogPosition>,
}

/// Which of the writes since the last flush a state has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashKind {
    /// None, except writes that are durable without a flush ("force unit access").
    Flushed,
    /// All that were complete at a marker.
    Marker(LogPosition),
    /// All of the last interval: the file system was unmounted, or the log ends there.
    End,
    /// A subset of them, by its number among those of its interval.
    Reordering(usize),
}

/// A state in which the device can be after a power cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashState {
    /// Number of flushes that were complete.
    pub flushes: usize,
    /// Which of the later writes are there.
    pub kind: CrashKind,
    /// Number of blocks of 4 KiB that were written after the last flush and are there.
    pub blocks_kept: usize,
    /// Number of blocks of 4 KiB that were written after the last flush.
    pub blocks_written: usize,
    /// Number of entries, from the first one on, that are there as a whole.
    pub(super) durable: usize,
    /// Blocks of later entries that are there, in the order of the log: index of the entry, index of its block.
    pub(super) kept: Vec<(usize, usize)>,
    latest: LogPosition,
}

impl CrashState {
    /// True if the power cut that leaves this state can happen after `moment`: everything that was promised by then
    /// must be in it. This is so for all moments before the next flush was complete.
    pub fn can_follow(&self, moment: LogPosition) -> bool {
        moment <= self.latest
    }
}

impl std::fmt::Display for CrashState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let flushes = if self.flushes == 1 { "flush" } else { "flushes" };
        write!(f, "power cut after {} {flushes}: ", self.flushes)?;
        match self.kind {
            CrashKind::Flushed => write!(f, "none of the later writes is there"),
            CrashKind::Marker(position) => write!(f, "all writes up to {position} are there"),
            CrashKind::End => write!(f, "all writes are there"),
            CrashKind::Reordering(number) => {
                let (kept, written) = (self.blocks_kept, self.blocks_written);
                write!(f, "{kept} of {written} blocks of 4 KiB that were written later are there")?;
                write!(f, " (reordering {number})")
            }
        }
    }
}

/// Number of aligned blocks of an entry. Only a write is torn.
pub(super) fn blocks_of(entry: &Entry) -> usize {
    match entry.length {
        0 => 0,
        _ if entry.is_discard() => 1,
        length => ((entry.offset + length - 1) / BLOCK_BYTES - entry.offset / BLOCK_BYTES + 1) as usize,
    }
}

/// The crash states of a log, in the order of their flushes. See [`WriteLog::crash_states`](super::WriteLog).
pub struct CrashStates<'a> {
    entries: &'a [Entry],
    plan: CrashPlan,
    /// The flush that begins the next interval; the outer `None` after the last one, the inner before the first flush.
    next: Option<Option<usize>>,
    flushes: usize,
    states: VecDeque<CrashState>,
}

impl<'a> CrashStates<'a> {
    pub(super) fn new(entries: &'a [Entry], plan: CrashPlan) -> CrashStates<'a> {
        CrashStates { entries, plan, next: Some(None), flushes: 0, states: VecDeque::new() }
    }

    /// Adds the states between a flush and the next one, and moves on. `None` after the last interval.
    fn read_interval(&mut self) -> Option<()> {
        let flush = self.next?;
        self.flushes += usize::from(flush.is_some());
        let after = flush.map_or(0, |flush| flush + 1);
        let next = self.entries[after..].iter().position(Entry::is_flush).map(|place| after + place);
        self.next = next.map(Some);
        let interval = Interval {
            entries: self.entries,
            // A flush can also be a write, which is not durable before the next flush.
            range: flush.unwrap_or(0)..next.unwrap_or(self.entries.len()),
            flushes: self.flushes,
            earliest: LogPosition(flush.map_or(0, |flush| self.entries[flush].end)),
            latest: next.map_or(LogPosition(u64::MAX), |next| before_end(&self.entries[next])),
        };
        if interval.latest >= self.plan.from && self.plan.until.is_none_or(|until| interval.earliest <= until)
        {
            self.states = interval.states(&self.plan, next.is_none());
        }
        Some(())
    }
}

/// The last moment at which an entry was not complete.
fn before_end(entry: &Entry) -> LogPosition {
    LogPosition(entry.end - 1)
}

impl Iterator for CrashStates<'_> {
    type Item = CrashState;

    fn next(&mut self) -> Option<CrashState> {
        while self.states.is_empty() {
            self.read_interval()?;
        }
        self.states.pop_front()
    }
}

/// The writes between two flushes.
struct Interval<'a> {
    entries: &'a [Entry],
    range: Range<usize>,
    /// Number of flushes before it.
    flushes: usize,
    /// The moments from the end of the flush before it until right before the end of the next one.
    earliest: LogPosition,
    latest: LogPosition,
}

impl Interval<'_> {
    /// All its states: `is_last` if no flush follows.
    fn states(&self, plan: &CrashPlan, is_last: bool) -> VecDeque<CrashState> {
        let blocks = self.blocks();
        let mut known = HashSet::new();
        let mut states = VecDeque::new();
        let mut add = |kind: CrashKind, is_kept: &dyn Fn((usize, usize)) -> bool| {
            let state = self.state(kind, &blocks, is_kept);
            if known.insert(state.kept.clone()) {
                states.push_back(state);
            }
        };
        add(CrashKind::Flushed, &|(entry, _)| self.entries[entry].is_durable());
        for marker in plan.markers.iter().filter(|marker| (self.earliest..=self.latest).contains(*marker)) {
            add(CrashKind::Marker(*marker), &|(entry, _)| self.entries[entry].end <= marker.0);
        }
        if is_last {
            add(CrashKind::End, &|_| true);
        }
        let subsets = 1_usize.checked_shl(blocks.len() as u32).unwrap_or(usize::MAX);
        if subsets - 1 <= plan.reorderings_per_interval {
            // In an interval that is not the last, the last subset is the state after the next flush.
            for subset in 0..subsets - 1 {
                let place = |block| blocks.binary_search(&block).expect("a block of this interval");
                add(CrashKind::Reordering(subset), &|block| subset >> place(block) & 1 == 1);
            }
        } else {
            for number in 0..plan.reorderings_per_interval {
                let chance = Chance { seed: plan.seed, interval: self.range.start, number };
                add(CrashKind::Reordering(number), &*reordering(&blocks, chance));
            }
        }
        if !is_last {
            states.retain(|state: &CrashState| state.blocks_kept < blocks.len() || blocks.is_empty());
        }
        states
    }

    /// The blocks that are written, by entry and number.
    fn blocks(&self) -> Vec<(usize, usize)> {
        let of = |entry: usize| (0..blocks_of(&self.entries[entry])).map(move |block| (entry, block));
        self.range.clone().flat_map(of).collect()
    }

    fn state(
        &self,
        kind: CrashKind,
        blocks: &[(usize, usize)],
        is_kept: &dyn Fn((usize, usize)) -> bool,
    ) -> CrashState {
        // When a write is lost that is durable once it is complete, it was not complete, so nothing after it is there.
        let is_lost = |block: &&(usize, usize)| self.entries[block.0].is_durable() && !is_kept(**block);
        let incomplete = blocks.iter().find(is_lost).map(|(entry, _)| *entry);
        let is_there = |block: &(usize, usize)| {
            incomplete.is_none_or(|incomplete| block.0 <= incomplete) && is_kept(*block)
        };
        let kept: Vec<_> = blocks.iter().copied().filter(is_there).collect();
        CrashState {
            flushes: self.flushes,
            kind,
            blocks_kept: kept.len(),
            blocks_written: blocks.len(),
            durable: self.range.start,
            kept,
            latest: incomplete.map_or(self.latest, |entry| before_end(&self.entries[entry])),
        }
    }
}

/// A subset of the blocks that are written between two flushes: one of five ways in which a disk loses writes.
fn reordering(blocks: &[(usize, usize)], chance: Chance) -> Box<dyn Fn((usize, usize)) -> bool> {
    let mut writes: Vec<usize> = blocks.iter().map(|(entry, _)| *entry).collect();
    writes.dedup();
    let write = writes[chance.below(writes.len(), 0, 0)];
    let tears = move |(entry, block): (usize, usize)| chance.below(2, entry, block + 1) == 0;
    match chance.number % 5 {
        // Each write is there or not, as a whole.
        0 => Box::new(move |(entry, _)| chance.below(2, entry, 0) == 0),
        // The writes are there in their order up to one, which is torn.
        1 => Box::new(move |block| block.0 < write || block.0 == write && tears(block)),
        // Each block is there or not.
        2 => Box::new(tears),
        // One write is lost, or torn.
        3 => Box::new(move |block| block.0 != write || chance.below(2, 0, 1) == 0 && tears(block)),
        // Only one write is there.
        _ => Box::new(move |block| block.0 == write),
    }
}

/// Random numbers that are a function of the seed and of where they are used.
#[derive(Clone, Copy)]
struct Chance {
    seed: u64,
    interval: usize,
    number: usize,
}

impl Chance {
    /// A number below `bound`.
    fn below(self, bound: usize, a: usize, b: usize) -> usize {
        let place: Vec<u8> =
            [self.interval, self.number, a, b].iter().flat_map(|number| number.to_le_bytes()).collect();
        (xxh3_64_with_seed(&place, self.seed) % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::log::{DISCARD, FLUSH, FUA, parse, tests::log};
    use super::*;

    fn entries(entries: &[(u64, u64, u64)]) -> Vec<Entry> {
        parse(&mut Cursor::new(log(entries)), 1 << 20).unwrap()
    }

    fn states(of: &[Entry], plan: &CrashPlan) -> Vec<CrashState> {
        CrashStates::new(of, plan.clone()).collect()
    }

    #[test]
    fn all_subsets_of_few_blocks_are_taken_and_each_can_follow_what_was_promised_before_the_next_flush() {
        // Two blocks, a flush, one block, a flush, a torn write over two blocks.
        let entries = entries(&[(0, 16, 0), (0, 0, FLUSH), (8, 8, 0), (0, 0, FLUSH), (12, 8, 0)]);
        let plan = CrashPlan { reorderings_per_interval: 3, ..CrashPlan::default() };
        let told: Vec<String> = states(&entries, &plan).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @"
        power cut after 0 flushes: none of the later writes is there
        power cut after 0 flushes: 1 of 2 blocks of 4 KiB that were written later are there (reordering 1)
        power cut after 0 flushes: 1 of 2 blocks of 4 KiB that were written later are there (reordering 2)
        power cut after 1 flush: none of the later writes is there
        power cut after 2 flushes: none of the later writes is there
        power cut after 2 flushes: all writes are there
        power cut after 2 flushes: 1 of 2 blocks of 4 KiB that were written later are there (reordering 1)
        power cut after 2 flushes: 1 of 2 blocks of 4 KiB that were written later are there (reordering 2)
        ");
        let after = |place: usize| LogPosition(entries[place].end);
        let can_follow =
            |moment| states(&entries, &plan).iter().filter(|state| state.can_follow(moment)).count();
        assert_eq!([0, 1, 2, 3, 4].map(|place| can_follow(after(place))), [8, 5, 5, 4, 4]);
    }

    #[test]
    fn plans_choose_moments_and_markers_have_a_state_of_their_own() {
        let entries = entries(&[(0, 8, 0), (0, 0, FLUSH), (8, 8, 0), (16, 8, 0), (0, 0, FLUSH), (0, 8, 0)]);
        let marker = LogPosition(entries[2].end);
        let plan =
            CrashPlan { from: marker, until: Some(marker), markers: vec![marker], ..CrashPlan::default() };
        let kinds: Vec<_> =
            states(&entries, &plan).iter().map(|state| (state.kind, state.blocks_kept)).collect();
        assert_eq!(kinds, [(CrashKind::Flushed, 0), (CrashKind::Marker(marker), 1)]);
        let kinds: Vec<_> = states(&entries, &CrashPlan::default()).iter().map(|state| state.kind).collect();
        assert_eq!(kinds, [[CrashKind::Flushed; 3].as_slice(), &[CrashKind::End]].concat());
    }

    #[test]
    fn what_was_forced_to_the_disk_is_there_once_it_was_complete() {
        let entries = entries(&[(0, 8, 0), (8, 8, FUA), (16, 8, 0)]);
        let plan = CrashPlan { reorderings_per_interval: 9, ..CrashPlan::default() };
        for state in states(&entries, &plan) {
            let has = |entry| state.kept.contains(&(entry, 0));
            assert!(has(1) || !has(2), "{state}");
            assert_eq!(state.can_follow(LogPosition(entries[1].end)), has(1), "{state}");
        }
    }

    #[test]
    fn a_seed_gives_the_same_distinct_states_and_another_seed_gives_others() {
        let entries = entries(&[(0, 64, 0), (100, 32, 0), (200, 64, DISCARD), (3, 33, 0), (0, 0, FLUSH)]);
        let of = |seed| {
            states(&entries, &CrashPlan { seed, reorderings_per_interval: 50, ..CrashPlan::default() })
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        let kept: HashSet<_> = of(1).into_iter().map(|state| (state.durable, state.kept)).collect();
        assert_eq!(kept.len(), of(1).len());
        assert!(kept.len() > 25, "{}", kept.len());
    }

    #[test]
    fn a_log_without_entries_has_the_state_at_the_beginning() {
        let plan = CrashPlan { reorderings_per_interval: 5, ..CrashPlan::default() };
        assert_eq!(states(&[], &plan).len(), 1);
    }
}
