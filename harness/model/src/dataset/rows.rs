//! The rows of generated databases, independent of the engine.

use std::sync::Arc;

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Null.
    Null,
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
}

/// Receives the values of a row one after the other, and converts them to the format of an engine.
pub trait Columns {
    /// Appends a null.
    fn push_null(&mut self);

    /// Appends a whole number.
    fn push_integer(&mut self, value: i64);

    /// Appends a text.
    fn push_text(&mut self, text: &[u8]);

    /// Appends one value.
    fn push(&mut self, value: &Value) {
        match value {
            Value::Null => self.push_null(),
            Value::Integer(value) => self.push_integer(*value),
            Value::Text(value) => self.push_text(value.as_bytes()),
        }
    }
}

/// The rows of a table with an auto-increment id as the first column, and one unique column.
pub trait Rows: Send + Sync {
    /// Number of rows, at least one: their ids are 1 to this.
    fn count(&self) -> u64;

    /// Upper limit for the size of a row, in bytes. `bytes` says how many the engine needs for the values behind the id.
    fn row_bytes_max(&self, bytes: &dyn Fn(&[Value]) -> usize) -> usize;

    /// Upper limit for the size of an entry of the unique column's index, in bytes. `bytes` says how many the engine needs for the
    /// column's value and the id.
    fn entry_bytes_max(&self, bytes: &dyn Fn(&[Value]) -> usize) -> usize;

    /// Appends the values of the row with this id: all columns after the id. The first of them is the unique one.
    fn row(&self, id: u64, columns: &mut dyn Columns);

    /// Appends the unique column's value with this rank (from 0) in ascending order, then the id of its row.
    fn entry(&self, rank: u64, columns: &mut dyn Columns);
}

/// A small number of rows that are kept in memory.
pub struct FewRows {
    rows: Vec<Vec<Value>>,
    /// The rows' ids in the order of the first column.
    ranked: Vec<u64>,
}

impl FewRows {
    /// The columns after the id, row by row. The first of them is the unique one, which must be a text.
    pub fn new(rows: Vec<Vec<Value>>) -> FewRows {
        let key = |id: &u64| match &rows[*id as usize - 1][0] {
            Value::Text(text) => text.as_str(),
            other => panic!("{other:?} is not a text"),
        };
        let mut ranked: Vec<u64> = (1..=rows.len() as u64).collect();
        ranked.sort_by(|a, b| key(a).cmp(key(b)));
        FewRows { rows, ranked }
    }
}

impl Rows for FewRows {
    fn count(&self) -> u64 {
        self.rows.len() as u64
    }

    fn row_bytes_max(&self, bytes: &dyn Fn(&[Value]) -> usize) -> usize {
        self.rows.iter().map(|row| bytes(row)).max().unwrap_or(0)
    }

    fn entry_bytes_max(&self, bytes: &dyn Fn(&[Value]) -> usize) -> usize {
        let entry = |(row, id): (&Vec<Value>, i64)| bytes(&[row[0].clone(), Value::Integer(id)]);
        self.rows.iter().zip(1..).map(entry).max().unwrap_or(0)
    }

    fn row(&self, id: u64, columns: &mut dyn Columns) {
        for value in &self.rows[id as usize - 1] {
            columns.push(value);
        }
    }

    fn entry(&self, rank: u64, columns: &mut dyn Columns) {
        let id = self.ranked[rank as usize];
        columns.push(&self.rows[id as usize - 1][0]);
        columns.push_integer(id as i64);
    }
}

/// A table and its rows.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The column definitions in the statement that creates it, with the parentheses: for each dialect its name and the
    /// text. A dialect whose loader adds the unique constraint after the rows omits it.
    pub columns: &'static [(&'static str, &'static str)],
    /// The unique column.
    pub unique: &'static str,
    /// Its rows.
    pub rows: Arc<dyn Rows>,
}

impl Table {
    /// The columns in this dialect.
    ///
    /// # Panics
    /// Without a text for the dialect.
    pub fn columns_in(&self, dialect: &str) -> &'static str {
        let found = self.columns.iter().find(|(known, _)| *known == dialect);
        found.unwrap_or_else(|| panic!("table {} has no columns in the dialect '{dialect}'", self.name)).1
    }
}
