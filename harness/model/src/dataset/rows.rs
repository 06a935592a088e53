//! The rows of generated databases, as every engine is given them.

use std::sync::Arc;

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
}

/// What takes the values of a row one after the other, in the form that an engine wants.
pub trait Columns {
    /// Appends no value.
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

/// The rows of a table whose first column is a number that counts up by itself and that has one unique column.
pub trait Rows: Send + Sync {
    /// Number of rows, at least one: their ids are 1 to this.
    fn count(&self) -> u64;

    /// Bytes of the longest row, at most. `bytes` says how many the engine needs for the values behind the id.
    fn row_bytes_max(&self, bytes: &dyn Fn(&[Value]) -> usize) -> usize;

    /// Bytes of the longest entry of the unique column's index, at most. `bytes` says how many the engine needs for the
    /// column's value and the id.
    fn entry_bytes_max(&self, bytes: &dyn Fn(&[Value]) -> usize) -> usize;

    /// Appends the values of the row with this id: all columns behind the id. The first of them is the unique one.
    fn row(&self, id: u64, columns: &mut dyn Columns);

    /// Appends the unique column's value with this rank (from 0) in ascending order, then the id of its row.
    fn entry(&self, rank: u64, columns: &mut dyn Columns);
}

/// Rows that are few enough to be kept in memory.
pub struct FewRows {
    rows: Vec<Vec<Value>>,
    /// The rows' ids in the order of the first column.
    ranked: Vec<u64>,
}

impl FewRows {
    /// The columns behind the id, row by row. The first of them is the unique one: a text.
    pub fn new(rows: Vec<Vec<Value>>) -> FewRows {
        let key = |id: &u64| match &rows[*id as usize - 1][0] {
            Value::Text(text) => text.as_str(),
            other => panic!("{other:?} is no text"),
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
    /// What stands between the name and the end of the statement that creates it, with the parentheses, in each dialect:
    /// its name and the text. A dialect whose loader adds the unique index behind the rows leaves that out.
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
