//! Whether the entries of an index are in order: <https://sqlite.org/datatype3.html#comparison_expressions>.
//!
//! A complete index that is out of order finds some rows and misses others. This happens when a copy contains pages
//! from two moments, between which entries moved from one page to another.

use std::cmp::Ordering;

use rusqlite::types::ValueRef;

/// SQLite's built-in collations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collation {
    Binary,
    NoCase,
    RightTrim,
}

impl Collation {
    /// The collation with this name; `None` for one that only the application has.
    pub(super) fn named(name: &str) -> Option<Collation> {
        let known =
            [("BINARY", Collation::Binary), ("NOCASE", Collation::NoCase), ("RTRIM", Collation::RightTrim)];
        known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, collation)| collation)
    }

    fn compare(self, one: &[u8], other: &[u8]) -> Ordering {
        match self {
            Collation::Binary => one.cmp(other),
            Collation::NoCase => {
                let pairs = one
                    .iter()
                    .zip(other)
                    .map(|(one, other)| (one.to_ascii_lowercase(), other.to_ascii_lowercase()));
                // SQLite stops comparing at a zero byte.
                let decides = |(one, other): &(u8, u8)| *one == 0 || one != other;
                let decided =
                    pairs.into_iter().find(decides).map_or(Ordering::Equal, |(one, other)| one.cmp(&other));
                decided.then(one.len().cmp(&other.len()))
            }
            Collation::RightTrim => without_last_spaces(one).cmp(without_last_spaces(other)),
        }
    }
}

fn without_last_spaces(text: &[u8]) -> &[u8] {
    let kept = text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    &text[..kept]
}

/// How one column of an index is ordered.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnOrder {
    pub(super) collation: Collation,
    pub(super) is_descending: bool,
}

/// A value that is kept for the comparison with the next one.
#[derive(Debug, Default)]
enum Kept {
    #[default]
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Kept {
    fn keep(&mut self, value: ValueRef<'_>) {
        let reused = |kept: &mut Kept| match kept {
            Kept::Text(bytes) | Kept::Blob(bytes) => std::mem::take(bytes),
            _ => Vec::new(),
        };
        let filled = |kept: &mut Kept, bytes: &[u8]| {
            let mut buffer = reused(kept);
            buffer.clear();
            buffer.extend_from_slice(bytes);
            buffer
        };
        *self = match value {
            ValueRef::Null => Kept::Null,
            ValueRef::Integer(value) => Kept::Integer(value),
            ValueRef::Real(value) => Kept::Real(value),
            ValueRef::Text(bytes) => Kept::Text(filled(self, bytes)),
            ValueRef::Blob(bytes) => Kept::Blob(filled(self, bytes)),
        };
    }

    fn compare(&self, next: ValueRef<'_>, collation: Collation) -> Ordering {
        let class = |value: ValueRef<'_>| match value {
            ValueRef::Null => 0,
            ValueRef::Integer(_) | ValueRef::Real(_) => 1,
            ValueRef::Text(_) => 2,
            ValueRef::Blob(_) => 3,
        };
        // Numbers that are equal after rounding count as equal.
        let rounded = |one: f64, other: f64| one.partial_cmp(&other).unwrap_or(Ordering::Equal);
        match (self, next) {
            (Kept::Integer(one), ValueRef::Integer(other)) => one.cmp(&other),
            (Kept::Integer(one), ValueRef::Real(other)) => rounded(*one as f64, other),
            (Kept::Real(one), ValueRef::Integer(other)) => rounded(*one, other as f64),
            (Kept::Real(one), ValueRef::Real(other)) => rounded(*one, other),
            (Kept::Text(one), ValueRef::Text(other)) => collation.compare(one, other),
            (Kept::Blob(one), ValueRef::Blob(other)) => one.as_slice().cmp(other),
            _ => class(self.borrow()).cmp(&class(next)),
        }
    }

    fn borrow(&self) -> ValueRef<'_> {
        match self {
            Kept::Null => ValueRef::Null,
            Kept::Integer(value) => ValueRef::Integer(*value),
            Kept::Real(value) => ValueRef::Real(*value),
            Kept::Text(bytes) => ValueRef::Text(bytes),
            Kept::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }
}

