//! One shape per verdict, so that verdicts can be distinguished without colours.

use super::svg::{Anchor, Svg};
use super::text;
use crate::record::Verdict;

/// Half the width of a mark.
pub(super) const RADIUS: f64 = 5.0;

/// Draws the mark of a verdict.
pub(super) fn draw(svg: &mut Svg, verdict: Verdict, (x, y): (f64, f64)) {
    let r = RADIUS;
    match verdict {
        Verdict::Restorable => svg.circle("mark good", (x, y), r),
        Verdict::Lossy => {
            svg.polygon("mark warn", &[(x, y - r - 1.0), (x + r + 1.0, y + r), (x - r - 1.0, y + r)])
        }
        Verdict::Corrupt => {
            svg.line("line bad", (x - r, y - r), (x + r, y + r));
            svg.line("line bad", (x - r, y + r), (x + r, y - r));
        }
        Verdict::Stalled | Verdict::TimedOut | Verdict::Failed => {
            svg.polygon("open idle", &[(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)])
        }
        Verdict::Unverified => svg
            .polygon("open idle", &[(x, y - r - 1.0), (x + r + 1.0, y), (x, y + r + 1.0), (x - r - 1.0, y)]),
        Verdict::Unavailable => svg.line("line idle", (x - r, y), (x + r, y)),
    }
}

/// The class with the colour of a verdict.
pub(super) fn colour(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Restorable => "good",
        Verdict::Lossy => "warn",
        Verdict::Corrupt => "bad",
        _ => "idle",
    }
}

/// The meaning of a mark in words.
pub(super) fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Restorable => "restored",
        Verdict::Lossy => "lost writes that it promised to keep",
        Verdict::Corrupt => "restored a wrong database",
        Verdict::Stalled | Verdict::TimedOut | Verdict::Failed => "never finished",
        Verdict::Unverified => "inconclusive",
        Verdict::Unavailable => "could not run here",
    }
}

/// Draws the legend from this position on: each kind of mark once, with its meaning.
pub(super) fn legend(svg: &mut Svg, verdicts: impl Iterator<Item = Verdict>, (mut x, y): (f64, f64)) {
    let mut sorted: Vec<Verdict> = verdicts.collect();
    sorted.sort();
    sorted.dedup_by_key(|verdict| words(*verdict));
    for verdict in sorted {
        draw(svg, verdict, (x + RADIUS, y - 4.5));
        svg.text("muted", Anchor::Start, (x + 17.0, y), words(verdict));
        x += 17.0 + text::width(words(verdict), 13.0) + 18.0;
    }
}
