//! Groups of child processes that work together, and how they ended.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use nix::sys::wait::WaitStatus;

use super::cancel::{Cancel, TICK};
use super::child::Child;
use super::counters::Counters;
use super::output::{Output, keep, listen};
use crate::error::{Error, Result};
use crate::worker::{Failure, Message, Progress};

/// Maximum time for reading the output that a child printed before its end.
const WORDS_TIMEOUT: Duration = Duration::from_secs(1);
/// When commands have ended and their pipes are silent for this long, their output is complete. The pipes may not
/// close, because background processes may hold them open.
const SILENCE: Duration = Duration::from_millis(200);

/// Children that work together (a pipeline, or a single worker) until all have ended.
pub struct Group {
    children: Vec<Child>,
    receiver: Receiver<Output>,
    open: usize,
    lines: Vec<String>,
}

/// How a group ended.
pub struct Ended {
    /// Name and exit status of each child.
    pub children: Vec<(String, ExitStatus)>,
    /// The worker's answer, if one child was a worker.
    pub answer: Option<Result<serde_json::Value, Failure>>,
    /// The last lines that were printed.
    pub output: String,
    has_worker: bool,
}

/// Why children failed. The variants are distinguished because different parties are responsible.
#[derive(Debug)]
pub enum ProcessError {
    /// A worker reported an error.
    Reported(Failure),
    /// A command failed: how it ended, and its output.
    Ended(String),
    /// A worker was killed before it reported anything.
    Killed(String),
    /// A worker exited without a report: it panicked.
    Crashed(String),
}

impl std::fmt::Display for ProcessError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ProcessError::Reported(failure) => failure.fmt(f),
            ProcessError::Ended(message) | ProcessError::Killed(message) | ProcessError::Crashed(message) => {
                f.write_str(message)
            }
        }
    }
}

impl From<ProcessError> for Error {
    /// For children that the harness runs for its own purposes.
    fn from(error: ProcessError) -> Error {
        match error {
            ProcessError::Reported(failure) => failure.into(),
            ProcessError::Ended(message) | ProcessError::Killed(message) => Error::Environment(message),
            ProcessError::Crashed(message) => Error::Bug(anyhow!(message)),
        }
    }
}

impl Group {
    /// Reads the output of the children that is piped. A child's standard output may also go to the next child or to a
    /// file.
    pub fn new(mut children: Vec<Child>) -> Group {
        let (sender, receiver) = channel();
        let mut open = 0;
        for child in &mut children {
            if let Some(stdout) = child.take_stdout() {
                open += 1;
                listen(stdout, child.is_worker, sender.clone());
            }
            if let Some(stderr) = child.take_stderr() {
                open += 1;
                listen(stderr, false, sender.clone());
            }
        }
        Group { children, receiver, open, lines: Vec::new() }
    }

