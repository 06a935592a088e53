//! Renders tables as GitHub-flavoured Markdown.

use super::data::{Cell, Table};
use crate::render::markdown::text::plain;

impl Table {
    /// A table in GitHub-flavoured Markdown. The heading of a section is a row in bold.
    pub fn markdown(&self) -> String {
        let columns = &self.columns;
        let header: Vec<String> = columns.iter().map(|column| plain(&column.label)).collect();
        let rule: Vec<String> =
            columns.iter().map(|column| if column.is_number { "---:" } else { "---" }.to_string()).collect();
        let mut lines = vec![line(&header), line(&rule)];
        for section in &self.sections {
            if !section.title.is_empty() {
                let mut cells = vec![String::new(); columns.len()];
                cells[0] = format!("**{}**", plain(&section.title));
                lines.push(line(&cells));
            }
            let cells = |row: &Vec<Cell>| row.iter().map(|cell| plain(&cell.text)).collect::<Vec<_>>();
            lines.extend(section.rows.iter().map(|row| line(&cells(row))));
        }
        lines.join("\n")
    }
}

fn line(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag};

    use crate::render::markdown::text::is_break;
    use crate::render::table::Table;

    /// The cells of the tables in a text, as a parser of GitHub-flavoured Markdown finds them.
    fn cells_shown(text: &str) -> Vec<String> {
        let mut cells = Vec::new();
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::TableCell) => cells.push(String::new()),
                Event::Text(text) => *cells.last_mut().unwrap() += &text,
                Event::Start(Tag::Table(_) | Tag::TableHead | Tag::TableRow) | Event::End(_) => {}
                markup => panic!("{markup:?} in {text}"),
            }
        }
        cells
    }

    proptest! {
        #[test]
        fn a_reader_sees_the_text_of_every_cell_as_it_is(
            rows in prop::collection::vec(prop::collection::vec("(\\PC|[-|\\\\_*<&a\n\r` ])*", 3), 0..6)
        ) {
            let header = ["a", "b|", "c_"];
            let text = Table::of_texts(header, rows.clone()).markdown();
            prop_assert_eq!(text.lines().count(), rows.len() + 2);
            let one_line = |cell: &String| cell.replace(is_break, " ").trim().to_string();
            let header = header.map(str::to_string);
            let written: Vec<String> = header.iter().chain(rows.iter().flatten()).map(one_line).collect();
            let shown: Vec<String> = cells_shown(&text).iter().map(one_line).collect();
            prop_assert_eq!(shown, written);
        }
    }
}