/// Checks the order of the entries of an index while they are read.
pub(super) struct Order {
    columns: Vec<ColumnOrder>,
    /// The last entry; empty before the first one.
    last: Vec<Kept>,
    /// How the last entry compares with the next one, as far as the columns so far decide it.
    ordering: Ordering,
    /// Number of entries that follow a higher one.
    pub(super) violations: u64,
}

impl Order {
    /// Checks nothing without columns.
    pub(super) fn new(columns: Vec<ColumnOrder>) -> Order {
        Order { columns, last: Vec::new(), ordering: Ordering::Equal, violations: 0 }
    }

    /// Checks the value in the next column of an entry: all columns are visited, from the first (0) to the last.
    pub(super) fn visit(&mut self, column: usize, value: ValueRef<'_>) {
        let Some(order) = self.columns.get(column) else { return };
        if self.last.len() == column {
            // The first entry.
            self.last.push(Kept::default());
        } else if self.ordering == Ordering::Equal {
            let ordering = self.last[column].compare(value, order.collation);
            self.ordering = if order.is_descending { ordering.reverse() } else { ordering };
        }
        self.last[column].keep(value);
        if column + 1 == self.columns.len() {
            self.violations += u64::from(self.ordering == Ordering::Greater);
            self.ordering = Ordering::Equal;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;
    use rusqlite::types::Value;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            (-3..3_i64).prop_map(Value::Integer),
            Just(Value::Integer(i64::MAX)),
            (-6..6_i32).prop_map(|number| Value::Real(f64::from(number) / 2.0)),
            "[aAbB \u{0}é_]{0,4}".prop_map(Value::Text),
            prop::collection::vec(0..3_u8, 0..3).prop_map(Value::Blob),
        ]
    }

    fn violations(entries: &[(Value, Value)], columns: Vec<ColumnOrder>) -> u64 {
        let mut order = Order::new(columns);
        for (one, other) in entries {
            order.visit(0, one.into());
            order.visit(1, other.into());
        }
        order.violations
    }

    proptest! {
        /// The order is SQLite's own, for all values and collations.
        #[test]
        fn sqlite_agrees(
            rows in prop::collection::vec((value(), value()), 2..12),
            collations in prop::sample::select(vec![("BINARY", "NOCASE"), ("NOCASE", "RTRIM"), ("RTRIM", "BINARY")]),
            directions in (any::<bool>(), any::<bool>()),
        ) {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch("CREATE TABLE t (a BLOB, b BLOB)").unwrap();
            for (one, other) in &rows {
                connection.execute("INSERT INTO t VALUES (?1, ?2)", (one, other)).unwrap();
            }
            let column = |name, is_descending| ColumnOrder { collation: Collation::named(name).unwrap(), is_descending };
            let columns = vec![column(collations.0, directions.0), column(collations.1, directions.1)];
            let direction = |is_descending| if is_descending { "DESC" } else { "ASC" };
            let order = format!(
                "a COLLATE {} {}, b COLLATE {} {}",
                collations.0, direction(directions.0), collations.1, direction(directions.1)
            );
            let read = |sql: &str| -> Vec<(Value, Value)> {
                let mut statement = connection.prepare(sql).unwrap();
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
                rows.map(Result::unwrap).collect()
            };
            let sorted = read(&format!("SELECT a, b FROM t ORDER BY {order}"));
            prop_assert_eq!(violations(&sorted, columns.clone()), 0);
            // In reverse order there is one violation for each pair of neighbours that differ.
            let reversed: Vec<_> = sorted.iter().rev().cloned().collect();
            let distinct: i64 = connection
                .query_row(
                    &format!(
                        "SELECT count(*) FROM (SELECT 1 FROM t GROUP BY a COLLATE {}, b COLLATE {})",
                        collations.0, collations.1
                    ),
                    [],
                    |row| row.get(0),
                )
                .unwrap();
            prop_assert_eq!(violations(&reversed, columns), distinct as u64 - 1);
        }
    }
}
