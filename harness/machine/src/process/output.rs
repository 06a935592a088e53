//! The output of children: the messages of workers, and the last lines of everything else.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::Sender;

use reports::printable;

use crate::worker::Message;

/// Number of output lines in a record.
const LINES: usize = 20;
/// Maximum length of such a line, in characters.
const LINE_CHARS: usize = 500;
/// Maximum number of bytes of a line that are read at once: a program may print a database instead of lines.
const PIECE_BYTES: u64 = 64 << 10;

/// What was read from a pipe.
pub(super) enum Output {
    Message(Message),
    Line(String),
    Closed,
}

/// Sends the content of a pipe, line by line, until it closes. Only a worker's standard output contains messages: the
/// output of any other program is never parsed as one.
pub(super) fn listen(pipe: impl Read + Send + 'static, has_messages: bool, sender: Sender<Output>) {
    let piece = if has_messages { u64::MAX } else { PIECE_BYTES };
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        // An unreadable pipe counts as closed. Errors of sending are ignored: the receiver is gone.
        while reader.by_ref().take(piece).read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let message = serde_json::from_slice(&line).ok().filter(|_| has_messages);
            let _ = sender.send(message.map_or_else(|| Output::Line(shortened(&line)), Output::Message));
            line.clear();
        }
        let _ = sender.send(Output::Closed);
    });
}

/// Adds a line to the last lines, and drops the oldest one if there are too many.
pub(super) fn keep(lines: &mut Vec<String>, line: String) {
    lines.push(line);
    if lines.len() > LINES {
        lines.remove(0);
    }
}

/// The last lines of a file to which output was redirected.
pub fn last_lines(file: &Path) -> String {
    let text = std::fs::read(file).unwrap_or_default();
    let mut lines = Vec::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        keep(&mut lines, shortened(line));
    }
    lines.join("\n")
}

/// A line in the form in which a record keeps it.
fn shortened(line: &[u8]) -> String {
    let line = printable(String::from_utf8_lossy(line).trim_end());
    let line = line.trim_end();
    match line.char_indices().nth(LINE_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn only_the_output_of_a_worker_is_parsed_as_messages() {
        let said = |has_messages| {
            let (sender, receiver) = channel();
            listen(&br#"{"error":{"bug":"told"}}"#[..], has_messages, sender);
            match receiver.recv().unwrap() {
                Output::Message(Message::Error(failure)) => format!("message {failure}"),
                Output::Line(line) => format!("line {line}"),
                _ => panic!("something else"),
            }
        };
        assert_eq!(said(true), "message told");
        assert_eq!(said(false), r#"line {"error":{"bug":"told"}}"#);
    }

    #[test]
    fn the_last_lines_are_kept_and_long_ones_cut() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("log");
        let lines: Vec<String> = (1..=30).map(|line| format!("line {line}")).collect();
        std::fs::write(&file, format!("{}\n{}\n", lines.join("\n"), "\u{e9}".repeat(600))).unwrap();
        let kept = last_lines(&file);
        assert!(kept.starts_with("line 12\nline 13\n"), "{kept}");
        assert!(kept.ends_with(&format!("\u{e9}{}...", "\u{e9}".repeat(499))), "{kept}");
        assert_eq!(last_lines(&directory.path().join("none")), "");
    }
}
