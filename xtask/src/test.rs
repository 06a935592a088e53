//! `test`: runs every check and test of this repository, and lists what could not be tested here.

use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use engines::registry::ENGINES;
use harness::availability::{Forecast, Needs, Outlook};
use harness::scenario::Scenario;
use harness::{crash_states, fault};
use machine::error::{Error, Result};
use machine::event::Event;
use machine::file_system::FileSystem;
use machine::process::{Cancel, TICK};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use strategies::contract::StrategyEntry;
use strategies::registry;

use crate::arguments::place::default_directory;
use crate::arguments::{Scope, Test};
use crate::exit;
use crate::setup::{self, Consent};
use crate::show::Progress;

/// A command that must succeed.
struct Step {
    name: String,
    words: Vec<String>,
    /// Exit codes that do not count as a failure.
    accepted: &'static [i32],
    /// Whether its output is shown only when it fails.
    is_quiet: bool,
}

impl Step {
    fn new(name: &str, words: &[&str]) -> Step {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Step { name: name.to_owned(), words, accepted: &[0], is_quiet: false }
    }
}

/// Tests that need Docker read this environment variable, and skip themselves when it is set.
const WITHOUT_DOCKER: &str = "BACKUP_DRILL_WITHOUT_DOCKER";

/// The number of tests that run at once, unless the user has chosen it: many tests wait for servers, for the disk, or for a
/// window of time, so there are more of them than processors.
const TEST_THREADS: &str = "RUST_TEST_THREADS";
const TESTS_PER_PROCESSOR: usize = 2;

fn tests_at_once() -> usize {
    TESTS_PER_PROCESSOR * std::thread::available_parallelism().map_or(1, usize::from)
}

/// Short runs of shipped scenarios, as words of the command line, and whether they need Docker.
const RUNS: &[(&str, bool)] = &[
    ("quick --only cold-copy --only sqlite-vacuum-into/wal", false),
    ("full --only cold-copy --only mysql-clone", true),
    ("large-options --only sqlite3-rsync --only version=0.5.17/wal", true),
];

/// Installs what is missing and runs all steps, the cheapest first; stops at the first failure.
///
/// # Errors
/// When something is missing and cannot be installed, or a step cannot be started; [`Error::Interrupted`].
pub fn test(arguments: &Test, cancel: &Cancel) -> Result<u8> {
    let checkout = setup::checkout()?;
    let progress = Progress::in_lines();
    let observer = |event: Event<'_>| progress.show(event);
    setup::packages(&arguments.scope, Consent::Implied, cancel, &observer)?;
    let untested = Untested::here(&arguments.scope, cancel)?;
    untested.show();
    if arguments.strict && untested.is_failure() {
        eprintln!("error: with --strict, everything must be tested, or be named with --except NAME");
        return Ok(exit::FELL_SHORT);
    }
    let without_docker = arguments.scope.without_docker;
    // Images wait for downloads much of the time, so they are got while everything is compiled.
    let (images, compiled) = std::thread::scope(|scope| {
        let images = scope.spawn(|| setup::images(&arguments.scope, &default_directory(), cancel, &observer));
        let compiled = run_all(compilations(), &checkout, without_docker, cancel);
        (images.join().unwrap_or_else(|panic| resume_unwind(panic)), compiled)
    });
    if !compiled? {
        return Ok(exit::FELL_SHORT);
    }
    images?;
    if !run_all(steps(without_docker)?, &checkout, without_docker, cancel)? {
        return Ok(exit::FELL_SHORT);
    }
    println!("all checks and tests passed{}", if untested.is_empty() { ", for every strategy" } else { "" });
    untested.show();
    Ok(exit::SUCCESS)
}

/// Runs steps, up to the first that fails. Returns whether all succeeded.
fn run_all(steps: Vec<Step>, checkout: &Path, without_docker: bool, cancel: &Cancel) -> Result<bool> {
    for step in steps {
        eprintln!("== {}: {}", step.name, step.words.join(" "));
        let began = Instant::now();
        if let Some(status) = failure(&step, checkout, without_docker, cancel)? {
            eprintln!("error: {} failed ({status})", step.name);
            return Ok(false);
        }
        eprintln!("   took {:.0} s", began.elapsed().as_secs_f64());
    }
    Ok(true)
}

