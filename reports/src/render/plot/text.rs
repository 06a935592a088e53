//! Estimates the width of a text without knowing its font.

use super::svg::{Anchor, MARGIN, Svg, WIDTH};

/// Writes title and subtitle of a plot, in as many lines as they need. Returns the position of the last line.
pub(super) fn head(svg: &mut Svg, title: &str, subtitle: &str) -> f64 {
    let mut y = 13.0;
    // The title is bold, so it is wider than its font size suggests.
    for (words, class, font_size, height) in [(title, "title", 20.5, 23.0), (subtitle, "muted", 13.0, 19.0)] {
        y += 1.5;
        for line in wrap(words, font_size, WIDTH - 2.0 * MARGIN) {
            y += height;
            svg.text(class, Anchor::Start, (MARGIN, y), &line);
        }
    }
    y
}

/// The width of a text in common system fonts, estimated generously.
pub(super) fn width(text: &str, font_size: f64) -> f64 {
    text.chars().map(share_of_size).sum::<f64>() * font_size
}

fn share_of_size(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.31,
        ' ' | 'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '"' | '/' | '-' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.92,
        'A'..='Z' | '=' | '+' | '<' | '>' | '_' => 0.69,
        _ if character.is_ascii() => 0.6,
        _ => 1.0,
    }
}

/// Wraps words into lines of at most this width. A single word that is wider is cut.
pub(super) fn wrap(text: &str, font_size: f64, width_max: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = shorten(word, font_size, width_max);
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), font_size) <= width_max => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// The text, or its beginning with an ellipsis where it is wider.
pub(super) fn shorten(text: &str, font_size: f64, width_max: f64) -> String {
    if width(text, font_size) <= width_max {
        return text.to_string();
    }
    let mut short = String::new();
    for character in text.chars() {
        if width(&format!("{short}{character}…"), font_size) > width_max {
            break;
        }
        short.push(character);
    }
    short.trim_end().to_string() + "…"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{shorten, width, wrap};

    #[test]
    fn long_texts_get_lines_and_long_words_an_ellipsis() {
        assert_eq!(wrap("one two three", 10.0, 50.0), ["one two", "three"]);
        assert_eq!(shorten("cold-copy", 10.0, 100.0), "cold-copy");
        assert_eq!(shorten("cold-copy", 10.0, 40.0), "cold-…");
        assert_eq!(wrap("  ", 10.0, 50.0), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked_and_no_short_word_is_lost(text in "[a-z ]{0,60}") {
            let lines = wrap(&text, 12.0, 120.0);
            prop_assert!(lines.iter().all(|line| width(line, 12.0) <= 120.0));
            let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
            if words(&text).iter().all(|word| width(word, 12.0) <= 120.0) {
                prop_assert_eq!(words(&lines.join(" ")), words(&text));
            }
        }
    }
}
