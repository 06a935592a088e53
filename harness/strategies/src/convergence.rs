//! Detects when a backup makes no more progress (a stall).
//!
//! The progress that a worker reports is trusted: if the smallest remaining share does not fall for long enough, the
//! backup has stalled, however busy it is. A command that reports nothing is judged by the files that it writes. As
//! long as one of them grows, it makes progress. When none grows, that alone proves nothing: the command may sleep,
//! compress, wait for a lock, or send everything to another machine. But a command that writes twice the size of the
//! database and meanwhile overwrites a file of some size without extending any file keeps restarting. Time is passed as
//! a value, so the tests do not depend on the load of the machine.

use std::collections::HashMap;
use std::time::Duration;

use machine::process::WrittenFile;

/// A smaller gain than this share of the whole does not count as progress.
const GAIN_MIN: f64 = 0.001;
/// Rewriting a finished copy once, as VACUUM does, is not a restart.
const REWRITTEN_DATABASES: u64 = 2;
/// A smaller file that is overwritten holds progress information and is not a copy: SQLite alone writes 2 MB before it
/// touches the file.
const OVERWRITTEN_BYTES_MIN: u64 = 256 << 10;

/// How long a backup may run without progress, and the size of the database that it backs up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For a backup that reports its progress, and for one that overwrites its own output.
    pub no_gain: Limit,
    /// For a backup that reports nothing and extends no file.
    pub quiet: Limit,
    /// Size of the database in bytes.
    pub database_bytes: u64,
}

/// A time limit, and the scenario setting that it comes from.
#[derive(Clone, Debug)]
pub struct Limit {
    /// The time.
    pub after: Duration,
    /// As written in the scenario: `trial.stall_seconds_min = 10`.
    pub setting: String,
}

/// The files that the processes of a backup were seen to write.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Files below the places where the result is built.
    pub placed: Vec<WrittenFile>,
    /// Files elsewhere that the processes have open for writing.
    pub elsewhere: Vec<WrittenFile>,
    /// Bytes that the processes have written so far; `None` when the kernel does not report it.
    pub bytes_written: Option<u64>,
}

/// The progress of a backup, and when it last changed.
pub struct Convergence {
    limits: Option<Limits>,
    low: f64,
    /// When it last made progress.
    low_at: Duration,
    told: bool,
    files: HashMap<(u64, u64, u128), WrittenFile>,
    /// Since then, a file of some size was written to without becoming longer.
    rewrites: bool,
    bytes_written: Option<u64>,
    /// Bytes written at the first look after it last made progress.
    bytes_written_at_low: Option<u64>,
}

impl Convergence {
    /// At the time `now` nothing is done yet. Without limits it never counts as stalled.
    pub fn new(limits: Option<Limits>, now: Duration) -> Convergence {
        Convergence {
            limits,
            low: 1.0,
            low_at: now,
            told: false,
            files: HashMap::new(),
            rewrites: false,
            bytes_written: None,
            bytes_written_at_low: None,
        }
    }

    /// Begins another part of the same backup, of which nothing is known yet.
    pub fn begin_anew(&mut self, now: Duration) {
        self.low = 1.0;
        self.told = false;
        self.gain(now);
    }

    /// The smallest remaining share so far, from 1 to 0.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// True when the files should be inspected: no progress is reported, and there are limits.
    pub fn asks_for_a_look(&self) -> bool {
        self.limits.is_some() && !self.told
    }

    /// A worker has reported the remaining share. When nothing remains, it has nothing more to report, but may still make
    /// its result durable.
    pub fn tell(&mut self, now: Duration, remaining: f64) {
        self.told = remaining > 0.0;
        self.remain(now, remaining);
    }

    /// The result has grown by `bytes` in total, towards `expected_bytes` if the final size is known.
    pub fn grow(&mut self, now: Duration, bytes: u64, expected_bytes: Option<u64>) {
        match expected_bytes {
            Some(expected) => self.remain(now, 1.0 - (bytes as f64 / expected as f64).min(1.0)),
            // Without a known final size, the fraction only needs to fall with every growth.
            None => {
                let low = 1.0 / (1.0 + bytes as f64);
                if low < self.low {
                    self.low = low;
                    self.gain(now);
                }
            }
        }
    }

