//! `directory`: a directory on another file system, such as a second disk or a mounted share.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use machine::error::{Error, Result};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

use crate::content::{Content, ContentHasher, PIECE_BYTES, cannot};
use crate::destination::configured::DestinationEntry;
use crate::destination::contract::{
    Definition, Destination, Listing, Moved, Operation, Upload, absent, changed, exists, partial_name,
};
use crate::destination::name::ObjectName;
use crate::output_file::OutputFile;
use crate::progress::Meter;
use crate::settings::SettingDoc;

inventory::submit! { DestinationEntry::of::<Directory>() }

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Directory {
    path: PathBuf,
}

impl Definition for Directory {
    const NAME: &'static str = "directory";
    const SUMMARY: &'static str = "a directory on another file system of this machine";
    const SETTINGS: &'static [SettingDoc] = &[SettingDoc {
        name: "path",
        kind: "path",
        default: "required",
        meaning: "absolute path of the directory, which must exist: when its file system is not mounted, nothing is \
                  written in its place",
    }];

    fn validate(&self) -> Result<(), String> {
        if self.path.is_absolute() { Ok(()) } else { Err("path must be absolute".to_owned()) }
    }
}

impl Destination for Directory {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn put(&self, upload: &Upload, operation: &mut Operation) -> Result<Moved> {
        self.check()?;
        let target = self.path.join(upload.name.as_str());
        if target.symlink_metadata().is_ok() {
            return Err(exists(upload.name, &self.place()));
        }
        let partial = self.path.join(partial_name(upload));
        let bytes = store(upload, &partial, operation)?;
        match rename_new(&partial, &target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(exists(upload.name, &self.place()));
            }
            renamed => renamed.map_err(|error| cannot("create", &target, &error))?,
        }
        self.sync()?;
        Ok(Moved { bytes, requests: None })
    }

    fn list(&self, _: &mut Operation) -> Result<Listing> {
        self.check()?;
        let failed = |error| cannot("list", &self.path, &error);
        let mut found = Vec::new();
        for entry in self.path.read_dir().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            match entry.metadata() {
                Ok(metadata) if metadata.is_file() => found.push((name, metadata.len())),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        Ok(Listing::of(found, None))
    }

    fn get(&self, name: &ObjectName, to: &Path, operation: &mut Operation) -> Result<Moved> {
        let (mut from, path) = self.open(name)?;
        let unreadable = |error| cannot("read", &path, &error);
        let total = from.metadata().map_err(unreadable)?.len();
        let output = OutputFile::create(to)?;
        let cancel = operation.launcher.cancel.clone();
        let mut meter = Meter::new(total, operation.report);
        let mut buffer = vec![0; PIECE_BYTES];
        let mut bytes = 0;
        loop {
            cancel.check()?;
            let read = from.read(&mut buffer).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            output.file().write_all(&buffer[..read]).map_err(|error| output.cannot("write", &error))?;
            bytes += read as u64;
            meter.add(read as u64);
        }
        output.keep();
        Ok(Moved { bytes, requests: None })
    }

    fn get_range(&self, name: &ObjectName, range: Range<u64>, _: &mut Operation) -> Result<(Vec<u8>, Moved)> {
        let (mut file, path) = self.open(name)?;
        let mut part = Vec::new();
        let wanted = range.end.saturating_sub(range.start);
        file.seek(SeekFrom::Start(range.start))
            .and_then(|_| file.take(wanted).read_to_end(&mut part))
            .map_err(|error| cannot("read", &path, &error))?;
        let moved = Moved { bytes: part.len() as u64, requests: None };
        Ok((part, moved))
    }

    fn delete(&self, name: &ObjectName, _: &mut Operation) -> Result<Moved> {
        self.check()?;
        let path = self.path.join(name.as_str());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot("remove", &path, &error)),
            _ => self.sync().map(|()| Moved::default()),
        }
    }
}

impl Directory {
    fn check(&self) -> Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        Err(Error::Environment(format!(
            "the destination {} is not a directory: mount its file system, or create it",
            self.path.display()
        )))
    }

    fn sync(&self) -> Result<()> {
        let synced = File::open(&self.path).and_then(|directory| directory.sync_all());
        synced.map_err(|error| cannot("make durable", &self.path, &error))
    }

    fn open(&self, name: &ObjectName) -> Result<(File, PathBuf)> {
        self.check()?;
        let path = self.path.join(name.as_str());
        match File::open(&path) {
            Ok(file) => Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(absent(name, &self.place())),
            Err(error) => Err(cannot("read", &path, &error)),
        }
    }
}

/// Copies the file to `partial` and makes it durable. What is there already is compared, and not written again. Returns
/// the bytes that were written.
fn store(upload: &Upload, partial: &Path, operation: &mut Operation) -> Result<u64> {
    let unreadable = |error| cannot("read", upload.file, &error);
    let unwritable = |error| cannot("write", partial, &error);
    let mut from = File::open(upload.file).map_err(unreadable)?;
    let to = File::options().read(true).write(true).create(true).truncate(false).open(partial);
    let to = to.map_err(unwritable)?;
    let mut kept = to.metadata().map_err(unwritable)?.len();
    let mut meter = Meter::new(upload.content.bytes, operation.report);
    let mut hasher = ContentHasher::default();
    let (mut buffer, mut there) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let (mut offset, mut written) = (0, 0);
    loop {
        operation.launcher.cancel.check()?;
        let read = from.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        let piece = &buffer[..read];
        hasher.add(piece);
        let is_there = offset + read as u64 <= kept && {
            to.read_exact_at(&mut there[..read], offset).map_err(unwritable)?;
            there[..read] == *piece
        };
        if !is_there {
            kept = 0;
            to.write_all_at(piece, offset).map_err(unwritable)?;
            written += read as u64;
        }
        offset += read as u64;
        meter.add(read as u64);
    }
    to.set_len(offset).and_then(|()| to.sync_all()).map_err(unwritable)?;
    let content: Content = hasher.finish();
    if content != *upload.content {
        // It will never be continued: another content has another name.
        let _ = fs::remove_file(partial);
        return Err(changed(upload));
    }
    Ok(written)
}

/// Renames a file; fails when `to` exists.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Network and FUSE file systems may not have this way.
        Err(error) if error == rustix::io::Errno::INVAL || error == rustix::io::Errno::NOSYS => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}
