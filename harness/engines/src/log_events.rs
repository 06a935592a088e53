//! What happens to the log of a database while it is copied: checkpoints, which write into the database itself, and
//! resets, after which the log is written from its beginning again.

use std::sync::atomic::AtomicBool;

use machine::measure::clock::Span;
use machine::process::StopOnDrop;

/// The observed events, in nanoseconds of the common clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEvents {
    /// When the database was written to.
    pub checkpoints_ns: Vec<u64>,
    /// When the log was truncated, or restarted from its first byte.
    pub resets_ns: Vec<u64>,
    /// Total size of the database and its log, each time that it had changed.
    pub bytes: Vec<(u64, u64)>,
}

impl LogEvents {
    /// The maximum growth within a span, compared with its beginning.
    pub fn growth_bytes(&self, span: Span) -> u64 {
        let at_first = self.bytes.iter().rfind(|(at, _)| *at <= span.from_ns).or(self.bytes.first());
        let within = self.bytes.iter().filter(|(at, _)| span.contains(*at)).map(|(_, bytes)| *bytes);
        let first = at_first.map_or(0, |(_, bytes)| *bytes);
        within.max().map_or(0, |most| most.saturating_sub(first))
    }
}

/// Runs `watch` in a thread of its own while `work` runs. It has to end when the value that it gets becomes true.
pub fn beside<T, E: Send>(watch: impl FnOnce(&AtomicBool) -> E + Send, work: impl FnOnce() -> T) -> (T, E) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&stop));
        let stopping = StopOnDrop(&stop);
        let done = work();
        drop(stopping);
        (done, watcher.join().expect("the watcher does not panic"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_compared_with_the_beginning_of_the_span() {
        let events =
            LogEvents { bytes: vec![(10, 100), (20, 150), (30, 400), (40, 120)], ..Default::default() };
        let growth = |from_ns, to_ns| events.growth_bytes(Span { from_ns, to_ns });
        assert_eq!([growth(15, 25), growth(20, 50), growth(31, 50), growth(50, 60)], [50, 250, 0, 0]);
    }
}
