//! Objects as files on a host.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use machine::error::{Error, Result};
use machine::process::Launcher;

use super::host::Host;
use super::session::{RemoteFile, Session};
use crate::content::{ContentHasher, cannot};
use crate::destination::contract::{
    Listing, Moved, Operation, Upload, absent, changed, exists, partial_name,
};
use crate::destination::name::ObjectName;
use crate::output_file::OutputFile;
use crate::progress::Meter;

/// The size of a piece, in bytes: the largest that every server takes.
const PIECE_BYTES: u32 = 32 << 10;
/// Pieces that are on the way at the same time: 2 MiB, enough for 100 MB/s at a round trip of 20 ms.
const PIECES_MAX: usize = 64;

/// The files of a destination on a host.
pub(crate) struct Files<'a> {
    pub(crate) host: &'a Host,
    /// The place in messages.
    pub(crate) place: String,
}

impl<'a> Files<'a> {
    fn connect(&self, launcher: &Launcher, operation: String) -> Result<Session<'a>> {
        Session::open(self.host, launcher, operation)
    }

    /// Connects for an upload and checks that the directory exists and the name is free.
    fn begin(&self, upload: &Upload, launcher: &Launcher) -> Result<Session<'a>> {
        let operation = format!("upload '{}' to {}", upload.name, self.place);
        let mut session = self.connect(launcher, operation)?;
        self.check(&mut session)?;
        if session.attributes(&self.host.object(upload.name), false)?.is_some() {
            return Err(exists(upload.name, &self.place));
        }
        Ok(session)
    }

    fn check(&self, session: &mut Session) -> Result<()> {
        match session.attributes(self.host.path(), true)? {
            Some(attributes) if attributes.is_directory() => Ok(()),
            _ => Err(session
                .failed(&format!("there is no directory '{}' on the host: create it", self.host.path()))),
        }
    }

    /// Checks before an upload by other means that it can succeed.
    pub(crate) fn prepare(&self, upload: &Upload, operation: &mut Operation) -> Result<()> {
        self.begin(upload, operation.launcher).map(drop)
    }

    /// Publishes what was uploaded under the temporary name by other means.
    pub(crate) fn publish(&self, upload: &Upload, operation: &mut Operation) -> Result<()> {
        let mut session = self.begin(upload, operation.launcher)?;
        let partial = self.host.file(&partial_name(upload));
        let file = session.open_to_write(&partial)?;
        self.finish(&mut session, upload, &partial, file)
    }

    /// Uploads with this protocol.
    pub(crate) fn put(&self, upload: &Upload, operation: &mut Operation) -> Result<Moved> {
        let mut session = self.begin(upload, operation.launcher)?;
        let partial = self.host.file(&partial_name(upload));
        let file = session.open_to_write(&partial)?;
        let mut start = session.size(&file)?;
        if start > upload.content.bytes {
            session.truncate(&file)?;
            start = 0;
        }
        let bytes = send(&mut session, upload, &file, start, operation)?;
        self.finish(&mut session, upload, &partial, file)?;
        Ok(Moved { bytes, requests: Some(session.requests()) })
    }

    fn finish(&self, session: &mut Session, upload: &Upload, partial: &str, file: RemoteFile) -> Result<()> {
        let size = session.size(&file)?;
        if size != upload.content.bytes {
            let expected = upload.content.bytes;
            return Err(
                session.failed(&format!("{size} instead of {expected} bytes arrived: upload it again"))
            );
        }
        session.sync(&file)?;
        session.close(&file)?;
        let target = self.host.object(upload.name);
        let renamed = session.rename(partial, &target);
        if renamed.is_err() && session.attributes(&target, false)?.is_some() {
            session.remove(partial)?;
            return Err(exists(upload.name, &self.place));
        }
        renamed
    }

    /// All complete objects.
    pub(crate) fn list(&self, operation: &mut Operation) -> Result<Listing> {
        let mut session = self.connect(operation.launcher, format!("list {}", self.place))?;
        self.check(&mut session)?;
        let names = session.names(self.host.path())?;
        let found = names.into_iter().filter_map(|(name, attributes)| {
            let name = String::from_utf8(name).ok().filter(|_| attributes.is_file())?;
            Some((name, attributes.size.unwrap_or_default()))
        });
        Ok(Listing::of(found, Some(session.requests())))
    }

    /// The size of an object in bytes; an error when there is none.
    pub(crate) fn size(&self, name: &ObjectName, operation: &mut Operation) -> Result<u64> {
        let mut session = self.connect(operation.launcher, self.downloading(name))?;
        let attributes = session.attributes(&self.host.object(name), true)?;
        attributes.and_then(|attributes| attributes.size).ok_or_else(|| absent(name, &self.place))
    }

    fn downloading(&self, name: &ObjectName) -> String {
        format!("download '{name}' from {}", self.place)
    }

    /// Downloads with this protocol.
    pub(crate) fn get(&self, name: &ObjectName, to: &Path, operation: &mut Operation) -> Result<Moved> {
        let mut session = self.connect(operation.launcher, self.downloading(name))?;
        let opened = session.open_to_read(&self.host.object(name))?;
        let file = opened.ok_or_else(|| absent(name, &self.place))?;
        let total = session.size(&file)?;
        let output = OutputFile::create(to)?;
        let mut meter = Meter::new(total, operation.report);
        let bytes = receive(&mut session, &file, 0..total, &mut |offset, data| {
            meter.add(data.len() as u64);
            output.file().write_all_at(data, offset).map_err(|error| output.cannot("write", &error))
        })?;
        if bytes != total {
            let cause =
                format!("it is truncated: its end at byte {bytes} comes before its size of {total} bytes");
            return Err(session.failed(&cause));
        }
        session.close(&file)?;
        output.keep();
        Ok(Moved { bytes, requests: Some(session.requests()) })
    }

    /// Downloads a part.
    pub(crate) fn get_range(
        &self,
        name: &ObjectName,
        range: Range<u64>,
        operation: &mut Operation,
    ) -> Result<(Vec<u8>, Moved)> {
        let mut session = self.connect(operation.launcher, self.downloading(name))?;
        let opened = session.open_to_read(&self.host.object(name))?;
        let file = opened.ok_or_else(|| absent(name, &self.place))?;
        let end = range.end.min(session.size(&file)?);
        let range = range.start.min(end)..end;
        let start = range.start;
        let mut part = vec![0; (range.end - range.start) as usize];
        let bytes = receive(&mut session, &file, range, &mut |offset, data| {
            let at = (offset - start) as usize;
            part[at..at + data.len()].copy_from_slice(data);
            Ok(())
        })?;
        part.truncate(bytes as usize);
        session.close(&file)?;
        Ok((part, Moved { bytes, requests: Some(session.requests()) }))
    }

    /// Removes an object.
    pub(crate) fn delete(&self, name: &ObjectName, operation: &mut Operation) -> Result<Moved> {
        let mut session = self.connect(operation.launcher, format!("delete '{name}' at {}", self.place))?;
        self.check(&mut session)?;
        session.remove(&self.host.object(name))?;
        Ok(Moved { bytes: 0, requests: Some(session.requests()) })
    }
}

