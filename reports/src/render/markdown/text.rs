//! Makes any text safe for Markdown.

use crate::printable;
use crate::render::number;

/// Free text on one line, escaped so that nothing in it is markup.
pub(crate) fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut characters = text.trim().chars().peekable();
    let mut inside_word = false;
    while let Some(character) = characters.next() {
        let before_word = characters.peek().is_some_and(|next| next.is_alphanumeric());
        match character {
            '\\' | '|' | '`' | '*' | '[' | ']' | '#' | '~' | '$' => safe.extend(['\\', character]),
            // Between letters it is not markup, and names such as step_pages stay readable in the source.
            '_' if !(inside_word && before_word) => safe.push_str("\\_"),
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            character if is_break(character) => safe.push(' '),
            character => safe.push(character),
        }
        inside_word = character.is_alphanumeric();
    }
    safe
}

/// Free text as a separate paragraph, escaped so that it does not begin a list, a quotation or a rule.
pub(super) fn paragraph(text: &str) -> String {
    let safe = plain(text);
    let digits = safe.chars().take_while(char::is_ascii_digit).count();
    match safe[digits..].chars().next() {
        Some('-' | '+' | '>' | '=') if digits == 0 => format!("\\{safe}"),
        Some('.' | ')') if digits > 0 => format!("{}\\{}", &safe[..digits], &safe[digits..]),
        _ => safe,
    }
}

/// Free text with exactly one full stop at its end.
pub(super) fn sentence(text: &str) -> String {
    let safe = plain(text);
    match safe.chars().last() {
        None => format!("{}.", number::MISSING),
        Some('.' | '!' | '?') => safe,
        Some(_) => format!("{safe}."),
    }
}

/// Whether a character may end a line.
pub(crate) fn is_break(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// One line of code inside a sentence.
pub(crate) fn code(text: &str) -> String {
    let one_line = text.replace(char::is_control, " ");
    let fence = "`".repeat(longest_run_of_backticks(&one_line) + 1);
    let space = if one_line.starts_with('`') || one_line.ends_with('`') { " " } else { "" };
    if one_line.is_empty() { String::new() } else { format!("{fence}{space}{one_line}{space}{fence}") }
}

/// A block of code, indented to be inside a list item where `indent` is not empty.
pub(crate) fn code_block(text: &str, language: &str, indent: &str) -> String {
    let text = printable(text);
    let fence = "`".repeat(longest_run_of_backticks(&text).max(2) + 1);
    let lines: Vec<String> = text.lines().map(|line| format!("{indent}{line}")).collect();
    format!("{indent}{fence}{language}\n{}\n{indent}{fence}", lines.join("\n"))
}

fn longest_run_of_backticks(text: &str) -> usize {
    text.split(|character| character != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{code, code_block, paragraph, plain, sentence};

    #[test]
    fn nothing_in_free_text_is_markup() {
        assert_eq!(plain("a|b\n*c* <d> [e] `f` \\|"), "a\\|b \\*c\\* &lt;d> \\[e\\] \\`f\\` \\\\\\|");
        assert_eq!(plain("step_pages=100"), "step_pages=100");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code_block("a\n```\nb", "text", "  "), "  ````text\n  a\n  ```\n  b\n  ````");
    }

    #[test]
    fn a_paragraph_is_not_a_list_and_a_sentence_has_one_full_stop() {
        assert_eq!(paragraph("- a"), "\\- a");
        assert_eq!(paragraph("12. a"), "12\\. a");
        assert_eq!(paragraph("12 a"), "12 a");
        assert_eq!(sentence("Done."), "Done.");
        assert_eq!(sentence("done"), "done.");
        assert_eq!(sentence(" "), "–.");
    }

    proptest! {
        #[test]
        fn a_fence_is_longer_than_any_fence_inside(text in "[a`\n]*") {
            let block = code_block(&text, "", "");
            let fence = block.lines().next().unwrap();
            prop_assert_eq!(block.lines().filter(|line| line.starts_with(fence)).count(), 2);
        }
    }
}