    /// Waits until all have ended. `on_event` is called with each progress, and at least every [`TICK`] with `None`. If
    /// it returns an error, the children are killed.
    ///
    /// # Errors
    /// The error of `on_event`.
    pub fn wait<E>(
        &mut self,
        mut on_event: impl FnMut(Option<Progress>) -> Result<(), E>,
    ) -> Result<Ended, E> {
        let mut answer = None;
        let mut heard = Instant::now();
        let mut ended = None;
        let has_worker = self.children.iter().any(|child| child.is_worker);
        let outcome = loop {
            if !has_worker && ended.is_none() && heard.elapsed() > SILENCE && self.have_all_ended() {
                ended = Some(Instant::now());
            }
            // What they printed last may still be in the pipes.
            if self.open == 0 || ended.is_some_and(|at: Instant| at.max(heard).elapsed() > SILENCE) {
                break Ok(());
            }
            let event = match self.receiver.recv_timeout(TICK) {
                Ok(Output::Message(Message::Progress(progress))) => on_event(Some(progress)),
                Ok(Output::Message(Message::Ready(_))) => Ok(()),
                Ok(Output::Message(Message::Done(value))) => {
                    answer = Some(Ok(value));
                    Ok(())
                }
                Ok(Output::Message(Message::Error(message))) => {
                    answer = Some(Err(message));
                    Ok(())
                }
                Ok(Output::Line(line)) => {
                    heard = Instant::now();
                    keep(&mut self.lines, line);
                    Ok(())
                }
                Ok(Output::Closed) => {
                    self.open -= 1;
                    Ok(())
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => on_event(None),
            };
            if event.is_err() {
                break event;
            }
        };
        if outcome.is_err() {
            self.children.iter().for_each(Child::kill);
            self.read_rest();
        }
        let children = self.children.iter_mut().map(|child| {
            let (status, _) = child.reap();
            (child.name.clone(), status)
        });
        let children = children.collect();
        let ended = Ended { children, answer, output: self.output(), has_worker };
        outcome.map(|()| ended)
    }

    /// Keeps what the children printed before they were killed. A background process may hold their pipes open.
    fn read_rest(&mut self) {
        let give_up = Instant::now() + WORDS_TIMEOUT;
        while let Some(left) = give_up.checked_duration_since(Instant::now()).filter(|_| self.open > 0) {
            match self.receiver.recv_timeout(left) {
                Ok(Output::Line(line)) => keep(&mut self.lines, line),
                Ok(Output::Closed) => self.open -= 1,
                Ok(Output::Message(_)) => {}
                Err(_) => break,
            }
        }
    }

    /// Waits until a worker reports that it is ready.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; [`Error::Environment`] when it ends or `timeout` passes before it is ready.
    pub fn wait_ready(&mut self, cancel: &Cancel, timeout: Duration) -> Result<()> {
        let give_up = Instant::now() + timeout;
        let mut said = Vec::new();
        loop {
            cancel.check()?;
            match self.receiver.recv_timeout(TICK) {
                Ok(Output::Message(Message::Ready(_))) => return Ok(()),
                Ok(Output::Message(Message::Error(failure))) => {
                    return Err(Error::Environment(failure.to_string()));
                }
                Ok(Output::Line(line)) => said.push(line),
                Ok(Output::Closed) => {
                    self.open -= 1;
                    if self.open == 0 {
                        return Err(self.never_served(&said));
                    }
                }
                Ok(Output::Message(_)) | Err(_) => {}
            }
            if Instant::now() > give_up {
                let seconds = timeout.as_secs();
                return Err(Error::Environment(format!(
                    "the {} was not ready within {seconds} s",
                    self.children[0].name
                )));
            }
        }
    }

    fn never_served(&mut self, said: &[String]) -> Error {
        let child = &mut self.children[0];
        let (status, _) = child.reap();
        Error::Environment(format!(
            "the {} ended with {status} before it was ready: {}",
            child.name,
            said.join("\n")
        ))
    }

    /// The last lines that were printed so far.
    pub fn output(&self) -> String {
        self.lines.join("\n")
    }

    /// True when a child has ended.
    pub fn has_ended(&self) -> bool {
        self.children.iter().any(Child::has_ended)
    }

    fn have_all_ended(&self) -> bool {
        self.children.iter().all(Child::has_ended)
    }

    /// How a worker ended, if it exited unexpectedly and [`Group::wait`] was not called: the error that it reported, or
    /// its exit status.
    pub fn last_words(&self) -> String {
        let mut said = Vec::new();
        let give_up = Instant::now() + WORDS_TIMEOUT;
        // Until all pipes are closed.
        while let Some(left) = give_up.checked_duration_since(Instant::now()) {
            match self.receiver.recv_timeout(left) {
                Ok(Output::Message(Message::Error(failure))) => return failure.to_string(),
                Ok(Output::Line(line)) => keep(&mut said, line),
                Ok(Output::Message(_) | Output::Closed) => {}
                Err(_) => break,
            }
        }
        let child = &self.children[0];
        let how = match child.state() {
            Ok(WaitStatus::Exited(_, code)) => format!("exit status {code}"),
            Ok(WaitStatus::Signaled(_, signal, _)) => signal.to_string(),
            other => format!("{other:?}"),
        };
        let said = if said.is_empty() { String::new() } else { format!(": {}", said.join("\n")) };
        format!("the {} ended with {how}{said}", child.name)
    }

    /// Sends SIGKILL to all children and waits for their end.
    pub fn kill(&mut self) {
        self.children.iter().for_each(Child::kill);
        self.children.iter_mut().for_each(|child| {
            child.reap();
        });
    }

    /// The resources that the children and their descendants have used so far, including those that have ended. For a
    /// pipeline, the bytes read are those of its first and the bytes written those of its last process: data that flows
    /// between the processes is neither.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        let (mut first, mut last) = (None, None);
        for child in &self.children {
            let counters = child.counters().unwrap_or(Counters::UNKNOWN);
            sum.add(&counters);
            first = first.or(counters.io);
            last = counters.io;
        }
        if let Some(((io, first), last)) = sum.io.as_mut().zip(first).zip(last) {
            (io.bytes_read, io.bytes_written) = (first.bytes_read, last.bytes_written);
        }
        sum
    }
}

