//! The impact of a backup on the application, computed from the ledger.
//!
//! The workload is open loop: a write's latency counts from when it was due. Writes that were due but never sent,
//! because the writer was still waiting for an earlier answer, also count, with the time until the application was
//! killed. Writes that were due while the application was stopped on purpose count with the time until it acknowledged
//! writes again: a client would have retried them. A write that a running application refused is an error and has no
//! latency.

use machine::measure::clock::Span;
use machine::measure::latencies::Latencies;
use model::ledger::{Entry, Ledger, Outcome};
use model::schedule::{Load, Rate, Schedule};
use reports::record::Window;
use serde::{Deserialize, Serialize};

/// Minimum length of a stall: a time in which writes wait and none is acknowledged.
pub const STALL_NS_MIN: u64 = 100_000_000;
/// A write is late if the harness sends it later than this without having to wait for an answer.
const LATE_NS: u64 = 50_000_000;
/// Above this share of late writes, the declared load was not offered.
pub const LATE_SHARE_MAX: f64 = 0.05;

/// All writes of a trial that were due before the application was killed.
pub struct Writes<'a> {
    ledger: &'a Ledger,
    load: Load,
    seed: u64,
    epoch_ns: u64,
    killed_ns: u64,
    /// The times when the application was stopped on purpose, each until its first acknowledgement afterwards, in
    /// order.
    outages: Vec<Span>,
}

/// A write, with properties that are computed from it and its neighbours.
struct Write {
    entry: Entry,
    /// When its writer stopped waiting: at the answer, when it gave up, or at the kill.
    answered_ns: u64,
    /// True if the harness itself sent it late.
    late: bool,
    /// The outage that prevented its acknowledgement.
    outage: Option<Span>,
}

impl Write {
    /// When the wait for it ended; `None` if the running application refused it.
    fn waited_until_ns(&self) -> Option<u64> {
        match (self.entry.outcome, self.outage) {
            (Outcome::Refused(_), None) => None,
            (_, Some(outage)) => Some(self.answered_ns.max(outage.to_ns)),
            (_, None) => Some(self.answered_ns),
        }
    }
}

/// How the offered load compares with the declared one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offered {
    /// Writes due per second; `None` if none was due.
    pub writes_per_second: Option<f64>,
    /// The share that the harness itself sent late.
    pub late_share: f64,
    /// The share that the running application refused.
    pub refused_share: f64,
}

/// The number of writes during a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Sent and not yet answered at any moment of it.
    pub waiting: u64,
    /// Acknowledged in it.
    pub acknowledged: u64,
}

impl Offered {
    /// No write was due.
    pub const NOTHING: Offered = Offered { writes_per_second: None, late_share: 0.0, refused_share: 0.0 };
}

