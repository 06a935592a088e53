//! The columns, rows and cells of a table.
//!
//! Each cell has a text for people and a value for programs, so that no program has to parse "1.33 s".

use serde_json::{Map, Value};

use crate::render::number;

/// The maximum number of main columns.
pub const MAIN_COLUMNS: usize = 8;

/// The priority of a column: a narrow terminal drops the columns with the highest rank first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Never dropped.
    Always,
    /// Dropped late; the larger the number, the earlier.
    Main(u8),
    /// Dropped before any cell is wrapped; the larger the number, the earlier.
    Detail(u8),
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its header, for people.
    pub label: String,
    /// Its name in JSON and CSV, with the unit: `backup_seconds`.
    pub key: String,
    /// When a narrow terminal drops it.
    pub rank: Rank,
    /// Whether the column is right-aligned, as numbers are.
    pub is_number: bool,
}

impl Column {
    /// A column of texts.
    pub fn text(label: &str, key: &str, rank: Rank) -> Column {
        Column { label: label.to_owned(), key: key.to_owned(), rank, is_number: false }
    }

    /// A column of numbers. The key states their unit.
    pub fn number(label: &str, key: &str, rank: Rank) -> Column {
        Column { is_number: true, ..Column::text(label, key, rank) }
    }
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The text for people.
    pub text: String,
    /// The value for programs: a number in the unit that the column's key states, a text, a boolean, or null.
    pub value: Value,
}

impl Cell {
    /// A text that is its own value.
    pub fn text(text: impl Into<String>) -> Cell {
        let text = text.into();
        Cell { value: Value::from(text.clone()), text }
    }

    /// A measurement; a dash and null where it is missing or not a finite number.
    pub fn measured(value: Option<f64>, format: fn(f64) -> String) -> Cell {
        let value = value.filter(|value| value.is_finite());
        Cell { text: number::or_missing(value, format), value: value.map_or(Value::Null, Value::from) }
    }

    /// A whole number.
    pub fn count(count: u64) -> Cell {
        Cell { text: number::count(count as f64), value: Value::from(count) }
    }

    /// `yes`, `no`, or a dash where the answer is not known.
    pub fn yes_or_no(answer: Option<bool>) -> Cell {
        let text = answer.map_or(number::MISSING, |answer| if answer { "yes" } else { "no" });
        Cell { text: text.to_owned(), value: answer.map_or(Value::Null, Value::from) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::text(text)
    }
}

/// Rows under a common heading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// The heading; empty for none. Output for programs omits it, so a column must contain the same information.
    pub title: String,
    /// Rows of as many cells as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// Columns and rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// From left to right.
    pub columns: Vec<Column>,
    /// From top to bottom.
    pub sections: Vec<Section>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: Vec<Column>) -> Table {
        Table { columns, sections: Vec::new() }
    }

    /// A table of texts. Every column is always shown.
    pub fn of_texts<'a>(header: impl IntoIterator<Item = &'a str>, rows: Vec<Vec<String>>) -> Table {
        let columns = header.into_iter().map(|label| Column::text(label, &key_of(label), Rank::Always));
        let mut table = Table::new(columns.collect());
        rows.into_iter().for_each(|row| table.push(row.into_iter().map(Cell::text).collect()));
        table
    }

    /// Begins a section with a heading.
    pub fn begin_section(&mut self, title: &str) {
        self.sections.push(Section { title: title.to_owned(), rows: Vec::new() });
    }

    /// Adds a row of as many cells as there are columns.
    pub fn push(&mut self, row: Vec<Cell>) {
        assert_eq!(row.len(), self.columns.len(), "a row has a cell for each column");
        if self.sections.is_empty() {
            self.sections.push(Section::default());
        }
        self.sections.last_mut().expect("there is a section now").rows.push(row);
    }

    /// True when there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows().next().is_none()
    }

    /// All rows of all sections.
    pub fn rows(&self) -> impl Iterator<Item = &[Cell]> {
        self.sections.iter().flat_map(|section| section.rows.iter().map(Vec::as_slice))
    }

    /// The same rows, with only the columns that `is_wanted` accepts.
    #[must_use]
    pub fn select(&self, is_wanted: impl Fn(&Column) -> bool) -> Table {
        let kept: Vec<usize> = (0..self.columns.len()).filter(|at| is_wanted(&self.columns[*at])).collect();
        let of_row = |row: &Vec<Cell>| kept.iter().map(|at| row[*at].clone()).collect();
        let of_section = |section: &Section| Section {
            title: section.title.clone(),
            rows: section.rows.iter().map(of_row).collect(),
        };
        Table {
            columns: kept.iter().map(|at| self.columns[*at].clone()).collect(),
            sections: self.sections.iter().map(of_section).collect(),
        }
    }

    /// A list of objects, one per row, with the values under the keys of the columns.
    pub fn json(&self) -> Value {
        let object = |row: &[Cell]| {
            let members = self.columns.iter().zip(row);
            Value::from(
                members.map(|(column, cell)| (column.key.clone(), cell.value.clone())).collect::<Map<_, _>>(),
            )
        };
        self.rows().map(object).collect()
    }

    /// Comma-separated values (RFC 4180) with a header of keys; null is an empty field.
    pub fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header: Vec<&str> = self.columns.iter().map(|column| column.key.as_str()).collect();
        let rows = self.rows().map(|row| row.iter().map(|cell| field(&cell.value)).collect::<Vec<_>>());
        writer.write_record(header).expect("writing to memory does not fail");
        for row in rows {
            writer.write_record(row).expect("all rows have as many fields as the header");
        }
        let bytes = writer.into_inner().expect("writing to memory does not fail");
        String::from_utf8(bytes).expect("all fields are text")
    }
}

/// A key made from a label: `Viable up to` is `viable_up_to`.
fn key_of(label: &str) -> String {
    label.to_lowercase().replace(|character: char| !character.is_alphanumeric(), "_")
}

fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
