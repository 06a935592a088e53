//! Whether a backup still gets further, and since when it does not.
//!
//! What a worker says of itself is believed: no new low in what remains for long enough is a stall, however busy it is.
//! A command that says nothing is judged by the files that it writes. As long as one of them grows it gets further. When
//! none does, silence proves nothing: it may sleep, compress, wait for a lock, or send everything to another machine. But
//! one that writes twice the bytes of the whole database, overwrites a file of some size meanwhile, and makes no file
//! longer, begins again and again. The time passes as a value, so nothing here depends on how busy the machine is.

use std::collections::HashMap;
use std::time::Duration;

use machine::process::WrittenFile;

/// A smaller gain than this share of the whole is no new low.
const GAIN_MIN: f64 = 0.001;
/// One that rewrites a finished copy once, as VACUUM does, is not beginning again.
const REWRITTEN_DATABASES: u64 = 2;
/// A smaller file that is overwritten says how far something is, and is no copy: SQLite alone writes 2 MB before it
/// touches the file.
const OVERWRITTEN_BYTES_MIN: u64 = 256 << 10;

/// How long a backup may go on without getting further, and the size of what it backs up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For one that says how far it is, and for one that rewrites what it has written.
    pub no_gain: Limit,
    /// For one that says nothing and makes no file longer, whatever it does.
    pub quiet: Limit,
    /// Bytes of the database.
    pub database_bytes: u64,
}

/// A time, and the setting of the scenario that decides it.
#[derive(Clone, Debug)]
pub struct Limit {
    /// The time.
    pub after: Duration,
    /// As the scenario has it: `trial.stall_seconds_min = 10`.
    pub setting: String,
}

/// What the processes of a backup were seen to do with files.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Those below the places where the result is built.
    pub placed: Vec<WrittenFile>,
    /// Those that they have open for writing elsewhere.
    pub elsewhere: Vec<WrittenFile>,
    /// Bytes that they have written so far; `None` where the kernel does not tell.
    pub bytes_written: Option<u64>,
}

/// How far a backup is, and since when.
pub struct Convergence {
    limits: Option<Limits>,
    low: f64,
    /// When it last got further.
    low_at: Duration,
    told: bool,
    files: HashMap<(u64, u64, u128), WrittenFile>,
    /// A file of some size was written into since then, and is as long as before.
    rewrites: bool,
    bytes_written: Option<u64>,
    /// What had been written when it last got further, once somebody looked.
    bytes_written_at_low: Option<u64>,
}

impl Convergence {
    /// Nothing is done yet at the time `now`; it never stalls where there are no limits.
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

    /// Another part of the same backup begins.
    pub fn begin_anew(&mut self, now: Duration) {
        self.low = 1.0;
        self.gain(now);
    }

    /// The least that was ever left, from 1 to 0.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// True when somebody should look at its files: nobody says how far it is, and there are limits.
    pub fn asks_for_a_look(&self) -> bool {
        self.limits.is_some() && !self.told
    }

    /// A worker says what remains.
    pub fn tell(&mut self, now: Duration, remaining: f64) {
        self.told = true;
        self.remain(now, remaining);
    }

