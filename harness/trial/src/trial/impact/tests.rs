//! Hand-written ledgers, and the results computed from them.

use std::path::Path;

use model::ledger::LedgerWriter;
use model::schedule::{Arrivals, Pattern};

use super::*;

const MS: u64 = 1_000_000;

/// 10 writes per second, evenly spaced; the first ones are due at 0 and 100 ms.
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

/// The writes of a ledger until the kill, which is this many milliseconds after the epoch.
fn writes_of<'a>(ledger: &'a Ledger, killed_ms: u64, stopped: &[Span]) -> Writes<'a> {
    Writes::new(ledger, load(), 1, 1000 * MS, (1000 + killed_ms) * MS, stopped)
}

fn span(from_ms: u64, to_ms: u64) -> Span {
    Span { from_ns: (1000 + from_ms) * MS, to_ns: (1000 + to_ms) * MS }
}

#[test]
fn a_blocked_application_cannot_hide() {
    let directory = tempfile::tempdir().unwrap();
    // The write due at 200 ms is answered at 900 ms, and the writes that were due in between follow immediately.
    let times = [(0, 1), (100, 101), (200, 900), (900, 901), (901, 902)];
    let ledger = ledger(directory.path(), &times);
    let writes = writes_of(&ledger, 1000, &[]);
    let window = writes.window(span(150, 950)).unwrap();
    // Writes are due at 200 to 900 ms; those due from 500 ms on were never sent, and wait until the kill at 1000 ms.
    assert_eq!(window.errors, 0);
    assert!((window.max_ms.unwrap() - 700.0).abs() < 1.0, "{window:?}");
    assert!(window.p50_ms.unwrap() > 400.0, "{window:?}");
    assert_eq!(writes.blocked(span(150, 950)), [span(200, 900)]);
    assert!(writes.downtimes(span(150, 950)).is_empty());
    assert_eq!(writes.offered(span(150, 950)).late_share, 5.0 / 8.0);
}

#[test]
fn waiting_for_an_answer_is_not_the_harness_being_late() {
    let directory = tempfile::tempdir().unwrap();
    let times = [(0, 1), (100, 101), (200, 450), (450, 451), (451, 452), (500, 501)];
    let ledger = ledger(directory.path(), &times);
    let writes = writes_of(&ledger, 550, &[]);
    let offered = writes.offered(span(50, 550));
    assert_eq!(offered.late_share, 0.0);
    assert!((offered.writes_per_second.unwrap() - 10.0).abs() < 0.1, "{offered:?}");
}

#[test]
fn an_outage_lasts_until_the_next_acknowledgement() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = ledger(directory.path(), &[(0, 1), (100, 101), (200, 201), (300, 301)]);
    let writes = writes_of(&ledger, 350, &[span(110, 150)]);
    let downtimes = writes.downtimes(span(50, 340));
    assert_eq!(downtimes, [span(110, 201)]);
}

#[test]
fn only_the_part_of_a_stall_inside_the_window_counts() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = ledger(directory.path(), &[(0, 1), (100, 101), (200, 380), (380, 381), (400, 401)]);
    let writes = writes_of(&ledger, 450, &[]);
    assert_eq!(writes.blocked(span(50, 250)), [span(200, 250)]);
    assert_eq!(writes.blocked(span(350, 440)), [span(350, 380)]);
}

#[test]
fn steady_writes_cause_no_downtime() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = ledger(directory.path(), &[(0, 1), (100, 101), (200, 201)]);
    let writes = writes_of(&ledger, 250, &[]);
    assert!(writes.blocked(span(50, 240)).is_empty());
    let window = writes.window(span(50, 240)).unwrap();
    assert!((window.max_ms.unwrap() - 1.0).abs() < 0.1, "{window:?}");
}

#[test]
fn a_writer_that_gives_up_stops_waiting_and_an_outage_refuses_nothing() {
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
    let writes = writes_of(&ledger, 350, &[]);
    let window = writes.window(span(50, 350)).unwrap();
    assert_eq!(window.errors, 2);
    assert!((window.max_ms.unwrap() - 150.0).abs() < 1.0, "{window:?}");
    assert_eq!(writes.blocked(span(50, 340)), [span(100, 301)]);
    assert!(writes.offered(span(50, 350)).refused_share > 0.0);
    let stopped = writes_of(&ledger, 350, &[span(240, 260)]);
    assert_eq!(stopped.offered(span(50, 350)).refused_share, 0.0);
}

/// Records the events of a writer, in milliseconds after the epoch at 1 s.
struct Story {
    writer: LedgerWriter,
    directory: tempfile::TempDir,
}

impl Story {
    fn new() -> Story {
        let directory = tempfile::tempdir().unwrap();
        Story { writer: LedgerWriter::open(directory.path(), 0).unwrap(), directory }
    }

    fn acknowledged(mut self, due_ms: u64, sent_ms: u64, answered_ms: u64) -> Story {
        self.writer.send((1000 + due_ms) * MS, (1000 + sent_ms) * MS).unwrap();
        self.writer.acknowledge((1000 + answered_ms) * MS);
        self
    }