    fn remain(&mut self, now: Duration, remaining: f64) {
        if remaining <= self.low - GAIN_MIN || (remaining == 0.0 && self.low > 0.0) {
            self.low = remaining;
            self.gain(now);
        }
    }

    fn gain(&mut self, now: Duration) {
        self.low_at = now;
        self.rewrites = false;
        self.bytes_written_at_low = None;
    }

    /// The files were inspected.
    pub fn look(&mut self, now: Duration, look: Look) {
        self.bytes_written = look.bytes_written;
        // Files in the place of the result are counted by their total size, in `grow`.
        let grown = look.elsewhere.iter().any(|file| {
            let before = self.files.get(&file.identity).map_or(0, |known| known.bytes);
            file.bytes > before
        });
        if grown {
            self.gain(now);
        }
        for file in look.placed.into_iter().chain(look.elsewhere) {
            let known = self.files.entry(file.identity).or_insert(file);
            let overwritten = file.modified_ns != known.modified_ns && file.bytes <= known.bytes;
            self.rewrites |= overwritten && file.bytes >= OVERWRITTEN_BYTES_MIN;
            *known = WrittenFile { bytes: known.bytes.max(file.bytes), ..file };
        }
        self.bytes_written_at_low = self.bytes_written_at_low.or(self.bytes_written);
    }

    /// Why the backup must be stopped; `None` while it makes progress.
    pub fn stall(&self, now: Duration) -> Option<String> {
        let limits = self.limits.as_ref()?;
        let since = now.saturating_sub(self.low_at);
        let seconds = since.as_secs_f64();
        let over = |limit: &Limit| since >= limit.after;
        if self.told {
            let no_gain = over(&limits.no_gain);
            return no_gain.then(|| format!("no progress for {seconds:.1} s ({})", limits.no_gain.setting));
        }
        if over(&limits.no_gain)
            && self.rewrites
            && let Some(rewritten) = self.rewritten(limits.database_bytes)
        {
            let setting = &limits.no_gain.setting;
            return Some(format!("no progress for {seconds:.1} s: it overwrote {rewritten} ({setting})"));
        }
        let quiet = over(&limits.quiet);
        quiet.then(|| format!("no output file grew for {seconds:.1} s ({})", limits.quiet.setting))
    }

