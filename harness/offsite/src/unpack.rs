//! Unpacks a tar file into an empty place, and compares each file with what was packed.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use machine::error::{Error, Result};
use machine::measure::storage::sync_tree;
use machine::worker::Progress;
use nix::unistd::geteuid;
use tar::{Archive, Entry, EntryType};

use crate::content::{Content, ContentHasher, PIECE_BYTES, cannot};
use crate::pack::PackedFile;
use crate::progress::Meter;

/// Zeros of this size and alignment are left as a hole in sparse files, in bytes.
const HOLE_BYTES: usize = 64 << 10;

/// Unpacks `tar` into `directory`, which must be empty or absent, and makes it durable. With `files`, the list of what
/// was packed, every file must be there and have its content; without, nothing is compared. Owners are restored when
/// this process is root's. Returns the bytes of all files.
///
/// # Errors
/// [`Error::Environment`] when the tar file is damaged, does not fit the list, or contains a path outside of
/// `directory`; or when something cannot be written. [`Error::Input`] when `directory` is not empty. What was unpacked
/// until then remains.
pub fn unpack(
    tar: &Path,
    directory: &Path,
    files: Option<&[PackedFile]>,
    report: &mut dyn FnMut(Progress),
) -> Result<u64> {
    fs::create_dir_all(directory).map_err(|error| cannot("create", directory, &error))?;
    let mut entries = directory.read_dir().map_err(|error| cannot("read", directory, &error))?;
    if entries.next().is_some() {
        return Err(Error::Input(format!("{} is not empty: choose another directory", directory.display())));
    }
    let file = File::open(tar).map_err(|error| cannot("read", tar, &error))?;
    let bytes = file.metadata().map_err(|error| cannot("read", tar, &error))?.len();
    let mut unpacker = Unpacker {
        tar,
        directory,
        expected: files.map(|files| files.iter().map(|file| (file.path.as_str(), file)).collect()),
        meter: Meter::new(bytes, report),
        bytes: 0,
        links: Vec::new(),
        directories: Vec::new(),
        buffer: vec![0; PIECE_BYTES],
    };
    let mut archive = Archive::new(BufReader::with_capacity(PIECE_BYTES, file));
    let damaged = |error: io::Error| damaged(tar, &error.to_string());
    for entry in archive.entries().map_err(damaged)? {
        unpacker.unpack_entry(entry.map_err(damaged)?)?;
    }
    unpacker.finish()?;
    let bytes = unpacker.bytes;
    sync_tree(directory).map_err(|error| cannot("make durable", directory, &error))?;
    Ok(bytes)
}

fn damaged(tar: &Path, cause: &str) -> Error {
    Error::Environment(format!("the packed backup {} is damaged: {cause}; use another backup", tar.display()))
}

/// What is set at the end: nothing can be written through a link, or into a directory without permission.
struct Attributes {
    path: PathBuf,
    mode: u32,
    owner: (u32, u32),
    modified: SystemTime,
}

struct Unpacker<'a> {
    tar: &'a Path,
    directory: &'a Path,
    expected: Option<HashMap<&'a str, &'a PackedFile>>,
    meter: Meter<'a>,
    bytes: u64,
    links: Vec<(PathBuf, PathBuf, (u32, u32))>,
    directories: Vec<Attributes>,
    buffer: Vec<u8>,
}

