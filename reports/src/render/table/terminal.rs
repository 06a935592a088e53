//! Renders tables as text of a given width. Columns are dropped before a word is broken.

use unicode_width::UnicodeWidthStr;

use super::data::{Column, Rank, Section, Table};
use crate::printable;

/// The gap between two columns.
const GAP: &str = "  ";

/// Columns are dropped before another column is made narrower than this, unless its text is shorter.
const COMFORTABLE: usize = 11;

/// Units, which stay on the same line as the number before them.
const UNITS: [&str; 16] =
    ["B", "KiB", "MiB", "GiB", "TiB", "KB", "MB", "GB", "TB", "ms", "s", "min", "h", "days", "/s", "%"];

/// A table that was fitted to the width of a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// Lines, none of them longer than the width.
    pub text: String,
    /// Labels of the columns that did not fit.
    pub dropped: Vec<String>,
}

impl Table {
    /// Text with lines of at most `width` characters, for a terminal.
    ///
    /// Drops detail columns first, then wraps cells, then drops the other columns. Text in columns that cannot be
    /// dropped is cut with an ellipsis where it does not fit.
    pub fn fit(&self, width: usize) -> Fitted {
        let measures = measure(self);
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let natural = |at: &usize| measures[*at].natural;
        let narrowed = |at: &usize| measures[*at].comfortable();
        while needed(&shown, natural) > width && drop_last(self, &mut shown, Rank::Detail(0)) {}
        while needed(&shown, narrowed) > width && drop_last(self, &mut shown, Rank::Main(0)) {}
        let widths = share(&shown, &measures, width);
        let dropped = (0..self.columns.len()).filter(|at| !shown.contains(at));
        let dropped = dropped.map(|at| self.columns[at].label.clone()).collect();
        Fitted { text: lines(self, &shown, &widths, width).join("\n"), dropped }
    }
}

/// The widths that a column needs.
struct Measure {
    /// Every cell on one line.
    natural: usize,
    /// The longest word.
    word: usize,
}

impl Measure {
    fn comfortable(&self) -> usize {
        self.natural.min(COMFORTABLE).max(self.word)
    }
}

fn measure(table: &Table) -> Vec<Measure> {
    let of_column = |(at, column): (usize, &Column)| {
        // A header may use one line per word.
        let mut measure = Measure { natural: 1, word: 1 };
        for word in words(&column.label) {
            measure.word = measure.word.max(word.width());
        }
        for row in table.rows() {
            let text = printable(&row[at].text);
            measure.natural = measure.natural.max(text.width());
            measure.word = words(&text).iter().map(|word| word.width()).fold(measure.word, usize::max);
        }
        measure.natural = measure.natural.max(measure.word);
        measure
    };
    table.columns.iter().enumerate().map(of_column).collect()
}

fn needed(shown: &[usize], of: impl Fn(&usize) -> usize) -> usize {
    shown.iter().map(of).sum::<usize>() + GAP.len() * shown.len().saturating_sub(1)
}

/// Drops the column with the highest rank (the last one of equals), if that rank is `lowest` or higher.
fn drop_last(table: &Table, shown: &mut Vec<usize>, lowest: Rank) -> bool {
    let candidate = shown.iter().enumerate().max_by_key(|(_, at)| table.columns[**at].rank);
    match candidate {
        Some((place, at)) if table.columns[*at].rank >= lowest => {
            shown.remove(place);
            true
        }
        _ => false,
    }
}

/// Distributes the width: each column gets what it needs, up to its share of the remaining width.
fn share(shown: &[usize], measures: &[Measure], width: usize) -> Vec<usize> {
    let mut left = width.saturating_sub(GAP.len() * shown.len().saturating_sub(1));
    let mut order: Vec<usize> = (0..shown.len()).collect();
    // The minimum width of each column is reserved first, so that no word of a later column must be cut.
    let least: Vec<usize> = shown.iter().map(|at| measures[*at].word).collect();
    let mut reserved: usize = least.iter().sum();
    order.sort_by_key(|place| measures[shown[*place]].natural);
    let mut widths = vec![1; shown.len()];
    for (done, place) in order.iter().copied().enumerate() {
        reserved -= least[place];
        let fair = left / (order.len() - done);
        let most = left.saturating_sub(reserved).max(fair.min(least[place]));
        let wanted = fair.max(least[place]).min(most);
        widths[place] = measures[shown[place]].natural.min(wanted).max(1);
        left = left.saturating_sub(widths[place]);
    }
    widths
}

fn lines(table: &Table, shown: &[usize], widths: &[usize], width: usize) -> Vec<String> {
    let header: Vec<&str> = shown.iter().map(|at| table.columns[*at].label.as_str()).collect();
    let right: Vec<bool> = shown.iter().map(|at| table.columns[*at].is_number).collect();
    let mut lines = row(&header, &right, widths, true);
    lines.push("─".repeat((widths.iter().sum::<usize>() + GAP.len() * (widths.len().max(1) - 1)).min(width)));
    for (at, Section { title, rows }) in table.sections.iter().enumerate() {
        if !title.is_empty() {
            lines.extend((at > 0).then(String::new));
            lines.extend(wrapped_lines(&printable(title), width));
        }
        for cells in rows {
            let texts: Vec<&str> = shown.iter().map(|at| cells[*at].text.as_str()).collect();
            lines.extend(row(&texts, &right, widths, false));
        }
    }
    lines
}