    /// The result has grown by `bytes` in all, towards `expected_bytes` where somebody knows the end.
    pub fn grow(&mut self, now: Duration, bytes: u64, expected_bytes: Option<u64>) {
        match expected_bytes {
            Some(expected) => self.remain(now, 1.0 - (bytes as f64 / expected as f64).min(1.0)),
            // Without a known end the fraction only has to fall with every growth.
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

    /// Somebody looked at its files.
    pub fn look(&mut self, now: Duration, look: Look) {
        self.bytes_written = look.bytes_written;
        // What is already there in the place of the result counts by its sum, which `grow` is told.
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

    /// Why it is to be ended, when it does not get further any more.
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
            return Some(format!("no file grew for {seconds:.1} s while it rewrote {rewritten} ({setting})"));
        }
        let quiet = over(&limits.quiet);
        quiet.then(|| format!("no file that it writes grew for {seconds:.1} s ({})", limits.quiet.setting))
    }

    /// What it wrote since it last got further, when that is as much as nobody writes who gets further.
    fn rewritten(&self, database_bytes: u64) -> Option<String> {
        let Some((now, before)) = self.bytes_written.zip(self.bytes_written_at_low) else {
            return Some("what it had written".into());
        };
        let bytes = now.saturating_sub(before);
        let display = bytesize::ByteSize(bytes);
        (bytes >= REWRITTEN_DATABASES * database_bytes).then(|| format!("{display} of what it had written"))
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
    fn restarts_that_get_further_each_time_are_no_stall() {
        let mut convergence = convergence();
        for restart in 0..8 {
            convergence.tell(at(restart * 8), 1.0);
            convergence.tell(at(restart * 8 + 4), 0.9 - restart as f64 / 10.0);
            assert_eq!(convergence.stall(at(restart * 8 + 8)), None);
        }
    }

    #[test]
    fn what_says_that_it_does_not_get_further_has_stalled_without_a_single_restart() {
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
    fn silence_is_no_stall_until_it_lasts() {
        let mut convergence = convergence();
        for second in 0..600 {
            // It reads, computes, and sends to another machine: no file of this one is touched.
            let look = Look { bytes_written: Some(second * 100 * MIB), ..Look::default() };
            convergence.look(at(second), look);
            assert_eq!(convergence.stall(at(second)), None);
        }
        insta::assert_snapshot!(
            convergence.stall(at(600)).unwrap(),
            @"no file that it writes grew for 600.0 s (trial.stall_quiet_seconds = 600)"
        );
    }

    #[test]
    fn what_grows_anywhere_gets_further() {
        let mut convergence = convergence();
        for second in 0..2000 {
            let elsewhere = vec![file(7, second * MIB, i128::from(second))];
            convergence
                .look(at(second), Look { elsewhere, bytes_written: Some(second * MIB), ..Look::default() });
            assert_eq!(convergence.stall(at(second)), None);
        }
    }

    /// A file of 2 MiB that is written into all the time, `mib_a_second` of it, as seen at each second.
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
    fn rewriting_without_a_new_low_is_a_stall_wherever_the_file_is() {
        for elsewhere in [false, true] {
            let (second, reason) = rewriting(Some(50), elsewhere).unwrap();
            assert_eq!(second, 10);
            insta::allow_duplicates! {
                insta::assert_snapshot!(
                    reason,
                    @"no file grew for 10.0 s while it rewrote 500.0 MiB of what it had written (trial.stall_seconds_min = 10)"
                );
            }
        }
        assert_eq!(
            rewriting(None, false).unwrap().0,
            10,
            "where nobody knows how much, that it does is enough"
        );
    }

    #[test]
    fn a_little_state_that_is_rewritten_is_no_stall() {
        let mut convergence = convergence();
        for second in 0..60 {
            let placed = vec![file(7, 20, i128::from(second))];
            // Whatever goes through pipes and to other machines meanwhile.
            let bytes_written = Some(second * 100 * MIB);
            convergence.look(at(second), Look { placed, bytes_written, ..Look::default() });
            assert_eq!(convergence.stall(at(second)), None);
        }
    }

    #[test]
    fn a_later_part_has_its_own_lows() {
        let mut convergence = convergence();
        convergence.grow(at(1), 100, None);
        convergence.begin_anew(at(500));
        convergence.grow(at(700), 10, None);
        assert_eq!(convergence.stall(at(1200)), None, "less than the first part had made, and a beginning");
        assert!(convergence.stall(at(1300)).is_some());
    }

    #[test]
    fn nothing_stalls_without_limits() {
        let mut convergence = Convergence::new(None, at(0));
        convergence.tell(at(1), 0.5);
        assert_eq!(convergence.stall(at(1_000_000)), None);
    }
}