impl Unpacker<'_> {
    fn unpack_entry<R: Read>(&mut self, mut entry: Entry<'_, R>) -> Result<()> {
        let unreadable = |error: io::Error| damaged(self.tar, &error.to_string());
        let name = entry.path().map_err(unreadable)?.into_owned();
        let inside = name.components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || name.as_os_str().is_empty() {
            return Err(damaged(self.tar, &format!("it contains the path '{}'", name.display())));
        }
        let path = self.directory.join(&name);
        let attributes = self.attributes_of(&entry, path.clone()).map_err(unreadable)?;
        match entry.header().entry_type() {
            EntryType::Directory => {
                fs::create_dir_all(&path).map_err(|error| cannot("create", &path, &error))?;
                self.directories.push(attributes);
            }
            EntryType::Symlink => {
                let target = entry.link_name().map_err(unreadable)?;
                let target = target.ok_or_else(|| damaged(self.tar, "it has a link without a target"))?;
                self.links.push((path, target.into_owned(), attributes.owner));
            }
            EntryType::Regular => self.unpack_file(&mut entry, &name, &attributes)?,
            other => return Err(damaged(self.tar, &format!("it contains an entry of type {other:?}"))),
        }
        Ok(())
    }

    fn attributes_of<R: Read>(&self, entry: &Entry<'_, R>, path: PathBuf) -> io::Result<Attributes> {
        let header = entry.header();
        let id = |id: u64| u32::try_from(id).map_err(io::Error::other);
        let modified = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(header.mtime()?));
        Ok(Attributes {
            path,
            mode: header.mode()? & 0o7777,
            owner: (id(header.uid()?)?, id(header.gid()?)?),
            modified: modified.ok_or_else(|| io::Error::other("a modification time is out of range"))?,
        })
    }

    fn unpack_file<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        name: &Path,
        attributes: &Attributes,
    ) -> Result<()> {
        let path = &attributes.path;
        let expected = match &mut self.expected {
            None => None,
            Some(files) => match name.to_str().and_then(|name| files.remove(name)) {
                Some(file) => Some(file),
                None => {
                    let name = name.display();
                    return Err(damaged(self.tar, &format!("the manifest does not list the file '{name}'")));
                }
            },
        };
        let failed = |error: io::Error| cannot("write", path, &error);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let file = File::options().write(true).create_new(true).open(path).map_err(failed)?;
        let has_holes = expected.is_some_and(|file| file.is_sparse);
        let content = self.copy(entry, &file, path, has_holes)?;
        if content.bytes != entry.size() {
            return Err(damaged(self.tar, &format!("it ends within the file '{}'", name.display())));
        }
        if let Some(expected) = expected {
            let expected = Content { bytes: expected.bytes, blake3: expected.blake3 };
            expected.expect(&content, &format!("the file '{}' of the backup", name.display()))?;
        }
        self.bytes += content.bytes;
        apply(attributes).map_err(failed)
    }

    fn copy(&mut self, entry: &mut impl Read, file: &File, path: &Path, has_holes: bool) -> Result<Content> {
        let failed = |error: io::Error| cannot("write", path, &error);
        let mut hasher = ContentHasher::default();
        let mut offset = 0;
        loop {
            let read =
                fill(entry, &mut self.buffer).map_err(|error| damaged(self.tar, &error.to_string()))?;
            if read == 0 {
                break;
            }
            hasher.add(&self.buffer[..read]);
            for piece in self.buffer[..read].chunks(HOLE_BYTES) {
                if !(has_holes && piece.iter().all(|byte| *byte == 0)) {
                    file.write_all_at(piece, offset).map_err(failed)?;
                }
                offset += piece.len() as u64;
            }
            self.meter.add(read as u64);
        }
        if has_holes {
            file.set_len(offset).map_err(failed)?;
        }
        Ok(hasher.finish())
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(missing) = self.expected.as_ref().and_then(|files| files.keys().min()) {
            return Err(damaged(self.tar, &format!("the file '{missing}' is missing")));
        }
        for (path, target, owner) in &self.links {
            let failed = |error: io::Error| cannot("create", path, &error);
            symlink(target, path).map_err(failed)?;
            if geteuid().is_root() {
                lchown(path, Some(owner.0), Some(owner.1)).map_err(failed)?;
            }
        }
        // What is in a directory comes before the directory.
        for attributes in self.directories.iter().rev() {
            apply(attributes).map_err(|error| cannot("set the mode of", &attributes.path, &error))?;
        }
        Ok(())
    }
}

/// The owner comes first, because a change of owner clears the set-user-id bit.
fn apply(attributes: &Attributes) -> io::Result<()> {
    let Attributes { path, mode, owner, modified } = attributes;
    if geteuid().is_root() {
        lchown(path, Some(owner.0), Some(owner.1))?;
    }
    let file = File::open(path)?;
    file.set_modified(*modified)?;
    file.set_permissions(Permissions::from_mode(*mode))
}

/// Fills the buffer as far as there is something, so that holes are aligned.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
