//! A trial over time: its phases as bands, with one panel for each sampled quantity.

use super::naming;
use super::scale::{LinearScale, LogScale, Quantity};
use super::scatter::LEFT;
use super::svg::{Anchor, MARGIN, Rect, Svg, WIDTH};
use super::text;
use crate::record::{Sample, Trial};
use crate::render::{conditions, number};

/// Space at the right for the names of lines.
const RIGHT: f64 = 98.0;
const PANEL_HEIGHT: f64 = 66.0;
/// Where there are more samples than this, only the largest of neighbouring samples is shown.
const POINTS_MAX: usize = 400;
const LINES: [&str; 3] = ["line first", "line second dashed thin", "line third dotted"];

/// Values over time in seconds; `None` where nothing was measured.
type Course = Vec<(f64, Option<f64>)>;

/// The scale of a panel, and the format of its values.
#[derive(Clone, Copy)]
enum Kind {
    /// Linear from 0 to the largest value, with the format of that value.
    Linear(fn(f64) -> String),
    /// A share from 0 to 100 %.
    Share,
    /// Seconds on a logarithmic scale.
    Latency,
}

struct Panel {
    title: &'static str,
    kind: Kind,
    /// The lines with their names; a single line may have an empty name.
    lines: Vec<(&'static str, Course)>,
}

/// The trial as SVG; `None` without samples.
pub(super) fn draw(trial: &Trial, id: &str) -> Option<String> {
    let panels: Vec<Panel> = panels(&trial.samples).into_iter().filter_map(Panel::measured).collect();
    if panels.is_empty() {
        return None;
    }
    let frame = Rect { x: LEFT, y: 0.0, width: WIDTH - LEFT - RIGHT, height: 0.0 };
    let time = LinearScale::new([end(trial)], (frame.x, frame.right()));
    let mut svg = Svg::default();
    let title = format!("What happened in this trial of {}?", conditions::strategy(trial));
    let top = text::head(&mut svg, &title, &subtitle(trial)) + 10.0;
    let names_bottom =
        top + 16.0 * phase_rows(trial, &time).iter().map(|(_, row)| row + 1).max().unwrap_or(0) as f64;
    let bottom = names_bottom + 8.0 + panels.len() as f64 * (PANEL_HEIGHT + 30.0);
    phases(&mut svg, trial, &time, (top, names_bottom, bottom));
    fault(&mut svg, trial, &time, (names_bottom, bottom));
    let mut y = names_bottom + 8.0;
    for panel in &panels {
        let frame = Rect { y: y + 24.0, height: PANEL_HEIGHT, ..frame };
        panel.draw(&mut svg, frame, &time);
        y = frame.bottom() + 6.0;
    }
    time_axis(&mut svg, &time, bottom);
    Some(svg.finish(id, &title, &description(trial, &panels), bottom + 48.0))
}

fn end(trial: &Trial) -> f64 {
    let samples = trial.samples.iter().map(|sample| sample.at_seconds);
    let phases = trial.phases.iter().map(|phase| phase.at_seconds);
    samples.chain(phases).filter(|seconds| seconds.is_finite()).fold(0.0, f64::max)
}

fn subtitle(trial: &Trial) -> String {
    let fault = trial.fault.as_ref().map_or(String::new(), |fault| format!(" Fault: {}.", fault.label));
    let variant = conditions::strategy(trial);
    let variant = variant.strip_prefix(&trial.strategy).unwrap_or_default().trim();
    let variant = if variant.is_empty() { String::new() } else { format!("{variant}. ") };
    format!(
        "{variant}{}, {}, {}: {}.{fault}",
        naming::capitalised(&conditions::subject(trial)),
        conditions::size(trial),
        naming::writes(trial),
        trial.verdict
    )
}

/// The phases in order, with start and end. Phases without a finite start time are left out.
fn spans(trial: &Trial) -> Vec<(&str, f64, f64)> {
    let finite = trial.phases.iter().filter(|phase| phase.at_seconds.is_finite());
    let mut starts: Vec<(&str, f64)> = finite.map(|phase| (phase.phase.as_str(), phase.at_seconds)).collect();
    starts.sort_by(|a, b| a.1.total_cmp(&b.1));
    let ends = starts.iter().skip(1).map(|(_, at)| *at).chain([end(trial)]);
    starts.iter().zip(ends).map(|((name, start), end)| (*name, *start, end)).collect()
}

/// Position and row of the name of each phase: the first row in which it does not overlap the previous name.
fn phase_rows(trial: &Trial, time: &LinearScale) -> Vec<(f64, usize)> {
    let mut rows: Vec<f64> = Vec::new();
    let places = spans(trial).into_iter().map(|(name, start, _)| {
        let width = text::width(name, 12.0) + 10.0;
        let x = time.place(start).min(WIDTH - MARGIN - width);
        let row = rows.iter().position(|end| *end <= x).unwrap_or(rows.len());
        rows.resize(rows.len().max(row + 1), f64::NEG_INFINITY);
        rows[row] = x + width;
        (x, row)
    });
    places.collect()
}

/// Draws the phases: every other phase is a band, and each begins with a line at its name. The line of the disaster
/// is highlighted.
fn phases(svg: &mut Svg, trial: &Trial, time: &LinearScale, (top, names_bottom, bottom): (f64, f64, f64)) {
    let spans = spans(trial);
    let places: Vec<(f64, f64)> =
        spans.iter().map(|(_, start, end)| (time.place(*start), time.place(*end))).collect();
    for (x, end) in places.iter().skip(1).step_by(2) {
        svg.rect(
            "band",
            Rect { x: *x, y: names_bottom + 6.0, width: end - x, height: bottom - names_bottom - 6.0 },
        );
    }
    for ((name, _, _), ((x, _), (text_x, row))) in
        spans.iter().zip(places.iter().zip(phase_rows(trial, time)))
    {
        let y = top + 16.0 * row as f64 + 12.0;
        if *name == "disaster" {
            svg.line("event", (*x, y - 9.0), (*x, bottom));
        } else {
            svg.line("grid", (*x, y - 9.0), (*x, bottom));
        }
        let class = if *name == "disaster" { "label small" } else { "label muted small" };
        svg.text(class, Anchor::Start, (text_x + 3.0, y), name);
    }
}

/// Marks the moment at which the fault struck.
fn fault(svg: &mut Svg, trial: &Trial, time: &LinearScale, (names_bottom, bottom): (f64, f64)) {
    let struck = trial.fault.as_ref().and_then(|fault| fault.struck_at_seconds);
    if let Some(at) = struck.filter(|at| at.is_finite()) {
        let x = time.place(at);
        svg.line("event dashed", (x, names_bottom + 2.0), (x, bottom));
        svg.text("label small", Anchor::Start, (x.min(WIDTH - RIGHT) + 3.0, names_bottom + 14.0), "fault");
    }
}

fn time_axis(svg: &mut Svg, time: &LinearScale, y: f64) {
    let steps =
        [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0];
    let step = steps.into_iter().chain((0..40).map(|power| 86_400.0 * 2f64.powi(power)));
    let step = step.into_iter().find(|step| time.high() / step <= 7.0).unwrap_or(time.high());
    svg.line("axis", (time.place(0.0), y), (time.place(time.high()), y));
    for count in 0..=(time.high() / step) as usize {
        let seconds = count as f64 * step;
        let x = time.place(seconds);
        svg.line("axis", (x, y), (x, y + 4.0));
        svg.text("muted", Anchor::Middle, (x, y + 18.0), &clock(seconds, step));
    }
    svg.text("muted", Anchor::End, (time.place(time.high()), y + 36.0), "Time since the trial began");
}

/// A time in the unit of the steps of its axis.
fn clock(seconds: f64, step: f64) -> String {
    let (unit, name) = match step {
        days if days >= 86_400.0 => (86_400.0, "d"),
        hours if hours >= 3600.0 => (3600.0, "h"),
        minutes if minutes >= 60.0 => (60.0, "min"),
        _ => (1.0, "s"),
    };
    if seconds == 0.0 {
        "0".to_string()
    } else {
        format!("{} {name}", (seconds / unit * 10.0).round() / 10.0)
    }
}

fn level(samples: &[Sample], value: fn(&Sample) -> Option<f64>) -> Course {
    samples.iter().map(|sample| (sample.at_seconds, value(sample))).collect()
}

/// Durations that were sampled in milliseconds, in seconds.
fn milliseconds(samples: &[Sample], value: fn(&Sample) -> Option<f64>) -> Course {
    level(samples, value).into_iter().map(|(at, value)| (at, value.map(|ms| ms / 1000.0))).collect()
}

fn panels(samples: &[Sample]) -> Vec<Panel> {
    [panels_of_the_trial(samples), panels_of_the_machine(samples)].into_iter().flatten().collect()
}

/// What the application and the backup did.
fn panels_of_the_trial(samples: &[Sample]) -> Vec<Panel> {
    vec![
        Panel {
            title: "Acknowledged writes per second",
            kind: Kind::Linear(|rate| number::rate(rate).replace(" /s", "")),
            lines: vec![("", rates(samples, |sample| Some(sample.acknowledged_writes as f64)))],
        },
        Panel {
            title: "Write latency",
            kind: Kind::Latency,
            lines: vec![
                ("max", milliseconds(samples, |sample| sample.latency_max_ms)),
                ("p99", milliseconds(samples, |sample| sample.latency_p99_ms)),
                ("p50", milliseconds(samples, |sample| sample.latency_p50_ms)),
            ],
        },
        Panel {
            title: "Backup left to do",
            kind: Kind::Share,
            lines: vec![("", level(samples, |sample| sample.backup_remaining))],
        },
        Panel {
            title: "Size of the backup",
            kind: Kind::Linear(number::bytes),
            lines: vec![("", level(samples, |sample| Some(sample.artifact_bytes? as f64)))],
        },
        Panel {
            title: "Size of the database's log or journal",
            kind: Kind::Linear(number::bytes),
            lines: vec![("", level(samples, |sample| Some(sample.journal_bytes? as f64)))],
        },
    ]
}

/// What that took of the machine.
fn panels_of_the_machine(samples: &[Sample]) -> Vec<Panel> {
    vec![
        Panel {
            title: "Processor cores in use",
            kind: Kind::Linear(number::ratio),
            lines: vec![
                ("strategy", rates(samples, |sample| sample.strategy_cpu_seconds)),
                ("database", rates(samples, |sample| sample.subject_cpu_seconds)),
                ("harness", rates(samples, |sample| sample.harness_cpu_seconds)),
            ],
        },
        Panel {
            title: "Disk reads and writes per second",
            kind: Kind::Linear(number::bytes),
            lines: vec![
                (
                    "strategy",
                    rates(samples, |sample| {
                        sum(sample.strategy_disk_bytes_read, sample.strategy_disk_bytes_written)
                    }),
                ),
                (
                    "database",
                    rates(samples, |sample| {
                        sum(sample.subject_disk_bytes_read, sample.subject_disk_bytes_written)
                    }),
                ),
                (
                    "harness",
                    rates(samples, |sample| {
                        sum(sample.harness_disk_bytes_read, sample.harness_disk_bytes_written)
                    }),
                ),
            ],
        },
        Panel {
            title: "Duration of the disk's writes and flushes, mean",
            kind: Kind::Latency,
            lines: vec![
                ("flush", milliseconds(samples, |sample| sample.disk_flush_ms)),
                ("write", milliseconds(samples, |sample| sample.disk_write_ms)),
            ],
        },
        Panel {
            title: "Page cache not yet written to disk",
            kind: Kind::Linear(number::bytes),
            lines: vec![("", level(samples, |sample| Some(sample.unwritten_bytes? as f64)))],
        },
    ]
}

fn sum(read: Option<u64>, written: Option<u64>) -> Option<f64> {
    Some(read? as f64 + written? as f64)
}

/// The growth of a counter per second, from sample to sample. Where a counter fell, it covers other processes than
/// before, so the rate is unknown.
fn rates(samples: &[Sample], counter: impl Fn(&Sample) -> Option<f64>) -> Course {
    samples
        .windows(2)
        .map(|pair| {
            let seconds = pair[1].at_seconds - pair[0].at_seconds;
            let grown = counter(&pair[1]).zip(counter(&pair[0])).map(|(now, before)| now - before);
            (
                pair[1].at_seconds,
                grown.filter(|grown| *grown >= 0.0 && seconds > 0.0).map(|grown| grown / seconds),
            )
        })
        .collect()
}

impl Panel {
    /// The panel with only the lines that have measurements, thinned; `None` where no line has any.
    fn measured(mut self) -> Option<Panel> {
        for (_, course) in &mut self.lines {
            *course = thinned(course);
        }
        self.lines.retain(|(_, course)| course.iter().any(|(_, value)| value.is_some()));
        (!self.lines.is_empty()).then_some(self)
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.lines.iter().flat_map(|(_, course)| course.iter().filter_map(|(_, value)| *value))
    }

