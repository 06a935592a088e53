use std::path::Path;
use std::process::Stdio;

use machine::process::{Cancel, Io};

use super::*;
use crate::convergence::Limit;

const HOUR: Duration = Duration::from_secs(3600);
const QUIET: Duration = Duration::from_secs(600);

/// A clock that stands until it is moved forward, or until somebody sleeps.
#[derive(Default)]
struct ManualClock(AtomicU64);

impl Clock for ManualClock {
    fn now_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn sleep(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }
}

/// A clock on which half an hour passes when a file appears.
struct ClockOfFile(PathBuf);

impl Clock for ClockOfFile {
    fn now_ns(&self) -> u64 {
        if self.0.exists() { HOUR.as_nanos() as u64 / 2 } else { 0 }
    }

    fn sleep(&self, _time: Duration) {
        unreachable!("nothing sleeps here")
    }
}

fn limits() -> Limits {
    let limit = |after| Limit { after, setting: "as the test has it".into() };
    Limits { no_gain: limit(HOUR), quiet: limit(QUIET), database_bytes: 1 }
}

/// An operation in this directory that may take an hour.
fn operation(directory: &Path) -> Operation {
    Operation {
        directory: directory.to_owned(),
        live: None,
        expected_bytes: None,
        deadline: HOUR,
        limits: Some(limits()),
        is_made_durable: true,
    }
}

/// A watch of it, with its clock.
fn watched(directory: &Path, cancel: &Cancel) -> (Watch, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    (Watch::new(&Launcher::new(directory, cancel), operation(directory), clock.clone()), clock)
}

#[test]
fn the_output_of_a_command_that_stalled_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let printed = directory.path().join("printed");
    let launcher = Launcher::new(directory.path(), &Cancel::default());
    let clock = Arc::new(ClockOfFile(printed.clone()));
    let mut watch = Watch::new(&launcher, operation(&directory.path().join("result")), clock);
    let mut command = Command::new("sh");
    let script = format!("echo waiting for a lock; touch {}; exec sleep 600", printed.display());
    // With pipes alone: a file that the tests print to would count as one that it writes.
    command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = watch.spawn(command).unwrap();
    let failure = watch.run(vec![child]).unwrap_err();
    assert!(matches!(failure.cause, FailureCause::Stalled(_)), "{failure:?}");
    assert_eq!(failure.measured.output, "waiting for a lock");
}

#[test]
fn the_deadline_stops_an_operation_that_still_makes_progress() {
    let (mut watch, clock) = watched(Path::new("nowhere"), &Cancel::default());
    let progress = |remaining| Some(Progress { remaining, ..Progress::default() });
    clock.sleep(HOUR - Duration::from_nanos(1));
    assert!(watch.observe(progress(0.5)).is_ok());
    clock.sleep(Duration::from_nanos(1));
    assert!(matches!(watch.observe(progress(0.4)), Err(FailureCause::TimedOut)));
}

#[test]
fn a_wait_ends_with_its_condition_or_when_nothing_grows_for_too_long() {
    let directory = tempfile::tempdir().unwrap();
    let (mut watch, clock) = watched(directory.path(), &Cancel::default());
    let mut left = 3;
    let three_times = &mut || {
        left -= 1;
        Ok(left == 0)
    };
    watch.wait_until(three_times).unwrap();
    assert_eq!(clock.now_ns(), 2 * TICK.as_nanos() as u64);
    let failure = watch.wait_until(&mut || Ok(false)).unwrap_err();
    assert!(matches!(failure.cause, FailureCause::Stalled(_)), "{failure:?}");
    assert_eq!(clock.now_ns(), QUIET.as_nanos() as u64);
    let failure = watch.wait_until(&mut || Err("it ended".into())).unwrap_err();
    assert!(matches!(failure.cause, FailureCause::Failed(message) if message == "it ended"));
}

#[test]
fn files_that_existed_before_do_not_count_as_progress() {
    let directory = tempfile::tempdir().unwrap();
    let (mut watch, _) = watched(directory.path(), &Cancel::default());
    std::fs::write(directory.path().join("earlier"), [0; 900]).unwrap();
    watch.begin_part(vec![directory.path().to_owned()], Some(1000));
    std::fs::write(directory.path().join("later"), [0; 250]).unwrap();
    assert!(watch.observe(None).is_ok());
    assert_eq!(watch.furthest(), Some(0.25));
}

#[test]
fn the_files_of_a_part_are_watched_after_a_part_that_reported_its_progress() {
    let directory = tempfile::tempdir().unwrap();
    let (mut watch, clock) = watched(directory.path(), &Cancel::default());
    watch.observe(Some(Progress { remaining: 0.1, ..Progress::default() })).unwrap();
    watch.begin_part(vec![directory.path().to_owned()], None);
    for second in 1..=QUIET.as_secs() {
        clock.sleep(Duration::from_secs(1));
        std::fs::write(directory.path().join("file"), vec![0; second as usize]).unwrap();
        assert!(watch.observe(None).is_ok(), "{second}");
    }
    clock.sleep(QUIET - Duration::from_secs(1));
    assert!(watch.observe(None).is_ok());
    clock.sleep(Duration::from_secs(1));
    assert!(matches!(watch.observe(None), Err(FailureCause::Stalled(_))));
}

#[test]
fn an_interruption_is_not_the_strategys_fault() {
    let cancel = Cancel::default();
    let (mut watch, _) = watched(Path::new("nowhere"), &cancel);
    cancel.cancel();
    assert!(matches!(watch.observe(None), Err(FailureCause::Error(Error::Interrupted))));
}

#[test]
fn the_time_of_an_unreported_pass_follows_from_what_was_written() {
    let (mut watch, _) = watched(Path::new("nowhere"), &Cancel::default());
    watch.operation.expected_bytes = Some(1000);
    let used =
        |bytes_written| Counters { io: Some(Io { bytes_written, ..Io::default() }), ..Counters::default() };
    let seconds = |watch: &Watch, bytes| watch.measured_of_replication(used(bytes), HOUR).passes.seconds;
    assert_eq!(seconds(&watch, 4000), None, "it has no passes");
    watch.expect_unreported_restarts();
    assert_eq!(seconds(&watch, 4000), Some(900.0));
    assert_eq!(seconds(&watch, 999), None, "less than one pass");
    watch.expect_any_size();
    assert_eq!(seconds(&watch, 4000), None);
}
