//! Scripts that run tools in containers, and the resources that they used.

use crate::process::{Counters, Io};

/// The file in the container to which the script's resources are written, apart from its output.
pub(super) const ACCOUNT: &str = "/tmp/.backup-drill-account";

/// Runs the script given as its argument and writes the resources that it used. The kernel adds the I/O of every
/// process that was waited for to that of its parent, so the difference of this bash's own I/O counters is the script's
/// I/O. Without GNU time in the image, peak memory stays unknown.
pub(super) const WRAPPER: &str = r#"
account=/tmp/.backup-drill-account
memory=/tmp/.backup-drill-memory
mapfile -t before < /proc/$$/io
: > $memory
measured=()
type -P time > /dev/null && measured=(env time --quiet --format=%M --output=$memory)
"${measured[@]}" bash -o errexit -o pipefail -c "$1"
status=$?
mapfile -t after < /proc/$$/io
mapfile -t peak < $memory
{ times; printf '%s\n' "${peak[0]}" "${before[@]}" "${after[@]}"; } > $account
exit $status
"#;

/// Parses that file; `None` when it is incomplete.
pub(super) fn parse(account: &str) -> Option<Counters> {
    let lines: Vec<&str> = account.lines().collect();
    // The first line of `times` is the shell itself, which only waited.
    let cpu_seconds = lines.get(1)?.split_whitespace().map(seconds).sum::<Option<f64>>()?;
    let memory_bytes_max = match *lines.get(2)? {
        "" => None,
        kib => Some(kib.parse::<u64>().ok()? * 1024),
    };
    let io = lines.get(3..)?;
    let used = |name: &str| {
        let values = io.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok());
        match values.collect::<Vec<u64>>()[..] {
            [before, after] => after.checked_sub(before),
            _ => None,
        }
    };
    Some(Counters {
        cpu_seconds,
        memory_bytes_max,
        io: Some(Io {
            bytes_read: used("rchar")?,
            bytes_written: used("wchar")?,
            disk_bytes_read: used("read_bytes")?,
            disk_bytes_written: used("write_bytes")?.saturating_sub(used("cancelled_write_bytes")?),
        }),
    })
}

/// `1m2.345s`
fn seconds(time: &str) -> Option<f64> {
    let (minutes, seconds) = time.strip_suffix('s')?.split_once('m')?;
    Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT_OF_A_COPY: &str = "0m0.004s 0m0.008s\n1m1.500s 0m0.250s\n2048\n\
        rchar: 100\nwchar: 10\nsyscr: 9\nsyscw: 1\nread_bytes: 4096\nwrite_bytes: 0\ncancelled_write_bytes: 0\n\
        rchar: 1100\nwchar: 2010\nsyscr: 9\nsyscw: 1\nread_bytes: 4096\nwrite_bytes: 8192\n\
        cancelled_write_bytes: 4096\n";

    #[test]
    fn the_resources_are_the_difference_between_the_two_readings() {
        let expected = Counters {
            cpu_seconds: 61.75,
            memory_bytes_max: Some(2 << 20),
            io: Some(Io {
                bytes_read: 1000,
                bytes_written: 2000,
                disk_bytes_read: 0,
                disk_bytes_written: 4096,
            }),
        };
        assert_eq!(parse(ACCOUNT_OF_A_COPY), Some(expected));
    }

    #[test]
    fn memory_is_unknown_where_there_is_no_program_that_measures_it() {
        let without = parse(&ACCOUNT_OF_A_COPY.replace("\n2048\n", "\n\n")).unwrap();
        assert_eq!((without.memory_bytes_max, without.cpu_seconds), (None, 61.75));
    }

    #[test]
    fn an_incomplete_file_gives_no_resources() {
        for end in 0..ACCOUNT_OF_A_COPY.len() - "4096\n".len() {
            assert_eq!(parse(&ACCOUNT_OF_A_COPY[..end]), None, "{end}");
        }
        assert!(WRAPPER.contains(ACCOUNT));
    }
}
