//! Measured points and the curves of a model, on two logarithmic scales.

use super::caption::Caption;
use super::label::{self, Wanted};
use super::mark;
use super::scale::{LogScale, Quantity};
use super::scatter::{LEFT, grid};
use super::svg::{Anchor, MARGIN, Rect, Svg, WIDTH};
use super::text;
use crate::compare::Spread;
use crate::record::Verdict;

/// Space at the right for the names of lines.
const RIGHT: f64 = 168.0;
const HEIGHT_MIN: f64 = 250.0;
/// Number of segments of a curve.
const PIECES: usize = 160;
/// A curve is shown up to this multiple of the longest measured time; larger predictions are outside the plot.
const REACH: f64 = 10.0;
const HUES: usize = 6;

/// One strategy.
pub(super) struct Line<'a> {
    pub name: String,
    pub detail: String,
    /// The measurements: position and spread.
    pub points: Vec<(f64, Spread)>,
    /// The positions at which the backup never finished.
    pub never: Vec<f64>,
    /// The prediction of the model at a position; `None` where there is none, or the backup never finishes.
    pub model: Box<dyn Fn(f64) -> Option<f64> + 'a>,
}

/// A panel of lines with its own scales.
pub(super) struct Panel<'a> {
    pub heading: String,
    pub y_label: &'static str,
    pub lines: Vec<Line<'a>>,
}

/// Panels below each other.
pub(super) struct Chart<'a> {
    pub title: String,
    pub subtitle: String,
    pub x_label: &'static str,
    pub x: Quantity,
    /// The factor by which the scale extends beyond the largest measured position.
    pub beyond: f64,
    pub panels: Vec<Panel<'a>>,
}

impl Chart<'_> {
    /// The chart as SVG; `None` without any measurement and without any backup that never finished.
    pub(super) fn draw(&self, id: &str) -> Option<String> {
        let drawn = |panel: &&Panel<'_>| panel.lines.iter().any(Line::is_measured);
        self.panels.iter().find(drawn)?;
        let mut svg = Svg::default();
        let mut y = text::head(&mut svg, &self.title, &self.subtitle);
        for panel in self.panels.iter().filter(drawn) {
            y = self.panel(&mut svg, panel, y + 8.0);
        }
        Some(svg.finish(id, &self.title, &self.description(), y + 14.0))
    }

    fn panel(&self, svg: &mut Svg, panel: &Panel<'_>, top: f64) -> f64 {
        let mut y = top;
        if !panel.heading.is_empty() {
            y += 22.0;
            svg.text("heading", Anchor::Start, (MARGIN, y), &panel.heading);
        }
        y += 22.0;
        svg.text("muted", Anchor::Start, (MARGIN, y), panel.y_label);
        let frame = Rect { x: LEFT, y: y + 12.0, width: WIDTH - LEFT - RIGHT, height: panel.height() };
        let frame = self.never(svg, panel, frame);
        let x = self.x_scale(frame);
        let y = panel.y_scale(&x, frame);
        grid(svg, frame, &x, &y);
        let mut ends = Vec::new();
        for (index, line) in panel.lines.iter().enumerate() {
            let hue = format!("hue-{}", index % HUES);
            let curve_end = line.curve(svg, &hue, &x, &y);
            line.marks(svg, &hue, &x, &y);
            let last = line.points.last().map(|(place, value)| (x.place(*place), y.place(value.median)));
            ends.extend(
                curve_end.or(last).map(|end| (end, Caption::new(&line.name, &line.detail, RIGHT - 20.0))),
            );
        }
        captions(svg, panel, ends, (&x, &y), frame);
        svg.text("muted", Anchor::End, (frame.right(), frame.bottom() + 36.0), self.x_label);
        frame.bottom() + 40.0
    }

    fn x_scale(&self, frame: Rect) -> LogScale {
        let lines = || self.panels.iter().flat_map(|panel| &panel.lines);
        let places = lines()
            .flat_map(|line| line.points.iter().map(|(place, _)| *place).chain(line.never.iter().copied()));
        let places: Vec<f64> = places.filter(|place| place.is_finite()).collect();
        let largest = places.iter().copied().fold(0.0, f64::max);
        let reach = (self.beyond > 1.0).then_some(largest * self.beyond);
        LogScale::new(self.x, places.into_iter().chain(reach), (frame.x + 12.0, frame.right() - 12.0), false)
    }

    /// Draws rows above the frame, with a mark at each position where a backup never finished. Returns the frame
    /// below.
    fn never(&self, svg: &mut Svg, panel: &Panel<'_>, frame: Rect) -> Rect {
        let rows: Vec<&Line<'_>> = panel.lines.iter().filter(|line| !line.never.is_empty()).collect();
        if rows.is_empty() {
            return frame;
        }
        let captions: Vec<Caption> =
            rows.iter().map(|line| Caption::new(&line.name, &line.detail, RIGHT - 14.0)).collect();
        let height = captions.iter().map(|caption| caption.height() + 3.0).sum::<f64>() + 5.0;
        // The two words at the axis need the height of two rows.
        let height = height.max(36.0);
        svg.rect("band", Rect { height, ..frame });
        svg.text("muted", Anchor::End, (frame.x - 9.0, frame.y + 15.0), "never");
        svg.text("muted", Anchor::End, (frame.x - 9.0, frame.y + 29.0), "finished");
        let x = self.x_scale(frame);
        let mut top = frame.y + 4.0;
        for (line, caption) in rows.into_iter().zip(&captions) {
            for place in &line.never {
                mark::draw(svg, Verdict::Stalled, (x.place(*place), top + 7.5));
            }
            caption.write_at(svg, Anchor::Start, (frame.right() + 8.0, top));
            top += caption.height() + 3.0;
        }
        Rect { y: frame.y + height, ..frame }
    }

    fn description(&self) -> String {
        let mut sentences = vec![self.subtitle.clone()];
        for panel in &self.panels {
            for line in &panel.lines {
                let name = format!("{} {} {}", panel.heading, line.name, line.detail);
                let points = line.points.iter().map(|(place, value)| {
                    format!("{} at {}", Quantity::Time.value(value.median), self.x.value(*place))
                });
                let never =
                    line.never.iter().map(|place| format!("never finished at {}", self.x.value(*place)));
                let all: Vec<String> = points.chain(never).collect();
                sentences.push(format!(
                    "{}, {}: {}.",
                    name.trim(),
                    panel.y_label.to_lowercase(),
                    all.join(", ")
                ));
            }
        }
        sentences.join(" ")
    }
}

