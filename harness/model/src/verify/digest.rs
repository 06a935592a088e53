//! An order-independent digest of rows.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// The sum of the 128-bit hashes of rows: the same rows in any order give the same sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(u128);

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        format!("{:032x}", digest.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Digest, Self::Error> {
        u128::from_str_radix(&text, 16).map(Digest)
    }
}

/// Rows of one table: how many, and their digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsDigest {
    /// Number of rows.
    pub rows: u64,
    /// Digest of all their columns.
    pub digest: Digest,
}

impl RowsDigest {
    /// Adds a row.
    pub fn add(&mut self, row: &RowBytes) {
        self.rows += 1;
        self.digest.0 = self.digest.0.wrapping_add(xxh3_128(&row.0));
    }

    /// Adds all rows of another digest.
    pub fn absorb(&mut self, other: RowsDigest) {
        self.rows += other.rows;
        self.digest.0 = self.digest.0.wrapping_add(other.digest.0);
    }
}

/// The value of one column, as an engine holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'row> {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text, in the encoding of the database.
    Text(&'row [u8]),
    /// Bytes.
    Blob(&'row [u8]),
}

/// The columns of one row as bytes, different for different rows. The buffer is reused for each row.
#[derive(Default)]
pub struct RowBytes(Vec<u8>);

impl RowBytes {
    /// Begins a new row.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends a column.
    pub fn push(&mut self, value: Field<'_>) {
        match value {
            Field::Null => self.0.push(0),
            Field::Integer(value) => self.push_tagged(1, &value.to_le_bytes()),
            Field::Real(value) => self.push_tagged(2, &value.to_bits().to_le_bytes()),
            Field::Text(bytes) => self.push_sized(3, bytes),
            Field::Blob(bytes) => self.push_sized(4, bytes),
        }
    }

    fn push_tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.0.push(tag);
        self.0.extend_from_slice(bytes);
    }

    fn push_sized(&mut self, tag: u8, bytes: &[u8]) {
        self.push_tagged(tag, &(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[&[&str]]) -> RowsDigest {
        let mut all = RowsDigest::default();
        let mut bytes = RowBytes::default();
        for row in rows {
            bytes.clear();
            row.iter().for_each(|column| bytes.push(Field::Text(column.as_bytes())));
            all.add(&bytes);
        }
        all
    }

    #[test]
    fn only_the_order_of_rows_does_not_matter() {
        let all = digest(&[&["a", "b"], &["c", ""]]);
        assert_eq!(all, digest(&[&["c", ""], &["a", "b"]]));
        assert_ne!(all, digest(&[&["ab", ""], &["c", ""]]));
        assert_ne!(all, digest(&[&["a", "b"], &["c", ""], &["c", ""]]));
        // Duplicate rows must not cancel each other out.
        assert_ne!(digest(&[&["a"], &["a"]]).digest, digest(&[&["b"], &["b"]]).digest);
    }

    #[test]
    fn a_digest_survives_json() {
        let all = digest(&[&["a", "b"]]);
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<RowsDigest>(&json).unwrap(), all);
    }
}