    fn refused(mut self, due_ms: u64, sent_ms: u64, answered_ms: u64) -> Story {
        self.writer.send((1000 + due_ms) * MS, (1000 + sent_ms) * MS).unwrap();
        self.writer.refuse((1000 + answered_ms) * MS);
        self
    }

    fn unanswered(mut self, due_ms: u64, sent_ms: u64) -> Story {
        self.writer.send((1000 + due_ms) * MS, (1000 + sent_ms) * MS).unwrap();
        self
    }

    /// Recorded by the writer that was started after an outage.
    fn missed(mut self, due_ms: u64, entered_ms: u64) -> Story {
        self.writer.miss((1000 + due_ms) * MS, (1000 + entered_ms) * MS).unwrap();
        self
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(self.directory.path(), 1).unwrap()
    }
}

/// The number of latencies, their median and maximum in whole milliseconds, and the number of errors.
fn figures(window: &Window) -> (u64, f64, f64, u64) {
    let rounded = |ms: Option<f64>| ms.unwrap().round();
    (window.writes.unwrap(), rounded(window.p50_ms), rounded(window.max_ms), window.errors)
}

#[test]
fn writes_that_a_stopped_writer_missed_waited_until_the_first_acknowledgement_after_the_outage() {
    let story = Story::new().acknowledged(0, 0, 1).acknowledged(100, 100, 101).acknowledged(200, 200, 201);
    let story = story.missed(300, 641).missed(400, 641).missed(500, 641).missed(600, 641);
    let ledger = story.acknowledged(700, 700, 702).ledger();
    // The application answers a read at 640 ms, and a write at 702 ms.
    for answered_ms in [640, 650] {
        let writes = writes_of(&ledger, 750, &[span(250, answered_ms)]);
        let window = writes.window(span(240, 660)).unwrap();
        // 402, 302, 202 and 102 ms.
        assert_eq!(figures(&window), (4, 202.0, 402.0, 4));
        assert_eq!(writes.downtimes(span(240, 660)), [span(250, 702)]);
        assert_eq!(writes.blocked(span(240, 660)), [span(250, 702)]);
        assert_eq!(writes.offered(span(240, 660)).refused_share, 0.0);
        assert!(writes.downtimes(span(0, 250)).is_empty());
    }
}

#[test]
fn a_client_that_a_stopped_server_refuses_waits_and_one_that_a_running_server_refuses_does_not() {
    let story = Story::new().acknowledged(0, 0, 1).refused(100, 100, 150).unanswered(200, 200);
    let story = story.refused(300, 300, 301).refused(400, 400, 401).acknowledged(500, 500, 510);
    let ledger = story.refused(600, 600, 650).ledger();
    let window = span(50, 660);
    // The lock timeouts at 150 and 650 ms are errors; the connection lost at 250 ms causes two more failed writes.
    let stopped = writes_of(&ledger, 660, &[span(250, 450)]);
    // 310, 210, 110 and 10 ms.
    assert_eq!(figures(&stopped.window(window).unwrap()), (4, 110.0, 310.0, 5));
    assert_eq!(stopped.downtimes(window), [span(250, 510)]);
    assert_eq!(stopped.offered(window).refused_share, 2.0 / 6.0);
    // The same ledger without an outage: the writer that gave up waited 100 ms.
    let running = writes_of(&ledger, 660, &[]);
    assert_eq!(figures(&running.window(window).unwrap()), (2, 10.0, 100.0, 5));
    assert!(running.downtimes(window).is_empty());
}

#[test]
fn in_a_closed_loop_the_write_after_an_outage_was_due_before_it() {
    let story = Story::new().acknowledged(0, 0, 10).acknowledged(10, 10, 20);
    let ledger = story.acknowledged(420, 420, 430).acknowledged(430, 430, 440).ledger();
    let closed = Load { rate: Rate::Closed, ..load() };
    let figures_of = |stopped: &[Span]| {
        let writes = Writes::new(&ledger, closed, 1, 1000 * MS, 1450 * MS, stopped);
        figures(&writes.window(span(15, 450)).unwrap())
    };
    assert_eq!(figures_of(&[span(20, 400)]), (2, 10.0, 410.0, 0));
    assert_eq!(figures_of(&[]), (2, 10.0, 10.0, 0));
}

#[test]
fn overlapping_outages_count_once_and_an_outage_without_end_lasts_until_it_was_given_up() {
    let story = Story::new().acknowledged(0, 0, 1).missed(100, 260).missed(200, 260);
    let ledger = story.acknowledged(300, 300, 301).unanswered(400, 400).ledger();
    let writes = writes_of(&ledger, 600, &[span(50, 150), span(200, 260), span(410, 550)]);
    assert_eq!(writes.downtimes(span(40, 600)), [span(50, 301), span(410, 550)]);
    // A write that was never answered waited until the kill.
    assert_eq!(figures(&writes.window(span(350, 600)).unwrap()), (2, 100.0, 200.0, 0));
}
