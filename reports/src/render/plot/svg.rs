//! Writes SVG elements. Every text is escaped, and every number is finite.

use std::fmt::Write;

use super::style;

/// Width of every plot in its own units: small enough that 13 px text is readable when a phone scales it to 360 px.
pub(super) const WIDTH: f64 = 640.0;
/// Free space at the left and at the right.
pub(super) const MARGIN: f64 = 16.0;

/// An axis-aligned rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Rect {
    pub(super) fn right(&self) -> f64 {
        self.x + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + self.height
    }
}

/// Which part of a text is at its position.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// The elements of a plot so far.
#[derive(Default)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    pub(super) fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y, text) = (number(x), number(y), escape(text));
        self.push(format_args!("<text{} x=\"{x}\" y=\"{y}\"{anchor}>{text}</text>", attribute(class)));
    }

    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.push(format_args!(
            "<line{} x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            attribute(class),
            number(x1),
            number(y1),
            number(x2),
            number(y2)
        ));
    }

    pub(super) fn rect(&mut self, class: &str, rect: Rect) {
        self.push(format_args!(
            "<rect{} x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            attribute(class),
            number(rect.x),
            number(rect.y),
            number(rect.width),
            number(rect.height)
        ));
    }

    pub(super) fn circle(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        let (x, y, radius) = (number(x), number(y), number(radius));
        self.push(format_args!("<circle{} cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>", attribute(class)));
    }

    /// Straight lines from point to point; nothing for fewer than two points.
    pub(super) fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() > 1 {
            let points: Vec<String> =
                points.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y))).collect();
            self.push(format_args!("<polyline{} points=\"{}\"/>", attribute(class), points.join(" ")));
        }
    }

    /// A closed outline.
    pub(super) fn polygon(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> =
            points.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y))).collect();
        self.push(format_args!("<polygon{} points=\"{}\"/>", attribute(class), points.join(" ")));
    }

    /// A group of elements with a tooltip.
    pub(super) fn group(&mut self, tooltip: &str, content: impl FnOnce(&mut Svg)) {
        self.push(format_args!("<g><title>{}</title>", escape(tooltip)));
        content(self);
        self.push(format_args!("</g>"));
    }

    /// The complete plot. The ids in it begin with `id`, which must be different for each plot of a page.
    pub(super) fn finish(self, id: &str, title: &str, description: &str, height: f64) -> String {
        let (id, title, description) = (escape(id), escape(title), escape(description));
        let (width, height) = (number(WIDTH), number(height.ceil()));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\">\n<title id=\"{id}-title\">{title}</title>\n<desc id=\"{id}-desc\">{description}</desc>\n\
             <style>{}</style>\n<rect class=\"paper\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n{}</svg>\n",
            style::sheet(),
            self.body
        )
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        self.body.write_fmt(element).expect("writing to a string does not fail");
        self.body.push('\n');
    }
}

/// A plot as a separate file, which follows the reader's choice of dark mode.
pub(super) fn standalone(svg: &str) -> String {
    svg.replacen("</style>", &format!("{}</style>", style::dark_mode()), 1)
}

fn attribute(class: &str) -> String {
    if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") }
}

/// A coordinate with one decimal place, which is more precise than a screen.
fn number(value: f64) -> String {
    debug_assert!(value.is_finite(), "coordinates come from scales, which give finite ones");
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_string(),
        Some(whole) => whole.to_string(),
        None => text,
    }
}

/// Text escaped for XML: white space becomes single spaces, and characters that XML forbids are removed.
fn escape(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut escaped = String::new();
    for character in words.join(" ").chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            control if control.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Anchor, Svg, escape, number};

    #[test]
    fn coordinates_are_short() {
        assert_eq!(
            [0.0, -0.04, 12.0, 12.34, -0.5, 640.0].map(number),
            ["0", "0", "12", "12.3", "-0.5", "640"]
        );
    }

    #[test]
    fn text_that_means_something_in_xml_is_text() {
        assert_eq!(escape("<b a=\"1\">&\n x\u{7}\u{ffff}"), "&lt;b a=&quot;1&quot;&gt;&amp; x");
    }

    proptest! {
        #[test]
        fn any_text_makes_well_formed_xml_and_can_be_read_back(text in any::<String>(), words in "\\PC{0,20}") {
            let mut svg = Svg::default();
            svg.group(&text, |svg| svg.text("label", Anchor::End, (1.0, 2.0), &words));
            let svg = svg.finish("p", &text, &text, 10.0);
            let document = roxmltree::Document::parse(&svg).unwrap();
            let shown = document.descendants().find(|node| node.has_tag_name("text")).unwrap().text();
            let expected: Vec<&str> = words.split_whitespace().collect();
            prop_assert_eq!(shown.unwrap_or_default(), expected.join(" "));
        }
    }
}
