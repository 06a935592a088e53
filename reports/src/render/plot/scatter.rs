//! A scatter plot on two logarithmic scales: one mark per strategy, with its name beside it.

use super::caption::Caption;
use super::label::{self, Placed, Wanted};
use super::scale::{LogScale, Quantity};
use super::svg::{Anchor, MARGIN, Rect, Svg, WIDTH};
use super::{mark, text};
use crate::compare::Spread;
use crate::record::Verdict;

pub(super) const LEFT: f64 = 72.0;
/// Space between the frame and the outermost points.
const PADDING: f64 = 28.0;
/// Radius of the largest bubble.
const BUBBLE_RADIUS: f64 = 27.0;
/// Radius of the ring where blocked time was not measured.
const UNKNOWN_RADIUS: f64 = mark::RADIUS + 4.0;
const FONT: f64 = 13.0;
const LABEL_WIDTH: f64 = 200.0;
/// Maximum width of labels for which there is no place otherwise.
const LABEL_WIDTH_CROWDED: f64 = 130.0;

/// An axis.
pub(super) struct Axis {
    pub label: String,
    pub quantity: Quantity,
    /// Whether 0 is shown even if no point is there.
    pub zero: bool,
}

/// A group of repetitions with a position in the plot.
pub(super) struct Point {
    pub name: String,
    /// How it differs from others with the same name; may be empty.
    pub detail: String,
    pub x: Spread,
    pub y: Spread,
    /// Blocked time in seconds: the area of its bubble. `None` where it was not measured.
    pub blocked: Option<f64>,
    pub verdict: Verdict,
}

/// A group that has no position in the plot, or did not restore, and is named below it.
pub(super) struct Absent {
    /// The reason: the beginning of the line that names it.
    pub why: &'static str,
    pub name: String,
    pub verdict: Verdict,
}

/// The points of one system under test.
pub(super) struct Panel {
    /// Empty where there is only one panel.
    pub heading: String,
    pub points: Vec<Point>,
    pub absent: Vec<Absent>,
}

/// A plot of one or more panels on the same scales.
pub(super) struct Scatter {
    pub title: String,
    pub subtitle: String,
    pub x: Axis,
    pub y: Axis,
    pub panels: Vec<Panel>,
}

impl Scatter {
    /// The plot as SVG; `None` without a point.
    pub(super) fn draw(&self, id: &str) -> Option<String> {
        self.points().next()?;
        let mut svg = Svg::default();
        let mut y = self.head(&mut svg);
        for panel in &self.panels {
            y = self.panel(&mut svg, panel, y);
        }
        Some(svg.finish(id, &self.title, &self.description(), y))
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.panels.iter().flat_map(|panel| &panel.points)
    }

    /// Title, subtitle and legends.
    fn head(&self, svg: &mut Svg) -> f64 {
        let y = text::head(svg, &self.title, &self.subtitle) + 26.0;
        mark::legend(svg, self.points().map(|point| point.verdict), (MARGIN, y));
        self.bubble_legend(svg, y)
    }

    /// Example bubbles with round values; nothing where there is no bubble.
    fn bubble_legend(&self, svg: &mut Svg, y: f64) -> f64 {
        let sizes = self.bubble_sizes();
        let has_unknown = self.points().any(|point| point.blocked.is_none());
        if sizes.is_empty() && !has_unknown {
            return y + 8.0;
        }
        let largest = sizes.last().map_or(UNKNOWN_RADIUS, |size| self.bubble(*size));
        let middle = y + 10.0 + largest;
        let words = "Ring area: time in which writes were blocked";
        svg.text("muted", Anchor::Start, (MARGIN, middle + 4.5), words);
        let mut x = MARGIN + text::width(words, FONT) + 14.0;
        let mut entry = |class: &str, radius: f64, words: &str| {
            svg.circle(class, (x + radius, middle), radius);
            svg.text("muted", Anchor::Start, (x + 2.0 * radius + 6.0, middle + 4.5), words);
            x += 2.0 * radius + 6.0 + text::width(words, FONT) + 14.0;
        };
        for size in sizes {
            entry("halo good", self.bubble(size), &Quantity::Time.tick(size));
        }
        if has_unknown {
            entry("halo unknown good", UNKNOWN_RADIUS, "unknown");
        }
        middle + largest + 6.0
    }

