//! File descriptors: every writer has some open, and SQLite opens more while it writes.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Number of descriptors that must stay free for files that are opened briefly: a journal and its directory.
const SPARE: u64 = 8;

/// Raises the limit to the maximum that the administrator allows. Many systems have a lower default, for programs that
/// cannot handle large descriptor numbers.
///
/// # Errors
/// When the kernel refuses.
pub fn raise_limit() -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
}

/// Describes a shortage of descriptors and its remedy; `None` if enough are left.
pub fn shortage() -> Option<String> {
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<u64>().ok();
    // If the directory cannot be read, all descriptors are in use.
    let used = std::fs::read_dir("/proc/self/fd").map_or(limit, |open| {
        // Inherited descriptors may have a number above the limit, and do not count against it.
        open.flatten().filter_map(number).filter(|number| *number < limit).count() as u64
    });
    (used + SPARE > limit).then(|| {
        format!(
            "{used} of {limit} file descriptors are in use: allow more with 'ulimit -n', or choose fewer \
             workload.writers"
        )
    })
}
