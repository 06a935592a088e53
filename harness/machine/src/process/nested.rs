//! A worker's own worker, for work that must not be done in the worker's process: closing a file there, for example,
//! drops all locks that the process holds on that file.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, anyhow};

use super::start::die_with_this_process;
use crate::error::Error;
use crate::worker::{ARGUMENT, Job, Message, Progress, line_for};

/// Lets a child of this worker do a job, and passes its progress on. The child belongs to the worker's process group and
/// is killed when the worker ends. What it prints on standard error goes where the worker's goes.
///
/// # Errors
/// When it cannot be started, the error that it reports, or how it ended without a report.
pub fn work_in_child<J: Job>(job: &J, report: &mut dyn FnMut(Progress)) -> anyhow::Result<J::Answer> {
    let mut child = start().context("cannot start a child of the worker")?;
    let line = line_for(job).context("a job is plain data")?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A child that dies before it reads its job is reported below.
    let _ = stdin.write_all(&line);
    drop(stdin);
    let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut answer = None;
    for line in stdout.lines() {
        match serde_json::from_str(&line?).context("a worker prints messages only")? {
            Message::Progress(progress) => report(progress),
            Message::Done(value) => answer = Some(Ok(value)),
            Message::Error(failure) => answer = Some(Err(Error::from(failure))),
            Message::Ready(_) => {}
        }
    }
    let status = child.wait().context("cannot wait for the child of the worker")?;
    match answer {
        Some(answer) => Ok(serde_json::from_value(answer?)
            .context("a worker's answer does not have the type that its job requires")?),
        None => Err(anyhow!("the {} ended with {status} before it reported anything", job.title())),
    }
}

fn start() -> std::io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped());
    die_with_this_process(&mut command);
    command.spawn()
}
