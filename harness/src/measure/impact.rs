//! What a backup does to the application, read from the ledger.
//!
//! The workload is open loop: a write's latency counts from when it was due. Writes that were due and never
//! sent, because the writer still waited for an earlier answer, count as well, with the time until the
//! application was killed.

use hdrhistogram::Histogram;
use reports::record::Window;
use serde::{Deserialize, Serialize};

use super::clock::seconds_between;
use crate::workload::ledger::{Entry, Ledger, Outcome};
use crate::workload::schedule::{Load, Rate, Schedule};

/// A time in which writes wait and none is acknowledged is a stall from this length on.
pub const STALL_NS_MIN: u64 = 100_000_000;
/// A write that the harness sends later than this, with nothing to wait for, was not offered when declared.
const LATE_NS: u64 = 50_000_000;
/// The share of late writes above which the declared load was not the load offered.
pub const LATE_SHARE_MAX: f64 = 0.05;

/// A stretch of time, in nanoseconds of the common clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from_ns: u64,
    /// Its end, not included.
    pub to_ns: u64,
}

impl Span {
    /// Its length.
    pub fn seconds(&self) -> f64 {
        seconds_between(self.from_ns, self.to_ns)
    }

    /// True when a moment is in it.
    pub fn contains(&self, at_ns: u64) -> bool {
        (self.from_ns..self.to_ns).contains(&at_ns)
    }
}

/// All writes of a trial that were due before the application was killed.
pub struct Writes<'a> {
    ledger: &'a Ledger,
    load: Load,
    seed: u64,
    epoch_ns: u64,
    killed_ns: u64,
}

/// A write, and what follows from it and its neighbours.
struct Seen {
    entry: Entry,
    /// When its writer went on: with the answer, when it gave up waiting, or with the kill.
    answered_ns: u64,
    /// It was sent late for the harness's own reasons.
    late: bool,
}

/// How the offered load compares with the declared one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offered {
    /// Writes due, a second; `None` when none was.
    pub writes_per_second: Option<f64>,
    /// The share that was late for the harness's own reasons.
    pub late_share: f64,
    /// The share that the running application refused.
    pub refused_share: f64,
}

/// The writes that met a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Sent and not yet answered at some moment of it.
    pub waiting: u64,
    /// Acknowledged in it.
    pub acknowledged: u64,
}

impl Offered {
    /// No write was due.
    pub const NOTHING: Offered = Offered { writes_per_second: None, late_share: 0.0, refused_share: 0.0 };
}

impl<'a> Writes<'a> {
    /// The writes of a ledger that follow this schedule from `epoch_ns` until `killed_ns`.
    pub fn new(ledger: &'a Ledger, load: Load, seed: u64, epoch_ns: u64, killed_ns: u64) -> Writes<'a> {
        Writes { ledger, load, seed, epoch_ns, killed_ns }
    }

    /// Calls `visit` with each write.
    fn for_each(&self, mut visit: impl FnMut(&Seen)) {
        for writer in 0..self.ledger.writers() {
            let entries = self.ledger.writer(writer);
            let mut free_ns = 0;
            for index in 0..entries.len() {
                let entry = entries.entry(index);
                let late = entry.sent_ns.is_some_and(|sent| sent > entry.due_ns.max(free_ns) + LATE_NS);
                let answered_ns = match entry.outcome {
                    Outcome::Acknowledged(at) | Outcome::Refused(at) => at,
                    // A writer that sends again has given up waiting.
                    Outcome::Indeterminate if index + 1 < entries.len() => {
                        let next = entries.entry(index + 1);
                        next.sent_ns.unwrap_or(next.due_ns).min(self.killed_ns)
                    }
                    Outcome::Indeterminate => self.killed_ns,
                };
                visit(&Seen { entry, answered_ns, late });
                free_ns = if entry.outcome == Outcome::Indeterminate {
                    // When it gave up, only its next write tells.
                    u64::MAX - LATE_NS
                } else {
                    answered_ns
                };
            }
            for due_ns in self.never_sent(writer, entries.len()) {
                let late = self.killed_ns > due_ns.max(free_ns) + LATE_NS;
                let entry = Entry { due_ns, sent_ns: None, outcome: Outcome::Indeterminate };
                visit(&Seen { entry, answered_ns: self.killed_ns, late });
            }
        }
    }

    fn never_sent(&self, writer: u32, entered: u64) -> impl Iterator<Item = u64> + use<'_> {
        let mut schedule = Schedule::new(self.load, self.seed, writer, self.ledger.writers());
        for _ in 0..entered {
            schedule.next_due_ns();
        }
        std::iter::from_fn(move || schedule.next_due_ns())
            .map(|offset| self.epoch_ns + offset)
            .take_while(|due_ns| *due_ns < self.killed_ns)
    }