/// Runs a step. Returns its exit status when it failed.
fn failure(
    step: &Step,
    checkout: &Path,
    without_docker: bool,
    cancel: &Cancel,
) -> Result<Option<std::process::ExitStatus>> {
    let mut command = Command::new(&step.words[0]);
    command.args(&step.words[1..]).current_dir(checkout).stdin(Stdio::null());
    if without_docker {
        command.env(WITHOUT_DOCKER, "1");
    }
    if std::env::var_os(TEST_THREADS).is_none() {
        command.env(TEST_THREADS, tests_at_once().to_string());
    }
    for name in std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| is_of_cargo_run(name))
    {
        command.env_remove(name);
    }
    let refused = |error| Error::Environment(format!("cannot start {}: {error}", step.words[0]));
    let mut said = tempfile::tempfile().map_err(refused)?;
    if step.is_quiet {
        command.stdout(said.try_clone().map_err(refused)?).stderr(said.try_clone().map_err(refused)?);
    }
    // In a new process group, so that an interruption reaches all of its child processes, also when only this process
    // received the signal.
    let mut child = command.process_group(0).spawn().map_err(refused)?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(refused)? {
            break status;
        }
        if cancel.is_cancelled() {
            // It may have ended meanwhile. Its children clean up before they end.
            let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGINT);
            child.wait().map_err(refused)?;
        }
        std::thread::sleep(TICK);
    };
    cancel.check()?;
    if status.code().is_some_and(|code| step.accepted.contains(&code)) {
        return Ok(None);
    }
    let mut text = Vec::new();
    said.rewind().and_then(|()| said.read_to_end(&mut text)).map_err(refused)?;
    eprint!("{}", String::from_utf8_lossy(&text));
    Ok(Some(status))
}

/// Whether `cargo run` sets this variable for a program. The build script of a dependency depends on some of them: cargo
/// would build that dependency again, and everything that uses it, when a step is started by this program.
fn is_of_cargo_run(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| variable.starts_with(prefix))
}

/// The steps that need no image.
fn compilations() -> Vec<Step> {
    let clippy =
        ["clippy", "--release", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];
    let tests = ["cargo", "test", "--release", "--workspace", "--quiet", "--no-run"];
    vec![
        Step::new("formatting", &["cargo", "fmt", "--all", "--check"]),
        Step::new("lints", &[&["cargo"], &clippy[..]].concat()),
        Step::new("compilation of the tests", &tests),
    ]
}

/// The steps after the compilation.
fn steps(without_docker: bool) -> Result<Vec<Step>> {
    let jobs = tests_at_once().to_string();
    // The tests of one file share a directory.
    let bats = ["bats", "--jobs", &jobs, "--no-parallelize-within-files", "sidecar/tests"];
    let mut steps = vec![Step::new("the sidecar's tests", &bats)];
    steps.extend(Scenario::shipped()?.iter().map(|scenario| plan(&scenario.name)));
    steps.push(Step::new("tests", &["cargo", "test", "--release", "--workspace"]));
    let benches =
        ["cargo", "bench", "--workspace", "--bench", "speed", "--profile", "release", "--", "--test"];
    steps.push(Step::new("benches, once each", &benches));
    // A separate directory, so that `latest` in the user's directory stays the user's own run.
    let directory = default_directory().with_file_name("drill-of-tests").display().to_string();
    for (words, _) in RUNS.iter().filter(|(_, needs_docker)| !(*needs_docker && without_docker)) {
        let run = ["cargo", "xtask", "run", "--size", "16MiB", "--repetitions", "1", "--dir", &directory];
        let words: Vec<&str> = run.into_iter().chain(words.split(' ')).collect();
        steps.push(Step::new("a short run", &words));
    }
    Ok(steps)
}

/// Checks that a shipped scenario can be planned, even when something is missing for its trials.
fn plan(scenario: &str) -> Step {
    let accepted = &[exit::SUCCESS as i32, exit::ENVIRONMENT as i32];
    let step = Step::new("a plan", &["cargo", "xtask", "plan", scenario]);
    Step { accepted, is_quiet: true, ..step }
}