/// The lines of one row. The cells of a header are aligned at the bottom, those of a row at the top.
fn row(texts: &[&str], right: &[bool], widths: &[usize], is_header: bool) -> Vec<String> {
    let cells = texts.iter().zip(widths);
    let cells: Vec<Vec<String>> =
        cells.map(|(text, width)| wrapped_lines(&printable(text), *width)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let line = |at: usize| {
        let parts = cells.iter().zip(widths).zip(right).map(|((cell, width), right)| {
            let above = if is_header { height - cell.len() } else { 0 };
            let text = at.checked_sub(above).and_then(|at| cell.get(at)).map_or("", String::as_str);
            let padding = " ".repeat(width.saturating_sub(text.width()));
            if *right { padding + text } else { text.to_owned() + &padding }
        });
        parts.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

/// A text in lines of at most this width, broken between words. A longer word is cut with an ellipsis.
pub fn wrapped(text: &str, width: usize) -> String {
    wrapped_lines(text, width).join("\n")
}

fn wrapped_lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words(text) {
        let word = cut(&word, width);
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            *line = word;
        } else if line.width() + 1 + word.width() <= width {
            *line += " ";
            *line += &word;
        } else {
            lines.push(word);
        }
    }
    lines
}

/// The words of a text; a number and its unit are one word.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let unit = word.trim_end_matches([')', ',', ';', '.', ':']);
        match words.last_mut() {
            Some(before) if UNITS.contains(&unit) && before.ends_with(|end: char| end.is_ascii_digit()) => {
                *before += " ";
                *before += word;
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

fn cut(word: &str, width: usize) -> String {
    if word.width() <= width {
        return word.to_owned();
    }
    let mut kept = String::new();
    for character in word.chars() {
        if kept.width() + character.to_string().width() + 1 > width {
            break;
        }
        kept.push(character);
    }
    kept + "…"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    use crate::render::table::{Cell, Column, Rank, Table};

    fn example() -> Table {
        let mut table = Table::new(vec![
            Column::text("Verdict", "verdict", Rank::Always),
            Column::text("Strategy", "strategy", Rank::Always),
            Column::number("Backup", "backup_seconds", Rank::Main(1)),
            Column::text("Survives disk loss", "survives_disk_loss", Rank::Main(2)),
            Column::number("Copy speed", "copy_speed", Rank::Detail(0)),
        ]);
        let row = |cells: [&str; 5]| cells.map(Cell::from).to_vec();
        table.begin_section("Online");
        table.push(row(["restorable", "one-step", "1.25 s", "yes", "0.80"]));
        table.push(row(["stalled, as expected", "shell-backup step_pages=100", "–", "yes", "–"]));
        table
    }

    #[test]
    fn a_wide_terminal_shows_everything_on_one_line_a_row() {
        let fitted = example().fit(90);
        assert_eq!(fitted.dropped, Vec::<String>::new());
        insta::assert_snapshot!(fitted.text);
    }

    #[test]
    fn details_are_dropped_before_a_cell_is_wrapped_and_others_after() {
        let fitted = example().fit(72);
        assert_eq!(fitted.dropped, ["Copy speed"]);
        assert!(fitted.text.contains("shell-backup step_pages=100"), "{}", fitted.text);
        let narrow = example().fit(60);
        assert_eq!(narrow.dropped, ["Copy speed"]);
        insta::assert_snapshot!(narrow.text);
        assert_eq!(example().fit(40).dropped, ["Survives disk loss", "Copy speed"]);
    }

    #[test]
    fn a_number_keeps_its_unit() {
        let table = Table::of_texts(["A"], vec![vec!["1.33 s (1.20 s to 12.5 MiB)".to_owned()]]);
        assert_eq!(
            table.fit(9).text.lines().skip(2).collect::<Vec<_>>(),
            ["1.33 s", "(1.20 s", "to", "12.5 MiB)"]
        );
    }

    proptest! {
        #[test]
        fn no_line_exceeds_the_width_and_no_word_is_broken_that_fits(
            rows in prop::collection::vec(prop::collection::vec("([a-z0-9é=,-]{1,12} ?){1,5}", 4), 1..5),
            width in 10..120usize
        ) {
            let mut table = Table::new(vec![
                Column::text("First", "a", Rank::Always),
                Column::number("Second one", "b", Rank::Main(1)),
                Column::text("Third", "c", Rank::Main(2)),
                Column::text("Fourth", "d", Rank::Detail(0)),
            ]);
            rows.iter().for_each(|row| table.push(row.iter().map(|text| Cell::from(text.clone())).collect()));
            let fitted = table.fit(width);
            for line in fitted.text.lines() {
                prop_assert!(line.width() <= width, "{}", fitted.text);
            }
            let longest = rows.iter().flat_map(|row| row[0].split_whitespace()).map(UnicodeWidthStr::width).max();
            if longest.unwrap_or(0) <= width {
                for row in &rows {
                    for word in row[0].split_whitespace() {
                        prop_assert!(fitted.text.contains(word), "{} in {}", word, fitted.text);
                    }
                }
            }
        }
    }
}
