//! Makes text from other programs safe for terminals and reports.

use anstream::adapter::strip_str;

/// The text that a terminal would show in the end, without colours, cursor movements and titles: line feeds are the
/// only control characters that remain. Of a line that was overwritten, as progress bars are, the last state remains.
pub fn printable(text: &str) -> String {
    // An unterminated escape sequence removes the rest of its line, and no more.
    text.split('\n').map(last_state).collect::<Vec<_>>().join("\n")
}

fn last_state(line: &str) -> String {
    let mut states = line.rsplit('\r').map(|state| {
        let plain = strip_str(state).to_string().replace('\t', " ");
        plain.replace(char::is_control, "")
    });
    states.find(|state| !state.trim().is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::printable;

    #[test]
    fn text_that_a_terminal_shows_is_kept() {
        let bar = "\x1b[2J\x1b[31m 10 %\r 50 %\r100 %\x1b[0m\n\x1b]0;new title\x07no space left\n";
        assert_eq!(printable(bar), "100 %\nno space left\n");
        assert_eq!(printable("one\r\ntwo\r\n"), "one\ntwo\n");
        assert_eq!(printable("a\tb\x08\x7f\0\u{9b}31m é"), "a b31m é");
        assert_eq!(printable("cut off \x1b]0;title\nnext"), "cut off \nnext");
        assert_eq!(printable("50 %\r\x1b[K"), "50 %");
        assert_eq!(printable(""), "");
    }

    proptest! {
        #[test]
        fn no_control_character_survives_but_line_feeds(
            text in "(\\PC|\x1b\\[|\x1b\\]|\x1bP|\x07|\r|\n|\t|[\u{0}-\u{9f}]){0,40}"
        ) {
            let plain = printable(&text);
            prop_assert!(!plain.contains(|c: char| c.is_control() && c != '\n'), "{plain:?}");
            prop_assert_eq!(plain.matches('\n').count(), text.matches('\n').count());
            prop_assert_eq!(printable(&plain), plain.clone());
        }

        #[test]
        fn plain_text_stays_as_it_is(text in "(\\PC|\n)*") {
            prop_assume!(text.split('\n').all(|line| line.is_empty() || !line.trim().is_empty()));
            prop_assert_eq!(printable(&text), text);
        }
    }
}
