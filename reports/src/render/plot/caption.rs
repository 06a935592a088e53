//! The label of a strategy beside its mark or line: one line where it is short, else with its detail on a second
//! line.

use super::label::{Placed, Wanted};
use super::svg::{Anchor, Svg};
use super::text;

const FONT: f64 = 13.0;
const SMALL: f64 = 12.0;

/// The lines of a label.
pub(super) struct Caption {
    first: String,
    second: String,
}

impl Caption {
    /// A label with this maximum width.
    pub(super) fn new(name: &str, detail: &str, width_max: f64) -> Caption {
        let one = format!("{name} {detail}").trim().to_string();
        if text::width(&one, FONT) <= 0.65 * width_max {
            return Caption { first: one, second: String::new() };
        }
        Caption {
            first: text::shorten(name, FONT, width_max),
            second: text::shorten(detail, SMALL, width_max),
        }
    }

    /// Its height.
    pub(super) fn height(&self) -> f64 {
        if self.second.is_empty() { 15.0 } else { 29.0 }
    }

    /// The request for a place beside a mark.
    pub(super) fn wanted(&self, at: (f64, f64), mark: f64, bubble: f64) -> Wanted {
        let width = text::width(&self.first, FONT).max(text::width(&self.second, SMALL));
        Wanted { at, mark, bubble, size: (width, self.height()) }
    }

    /// Writes the label at the place that was found, aligned to the side next to its mark.
    pub(super) fn write(&self, svg: &mut Svg, placed: &Placed, mark: (f64, f64)) {
        if let Some(end) = placed.leader {
            svg.line("leader", mark, end);
        }
        let rect = placed.rect;
        let (anchor, x) = match mark.0 {
            left if left <= rect.x => (Anchor::Start, rect.x),
            right if right >= rect.right() => (Anchor::End, rect.right()),
            _ => (Anchor::Middle, rect.x + rect.width / 2.0),
        };
        self.write_at(svg, anchor, (x, rect.y));
    }

    /// Writes the label with its upper edge at this position.
    pub(super) fn write_at(&self, svg: &mut Svg, anchor: Anchor, (x, top): (f64, f64)) {
        svg.text("label", anchor, (x, top + 12.0), &self.first);
        if !self.second.is_empty() {
            svg.text("label muted small", anchor, (x, top + 26.0), &self.second);
        }
    }
}