    /// What it has written since its last progress, when that is more than a backup that makes progress would write.
    fn rewritten(&self, database_bytes: u64) -> Option<String> {
        let Some((now, before)) = self.bytes_written.zip(self.bytes_written_at_low) else {
            return Some("its own output".into());
        };
        let bytes = now.saturating_sub(before);
        let display = bytesize::ByteSize(bytes);
        (bytes >= REWRITTEN_DATABASES * database_bytes).then(|| format!("{display} of its own output"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A backup of 4 MiB.
    fn convergence() -> Convergence {
        let limit =
            |seconds, name| Limit { after: at(seconds), setting: format!("trial.{name} = {seconds}") };
        let limits = Limits {
            no_gain: limit(10, "stall_seconds_min"),
            quiet: limit(600, "stall_quiet_seconds"),
            database_bytes: 4 * MIB,
        };
        Convergence::new(Some(limits), at(0))
    }

    fn file(number: u64, bytes: u64, modified_ns: i128) -> WrittenFile {
        WrittenFile { identity: (1, number, 0), bytes, modified_ns }
    }

    #[test]
    fn restarts_that_get_further_each_time_are_not_a_stall() {
        let mut convergence = convergence();
        for restart in 0..8 {
            convergence.tell(at(restart * 8), 1.0);
            convergence.tell(at(restart * 8 + 4), 0.9 - restart as f64 / 10.0);
            assert_eq!(convergence.stall(at(restart * 8 + 8)), None);
        }
    }

    #[test]
    fn reported_progress_that_does_not_change_is_a_stall_even_without_a_restart() {
        let mut convergence = convergence();
        convergence.tell(at(1), 0.5);
        convergence.tell(at(10), 0.4999);
        assert_eq!(convergence.stall(at(10)), None);
        insta::assert_snapshot!(
            convergence.stall(at(12)).unwrap(),
            @"no progress for 11.0 s (trial.stall_seconds_min = 10)"
        );
        assert_eq!(convergence.low(), 0.5);
    }

    #[test]
    fn silence_is_not_a_stall_until_it_lasts() {
        let mut convergence = convergence();
        for second in 0..600 {
            // It reads, computes, and sends to another machine: no file on this one is written.
            let look = Look { bytes_written: Some(second * 100 * MIB), ..Look::default() };
            convergence.look(at(second), look);
            assert_eq!(convergence.stall(at(second)), None);
        }
        insta::assert_snapshot!(
            convergence.stall(at(600)).unwrap(),
            @"no output file grew for 600.0 s (trial.stall_quiet_seconds = 600)"
        );
    }

    #[test]
    fn growth_of_any_file_is_progress() {
        let mut convergence = convergence();
        for second in 0..2000 {
            let elsewhere = vec![file(7, second * MIB, i128::from(second))];
            convergence
                .look(at(second), Look { elsewhere, bytes_written: Some(second * MIB), ..Look::default() });
            assert_eq!(convergence.stall(at(second)), None);
        }
    }

    /// A file of 2 MiB that is overwritten continuously, `mib_a_second` MiB/s, observed once a second.
    fn rewriting(mib_a_second: Option<u64>, elsewhere: bool) -> Option<(u64, String)> {
        let mut convergence = convergence();
        (0..60).find_map(|second| {
            let files = vec![file(7, 2 * MIB, i128::from(second))];
            let bytes_written = mib_a_second.map(|mib| second * mib * MIB);
            let look = if elsewhere {
                Look { elsewhere: files, bytes_written, ..Look::default() }
            } else {
                convergence.grow(at(second), 2 * MIB, None);
                Look { placed: files, bytes_written, ..Look::default() }
            };
            convergence.look(at(second), look);
            Some((second, convergence.stall(at(second))?))
        })
    }

    #[test]
    fn overwriting_without_progress_is_a_stall_wherever_the_file_is() {
        for elsewhere in [false, true] {
            let (second, reason) = rewriting(Some(50), elsewhere).unwrap();
            assert_eq!(second, 10);
            insta::allow_duplicates! {
                insta::assert_snapshot!(
                    reason,
                    @"no progress for 10.0 s: it overwrote 500.0 MiB of its own output (trial.stall_seconds_min = 10)"
                );
            }
        }
        assert_eq!(
            rewriting(None, false).unwrap().0,
            10,
            "when the number of bytes is unknown, overwriting is enough"
        );
    }

    #[test]
    fn overwriting_a_small_state_file_is_not_a_stall() {
        let mut convergence = convergence();
        for second in 0..60 {
            let placed = vec![file(7, 20, i128::from(second))];
            // Bytes that go through pipes and to other machines.
            let bytes_written = Some(second * 100 * MIB);
            convergence.look(at(second), Look { placed, bytes_written, ..Look::default() });
            assert_eq!(convergence.stall(at(second)), None);
        }
    }

    #[test]
    fn a_later_part_has_its_own_progress() {
        let mut convergence = convergence();
        convergence.grow(at(1), 100, None);
        convergence.begin_anew(at(500));
        convergence.grow(at(700), 10, None);
        assert_eq!(
            convergence.stall(at(1200)),
            None,
            "smaller than the first part, but progress of the second"
        );
        assert!(convergence.stall(at(1300)).is_some());
    }

    #[test]
    fn what_follows_the_last_report_is_only_quiet() {
        let mut convergence = convergence();
        convergence.tell(at(1), 0.5);
        convergence.tell(at(2), 0.0);
        assert_eq!(convergence.stall(at(601)), None, "it makes its result durable");
        assert!(convergence.stall(at(602)).is_some());
    }

    #[test]
    fn a_part_that_reports_nothing_may_follow_one_that_did() {
        let mut convergence = convergence();
        convergence.tell(at(1), 0.0);
        convergence.begin_anew(at(2));
        assert_eq!(convergence.stall(at(601)), None, "it is only quiet");
        assert!(convergence.stall(at(602)).is_some());
    }

    #[test]
    fn nothing_stalls_without_limits() {
        let mut convergence = Convergence::new(None, at(0));
        convergence.tell(at(1), 0.5);
        assert_eq!(convergence.stall(at(1_000_000)), None);
    }
}
