//! Writes a growing file to the disk steadily.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use machine::process::StopOnDrop;

/// How often the size of the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Runs work that writes `file`, and has the file synchronised each time that it has grown by `bytes`; 0: not at all.
/// Otherwise the kernel collects gigabytes of what was written, and the sync at the end makes every other sync of the
/// file system wait, such as that of a write-ahead log.
pub(crate) fn beside<T>(file: &Path, bytes: u64, work: impl FnOnce() -> T) -> T {
    if bytes == 0 {
        return work();
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| synchronise(file, bytes, &stop));
        let _stop = StopOnDrop(&stop);
        work()
    })
}

fn synchronise(path: &Path, bytes: u64, stop: &AtomicBool) {
    let mut synchronised = 0;
    let mut file = None;
    while !stop.load(Ordering::Relaxed) {
        if file.is_none() {
            file = File::open(path).ok();
        }
        let length = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len());
        match &file {
            // Whoever writes the file synchronises it in the end, and gets an error of the disk as well.
            Some(file) if length >= synchronised + bytes && file.sync_data().is_ok() => synchronised = length,
            _ => std::thread::sleep(LOOK_EVERY),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_work_is_done_with_and_without_a_sync_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        for bytes in [0, 1 << 16] {
            let path = directory.path().join(format!("every-{bytes}"));
            let written = beside(&path, bytes, || {
                let mut file = File::create(&path).unwrap();
                for _ in 0..64 {
                    file.write_all(&[7; 1 << 14]).unwrap();
                }
                64 << 14
            });
            assert_eq!(std::fs::metadata(&path).unwrap().len(), written);
        }
    }

    #[test]
    fn a_panic_of_the_work_ends_the_sync() {
        let path = Path::new("/nonexistent");
        let work = || beside(path, 1, || panic!("the work failed"));
        assert!(std::panic::catch_unwind(work).is_err());
    }
}
