//! Text of any content, made safe for Markdown.

use crate::render::table::Table;

/// Free text on one line, shown as it is: nothing in it is markup.
pub(super) fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '|' | '`' | '*' | '[' | ']' | '#' | '~' | '$' => safe.extend(['\\', character]),
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            character if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') => {
                safe.push(' ')
            }
            character => safe.push(character),
        }
    }
    safe.trim().to_string()
}

/// One line of code inside a sentence.
pub(super) fn code(text: &str) -> String {
    let one_line = text.replace(char::is_control, " ");
    let fence = "`".repeat(longest_run_of_backticks(&one_line) + 1);
    let space = if one_line.starts_with('`') || one_line.ends_with('`') {
        " "
    } else {
        ""
    };
    if one_line.is_empty() {
        String::new()
    } else {
        format!("{fence}{space}{one_line}{space}{fence}")
    }
}

/// Lines of code in a block of their own, indented to stand inside a list item where `indent` is not empty.
pub(super) fn code_block(text: &str, language: &str, indent: &str) -> String {
    let fence = "`".repeat(longest_run_of_backticks(text).max(2) + 1);
    let lines: Vec<String> = text.lines().map(|line| format!("{indent}{line}")).collect();
    format!("{indent}{fence}{language}\n{}\n{indent}{fence}", lines.join("\n"))
}

/// A table of free text.
pub(super) fn table(table: &Table) -> String {
    let rule = vec!["---".to_string(); table.header.len()];
    let cells = |row: &[String]| row.iter().map(|cell| plain(cell)).collect::<Vec<_>>();
    let mut lines = vec![line(&cells(&table.header)), line(&rule)];
    lines.extend(table.rows.iter().map(|row| line(&cells(row))));
    lines.join("\n")
}

fn line(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

fn longest_run_of_backticks(text: &str) -> usize {
    text.split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{code, code_block, plain, table};
    use crate::render::table::Table;

    #[test]
    fn nothing_in_free_text_is_markup() {
        assert_eq!(
            plain("a|b\n*c* <d> [e] `f` \\|"),
            "a\\|b \\*c\\* &lt;d> \\[e\\] \\`f\\` \\\\\\|"
        );
        assert_eq!(plain("step_pages=100"), "step_pages=100");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(
            code_block("a\n```\nb", "text", "  "),
            "  ````text\n  a\n  ```\n  b\n  ````"
        );
    }

    /// Cells of a row as a GitHub-flavoured reader splits them: a backslash takes the next character along.
    fn cells_in(line: &str) -> usize {
        let mut characters = line.chars();
        let mut bars = 0;
        while let Some(character) = characters.next() {
            match character {
                '\\' => drop(characters.next()),
                '|' => bars += 1,
                _ => {}
            }
        }
        bars - 1
    }

    proptest! {
        #[test]
        fn a_table_keeps_its_shape_for_any_text(
            rows in prop::collection::vec(prop::collection::vec("(\\PC|[|\\\\\n\r`])*", 3), 0..6)
        ) {
            let header = vec!["a".to_string(), "b|".to_string(), String::new()];
            let text = table(&Table { header, rows: rows.clone() });
            prop_assert_eq!(text.lines().count(), rows.len() + 2);
            for line in text.lines() {
                prop_assert_eq!(cells_in(line), 3, "{}", line);
                prop_assert!(line.starts_with("| ") && line.ends_with(" |"));
            }
        }

        #[test]
        fn a_fence_is_longer_than_any_fence_inside(text in "[a`\n]*") {
            let block = code_block(&text, "", "");
            let fence = block.lines().next().unwrap();
            prop_assert_eq!(block.lines().filter(|line| line.starts_with(fence)).count(), 2);
        }
    }
}