    /// The round times of the example bubbles, at most two; none where no bubble is larger than a mark.
    fn bubble_sizes(&self) -> Vec<f64> {
        let round = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 36e3, 86_400.0];
        let visible = |seconds: f64| self.bubble(seconds) > mark::RADIUS;
        if !self.points().any(|point| point.blocked.is_some_and(visible)) {
            return Vec::new();
        }
        let mut shown =
            round.into_iter().filter(|size| *size <= self.largest_bubble() && visible(*size)).rev();
        let large = shown.next();
        let small =
            shown.find(|size| large.is_some_and(|large| self.bubble(*size) < 0.62 * self.bubble(large)));
        small.into_iter().chain(large).collect()
    }

    /// The blocked time of the largest bubble in seconds: at least 1 s, so that very short times look short.
    fn largest_bubble(&self) -> f64 {
        let blocked = self.points().filter_map(|point| point.blocked);
        blocked.filter(|seconds| seconds.is_finite()).fold(1.0, f64::max)
    }

    /// The radius of a bubble: its area is proportional to the time.
    fn bubble(&self, seconds: f64) -> f64 {
        BUBBLE_RADIUS * (seconds / self.largest_bubble()).clamp(0.0, 1.0).sqrt()
    }

    fn panel(&self, svg: &mut Svg, panel: &Panel, top: f64) -> f64 {
        let mut y = top;
        if !panel.heading.is_empty() {
            y += 26.0;
            svg.text("heading", Anchor::Start, (MARGIN, y), &panel.heading);
        }
        if !panel.points.is_empty() {
            y = self.frame(svg, panel, y);
        }
        absent(svg, &panel.absent, y + 8.0) + 8.0
    }

    /// The frame with its axes and the points.
    fn frame(&self, svg: &mut Svg, panel: &Panel, top: f64) -> f64 {
        svg.text("muted", Anchor::Start, (MARGIN, top + 24.0), &self.y.label);
        svg.text("muted small", Anchor::End, (WIDTH - MARGIN, top + 24.0), "↙ lower left is better");
        let height = (190.0 + 22.0 * panel.points.len() as f64).min(460.0);
        let frame = Rect { x: LEFT, y: top + 34.0, width: WIDTH - LEFT - MARGIN, height };
        let x = LogScale::new(
            self.x.quantity,
            self.points().flat_map(|point| [point.x.min, point.x.max]),
            (frame.x + PADDING, frame.right() - PADDING),
            self.x.zero,
        );
        let y = LogScale::new(
            self.y.quantity,
            self.points().flat_map(|point| [point.y.min, point.y.max]),
            (frame.bottom() - PADDING, frame.y + PADDING),
            self.y.zero,
        );
        grid(svg, frame, &x, &y);
        svg.text("muted", Anchor::End, (frame.right(), frame.bottom() + 36.0), &self.x.label);
        let places: Vec<(f64, f64)> =
            panel.points.iter().map(|point| (x.place(point.x.median), y.place(point.y.median))).collect();
        for (point, at) in panel.points.iter().zip(&places) {
            self.mark(svg, point, *at, &x, &y);
        }
        let crowded = self.labels(svg, &panel.points, &places, frame);
        let bottom = frame.bottom() + 36.0;
        if crowded.is_empty() {
            return bottom;
        }
        let listed: Vec<String> = crowded.into_iter().map(|point| self.in_words(point)).collect();
        paragraph(svg, &format!("No room for the labels of: {}", listed.join("; ")), MARGIN, bottom + 8.0)
    }

    fn mark(&self, svg: &mut Svg, point: &Point, at: (f64, f64), x: &LogScale, y: &LogScale) {
        let colour = mark::colour(point.verdict);
        svg.group(&self.in_words(point), |svg| {
            match point.blocked {
                Some(seconds) if self.bubble(seconds) > mark::RADIUS => {
                    svg.circle(&format!("halo {colour}"), at, self.bubble(seconds));
                }
                Some(_) => {}
                None => svg.circle(&format!("halo unknown {colour}"), at, UNKNOWN_RADIUS),
            }
            if point.x.min < point.x.max {
                let ends = (x.place(point.x.min), x.place(point.x.max));
                svg.line(&format!("line thin {colour}"), (ends.0, at.1), (ends.1, at.1));
            }
            if point.y.min < point.y.max {
                let ends = (y.place(point.y.min), y.place(point.y.max));
                svg.line(&format!("line thin {colour}"), (at.0, ends.0), (at.0, ends.1));
            }
            mark::draw(svg, point.verdict, at);
        });
    }

    /// Writes the names beside the points. Returns the points whose names do not fit.
    fn labels<'a>(
        &self,
        svg: &mut Svg,
        points: &'a [Point],
        places: &[(f64, f64)],
        frame: Rect,
    ) -> Vec<&'a Point> {
        let mut captions: Vec<Caption> =
            points.iter().map(|point| Caption::new(&point.name, &point.detail, LABEL_WIDTH)).collect();
        let mut placed = self.places(points, places, &captions, frame);
        for (index, point) in points.iter().enumerate().filter(|(index, _)| placed[*index].is_none()) {
            captions[index] = Caption::new(&point.name, &point.detail, LABEL_WIDTH_CROWDED);
        }
        if placed.contains(&None) {
            placed = self.places(points, places, &captions, frame);
        }
        for ((placed, at), caption) in placed.iter().zip(places).zip(&captions) {
            if let Some(placed) = placed {
                caption.write(svg, placed, *at);
            }
        }
        points.iter().zip(&placed).filter(|(_, placed)| placed.is_none()).map(|(point, _)| point).collect()
    }

    fn places(
        &self,
        points: &[Point],
        places: &[(f64, f64)],
        captions: &[Caption],
        frame: Rect,
    ) -> Vec<Option<Placed>> {
        let wanted = points.iter().zip(places).zip(captions).map(|((point, at), caption)| {
            let bubble = point.blocked.map_or(UNKNOWN_RADIUS, |seconds| self.bubble(seconds));
            caption.wanted(*at, mark::RADIUS + 1.0, bubble)
        });
        label::place(&wanted.collect::<Vec<Wanted>>(), frame)
    }

    fn in_words(&self, point: &Point) -> String {
        let range = |spread: &Spread, quantity: Quantity| {
            let (median, min, max) =
                (quantity.value(spread.median), quantity.value(spread.min), quantity.value(spread.max));
            if min == max { median } else { format!("{median} ({min} to {max})") }
        };
        let blocked =
            point.blocked.map_or("not measured".to_string(), |seconds| Quantity::Time.value(seconds));
        format!(
            "{}: {}; {} {}; {} {}; writes blocked {blocked}",
            full_name(point),
            mark::words(point.verdict),
            self.y.label.to_lowercase(),
            range(&point.y, self.y.quantity),
            self.x.label.to_lowercase(),
            range(&point.x, self.x.quantity),
        )
    }

    fn description(&self) -> String {
        let mut sentences = vec![self.subtitle.clone()];
        for panel in &self.panels {
            if !panel.heading.is_empty() {
                sentences.push(format!("{}.", panel.heading));
            }
            sentences.extend(panel.points.iter().map(|point| self.in_words(point) + "."));
            sentences.extend(panel.absent.iter().map(|absent| format!("{}: {}.", absent.why, absent.name)));
        }
        sentences.join(" ")
    }
}

