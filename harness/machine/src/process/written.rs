//! The files that processes write to, wherever they are: what can be seen from outside of how a command gets on.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use procfs::process::{FDPermissions, FDTarget, Process};

use super::counters::with_descendants;
use crate::measure::storage;

/// A regular file as it was at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenFile {
    /// Its device, its number and when it was made, in nanoseconds since 1970 (0 where the file system does not tell): one
    /// file has the same in every mount namespace, and a later one with the same number has not.
    pub identity: (u64, u64, u128),
    /// Its length.
    pub bytes: u64,
    /// When it was last written to, in nanoseconds since 1970.
    pub modified_ns: i128,
}

impl WrittenFile {
    fn new(metadata: &Metadata) -> WrittenFile {
        let made = metadata.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
        WrittenFile {
            identity: (metadata.dev(), metadata.ino(), made.map_or(0, |made| made.as_nanos())),
            bytes: metadata.len(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        }
    }
}

/// The files below a directory, or the file itself.
pub fn files_in(place: &Path) -> Vec<WrittenFile> {
    let all = storage::files(place).into_iter().filter_map(|file| file.metadata().ok());
    all.map(|metadata| WrittenFile::new(&metadata)).collect()
}

/// The regular files that these processes, and what they started, have open for writing, deleted ones included. Files
/// of processes that may not be looked at are left out.
pub fn open_for_writing(pids: &[i32]) -> Vec<WrittenFile> {
    let mut files: Vec<WrittenFile> =
        pids.iter().flat_map(|pid| with_descendants(*pid)).flat_map(of_process).collect();
    files.sort_by_key(|file| file.identity);
    files.dedup_by_key(|file| file.identity);
    files
}

fn of_process(pid: i32) -> Vec<WrittenFile> {
    let Ok(descriptors) = Process::new(pid).and_then(|process| process.fd()) else { return Vec::new() };
    let writable = descriptors.flatten().filter(|descriptor| {
        descriptor.mode().contains(FDPermissions::WRITE) && matches!(descriptor.target, FDTarget::Path(_))
    });
    let opened = writable.filter_map(|descriptor| {
        // Through the descriptor, because the path may be that of another mount namespace.
        std::fs::metadata(format!("/proc/{pid}/fd/{}", descriptor.fd)).ok()
    });
    opened.filter(Metadata::is_file).map(|metadata| WrittenFile::new(&metadata)).collect()
}

/// Bytes that these processes, and what they started, have written by system calls, ended children included; `None` where
/// one of them may not be asked.
pub fn bytes_written(pids: &[i32]) -> Option<u64> {
    let mut all: Vec<i32> = pids.iter().flat_map(|pid| with_descendants(*pid)).collect();
    all.sort_unstable();
    all.dedup();
    // One that has ended meanwhile is counted with its parent.
    let alive = all.into_iter().filter_map(|pid| Process::new(pid).ok());
    alive.map(|process| process.io().map(|io| io.wchar)).sum::<Result<u64, _>>().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_file_that_a_grandchild_writes_to_is_seen_wherever_it_is_and_what_is_read_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (source, target) = (directory.path().join("source"), directory.path().join("target"));
        std::fs::write(&source, [1; 1000]).unwrap();
        // Its standard input is what keeps it.
        let line = format!("sh -c 'cat {} - > {}; :'; :", source.display(), target.display());
        let mut shell = Command::new("sh").args(["-c", &line]).stdin(Stdio::piped()).spawn().unwrap();
        let pids = [shell.id() as i32];
        let give_up = Instant::now() + Duration::from_secs(60);
        let files = loop {
            let files = open_for_writing(&pids);
            if files.iter().any(|file| file.bytes == 1000) || Instant::now() > give_up {
                break files;
            }
            std::thread::yield_now();
        };
        let written = bytes_written(&pids);
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert!(files.contains(&files_in(&target)[0]), "{files:?}");
        assert!(!files.iter().any(|file| file.identity == files_in(&source)[0].identity), "{files:?}");
        assert!(written.is_some_and(|bytes| bytes >= 1000), "{written:?}");
    }
}