    /// The writes that met a span.
    pub fn met(&self, span: Span) -> Met {
        let mut met = Met::default();
        self.for_each(|write| {
            let sent = write.entry.sent_ns.is_some_and(|sent| sent < span.to_ns);
            met.waiting += u64::from(sent && write.answered_ns >= span.from_ns);
            let acknowledged = matches!(write.entry.outcome, Outcome::Acknowledged(at) if span.contains(at));
            met.acknowledged += u64::from(acknowledged);
        });
        met
    }

    /// Latency and throughput of the writes that were due in a span; `None` when none was.
    pub fn window(&self, span: Span) -> Option<Window> {
        let mut histogram = Histogram::<u64>::new(3).expect("three digits are a valid precision");
        let (mut due, mut acknowledged, mut errors) = (0u64, 0u64, 0u64);
        self.for_each(|Seen { entry, answered_ns, .. }| {
            if let Outcome::Acknowledged(at) = entry.outcome {
                acknowledged += u64::from(span.contains(at));
            }
            if !span.contains(entry.due_ns) {
                return;
            }
            due += 1;
            let gave_up = entry.outcome == Outcome::Indeterminate && *answered_ns < self.killed_ns;
            errors += u64::from(gave_up || matches!(entry.outcome, Outcome::Refused(_)));
            if !matches!(entry.outcome, Outcome::Refused(_)) {
                // The histogram resizes itself, so every value fits.
                let _ = histogram.record(answered_ns.saturating_sub(entry.due_ns));
            }
        });
        let quantile = |quantile: f64| {
            (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile) as f64 / 1e6)
        };
        (due > 0 || acknowledged > 0).then(|| Window {
            seconds: span.seconds(),
            writes: Some(histogram.len()),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            max_ms: quantile(1.0),
            writes_per_second: acknowledged as f64 / span.seconds(),
            errors,
        })
    }

    /// The times in a span in which no write could be acknowledged: the given outages of the application,
    /// each until the first acknowledgement after it, and the stalls. Merged, in order.
    pub fn downtimes(&self, span: Span, outages: &[Span]) -> Vec<Span> {
        // (answered, due, acknowledged) of every write that was waiting in the span.
        let mut writes: Vec<(u64, u64, bool)> = Vec::new();
        let mut acknowledged_before_ns = 0;
        let mut back_ns = vec![u64::MAX; outages.len()];
        self.for_each(|Seen { entry, answered_ns, .. }| {
            let (answered, acknowledged) = (*answered_ns, matches!(entry.outcome, Outcome::Acknowledged(_)));
            if acknowledged && answered < span.from_ns {
                acknowledged_before_ns = acknowledged_before_ns.max(answered);
            }
            for (outage, back_ns) in outages.iter().zip(&mut back_ns) {
                if acknowledged && answered >= outage.to_ns {
                    *back_ns = answered.min(*back_ns);
                }
            }
            let never_waited = entry.sent_ns.is_none() && matches!(entry.outcome, Outcome::Refused(_));
            if answered >= span.from_ns && entry.due_ns < span.to_ns && !never_waited {
                writes.push((answered, entry.due_ns, acknowledged));
            }
        });
        writes.sort_unstable();
        let mut downtimes = stalls(&writes, acknowledged_before_ns, self.killed_ns, span);
        for (outage, back_ns) in outages.iter().zip(back_ns) {
            let to_ns = if back_ns == u64::MAX { outage.to_ns } else { back_ns };
            downtimes.push(Span { from_ns: outage.from_ns, to_ns });
        }
        merged(downtimes)
    }

    /// What was offered in a span. An application that was stopped on purpose, in one of `outages`, refuses nothing.
    pub fn offered(&self, span: Span, outages: &[Span]) -> Offered {
        let (mut due, mut late, mut refused) = (0u64, 0u64, 0u64);
        self.for_each(|Seen { entry, late: was_late, .. }| {
            if span.contains(entry.due_ns) {
                due += 1;
                late += u64::from(*was_late);
                let met_nobody =
                    entry.sent_ns.is_none_or(|sent| outages.iter().any(|outage| outage.contains(sent)));
                refused += u64::from(!met_nobody && matches!(entry.outcome, Outcome::Refused(_)));
            }
        });
        let share = |count: u64| if due == 0 { 0.0 } else { count as f64 / due as f64 };
        // A closed loop offers what is answered; a rate of 0 offers nothing.
        let open = !matches!(self.load.rate, Rate::Open(rate) if rate == 0.0) && due > 0;
        Offered {
            writes_per_second: open.then(|| due as f64 / span.seconds()),
            late_share: share(late),
            refused_share: share(refused),
        }
    }
}

