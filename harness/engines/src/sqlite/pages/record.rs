//! SQLite's record format: the values of one row, or of one index entry.

use model::dataset::rows::{Columns, Value};

/// A record under construction. It is reused from row to row, so that a row costs no allocation.
#[derive(Debug, Default)]
pub(crate) struct Record {
    serial_types: Vec<u8>,
    body: Vec<u8>,
}

impl Record {
    /// Drops all values.
    pub(crate) fn clear(&mut self) {
        self.serial_types.clear();
        self.body.clear();
    }

    /// Length of the whole record in bytes.
    pub(crate) fn len(&self) -> usize {
        1 + self.serial_types.len() + self.body.len()
    }

    /// Writes the record to the start of `to`.
    pub(crate) fn write(&self, to: &mut [u8]) {
        let header = 1 + self.serial_types.len();
        assert!(header < 128, "the header's length must fit into one byte");
        to[0] = header as u8;
        to[1..header].copy_from_slice(&self.serial_types);
        to[header..header + self.body.len()].copy_from_slice(&self.body);
    }
}

impl Columns for Record {
    /// A row also stores a null in place of its own id.
    fn push_null(&mut self) {
        self.serial_types.push(0);
    }

    /// In the fewest bytes.
    fn push_integer(&mut self, value: i64) {
        let bytes = integer_bytes(value);
        self.serial_types.push(match (value, bytes) {
            (value, 0) => 8 + value as u8,
            (_, 6) => 5,
            (_, 8) => 6,
            (_, bytes) => bytes as u8,
        });
        self.body.extend_from_slice(&value.to_be_bytes()[8 - bytes..]);
    }

    fn push_text(&mut self, text: &[u8]) {
        push_varint(&mut self.serial_types, text.len() as u64 * 2 + 13);
        self.body.extend_from_slice(text);
    }
}

/// Length of the record of a row with these values behind its id.
pub(crate) fn row_bytes(values: &[Value]) -> usize {
    let mut record = Record::default();
    record.push_null();
    values.iter().for_each(|value| record.push(value));
    record.len()
}

/// Length of the record of an index entry with these values.
pub(crate) fn entry_bytes(values: &[Value]) -> usize {
    let mut record = Record::default();
    values.iter().for_each(|value| record.push(value));
    record.len()
}

/// Number of bytes of an integer in a record's body; none for 0 and 1.
fn integer_bytes(value: i64) -> usize {
    let bits = 65 - (value ^ (value >> 63)).leading_zeros();
    match bits {
        _ if value == 0 || value == 1 => 0,
        0..=8 => 1,
        9..=16 => 2,
        17..=24 => 3,
        25..=32 => 4,
        33..=48 => 6,
        _ => 8,
    }
}

/// Number of bytes of `value` as a varint. Values must be below 2^56; larger ones have a different format.
pub(crate) fn varint_bytes(value: u64) -> usize {
    assert!(value < 1 << 56, "{value} is not a length, id or type");
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Writes `value` as a varint to the start of `to` and returns its length in bytes.
pub(crate) fn write_varint(to: &mut [u8], value: u64) -> usize {
    let bytes = varint_bytes(value);
    for (place, byte) in to[..bytes].iter_mut().enumerate() {
        let group = (value >> (7 * (bytes - 1 - place))) as u8 & 0x7f;
        *byte = if place + 1 == bytes { group } else { group | 0x80 };
    }
    bytes
}

fn push_varint(to: &mut Vec<u8>, value: u64) {
    let mut bytes = [0; 8];
    let length = write_varint(&mut bytes, value);
    to.extend_from_slice(&bytes[..length]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A simple implementation of SQLite's description of varints.
    fn read_varint(bytes: &[u8]) -> (u64, usize) {
        let mut value = 0;
        for (place, byte) in bytes.iter().enumerate() {
            value = (value << 7) | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return (value, place + 1);
            }
        }
        panic!("no end");
    }

    proptest! {
        #[test]
        fn varints_can_be_read_back(bits in 0..56u32, value: u64) {
            let value = value & ((1 << bits) - 1);
            let mut bytes = [0xff; 8];
            let length = write_varint(&mut bytes, value);
            prop_assert_eq!(read_varint(&bytes), (value, length));
            prop_assert_eq!(varint_bytes(value), length);
        }
    }

    #[test]
    fn integers_take_the_fewest_bytes() {
        let cases = [
            (0, 0),
            (1, 0),
            (2, 1),
            (-1, 1),
            (127, 1),
            (-128, 1),
            (128, 2),
            (32_767, 2),
            (32_768, 3),
            (-8_388_608, 3),
            (8_388_608, 4),
            (i64::from(i32::MAX), 4),
            (i64::from(i32::MAX) + 1, 6),
            ((1 << 47) - 1, 6),
            (1 << 47, 8),
            (i64::MIN, 8),
        ];
        for (value, bytes) in cases {
            assert_eq!(integer_bytes(value), bytes, "{value}");
        }
    }

    #[test]
    fn a_record_is_header_then_body() {
        let mut record = Record::default();
        for value in [Value::Null, Value::Integer(1), Value::Integer(300), Value::Text("ab".into())] {
            record.push(&value);
        }
        let mut bytes = [0; 9];
        assert_eq!(record.len(), bytes.len());
        record.write(&mut bytes);
        assert_eq!(bytes, [5, 0, 9, 2, 17, 1, 44, b'a', b'b']);
    }
}
