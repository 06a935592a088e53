//! A connection of the SFTP protocol over `ssh`, with many requests on the way at the same time.

use std::collections::HashSet;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use anyhow::Context;
use machine::error::{Error, Result};
use machine::process::{Account, Cancel, Group, Launcher, TICK};
use reports::printable;

use super::host::Host;
use super::protocol::{self, Answer, Attributes, Request, VERSION, code, open, request};

/// Synchronises a file; most servers have it.
const FSYNC: &str = "fsync@openssh.com";

/// A connection to a host. Dropping it ends the command.
pub(super) struct Session<'a> {
    pub(super) host: &'a Host,
    operation: String,
    cancel: Cancel,
    requests: u64,
    next: u32,
    to: PipeWriter,
    from: Receiver<io::Result<(u32, Answer)>>,
    has_fsync: bool,
    group: Group,
}

impl<'a> Session<'a> {
    /// Connects. `operation` is what errors say cannot be done, such as "upload 'name' to sftp://host/path".
    pub(super) fn open(host: &'a Host, launcher: &Launcher, operation: String) -> Result<Session<'a>> {
        launcher.cancel.check()?;
        let (stdin, to) = io::pipe().context("cannot create a pipe")?;
        let (stdout, command_stdout) = io::pipe().context("cannot create a pipe")?;
        let mut command = host.sftp_command();
        command.stdin(stdin).stdout(command_stdout).stderr(Stdio::piped());
        let group = Group::new(vec![launcher.spawn(Account::Preparation, command)?]);
        let mut session = Session {
            host,
            operation,
            cancel: launcher.cancel.clone(),
            requests: 0,
            next: 0,
            to,
            from: listen(stdout),
            has_fsync: false,
            group,
        };
        // The version is the only message without a number: it has its place.
        session.send(Request::new(request::INIT, VERSION))?;
        match session.receive()? {
            (_, Answer::Version(extensions)) => {
                session.has_fsync = extensions.iter().any(|name| name == FSYNC);
                Ok(session)
            }
            _ => Err(session.failed("the server does not speak SFTP of version 3")),
        }
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    /// The error of this operation with its cause.
    pub(super) fn failed(&self, cause: &str) -> Error {
        Error::Environment(format!("cannot {}: {}", self.operation, printable(cause)))
    }

    fn number(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    fn send(&mut self, request: Request) -> Result<()> {
        self.requests += 1;
        // A server that is gone is reported by the answer that does not come.
        match self.to.write_all(&request.finish()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(self.failed(&error.to_string())),
            _ => Ok(()),
        }
    }

    fn receive(&mut self) -> Result<(u32, Answer)> {
        loop {
            self.cancel.check()?;
            match self.from.recv_timeout(TICK) {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => return Err(self.failed(&error.to_string())),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.disconnected()),
            }
        }
    }

    fn disconnected(&mut self) -> Error {
        let cancel = self.cancel.clone();
        match self.group.wait(|_| cancel.check()) {
            Ok(ended) => self.host.disconnected(&self.operation, &ended.output),
            Err(error) => error,
        }
    }

    /// Sends a request of a kind, completed by `fill`, and waits for its answer.
    fn call(&mut self, kind: u8, fill: impl FnOnce(Request) -> Request) -> Result<Answer> {
        let number = self.number();
        self.send(fill(Request::new(kind, number)))?;
        match self.receive()? {
            (answered, answer) if answered == number => Ok(answer),
            _ => Err(self.failed("the server answered another request")),
        }
    }

    /// The error of an answer on a path.
    fn rejected(&self, path: &str, answer: &Answer) -> Error {
        let Answer::Status { code, message } = answer else {
            return self.failed("the server's answer does not fit the request");
        };
        let cause = match *code {
            code::NO_SUCH_FILE => "it does not exist".to_owned(),
            code::PERMISSION_DENIED => "permission denied on the host".to_owned(),
            // Also the answer for a full disk.
            _ => format!("the server answered '{message}': check its free space, quota and log"),
        };
        self.failed(&format!("{path}: {cause}"))
    }

    fn succeed(&mut self, path: &str, kind: u8, fill: impl FnOnce(Request) -> Request) -> Result<()> {
        match self.call(kind, fill)? {
            Answer::Status { code: code::OK, .. } => Ok(()),
            answer => Err(self.rejected(path, &answer)),
        }
    }

    /// What is known of a path; `None` when it does not exist. A symbolic link is followed if `follow`.
    pub(super) fn attributes(&mut self, path: &str, follow: bool) -> Result<Option<Attributes>> {
        let kind = if follow { request::STAT } else { request::LSTAT };
        match self.call(kind, |request| request.text(path.as_bytes()))? {
            Answer::Attributes(attributes) => Ok(Some(attributes)),
            Answer::Status { code: code::NO_SUCH_FILE, .. } => Ok(None),
            answer => Err(self.rejected(path, &answer)),
        }
    }

    /// Renames a file. The protocol demands an error when `to` exists.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        self.succeed(to, request::RENAME, |request| request.text(from.as_bytes()).text(to.as_bytes()))
    }

    /// Removes a file. It is no error when it does not exist.
    pub(super) fn remove(&mut self, path: &str) -> Result<()> {
        match self.call(request::REMOVE, |request| request.text(path.as_bytes()))? {
            Answer::Status { code: code::OK | code::NO_SUCH_FILE, .. } => Ok(()),
            answer => Err(self.rejected(path, &answer)),
        }
    }

    /// The names in a directory.
    pub(super) fn names(&mut self, path: &str) -> Result<Vec<(Vec<u8>, Attributes)>> {
        let handle = match self.call(request::OPENDIR, |request| request.text(path.as_bytes()))? {
            Answer::Handle(handle) => handle,
            answer => return Err(self.rejected(path, &answer)),
        };
        let mut all = Vec::new();
        loop {
            match self.call(request::READDIR, |request| request.text(&handle))? {
                Answer::Names(names) => all.extend(names),
                Answer::Status { code: code::EOF, .. } => break,
                answer => return Err(self.rejected(path, &answer)),
            }
        }
        self.succeed(path, request::CLOSE, |request| request.text(&handle))?;
        Ok(all)
    }

    /// Opens a file to read it; `None` when it does not exist.
    pub(super) fn open_to_read(&mut self, path: &str) -> Result<Option<RemoteFile>> {
        self.open_file(path, open::READ)
    }

    /// Opens a file to write it, and creates it when it does not exist.
    pub(super) fn open_to_write(&mut self, path: &str) -> Result<RemoteFile> {
        let opened = self.open_file(path, open::READ | open::WRITE | open::CREATE)?;
        opened.ok_or_else(|| self.failed(&format!("{path}: its directory does not exist: create it")))
    }

    fn open_file(&mut self, path: &str, flags: u32) -> Result<Option<RemoteFile>> {
        let fill = |request: Request| request.text(path.as_bytes()).number(flags).attributes(None);
        match self.call(request::OPEN, fill)? {
            Answer::Handle(handle) => Ok(Some(RemoteFile { handle, path: path.to_owned() })),
            Answer::Status { code: code::NO_SUCH_FILE, .. } => Ok(None),
            answer => Err(self.rejected(path, &answer)),
        }
    }

    /// The size of an open file, in bytes.
    pub(super) fn size(&mut self, file: &RemoteFile) -> Result<u64> {
        match self.call(request::FSTAT, |request| request.text(&file.handle))? {
            Answer::Attributes(Attributes { size: Some(size), .. }) => Ok(size),
            answer => Err(self.rejected(&file.path, &answer)),
        }
    }

    /// Makes an open file empty.
    pub(super) fn truncate(&mut self, file: &RemoteFile) -> Result<()> {
        self.succeed(&file.path, request::FSETSTAT, |request| request.text(&file.handle).attributes(Some(0)))
    }

    /// Makes an open file durable, if the server can do that.
    pub(super) fn sync(&mut self, file: &RemoteFile) -> Result<()> {
        if !self.has_fsync {
            return Ok(());
        }
        self.succeed(&file.path, request::EXTENDED, |request| {
            request.text(FSYNC.as_bytes()).text(&file.handle)
        })
    }

    /// Closes a file.
    pub(super) fn close(&mut self, file: &RemoteFile) -> Result<()> {
        self.succeed(&file.path, request::CLOSE, |request| request.text(&file.handle))
    }

    /// Sends a piece of a file; [`Session::written`] waits for the answer.
    pub(super) fn write(&mut self, file: &RemoteFile, offset: u64, piece: &[u8]) -> Result<u32> {
        let number = self.number();
        self.send(Request::new(request::WRITE, number).text(&file.handle).offset(offset).text(piece))?;
        Ok(number)
    }

    /// Waits for the answer to one of the writes that are on the way.
    pub(super) fn written(&mut self, file: &RemoteFile, pending: &mut HashSet<u32>) -> Result<()> {
        let (number, answer) = self.receive()?;
        match answer {
            Answer::Status { code: code::OK, .. } if pending.remove(&number) => Ok(()),
            answer => Err(self.rejected(&file.path, &answer)),
        }
    }

    /// Asks for a piece of a file; [`Session::read`] waits for the answer.
    pub(super) fn ask(&mut self, file: &RemoteFile, offset: u64, bytes: u32) -> Result<u32> {
        let number = self.number();
        self.send(Request::new(request::READ, number).text(&file.handle).offset(offset).number(bytes))?;
        Ok(number)
    }

    /// Waits for the answer to one of the reads that are on the way: its number, and the data; `None` at the end.
    pub(super) fn read(&mut self, file: &RemoteFile) -> Result<(u32, Option<Vec<u8>>)> {
        match self.receive()? {
            (number, Answer::Data(data)) if !data.is_empty() => Ok((number, Some(data))),
            (number, Answer::Status { code: code::EOF, .. } | Answer::Data(_)) => Ok((number, None)),
            (_, answer) => Err(self.rejected(&file.path, &answer)),
        }
    }
}

/// An open file on the host.
pub(super) struct RemoteFile {
    handle: Vec<u8>,
    path: String,
}

/// Reads answers until the connection ends.
fn listen(mut stdout: PipeReader) -> Receiver<io::Result<(u32, Answer)>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        while let Some(message) = protocol::read(&mut stdout).transpose() {
            let is_last = message.is_err();
            // The receiver is gone when the operation has failed.
            if sender.send(message).is_err() || is_last {
                break;
            }
        }
    });
    receiver
}