impl Ended {
    /// The worker's answer; for commands, null when all were successful.
    ///
    /// # Errors
    /// The first child that failed: its name, how it ended, and its output.
    pub fn result(self) -> Result<serde_json::Value, ProcessError> {
        let answer = self.answer.transpose().map_err(ProcessError::Reported)?;
        for (name, status) in &self.children {
            if !status.success() {
                let said = if self.output.is_empty() { String::new() } else { format!(": {}", self.output) };
                let message = format!("'{name}' ended with {status}{said}");
                return Err(match status.signal() {
                    _ if !self.has_worker => ProcessError::Ended(message),
                    Some(_) => ProcessError::Killed(message),
                    None => ProcessError::Crashed(message),
                });
            }
        }
        Ok(answer.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::process::{Account, Launcher};

    /// The result for a worker or a command that ended with this status of wait(2).
    fn result(has_worker: bool, raw: i32, answer: Option<Result<serde_json::Value, Failure>>) -> String {
        let children = vec![("copy".to_owned(), ExitStatus::from_raw(raw))];
        let ended = Ended { children, answer, output: "said".into(), has_worker };
        match ended.result() {
            Ok(value) => format!("success: {value}"),
            Err(ProcessError::Reported(failure)) => format!("reported: {failure}"),
            Err(ProcessError::Ended(message)) => format!("ended: {message}"),
            Err(ProcessError::Killed(message)) => format!("killed: {message}"),
            Err(ProcessError::Crashed(message)) => format!("crashed: {message}"),
        }
    }

    #[test]
    fn what_ended_by_itself_is_told_with_what_it_said() {
        let directory = tempfile::tempdir().unwrap();
        let launcher = Launcher::new(directory.path(), &Cancel::default());
        let last_words = |script| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let group = Group::new(vec![launcher.spawn(Account::Subject, command).unwrap()]);
            while !group.has_ended() {
                std::thread::sleep(TICK);
            }
            group.last_words()
        };
        assert_eq!(last_words("echo no space >&2; exit 3"), "the sh ended with exit status 3: no space");
        assert_eq!(last_words("kill -BUS $$"), "the sh ended with SIGBUS");
    }

    #[test]
    fn a_report_a_failure_a_kill_and_a_panic_are_distinguished() {
        let reported = || Some(Err(Failure::Environment("no space".into())));
        let results = [
            result(true, 0, Some(Ok(7.into()))),
            result(false, 0, None),
            result(true, 1 << 8, reported()),
            result(false, 1 << 8, None),
            result(false, 7, None),
            result(true, 7, None),
            result(true, 101 << 8, None),
        ];
        insta::assert_snapshot!(results.join("\n"), @"
        success: 7
        success: null
        reported: no space
        ended: 'copy' ended with exit status: 1: said
        ended: 'copy' ended with signal: 7 (SIGBUS): said
        killed: 'copy' ended with signal: 7 (SIGBUS): said
        crashed: 'copy' ended with exit status: 101: said
        ");
    }
}