impl Panel<'_> {
    /// The height: at least that of the names at the right.
    fn height(&self) -> f64 {
        HEIGHT_MIN.max(self.lines.len() as f64 * 34.0)
    }

    fn y_scale(&self, x: &LogScale, frame: Rect) -> LogScale {
        let measured = |line: &Line<'_>| {
            let values = line.points.iter().flat_map(|(_, value)| [value.min, value.max]);
            values.collect::<Vec<_>>()
        };
        let mut values: Vec<f64> = self.lines.iter().flat_map(measured).collect();
        let longest = values.iter().copied().fold(0.0, f64::max);
        let reach = if longest > 0.0 { longest * REACH } else { f64::INFINITY };
        let modelled = self.lines.iter().flat_map(|line| line.modelled(x)).map(|(_, value)| value);
        values.extend(modelled.collect::<Vec<_>>().into_iter().filter(|value| *value <= reach));
        LogScale::new(Quantity::Time, values, (frame.bottom() - 12.0, frame.y + 8.0), false)
    }
}

impl Line<'_> {
    fn is_measured(&self) -> bool {
        !self.points.is_empty() || !self.never.is_empty()
    }

    /// Positions from the smallest tested one to the end of the scale, with the prediction of the model for each.
    fn modelled(&self, x: &LogScale) -> Vec<(f64, f64)> {
        let (low, high) = x.range();
        let tried = self.points.iter().map(|(place, _)| *place).chain(self.never.iter().copied());
        let first = tried.filter(|place| *place > 0.0).fold(high, f64::min).max(low);
        (0..=PIECES)
            .map(|piece| first * (high / first).powf(piece as f64 / PIECES as f64))
            .map_while(|place| {
                Some((place, (self.model)(place).filter(|value| value.is_finite() && *value > 0.0)?))
            })
            .collect()
    }

    /// Draws the curve of the model inside the frame, dashed beyond the measured range. Returns its end.
    fn curve(&self, svg: &mut Svg, hue: &str, x: &LogScale, y: &LogScale) -> Option<(f64, f64)> {
        let inside = self.modelled(x).into_iter().take_while(|(_, value)| *value <= y.range().1);
        let curve: Vec<(f64, (f64, f64))> =
            inside.map(|(place, value)| (place, (x.place(place), y.place(value)))).collect();
        let last_measured = match self.points.as_slice() {
            [] | [_] => 0.0,
            points => points.iter().map(|(place, _)| *place).fold(0.0, f64::max),
        };
        let places = |keep: &dyn Fn(f64) -> bool| -> Vec<(f64, f64)> {
            curve.iter().filter(|(place, _)| keep(*place)).map(|(_, at)| *at).collect()
        };
        let solid = places(&|place| place <= last_measured);
        let mut dashed = places(&|place| place > last_measured);
        dashed.splice(0..0, solid.last().copied());
        svg.polyline(&format!("line {hue}"), &solid);
        svg.polyline(&format!("line dashed {hue}"), &dashed);
        curve.last().map(|(_, at)| *at)
    }

    /// Draws the measurements: the median as a dot, the range as a line.
    fn marks(&self, svg: &mut Svg, hue: &str, x: &LogScale, y: &LogScale) {
        for (place, value) in &self.points {
            let (at, height) = (x.place(*place), y.place(value.median));
            if value.min < value.max {
                svg.line(&format!("line thin {hue}"), (at, y.place(value.min)), (at, y.place(value.max)));
            }
            // A line with no length and round ends is a dot in the colour of the line.
            svg.line(&format!("measured {hue}"), (at, height), (at, height));
        }
    }
}

