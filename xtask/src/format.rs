//! Tables in the chosen format, as wide as the terminal.

use std::io::IsTerminal;

use clap::ValueEnum;
use reports::render::table::{Table, wrapped};

/// How a table is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: as wide as the terminal; columns that do not fit are left out and named
    #[default]
    Table,
    /// A list of objects with raw numbers; the keys name the units
    Json,
    /// Comma-separated raw values with a header
    Csv,
    /// A table of GitHub-flavoured Markdown
    Markdown,
}

/// Width without a terminal and without COLUMNS.
const WIDTH: usize = 100;
/// The smallest width of a table.
const WIDTH_MIN: usize = 40;

impl Format {
    /// The table in this format.
    pub fn of(self, table: &Table) -> String {
        match self {
            Format::Table => fitted(table, terminal_width()),
            Format::Json => serde_json::to_string_pretty(&table.json()).expect("a table is valid JSON"),
            Format::Csv => table.csv().trim_end().to_owned(),
            Format::Markdown => table.markdown(),
        }
    }

    /// A sentence above a table, wrapped to the width of the terminal in the format for people.
    pub fn text(self, text: &str) -> String {
        match self {
            Format::Table => wrapped(text, terminal_width()),
            _ => text.to_owned(),
        }
    }
}

/// The table as text of this width, with a line that names the columns that were left out.
fn fitted(table: &Table, width: usize) -> String {
    let fitted = table.fit(width);
    match fitted.dropped.as_slice() {
        [] => fitted.text,
        dropped => format!("{}\n{}", fitted.text, left_out(dropped, width)),
    }
}

/// `2 more columns: Copy speed, Memory`, without the names where they do not fit.
fn left_out(dropped: &[String], width: usize) -> String {
    let count = format!("{} more column{}", dropped.len(), if dropped.len() == 1 { "" } else { "s" });
    let named = format!("({count}: {})", dropped.join(", "));
    if named.chars().count() <= width { named } else { format!("({count} in a wider terminal)") }
}

/// Width of the terminal in characters: COLUMNS if it is set, otherwise the terminal's own width, otherwise 100.
fn terminal_width() -> usize {
    let given = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let asked = || std::io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    given.or_else(|| asked().map(|(width, _)| usize::from(width.0))).unwrap_or(WIDTH).max(WIDTH_MIN)
}

#[cfg(test)]
mod tests {
    use super::left_out;

    #[test]
    fn columns_that_were_left_out_are_named_where_the_names_fit() {
        let dropped = ["Copy speed".to_owned(), "Memory".to_owned()];
        assert_eq!(left_out(&dropped, 40), "(2 more columns: Copy speed, Memory)");
        assert_eq!(left_out(&dropped, 35), "(2 more columns in a wider terminal)");
        assert_eq!(left_out(&dropped[..1], 40), "(1 more column: Copy speed)");
    }
}
