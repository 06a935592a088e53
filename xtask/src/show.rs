//! Progress during a run, and the table at its end.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use harness::run::RESULTS;
use indicatif::{ProgressBar, ProgressStyle};
use machine::event::{Event, Status};
use machine::removal::Leftover;
use machine::this_program;
use machine::workspace::KEPT;
use reports::compare::without_faults;
use reports::printable;
use reports::record::{Kept, Results, Trial};
use reports::render::comparison::raw;
use reports::render::faults::faults;
use reports::render::{PAGE, REPORT, number, words};

use crate::arguments::output::Output;
use crate::format::Format;

/// Shows progress: one changing line on a terminal, otherwise plain lines.
pub struct Progress {
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    heading: String,
    phase: &'static str,
    said: Option<Instant>,
    ends: Option<Instant>,
}

/// Without a terminal, the progress of a long step is printed this often.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// What to show besides results; set once, when the command line is read.
static OUTPUT: OnceLock<Output> = OnceLock::new();

/// Sets what to show besides results.
pub fn set_output(output: Output) {
    OUTPUT.get_or_init(|| output);
}

fn output() -> Output {
    OUTPUT.get().copied().unwrap_or_default()
}

impl Progress {
    pub fn new() -> Progress {
        Progress::changing(std::io::stderr().is_terminal())
    }

    /// In lines, also on a terminal: for progress beside the output of other programs.
    pub fn in_lines() -> Progress {
        Progress::changing(false)
    }

    fn changing(is_changing: bool) -> Progress {
        let Output { quiet, verbose, no_progress } = output();
        let is_changing = is_changing && !(quiet || verbose || no_progress);
        let bar = is_changing.then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(
                ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is valid"),
            );
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Progress { bar, state: Mutex::default() }
    }

    pub fn show(&self, event: Event<'_>) {
        let mut state = self.state.lock().expect("no thread panics while it holds the state");
        match event {
            Event::Note(note) => self.line(&note),
            Event::Generating { profile, target_bytes, bytes } => {
                let size = ByteSize(target_bytes);
                let text = format!("generating {} ({} of {size})", profile, ByteSize(bytes));
                self.step(&mut state, "generating", text);
            }
            Event::Preparing(what) => {
                state.phase = "";
                self.step(&mut state, "preparing", what);
            }
            Event::TrialStarted { number, of, id, seconds_left } => {
                state.heading = format!("[{number}/{of}] {id}");
                state.phase = "";
                state.ends = Some(Instant::now() + Duration::from_secs_f64(seconds_left));
                if self.bar.is_none() {
                    self.line(&format!("{}, {} left", state.heading, left(&state)));
                }
            }
            Event::Status(status) => {
                let text = format!("{} | {}, {} left", state.heading, status_text(&status), left(&state));
                self.step(&mut state, status.phase, text);
            }
            Event::TrialFinished(trial) => self.line(&finished(trial)),
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Shows a step: at once on a terminal, otherwise when it is new or has lasted for a while.
    fn step(&self, state: &mut State, phase: &'static str, text: String) {
        let text = printable(&text);
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None if output().no_progress => {}
            None if state.phase != phase || state.said.is_none_or(|said| said.elapsed() > SAY_EVERY) => {
                self.line(&text);
                state.phase = phase;
                state.said = Some(Instant::now());
            }
            None => {}
        }
    }

    fn line(&self, text: &str) {
        let text = printable(text);
        match &self.bar {
            Some(bar) => bar.println(text),
            None if output().quiet => {}
            None => eprintln!("{text}"),
        }
    }
}

fn status_text(status: &Status) -> String {
    let mut parts = vec![format!("{} {}", status.phase, number::duration(status.seconds.floor()))];
    if let Some(bytes) = status.artifact_bytes {
        parts.push(number::bytes(bytes as f64));
    }
    if let Some(remaining) = status.backup_remaining {
        parts.push(format!("{:.0} % remain", remaining * 100.0));
    }
    if let Some(rate) = status.writes_per_second {
        parts.push(format!("{rate:.0} writes/s"));
    }
    parts.join(", ")
}

/// The estimated time for the rest of the run.
fn left(state: &State) -> String {
    let left = state.ends.map_or(Duration::ZERO, |ends| ends.saturating_duration_since(Instant::now()));
    format!("about {}", number::duration(left.as_secs_f64()))
}

fn finished(trial: &Trial) -> String {
    format!("  {:12} {}: {}", words::verdict(trial.verdict), trial.id, brief(&trial.reason))
}

/// A reason on one line: its first line says what happened, and its last line is usually the tool's cause. The report
/// has all lines.
fn brief(reason: &str) -> String {
    let mut lines = reason.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or("");
    lines.next_back().map_or(first.to_owned(), |last| format!("{first} … {last}"))
}

/// Prints the comparison of a run, then the seed and the paths of the results.
pub fn results(results: &Results, directory: &Path) {
    comparison(results, Format::Table);
    println!("seed {}", results.run.seed);
    for name in [REPORT, PAGE] {
        println!("{}", directory.join(name).display());
    }
    println!("{}", directory.join(RESULTS).display());
}

/// Prints the comparison of a run: tables for people, one list of rows for programs.
pub fn comparison(results: &Results, format: Format) {
    if let Format::Json | Format::Csv = format {
        println!("{}", format.of(&raw(results)));
        return;
    }
    let good_days = without_faults(results);
    let blocks = good_days.as_deref().map(reports::render::comparison::comparison).unwrap_or_default();
    let texts = blocks.into_iter().map(|block| {
        let title = if block.title.is_empty() { String::new() } else { format!("{}: ", block.title) };
        format!("{}\n\n{}\n", format.text(&(title + &block.shared)), format.of(&block.table))
    });
    let faults = faults(&results.trials);
    let faults =
        faults.map(|found| format!("{}\n\n{}\n", format.text(&found.summary), format.of(&found.details)));
    println!("{}", texts.chain(faults).collect::<Vec<_>>().join("\n"));
}

/// Prints where the evidence of a run is, and how to use it.
pub fn kept(results: &Results, directory: &Path) {
    let kept: Vec<&Kept> = results.trials.iter().filter_map(|trial| trial.kept.as_ref()).collect();
    let there = kept.iter().filter(|kept| kept.path.is_some()).count();
    if there > 0 && !output().quiet {
        let bytes = ByteSize(kept.iter().map(|kept| kept.bytes).sum());
        let place = directory.join(KEPT);
        eprintln!(
            "kept evidence of {there} trial(s), {bytes}, in {}; to verify it again: {} judge {}",
            place.display(),
            this_program::name(),
            directory.display()
        );
    }
}

/// Prints what could not be removed from this machine, why, and what to do about it.
pub fn leftovers(leftovers: &[Leftover]) {
    for leftover in leftovers {
        eprintln!("{}, then run '{} clean'", printable(&leftover.to_string()), this_program::name());
    }
}
