//! The files that processes write to, wherever they are: they show the progress of a command from outside.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use procfs::process::{FDPermissions, FDTarget, Process};

use super::counters::with_descendants;
use crate::measure::storage;

/// The state of a regular file at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenFile {
    /// Its device, its inode number and its creation time in nanoseconds since 1970 (0 if the file system does not
    /// report it). These are the same in every mount namespace, and differ for a later file with the same inode number.
    pub identity: (u64, u64, u128),
    /// Its length in bytes.
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

/// The files in a directory tree, or the file itself.
pub fn files_in(place: &Path) -> Vec<WrittenFile> {
    let all = storage::files(place).into_iter().filter_map(|file| file.metadata().ok());
    all.map(|metadata| WrittenFile::new(&metadata)).collect()
}

/// The regular files that these processes and their descendants have open for writing, including deleted files.
/// Processes that this user may not inspect are skipped.
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

/// Bytes that these processes and their descendants have written by system calls, including ended children; `None` if
/// this user may not inspect one of them.
pub fn bytes_written(pids: &[i32]) -> Option<u64> {
    let mut all: Vec<i32> = pids.iter().flat_map(|pid| with_descendants(*pid)).collect();
    all.sort_unstable();
    all.dedup();
    // A process that has ended meanwhile is counted with its parent.
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
        // It runs until its standard input is closed.
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