/// Sends a file from `start` on. Reads it from its begin, to see that it is still what was to be uploaded.
fn send(
    session: &mut Session,
    upload: &Upload,
    file: &RemoteFile,
    start: u64,
    operation: &mut Operation,
) -> Result<u64> {
    let unreadable = |error| cannot("read", upload.file, &error);
    let mut local = File::open(upload.file).map_err(unreadable)?;
    let mut hasher = ContentHasher::default();
    let mut meter = Meter::new(upload.content.bytes, operation.report);
    let mut pending = HashSet::new();
    let mut buffer = vec![0; PIECE_BYTES as usize];
    let (mut offset, mut sent) = (0, 0);
    loop {
        let read = local.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        hasher.add(&buffer[..read]);
        let end = offset + read as u64;
        if end > start {
            let skip = start.saturating_sub(offset) as usize;
            let piece = &buffer[skip..read];
            pending.insert(session.write(file, offset + skip as u64, piece)?);
            sent += piece.len() as u64;
        }
        offset = end;
        meter.add(read as u64);
        if pending.len() >= PIECES_MAX {
            session.written(file, &mut pending)?;
        }
    }
    while !pending.is_empty() {
        session.written(file, &mut pending)?;
    }
    if hasher.finish() == *upload.content { Ok(sent) } else { Err(changed(upload)) }
}

/// Asks for all pieces of a range, and gives each to `take` with its offset. Returns where the data ends, relative to
/// the begin of the range: before its end when the file became shorter.
fn receive(
    session: &mut Session,
    file: &RemoteFile,
    range: Range<u64>,
    take: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<u64> {
    let mut pending: HashMap<u32, Range<u64>> = HashMap::new();
    let mut next = range.start;
    let mut end = range.end;
    loop {
        while next < end && pending.len() < PIECES_MAX {
            let piece = next..end.min(next + u64::from(PIECE_BYTES));
            next = piece.end;
            pending.insert(session.ask(file, piece.start, (piece.end - piece.start) as u32)?, piece);
        }
        if pending.is_empty() {
            return Ok(end - range.start);
        }
        let (number, data) = session.read(file)?;
        let piece =
            pending.remove(&number).ok_or_else(|| session.failed("the server answered another request"))?;
        let Some(data) = data else {
            end = end.min(piece.start);
            continue;
        };
        let length = data.len() as u64;
        if length > piece.end - piece.start {
            return Err(session.failed("the server sent more than it was asked for"));
        }
        take(piece.start, &data)?;
        // A server may send less; the rest is asked for again.
        if piece.start + length < piece.end {
            let rest = piece.start + length..piece.end;
            pending.insert(session.ask(file, rest.start, (rest.end - rest.start) as u32)?, rest);
        }
    }
}

/// The error of a command that moved files.
pub(crate) fn transfer_failed(host: &Host, operation: &str, error: Error) -> Error {
    match error {
        Error::Environment(output) => host.disconnected(operation, &output),
        error => error,
    }
}
