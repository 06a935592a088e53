//! File descriptors: every writer keeps some open, and SQLite opens more while it writes.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What has to be left for what is opened for a moment: a journal, its directory.
const SPARE: u64 = 8;

/// Takes as many as the administrator allows. Many systems give less as long as nobody asks, for programs that cannot
/// count that far.
///
/// # Errors
/// When the kernel refuses.
pub fn raise_limit() -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
}

/// Why and how there are too few; `None` when some are left.
pub fn shortage() -> Option<String> {
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<u64>().ok();
    // That cannot be looked at without a descriptor.
    let used = std::fs::read_dir("/proc/self/fd").map_or(limit, |open| {
        // What was inherited may have a number above the limit, and does not count against it.
        open.flatten().filter_map(number).filter(|number| *number < limit).count() as u64
    });
    (used + SPARE > limit).then(|| {
        format!(
            "{used} of {limit} file descriptors are in use: allow more with 'ulimit -n', or choose fewer \
             workload.writers"
        )
    })
}