/// What the tests skip on this machine.
struct Untested {
    /// The name for `--except`, what is not tested, and why.
    items: Vec<(&'static str, String, String)>,
    excepted: Vec<String>,
}

impl Untested {
    fn here(scope: &Scope, cancel: &Cancel) -> Result<Untested> {
        let directory = default_directory();
        let mut forecast = Forecast::new(&directory, cancel);
        let mut items = Vec::new();
        if scope.without_docker {
            let why = "--without-docker was given";
            forecast = forecast.without_docker(why);
            for what in ["containers and images", "the tracker as an application"] {
                items.push(("", what.to_owned(), why.to_owned()));
            }
        }
        for kind in FileSystem::MADE {
            let obstacle = forecast.file_system(kind)?;
            items.extend(obstacle.map(|why| (kind.name(), format!("trials on {}", kind.name()), why)));
        }
        for fault in fault::registry::all() {
            let why = fault.with_defaults().missing();
            items.extend(why.map(|why| (fault.name, format!("the fault {}", fault.name), why)));
        }
        let why = crash_states::missing();
        items.extend(why.map(|why| ("power-cut", "the states after a power cut".to_owned(), why)));
        for strategy in registry::all() {
            untested_strategy(strategy, &mut forecast, &mut items)?;
        }
        Ok(Untested { items, excepted: scope.except.clone() })
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn is_excepted(&self, name: &str) -> bool {
        self.excepted.iter().any(|excepted| excepted == name)
    }

    fn is_failure(&self) -> bool {
        self.items.iter().any(|(name, ..)| !self.is_excepted(name))
    }

    fn show(&self) {
        for (name, what, why) in &self.items {
            let excepted = if self.is_excepted(name) { " (excepted)" } else { "" };
            println!("NOT TESTED{excepted}: {what}: {why}");
        }
        for excepted in self.needless() {
            println!("'--except {excepted}' is not needed: {excepted} is tested here");
        }
    }

    /// Names that are excepted although they are tested.
    fn needless(&self) -> Vec<&str> {
        let is_needed = |excepted: &&str| self.items.iter().any(|(name, ..)| name == excepted);
        self.excepted.iter().map(String::as_str).filter(|excepted| !is_needed(excepted)).collect()
    }
}

/// Adds the engines on which no trial of a strategy can run here, on any file system.
fn untested_strategy(
    strategy: &'static StrategyEntry,
    forecast: &mut Forecast<'_>,
    items: &mut Vec<(&'static str, String, String)>,
) -> Result<()> {
    let (card, defaults) = (strategy.card(), strategy.with_defaults());
    for engine in ENGINES.iter().copied().filter(|engine| card.supports(*engine)) {
        let mut first = None;
        let mut is_tested = false;
        for file_system in std::iter::once(FileSystem::Disk).chain(FileSystem::MADE) {
            let needs = Needs::of_strategy(&defaults, engine, file_system);
            match forecast.of(&needs)? {
                Outlook::Unavailable(why) => first = first.or(Some(why)),
                Outlook::Ready | Outlook::ToGet(_) => {
                    is_tested = true;
                    break;
                }
            }
        }
        if let Some(why) = first.filter(|_| !is_tested) {
            items.push((card.name, format!("{} on {}", card.name, engine.name()), why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(without_docker: bool) -> Vec<String> {
        steps(without_docker).unwrap().iter().map(|step| step.words.join(" ")).collect()
    }

    #[test]
    fn every_shipped_scenario_is_planned_and_the_sidecar_and_short_runs_are_steps() {
        let (all, without) = (lines(false), lines(true));
        let scenarios = Scenario::shipped().unwrap();
        assert!(scenarios.len() > 10);
        for scenario in scenarios {
            let step = format!("cargo xtask plan {}", scenario.name);
            assert!(all.contains(&step) && without.contains(&step), "{step}");
        }
        assert!(all.iter().any(|line| line.starts_with("bats ") && line.ends_with(" sidecar/tests")));
        let runs = |lines: &[String]| lines.iter().filter(|line| line.starts_with("cargo xtask run")).count();
        assert_eq!((runs(&all), runs(&without)), (RUNS.len(), 1));
    }

    #[test]
    fn what_is_untested_fails_a_strict_test_unless_it_is_excepted() {
        let items =
            || vec![("lvm", "trials on lvm".to_owned(), "the kernel has no device-mapper".to_owned())];
        let untested = |excepted: &[&str]| {
            let excepted = excepted.iter().map(|name| (*name).to_owned()).collect();
            Untested { items: items(), excepted }
        };
        assert!(untested(&[]).is_failure() && untested(&["zfs"]).is_failure());
        assert!(!untested(&["zfs", "lvm"]).is_failure());
        assert_eq!(untested(&["zfs", "lvm"]).needless(), ["zfs"]);
        assert!(!Untested { items: Vec::new(), excepted: Vec::new() }.is_failure());
    }

    #[test]
    fn an_interruption_ends_a_step_and_is_not_a_failure_of_it() {
        let cancel = Cancel::default();
        cancel.cancel();
        let step = Step::new("a long one", &["sleep", "600"]);
        assert!(matches!(failure(&step, Path::new("."), false, &cancel), Err(Error::Interrupted)));
    }

    #[test]
    fn a_step_fails_by_its_exit_code_and_shows_what_it_printed() {
        let cancel = Cancel::default();
        let step = |code: &str| Step::new("a step", &["sh", "-c", &format!("exit {code}")]);
        assert_eq!(failure(&step("0"), Path::new("."), false, &cancel).unwrap(), None);
        assert!(failure(&step("4"), Path::new("."), false, &cancel).unwrap().is_some());
        let lenient = Step { accepted: &[0, 4], is_quiet: true, ..step("4") };
        assert_eq!(failure(&lenient, Path::new("."), false, &cancel).unwrap(), None);
        let step = Step::new("a step", &["no-such-command"]);
        let Err(Error::Environment(message)) = failure(&step, Path::new("."), false, &cancel) else {
            panic!("there is none")
        };
        assert!(message.starts_with("cannot start no-such-command"), "{message}");
    }
}
