//! Shortens the last output of programs to one line, without stack traces, for the reasons that reports show. The full
//! output stays in the record.

/// Replaces lines that were left out.
const LEFT_OUT: &str = " [...] ";
/// The line before the frames of a Python stack trace.
const TRACEBACK: &str = "Traceback (most recent call last):";
/// The heading of the findings of SQLite's own check.
const HEADING: &str = "*** in database main ***";
/// Beginnings of lines that say nothing about the cause: the lines before stack frames, and those that a MySQL server
/// prints after them.
const NOISE: [&str; 14] = [
    "Attempting backtrace.",
    "Backtrace:",
    "Connection ID (thread ID):",
    "For more information, see",
    "Some additional details",
    "Some pointers may be invalid",
    "Status: NOT_KILLED",
    "The manual page at ",
    "Trying to get some variables.",
    "disabled backtrace",
    "information that should help you",
    "note: Some details are omitted",
    "note: run with `RUST_BACKTRACE",
    "stack backtrace:",
];

/// The first line and the lines with the cause, joined into one. The cause is in the first and the last line that name an
/// error: some tools begin with it and end with a summary, others end with it. Without such lines, the last line is shown.
/// A first line that ends with a colon is joined with the next line.
pub(super) fn in_brief(text: &str) -> String {
    let lines = telling_lines(text);
    let mut brief = lines.first().cloned().unwrap_or_default();
    let mut rest = lines.get(1..).unwrap_or_default();
    if let Some((next, others)) = rest.split_first().filter(|_| brief.ends_with(':')) {
        brief = format!("{brief} {next}");
        rest = others;
    }
    let mut shown: Vec<usize> = (0..rest.len()).filter(|index| names_error(&rest[*index])).collect();
    if shown.len() > 2 {
        shown.drain(1..shown.len() - 1);
    }
    if shown.is_empty() {
        shown.extend(rest.len().checked_sub(1));
    }
    let mut next = 0;
    for index in shown {
        brief.push_str(if index == next { "; " } else { LEFT_OUT });
        brief.push_str(&rest[index]);
        next = index + 1;
    }
    brief
}

fn names_error(line: &str) -> bool {
    let line = line.to_lowercase();
    ["cannot", "could not", "denied", "error", "fail", "fatal", "incorrect", "locked"]
        .iter()
        .any(|word| line.contains(word))
}

/// The lines of a text without stack traces.
fn telling_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut trace = Trace::None;
    for line in text.lines() {
        let is_indented = line.starts_with([' ', '\t']);
        let said = line.trim();
        let begins_trace = said.ends_with(TRACEBACK);
        trace = match trace {
            _ if begins_trace => Trace::Python,
            _ if said.starts_with("goroutine ") && said.ends_with("]:") => Trace::Go,
            Trace::Python if !is_indented => Trace::None,
            Trace::Go if said.is_empty() || said.starts_with("exit status") => Trace::None,
            before => before,
        };
        if trace != Trace::None && !begins_trace || is_frame(said, is_indented) {
            continue;
        }
        // The heading is removed; text before it in the same line is kept.
        let said = said.trim_end_matches(TRACEBACK).trim_end_matches(HEADING).trim_end();
        // A MySQL server prints the reason for its exit in the line before "Aborting".
        let is_noise = NOISE.iter().any(|noise| said.starts_with(noise)) || said.ends_with("Aborting");
        if !said.is_empty() && !is_noise {
            lines.push(said.to_owned());
        }
    }
    lines
}

/// A stack trace that spans several lines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trace {
    None,
    /// Until the next line that is not indented: the exception.
    Python,
    /// Until an empty line.
    Go,
}

/// `#9 0x55620c3b2f17 <unknown>`, `4: core::panicking::panic` and `at src/main.rs:2:5` of Rust, `at Main.run(Main.java:3)`.
fn is_frame(said: &str, is_indented: bool) -> bool {
    let numbered = |rest: &str, mark: &str| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && rest[digits..].starts_with(mark)
    };
    let of_c = said.strip_prefix('#').is_some_and(|rest| numbered(rest, " 0x"));
    of_c || is_indented && (numbered(said, ": ") || said.starts_with("at "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_left_out_and_the_cause_stays() {
        let texts = [
            "'backup.py' ended with exit status: 1: Traceback (most recent call last):\n  File \"backup.py\", line 3, in \
             <module>\n    connection.backup(target)\nsqlite3.OperationalError: database is locked",
            "'ship' ended with exit status: 2: panic: no such bucket\n\ngoroutine 1 [running]:\nmain.main()\n\t/ship.go:9 \
             +0x1d\nexit status 2",
            "'tool' ended with exit status: 101: thread 'main' panicked at src/main.rs:2:5:\nno space left\nstack \
             backtrace:\n   0: rust_begin_unwind\n             at /rustc/library/std/src/panicking.rs:697:5\nnote: Some \
             details are omitted",
            "the MySQL server ended: it exited with status 2; last output:\n #9 0x55620c3b2f17 <unknown>\n #10 0x55620c3b417c \
             _ZN3THD\n\nTrying to get some variables.\nSome pointers may be invalid and cause the dump to abort.\nQuery \
             (55623da6c030): CHECK TABLE `torrents` EXTENDED\nConnection ID (thread ID): 11\nStatus: NOT_KILLED\n\nThe \
             manual page at https://dev.mysql.com/doc/mysql/en/crashing.html contains\ninformation that should help you \
             find out what is causing the crash.",
            "integrity_check: *** in database main ***\nTree 9 page 9 cell 0: invalid page number 12\nPage 7: never \
             used\nPage 8: never used",
            "a cycle failed: stored one\nfatal: database is locked\nwill try again",
            "'sync' ended with exit status 1: round 1:\nsent 22 bytes\ncannot begin: database is locked\nnothing was \
             sent\n not synced due to errors",
            "'rustic' ended with exit status: 1: error: an error related to `credentials`.\n\nMessage:\nThe password seems to \
             be incorrect.\n\nFor more information, see: https://rustic.cli.rs/docs/errors/C002\n\n\nSome additional \
             details ...\n\nBacktrace:\ndisabled backtrace (set 'RUST_BACKTRACE=\"1\"')",
            "one\ntwo",
            "in one line: as it is",
            "",
        ];
        insta::assert_snapshot!(texts.map(in_brief).join("\n"), @"
        'backup.py' ended with exit status: 1: sqlite3.OperationalError: database is locked
        'ship' ended with exit status: 2: panic: no such bucket; exit status 2
        'tool' ended with exit status: 101: thread 'main' panicked at src/main.rs:2:5: no space left
        the MySQL server ended: it exited with status 2; last output: Query (55623da6c030): CHECK TABLE `torrents` EXTENDED
        integrity_check: Tree 9 page 9 cell 0: invalid page number 12 [...] Page 8: never used
        a cycle failed: stored one; fatal: database is locked
        'sync' ended with exit status 1: round 1: sent 22 bytes; cannot begin: database is locked [...] not synced due to errors
        'rustic' ended with exit status: 1: error: an error related to `credentials`. [...] The password seems to be incorrect.
        one; two
        in one line: as it is
        ");
    }
}
