//! Measures something beside its limit. The two take turns, so that a machine that is busy for a while slows down both.

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use machine::measure::storage;

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Enough for a figure.
    Full,
    /// Little, once: whether it runs at all.
    Smoke,
}

impl Scale {
    pub fn rounds(self) -> usize {
        self.of(5, 1)
    }

    pub fn of<T>(self, full: T, smoke: T) -> T {
        match self {
            Scale::Full => full,
            Scale::Smoke => smoke,
        }
    }
}

/// Prints the medians of several rounds, and how fast ours is as a share of the limit's speed.
///
/// `limit` returns `None` where its program is not installed or fails.
pub fn compare(
    what: &str,
    limit: &str,
    scale: Scale,
    mut ours: impl FnMut() -> Duration,
    mut theirs: impl FnMut() -> Option<Duration>,
) {
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds() {
        let Some(took) = theirs() else {
            println!("{what}: {limit} cannot be run here");
            return;
        };
        times.1.push(took);
        times.0.push(ours());
    }
    let (ours, theirs) = (median(&mut times.0), median(&mut times.1));
    let share = theirs.as_secs_f64() / ours.as_secs_f64();
    println!("{what}: {ours:.3?}, {limit} {theirs:.3?}; {share:.2} of its speed");
}

fn median(values: &mut [Duration]) -> Duration {
    values.sort();
    values[values.len() / 2]
}

/// How long it takes.
pub fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    black_box(work());
    began.elapsed()
}

/// Prints how fast something in memory is beside a copy of as many bytes.
pub fn compare_with_memory(what: &str, bytes: u64, scale: Scale, ours: impl FnMut() -> Duration) {
    let from = vec![1_u8; bytes as usize];
    let mut to = vec![2_u8; bytes as usize];
    let copy = || Some(time(|| black_box(&mut to[..]).copy_from_slice(black_box(&from[..]))));
    compare(what, &format!("a copy of {} in memory", ByteSize(bytes)), scale, ours, copy);
}

/// How long a raw, durable write of a new file takes, past the page cache.
pub fn raw_write(path: &Path, bytes: u64) -> Option<Duration> {
    let _ = std::fs::remove_file(path);
    let mut command = Command::new("dd");
    command.arg("if=/dev/zero").arg(format!("of={}", path.display())).arg(format!("count={bytes}"));
    command.args(["bs=1M", "iflag=count_bytes", "oflag=direct", "conv=fsync"]);
    run(command)
}

/// How long a raw read of a file takes, past the page cache.
pub fn raw_read(path: &Path) -> Option<Duration> {
    storage::evict(path).unwrap();
    let mut command = Command::new("dd");
    command.arg(format!("if={}", path.display())).args(["of=/dev/null", "bs=1M", "iflag=direct"]);
    run(command)
}

/// How long a program takes; `None` where it is not installed or fails.
pub fn run(mut command: Command) -> Option<Duration> {
    let began = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.ok().filter(|status| status.success()).map(|_| began.elapsed())
}

/// An empty directory in the build directory, because the system's temporary directory may be in memory.
pub fn place() -> tempfile::TempDir {
    tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}
