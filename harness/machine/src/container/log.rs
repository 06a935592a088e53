//! The output of containers.

use jiff::Timestamp;
use reports::printable;

/// True when one of these lines contains `text` and was printed at `since` or later. Each line begins with the time at
/// which Docker read it.
pub(super) fn was_logged_since(lines: &[u8], since: Timestamp, text: &str) -> bool {
    let is_it = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        let (time, said) = line.split_once(' ')?;
        let time: Timestamp = time.parse().ok()?;
        Some(time >= since && printable(said).contains(text))
    };
    lines.split(|byte| *byte == b'\n').any(|line| is_it(line).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::was_logged_since;

    #[test]
    fn output_from_before_a_start_is_ignored_after_it() {
        let lines = b"2026-01-02T03:04:05.000000001Z first \x1b[32mready\n2026-01-02T03:04:06.5Z second\n";
        let heard = |since: &str, text| was_logged_since(lines, since.parse().unwrap(), text);
        assert!(heard("2026-01-02T03:04:05Z", "first ready"));
        assert!(!heard("2026-01-02T03:04:06Z", "first ready"));
        assert!(heard("2026-01-02T03:04:06Z", "second"));
    }
}