impl<'a> Writes<'a> {
    /// The writes of a ledger with this schedule, from `epoch_ns` until `killed_ns`. The application was stopped on
    /// purpose in the spans of `stopped`, each until it answered a read again.
    pub fn new(
        ledger: &'a Ledger,
        load: Load,
        seed: u64,
        epoch_ns: u64,
        killed_ns: u64,
        stopped: &[Span],
    ) -> Writes<'a> {
        let outage = |stopped: &Span| {
            let acknowledged = ledger.entries().filter_map(|(_, _, entry)| match entry.outcome {
                Outcome::Acknowledged(at_ns) if at_ns >= stopped.to_ns => Some(at_ns),
                _ => None,
            });
            Span { from_ns: stopped.from_ns, to_ns: acknowledged.min().unwrap_or(stopped.to_ns) }
        };
        let outages = merged(stopped.iter().map(outage).collect());
        Writes { ledger, load, seed, epoch_ns, killed_ns, outages }
    }

    /// Calls `visit` with each write.
    fn for_each(&self, mut visit: impl FnMut(&Write)) {
        for writer in 0..self.ledger.writers() {
            let entries = self.ledger.writer(writer);
            let mut free_ns = 0;
            for index in 0..entries.count() {
                let mut entry = entries.entry(index);
                let late = entry.sent_ns.is_some_and(|sent| sent > entry.due_ns.max(free_ns) + LATE_NS);
                let answered_ns = match entry.outcome {
                    Outcome::Acknowledged(at) | Outcome::Refused(at) => at,
                    // A writer that has sent its next write had given up waiting.
                    Outcome::Indeterminate if index + 1 < entries.count() => {
                        let next = entries.entry(index + 1);
                        next.sent_ns.unwrap_or(next.due_ns).min(self.killed_ns)
                    }
                    Outcome::Indeterminate => self.killed_ns,
                };
                let closed = self.load.rate == Rate::Closed && index > 0;
                if closed && self.outages.iter().any(|outage| outage.overlaps(free_ns, entry.due_ns)) {
                    // A closed loop has no schedule: without the outage, the write would have been due at the last
                    // answer.
                    entry.due_ns = entry.due_ns.min(free_ns);
                }
                let outage = self.outage_of(&entry, answered_ns);
                visit(&Write { entry, answered_ns, late, outage });
                free_ns = if entry.outcome == Outcome::Indeterminate {
                    // Only the next write shows when it gave up.
                    u64::MAX - LATE_NS
                } else {
                    answered_ns
                };
            }
            for due_ns in self.never_sent(writer, entries.count()) {
                let late = self.killed_ns > due_ns.max(free_ns) + LATE_NS;
                let entry = Entry { due_ns, sent_ns: None, outcome: Outcome::Indeterminate };
                visit(&Write { entry, answered_ns: self.killed_ns, late, outage: None });
            }
        }
    }

    /// The outage that prevented the acknowledgement of a write.
    fn outage_of(&self, entry: &Entry, answered_ns: u64) -> Option<Span> {
        let outage = match (entry.outcome, entry.sent_ns) {
            (Outcome::Acknowledged(_), _) => None,
            (_, Some(sent_ns)) => self.outages.iter().find(|outage| outage.overlaps(sent_ns, answered_ns)),
            // Recorded when the application was available again, shortly before or after it answered a read.
            (_, None) => self.outages.iter().rfind(|outage| outage.from_ns <= answered_ns),
        };
        outage.copied()
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

    /// The number of writes during a span.
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

    /// Latency and throughput of the writes that were due in a span; `None` if there were none.
    pub fn window(&self, span: Span) -> Option<Window> {
        let mut latencies = Latencies::default();
        let (mut due, mut acknowledged, mut errors) = (0u64, 0u64, 0u64);
        self.for_each(|write| {
            let Write { entry, answered_ns, .. } = write;
            if let Outcome::Acknowledged(at) = entry.outcome {
                acknowledged += u64::from(span.contains(at));
            }
            if !span.contains(entry.due_ns) {
                return;
            }
            due += 1;
            let gave_up = entry.outcome == Outcome::Indeterminate && *answered_ns < self.killed_ns;
            errors += u64::from(gave_up || matches!(entry.outcome, Outcome::Refused(_)));
            if let Some(until_ns) = write.waited_until_ns() {
                latencies.record(until_ns.saturating_sub(entry.due_ns));
            }
        });
        (due > 0 || acknowledged > 0).then(|| Window {
            seconds: span.seconds(),
            writes: Some(latencies.count()),
            p50_ms: latencies.quantile_ms(0.5),
            p99_ms: latencies.quantile_ms(0.99),
            p999_ms: latencies.quantile_ms(0.999),
            max_ms: latencies.quantile_ms(1.0),
            writes_per_second: acknowledged as f64 / span.seconds(),
            errors,
        })
    }

    /// The outages that overlap a span, each in full: the part of an outage after the end of the span counts, too.
    pub fn downtimes(&self, span: Span) -> Vec<Span> {
        self.outages
            .iter()
            .filter(|outage| outage.from_ns < span.to_ns && span.from_ns < outage.to_ns)
            .copied()
            .collect()
    }

    /// The times in a span in which no write could be acknowledged: its downtimes and stalls, merged and in order.
    pub fn blocked(&self, span: Span) -> Vec<Span> {
        // (answered, due, acknowledged) of every write that was waiting in the span.
        let mut writes: Vec<(u64, u64, bool)> = Vec::new();
        let mut acknowledged_before_ns = 0;
        self.for_each(|Write { entry, answered_ns, .. }| {
            let (answered, acknowledged) = (*answered_ns, matches!(entry.outcome, Outcome::Acknowledged(_)));
            if acknowledged && answered < span.from_ns {
                acknowledged_before_ns = acknowledged_before_ns.max(answered);
            }
            let never_waited = entry.sent_ns.is_none() && matches!(entry.outcome, Outcome::Refused(_));
            if answered >= span.from_ns && entry.due_ns < span.to_ns && !never_waited {
                writes.push((answered, entry.due_ns, acknowledged));
            }
        });
        writes.sort_unstable();
        let stalls = stalls(&writes, acknowledged_before_ns, self.killed_ns, span);
        merged([stalls, self.downtimes(span)].concat())
    }

    /// The load offered in a span. Writes during an outage do not count as refused.
    pub fn offered(&self, span: Span) -> Offered {
        let (mut due, mut late, mut refused) = (0u64, 0u64, 0u64);
        self.for_each(|Write { entry, late: was_late, outage, .. }| {
            if span.contains(entry.due_ns) {
                due += 1;
                late += u64::from(*was_late);
                refused += u64::from(outage.is_none() && matches!(entry.outcome, Outcome::Refused(_)));
            }
        });
        let share = |count: u64| if due == 0 { 0.0 } else { count as f64 / due as f64 };
        // A closed loop offers as much as is answered; a rate of 0 offers nothing.
        let open = !matches!(self.load.rate, Rate::Open(rate) if rate == 0.0) && due > 0;
        Offered {
            writes_per_second: open.then(|| due as f64 / span.seconds()),
            late_share: share(late),
            refused_share: share(refused),
        }
    }
}

/// The periods of at least [`STALL_NS_MIN`] between two acknowledgements in which a write was waiting, limited to the
/// span.
fn stalls(writes: &[(u64, u64, bool)], acknowledged_before_ns: u64, killed_ns: u64, span: Span) -> Vec<Span> {
    // The earliest due time of a write and all writes that were answered later.
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
        // The minimum applies to the whole stall, even if only a part of it is in the span.
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
mod tests;