fn full_name(point: &Point) -> String {
    if point.detail.is_empty() { point.name.clone() } else { format!("{}, {}", point.name, point.detail) }
}

/// Draws grid, ticks, and the break between 0 and the rest of the axis.
pub(super) fn grid(svg: &mut Svg, frame: Rect, x: &LogScale, y: &LogScale) {
    if let Some(at) = y.axis_break() {
        svg.rect("band", Rect { y: at, height: frame.bottom() - at, ..frame });
        for shift in [-2.5, 2.5] {
            svg.line("axis", (frame.x - 5.0, at + shift + 2.0), (frame.x + 5.0, at + shift - 2.0));
        }
    }
    for tick in y.ticks() {
        svg.line("grid", (frame.x, tick.at), (frame.right(), tick.at));
        svg.text("muted", Anchor::End, (frame.x - 9.0, tick.at + 4.5), &tick.label);
    }
    if let Some(at) = x.axis_break() {
        svg.rect("band", Rect { width: at - frame.x, ..frame });
        for shift in [-2.5, 2.5] {
            svg.line(
                "axis",
                (at + shift - 2.0, frame.bottom() + 5.0),
                (at + shift + 2.0, frame.bottom() - 5.0),
            );
        }
    }
    for tick in x.ticks() {
        svg.line("grid", (tick.at, frame.y), (tick.at, frame.bottom()));
        svg.text("muted", Anchor::Middle, (tick.at, frame.bottom() + 18.0), &tick.label);
    }
    svg.line("axis", (frame.x, frame.bottom()), (frame.right(), frame.bottom()));
}

/// Names the groups below the plot, one paragraph per reason.
fn absent(svg: &mut Svg, absent: &[Absent], top: f64) -> f64 {
    let mut y = top;
    let mut reasons: Vec<(&str, Verdict)> = Vec::new();
    for one in absent {
        if !reasons.iter().any(|(why, _)| *why == one.why) {
            reasons.push((one.why, one.verdict));
        }
    }
    for (why, verdict) in reasons {
        let names: Vec<&str> =
            absent.iter().filter(|one| one.why == why).map(|one| one.name.as_str()).collect();
        mark::draw(svg, verdict, (MARGIN + mark::RADIUS, y + 13.5));
        y = paragraph(svg, &format!("{why}: {}", names.join("; ")), MARGIN + 20.0, y);
        y += 5.0;
    }
    y
}

/// Writes wrapped text from this position on. Returns the position of its last line.
fn paragraph(svg: &mut Svg, words: &str, x: f64, top: f64) -> f64 {
    let mut y = top;
    for line in text::wrap(words, FONT, WIDTH - MARGIN - x) {
        y += 18.0;
        svg.text("muted", Anchor::Start, (x, y), &line);
    }
    y
}
