//! What containers say.

use jiff::Timestamp;

/// Text without the codes that colour it.
pub(super) fn plain(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    // A code ends with its first letter.
    parts.fold(first, |plain, part| {
        let after =
            part.find(|character: char| character.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        plain + &part[after..]
    })
}

/// True when one of these lines has `text` in it and was said at `since` or later. Each line begins with the time at
/// which Docker read it.
pub(super) fn said_since(lines: &[u8], since: Timestamp, text: &str) -> bool {
    let is_it = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        let (time, said) = line.split_once(' ')?;
        let time: Timestamp = time.parse().ok()?;
        Some(time >= since && plain(said.as_bytes()).contains(text))
    };
    lines.split(|byte| *byte == b'\n').any(|line| is_it(line).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::{plain, said_since};

    #[test]
    fn what_was_said_before_a_start_is_not_heard_after_it() {
        let lines = b"2026-01-02T03:04:05.000000001Z first \x1b[32mready\n2026-01-02T03:04:06.5Z second\n";
        let heard = |since: &str, text| said_since(lines, since.parse().unwrap(), text);
        assert!(heard("2026-01-02T03:04:05Z", "first ready"));
        assert!(!heard("2026-01-02T03:04:06Z", "first ready"));
        assert!(heard("2026-01-02T03:04:06Z", "second"));
    }

    #[test]
    fn colours_do_not_hide_what_is_said() {
        assert_eq!(plain(b"\x1b[2m2024\x1b[0m \x1b[32m INFO\x1b[0m Started on"), "2024  INFO Started on");
        assert_eq!(plain(b"plain \x1b["), "plain ");
    }
}
