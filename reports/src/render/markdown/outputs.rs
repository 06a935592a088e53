//! The output of tools, without stack traces, which are useful only to their authors.

/// The placeholder for a stack trace.
const LEFT_OUT: &str = "(stack trace omitted: see the record)";

/// The same text without stack traces.
pub(super) fn without_stack_traces(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut in_python = false;
    for line in text.lines() {
        let is_indented = line.starts_with([' ', '\t']);
        in_python = line.starts_with("Traceback (most recent call last)") || (in_python && is_indented);
        if !(in_python || is_frame(line)) {
            lines.push(line);
        } else if lines.last() != Some(&LEFT_OUT) {
            lines.push(LEFT_OUT);
        }
    }
    lines.join("\n")
}

/// A line of a stack trace as Rust, Java, C++ programs and MySQL print them.
fn is_frame(line: &str) -> bool {
    let text = line.trim();
    let (number, after_number) = text.split_once(": ").unwrap_or(("", ""));
    let is_numbered = !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit());
    let has_address =
        text.ends_with(']') && text.contains("[0x") || text.starts_with("#") && text.contains(" 0x");
    text == "stack backtrace:"
        || text.starts_with("stack_bottom = ")
        || has_address
        || (is_numbered && (after_number.contains("::") || after_number.starts_with("0x")))
        || (line != text && text.starts_with("at ") && text.contains([':', '(']))
}

#[cfg(test)]
mod tests {
    use super::{LEFT_OUT, without_stack_traces};

    #[test]
    fn stack_traces_of_common_tools_are_left_out_and_their_messages_stay() {
        let python = "start\nTraceback (most recent call last):\n  File \"a.py\", line 3, in f\n    g()\nKeyError: 'x'";
        assert_eq!(without_stack_traces(python), format!("start\n{LEFT_OUT}\nKeyError: 'x'"));
        let rust = "thread 'main' panicked at src/main.rs:3:5:\nbad\nstack backtrace:\n   0: std::panic\n             at /rustc/lib.rs:3:5\nend";
        assert_eq!(
            without_stack_traces(rust),
            format!("thread 'main' panicked at src/main.rs:3:5:\nbad\n{LEFT_OUT}\nend")
        );
        let mysql = "got signal 6\nstack_bottom = 7f thread_stack 0x100000\nmysqld(f()+0x3d) [0x55d0]\nend";
        assert_eq!(without_stack_traces(mysql), format!("got signal 6\n{LEFT_OUT}\nend"));
    }

    #[test]
    fn other_output_stays_as_it_is() {
        let text = "1: copied\n  at 50 %\nerror: no space left [disk]";
        assert_eq!(without_stack_traces(text), text);
    }
}
