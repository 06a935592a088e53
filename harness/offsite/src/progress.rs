//! Reports progress by bytes, and not too often.

use std::time::{Duration, Instant};

use machine::worker::Progress;

/// Shortest time between two reports.
const PAUSE: Duration = Duration::from_millis(100);

/// Counts bytes and reports the share that is done.
pub(crate) struct Meter<'a> {
    total: u64,
    done: u64,
    reported: Option<Instant>,
    report: &'a mut dyn FnMut(Progress),
}

impl<'a> Meter<'a> {
    /// `total` is the number of bytes of the whole work.
    pub(crate) fn new(total: u64, report: &'a mut dyn FnMut(Progress)) -> Meter<'a> {
        Meter { total, done: 0, reported: None, report }
    }

    /// So many bytes more are done.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.reported.is_none_or(|reported| reported.elapsed() >= PAUSE) {
            self.reported = Some(Instant::now());
            let share = if self.total == 0 { 1.0 } else { self.done as f64 / self.total as f64 };
            (self.report)(Progress::done(share.min(1.0)));
        }
    }
}