/// The stretches between two acknowledgements in which a write was waiting, from [`STALL_NS_MIN`] on, as far as they
/// lie in the span.
fn stalls(writes: &[(u64, u64, bool)], acknowledged_before_ns: u64, killed_ns: u64, span: Span) -> Vec<Span> {
    // The earliest due time among a write and all that were answered later.
    let mut earliest_due = vec![u64::MAX; writes.len() + 1];
    for (index, (_, due, _)) in writes.iter().enumerate().rev() {
        earliest_due[index] = earliest_due[index + 1].min(*due);
    }
    let mut stalls = Vec::new();
    let mut acknowledged_ns = acknowledged_before_ns;
    let mut waiting_from = 0;
    let ends = writes.iter().enumerate().filter(|(_, (_, _, acknowledged))| *acknowledged);
    let ends = ends.map(|(index, (at, _, _))| (index + 1, *at)).chain([(writes.len(), killed_ns)]);
    for (next, at) in ends {
        let from_ns = acknowledged_ns.max(earliest_due[waiting_from]);
        let within = Span { from_ns: from_ns.max(span.from_ns), to_ns: at.min(span.to_ns) };
        // A stall that only reaches into the span is as long as it is.
        if at.saturating_sub(from_ns) >= STALL_NS_MIN && within.from_ns < within.to_ns {
            stalls.push(within);
        }
        acknowledged_ns = acknowledged_ns.max(at);
        waiting_from = next;
    }
    stalls
}

fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| span.from_ns);
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.from_ns <= last.to_ns => last.to_ns = last.to_ns.max(span.to_ns),
            _ => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::workload::ledger::LedgerWriter;
    use crate::workload::schedule::{Arrivals, Pattern};

    const MS: u64 = 1_000_000;

    /// 10 writes a second, evenly spaced; the first is due at 0 and 100 ms (at once, and by schedule).
    fn load() -> Load {
        Load { rate: Rate::Open(10.0), arrivals: Arrivals::Constant, pattern: Pattern::Constant }
    }

    /// Writes each (sent, answered) pair, in milliseconds after the epoch at 1 s.
    fn ledger(directory: &Path, times: &[(u64, u64)]) -> Ledger {
        let mut writer = LedgerWriter::open(directory, 0).unwrap();
        let mut schedule = Schedule::new(load(), 1, 0, 1);
        for (sent, answered) in times {
            let due_ns = 1000 * MS + schedule.next_due_ns().unwrap();
            writer.send(due_ns, (1000 + sent) * MS).unwrap();
            writer.acknowledge((1000 + answered) * MS);
        }
        Ledger::open(directory, 1).unwrap()
    }

    fn span(from_ms: u64, to_ms: u64) -> Span {
        Span { from_ns: (1000 + from_ms) * MS, to_ns: (1000 + to_ms) * MS }
    }

    #[test]
    fn a_blocked_application_cannot_hide() {
        let directory = tempfile::tempdir().unwrap();
        // The write due at 200 ms is answered at 900 ms, and those due meanwhile follow at once.
        let times = [(0, 1), (100, 101), (200, 900), (900, 901), (901, 902)];
        let ledger = ledger(directory.path(), &times);
        let writes = Writes::new(&ledger, load(), 1, 1000 * MS, 2000 * MS);
        let window = writes.window(span(150, 950)).unwrap();
        // Due at 200 to 900 ms; those due from 500 ms on were never sent, and wait until the kill at 1000 ms.
        assert_eq!(window.errors, 0);
        assert!((window.max_ms.unwrap() - 700.0).abs() < 1.0, "{window:?}");
        assert!(window.p50_ms.unwrap() > 400.0, "{window:?}");
        let downtimes = writes.downtimes(span(150, 950), &[]);
        assert_eq!(downtimes, [span(200, 900)]);
        assert_eq!(writes.offered(span(150, 950), &[]).late_share, 5.0 / 8.0);
    }

    #[test]
    fn waiting_for_an_answer_is_not_the_harness_being_late() {
        let directory = tempfile::tempdir().unwrap();
        let times = [(0, 1), (100, 101), (200, 450), (450, 451), (451, 452), (500, 501)];
        let ledger = ledger(directory.path(), &times);
        let writes = Writes::new(&ledger, load(), 1, 1000 * MS, 1550 * MS);
        let offered = writes.offered(span(50, 550), &[]);
        assert_eq!(offered.late_share, 0.0);
        assert!((offered.writes_per_second.unwrap() - 10.0).abs() < 0.1, "{offered:?}");
    }

    #[test]
    fn an_outage_lasts_until_the_next_acknowledgement() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = ledger(directory.path(), &[(0, 1), (100, 101), (200, 201), (300, 301)]);
        let writes = Writes::new(&ledger, load(), 1, 1000 * MS, 1350 * MS);
        let downtimes = writes.downtimes(span(50, 340), &[span(110, 150)]);
        assert_eq!(downtimes, [span(110, 201)]);
    }

    #[test]
    fn a_stall_that_reaches_over_the_edge_of_the_window_counts_as_far_as_it_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = ledger(directory.path(), &[(0, 1), (100, 101), (200, 380), (380, 381), (400, 401)]);
        let writes = Writes::new(&ledger, load(), 1, 1000 * MS, 1450 * MS);
        assert_eq!(writes.downtimes(span(50, 250), &[]), [span(200, 250)]);
        assert_eq!(writes.downtimes(span(350, 440), &[]), [span(350, 380)]);
    }

    #[test]
    fn steady_writes_are_no_downtime() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = ledger(directory.path(), &[(0, 1), (100, 101), (200, 201)]);
        let writes = Writes::new(&ledger, load(), 1, 1000 * MS, 1250 * MS);
        assert!(writes.downtimes(span(50, 240), &[]).is_empty());
        let window = writes.window(span(50, 240)).unwrap();
        assert!((window.max_ms.unwrap() - 1.0).abs() < 0.1, "{window:?}");
    }

    #[test]
    fn a_writer_that_gives_up_waits_no_longer_and_an_outage_refuses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = LedgerWriter::open(directory.path(), 0).unwrap();
        let mut schedule = Schedule::new(load(), 1, 0, 1);
        let mut due = || 1000 * MS + schedule.next_due_ns().unwrap();
        writer.send(due(), 1000 * MS).unwrap();
        writer.acknowledge(1001 * MS);
        // Never answered: the next write is sent at 250 ms.
        writer.send(due(), 1100 * MS).unwrap();
        writer.send(due(), 1250 * MS).unwrap();
        writer.refuse(1251 * MS);
        writer.send(due(), 1300 * MS).unwrap();
        writer.acknowledge(1301 * MS);
        let ledger = Ledger::open(directory.path(), 1).unwrap();
        let writes = Writes::new(&ledger, load(), 1, 1000 * MS, 1350 * MS);
        let window = writes.window(span(50, 350)).unwrap();
        assert_eq!(window.errors, 2);
        assert!((window.max_ms.unwrap() - 150.0).abs() < 1.0, "{window:?}");
        assert_eq!(writes.downtimes(span(50, 340), &[]), [span(100, 301)]);
        assert!(writes.offered(span(50, 350), &[]).refused_share > 0.0);
        assert_eq!(writes.offered(span(50, 350), &[span(240, 260)]).refused_share, 0.0);
    }
}