    fn draw(&self, svg: &mut Svg, frame: Rect, time: &LinearScale) {
        svg.text("label", Anchor::Start, (MARGIN, frame.y - 8.0), self.title);
        let pixels = (frame.bottom() - 4.0, frame.y + 6.0);
        let place: Box<dyn Fn(f64) -> f64> = match self.kind {
            Kind::Share => {
                let scale = LinearScale::new([1.0], pixels);
                tick(svg, frame, scale.place(0.0), "0");
                tick(svg, frame, scale.place(1.0), "100 %");
                Box::new(move |value| scale.place(value))
            }
            Kind::Linear(words) => {
                let scale = LinearScale::new(self.values(), pixels);
                let (zero, high) = (scale.place(0.0), scale.place(scale.high()));
                for (y, words) in [(zero, "0".to_string()), (high, words(scale.high()))] {
                    tick(svg, frame, y, &words);
                }
                Box::new(move |value| scale.place(value))
            }
            Kind::Latency => {
                let scale = LogScale::new(Quantity::Time, self.values(), pixels, false);
                let ticks = scale.ticks();
                for tick_at in [ticks.first(), ticks.last()].into_iter().flatten() {
                    tick(svg, frame, tick_at.at, &tick_at.label);
                }
                Box::new(move |value| scale.place(value))
            }
        };
        for ((at, class), (name, course)) in LINES.into_iter().enumerate().zip(&self.lines) {
            for run in runs(course) {
                let points: Vec<(f64, f64)> =
                    run.iter().map(|(seconds, value)| (time.place(*seconds), place(*value))).collect();
                match points.as_slice() {
                    [alone] => svg.circle(&class.replace("line ", "dot "), *alone, 2.2),
                    points => svg.polyline(class, points),
                }
            }
            if !name.is_empty() {
                let (x, y) = (frame.right() + 8.0, frame.y + 14.0 + 18.0 * at as f64);
                svg.line(class, (x, y - 4.0), (x + 16.0, y - 4.0));
                svg.text("muted", Anchor::Start, (x + 22.0, y), name);
            }
        }
    }
}

fn tick(svg: &mut Svg, frame: Rect, y: f64, words: &str) {
    svg.line("grid", (frame.x, y), (frame.right(), y));
    svg.text("muted small", Anchor::End, (frame.x - 8.0, y + 4.0), words);
}

/// Finite values only. Where there are too many, the largest of each group of neighbouring values.
fn thinned(course: &Course) -> Course {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    course
        .chunks(course.len().div_ceil(POINTS_MAX).max(1))
        .filter(|chunk| chunk[0].0.is_finite())
        .map(|chunk| (chunk[0].0, chunk.iter().filter_map(|(_, value)| finite(*value)).reduce(f64::max)))
        .collect()
}

/// The parts of a course without gaps.
fn runs(course: &Course) -> Vec<Vec<(f64, f64)>> {
    course
        .split(|(_, value)| value.is_none())
        .map(|run| run.iter().filter_map(|(at, value)| Some((*at, (*value)?))).collect::<Vec<_>>())
        .filter(|run| !run.is_empty())
        .collect()
}

fn description(trial: &Trial, panels: &[Panel]) -> String {
    let spans: Vec<String> = spans(trial)
        .into_iter()
        .map(|(name, start, end)| {
            format!("{name} from {} to {}", number::seconds(start), number::seconds(end))
        })
        .collect();
    let shown: Vec<String> = panels
        .iter()
        .map(|panel| {
            let high = panel.values().fold(0.0, f64::max);
            let words = match panel.kind {
                Kind::Linear(words) => words(high),
                Kind::Share => number::percent(high),
                Kind::Latency => number::seconds(high),
            };
            format!("{} (at most {words})", panel.title.to_lowercase())
        })
        .collect();
    format!("Phases: {}. Shown over time: {}.", spans.join(", "), shown.join(", "))
}