/// Writes the names beside the ends of the lines: in a column at the right or, for a curve that leaves the frame
/// earlier, at the point where it does.
fn captions(
    svg: &mut Svg,
    panel: &Panel<'_>,
    ends: Vec<((f64, f64), Caption)>,
    (x, y): (&LogScale, &LogScale),
    frame: Rect,
) {
    let (mut column, inside): (Vec<_>, Vec<_>) =
        ends.into_iter().partition(|((at, _), _)| *at > frame.right() - 60.0);
    let points = panel.lines.iter().flat_map(|line| &line.points);
    let marks = points.map(|(place, value)| Wanted {
        at: (x.place(*place), y.place(value.median)),
        mark: 4.0,
        bubble: 0.0,
        size: (0.0, 0.0),
    });
    let wanted: Vec<Wanted> =
        inside.iter().map(|(end, caption)| caption.wanted(*end, 3.0, 0.0)).chain(marks).collect();
    for (placed, (end, caption)) in label::place(&wanted, frame).iter().zip(&inside) {
        if let Some(placed) = placed {
            caption.write(svg, placed, *end);
        }
    }
    column.sort_by(|a, b| a.0.1.total_cmp(&b.0.1));
    let heights: Vec<(f64, f64)> =
        column.iter().map(|((_, y), caption)| (y - 7.5, caption.height() + 2.0)).collect();
    for (top, ((at, height), caption)) in spread(&heights, frame).into_iter().zip(&column) {
        svg.line("leader", (at + 3.0, *height), (frame.right() + 6.0, top + 7.5));
        caption.write_at(svg, Anchor::Start, (frame.right() + 9.0, top));
    }
}

/// The top positions of items with given wanted tops (in ascending order) and heights, so that no item covers the
/// next. Each is as close to its wanted top as the items after it allow, as long as there is room for all.
fn spread(wanted: &[(f64, f64)], frame: Rect) -> Vec<f64> {
    let mut tops: Vec<f64> = Vec::new();
    let mut free = f64::NEG_INFINITY;
    for (top, height) in wanted {
        tops.push(top.max(free));
        free = tops[tops.len() - 1] + height;
    }
    let mut limit = frame.bottom();
    for (top, (_, height)) in tops.iter_mut().zip(wanted).rev() {
        *top = top.min(limit - height);
        limit = *top;
    }
    tops
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::spread;
    use crate::render::plot::svg::Rect;

    #[test]
    fn names_keep_their_place_where_they_can() {
        let frame = Rect { x: 0.0, y: 0.0, width: 10.0, height: 100.0 };
        assert_eq!(spread(&[(10.0, 15.0), (50.0, 15.0)], frame), [10.0, 50.0]);
        assert_eq!(spread(&[(10.0, 15.0), (12.0, 15.0)], frame), [10.0, 25.0]);
        assert_eq!(spread(&[(80.0, 15.0), (95.0, 15.0)], frame), [70.0, 85.0]);
    }

    proptest! {
        #[test]
        fn names_in_a_column_never_cover_each_other(
            mut wanted in prop::collection::vec((0.0..250.0f64, 15.0..31.0f64), 0..8)
        ) {
            wanted.sort_by(|a, b| a.0.total_cmp(&b.0));
            let frame = Rect { x: 0.0, y: 0.0, width: 10.0, height: 250.0 };
            let tops = spread(&wanted, frame);
            for (at, pair) in tops.windows(2).enumerate() {
                prop_assert!(pair[0] + wanted[at].1 <= pair[1] + 1e-9);
            }
            let bottom = tops.iter().zip(&wanted).map(|(top, (_, height))| top + height).fold(0.0, f64::max);
            prop_assert!(bottom <= frame.bottom() + 1e-9);
        }
    }
}
