//! Packs a directory into one tar file, and collects the digest of each file on the way.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use machine::error::{Error, Result};
use machine::measure::storage;
use machine::worker::Progress;
use serde::{Deserialize, Serialize};
use tar::{Builder, EntryType, Header};
use walkdir::{DirEntry, WalkDir};

use crate::content::{Content, ContentHasher, Digest, Hashing, PIECE_BYTES, cannot};
use crate::output_file::OutputFile;
use crate::progress::Meter;

/// A packed regular file, as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackedFile {
    /// Its path relative to the packed directory, with `/`.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 of its content.
    pub blake3: Digest,
    /// It used less disk space than its size: blocks of zeros are not written when it is unpacked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_sparse: bool,
}

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// The tar file.
    pub content: Content,
    /// All regular files, in the order of their paths.
    pub files: Vec<PackedFile>,
}

/// Packs everything below `directory` into the new tar file `tar`: files, directories, symbolic links, with modes,
/// owners and modification times. A file with several names is packed once for each. Sockets are left out, because they
/// have no content. Holes are packed as zeros. Uses memory for the list of files, but not for their content.
///
/// # Errors
/// [`Error::Environment`] when something cannot be read or written, changed its size meanwhile, or is a device or a
/// pipe; [`Error::Input`] for paths that are not UTF-8. The tar file is then removed.
pub fn pack(directory: &Path, tar: &Path, report: &mut dyn FnMut(Progress)) -> Result<Packed> {
    if !directory.is_dir() {
        return Err(Error::Input(format!("{} is not a directory", directory.display())));
    }
    let output = OutputFile::create(tar)?;
    let packed = write(directory, &output, report)?;
    output.keep();
    Ok(packed)
}

fn write(directory: &Path, output: &OutputFile, report: &mut dyn FnMut(Progress)) -> Result<Packed> {
    // The tar library moves small pieces, of which BLAKE3 is several times slower than of large ones.
    let buffered = BufWriter::with_capacity(PIECE_BYTES, Hashing::new(output.file()));
    let mut packer = Packer {
        builder: Builder::new(buffered),
        meter: Meter::new(storage::bytes(directory), report),
        files: Vec::new(),
    };
    for entry in WalkDir::new(directory).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            Error::Environment(format!("cannot read the directory {}: {error}", directory.display()))
        })?;
        packer.add(directory, &entry)?;
    }
    let failed = |error: io::Error| output.cannot("write", &error);
    let buffered = packer.builder.into_inner().map_err(failed)?;
    let hashing = buffered.into_inner().map_err(|error| failed(error.into_error()))?;
    Ok(Packed { content: hashing.hasher.finish(), files: packer.files })
}

struct Packer<'a, W: Write> {
    builder: Builder<W>,
    meter: Meter<'a>,
    files: Vec<PackedFile>,
}

impl<W: Write> Packer<'_, W> {
    fn add(&mut self, directory: &Path, entry: &DirEntry) -> Result<()> {
        let path = entry.path();
        let name = path.strip_prefix(directory).expect("the walk is in this directory");
        let text = name.to_str().ok_or_else(|| Error::not_utf8(path))?;
        let failed = |error: io::Error| cannot("pack", path, &error);
        let kind = entry.file_type();
        if kind.is_file() {
            return self.add_file(path, text);
        }
        let metadata = path.symlink_metadata().map_err(failed)?;
        let mut header = header_of(&metadata);
        if kind.is_dir() {
            header.set_entry_type(EntryType::Directory);
            self.builder.append_data(&mut header, name, io::empty()).map_err(failed)
        } else if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            let target = path.read_link().map_err(failed)?;
            self.builder.append_link(&mut header, name, target).map_err(failed)
        } else if std::os::unix::fs::FileTypeExt::is_socket(&kind) {
            Ok(())
        } else {
            Err(Error::Environment(format!(
                "cannot pack {}: it is a device or a pipe; remove it from the artifact",
                path.display()
            )))
        }
    }

    fn add_file(&mut self, path: &Path, text: &str) -> Result<()> {
        let failed = |error: io::Error| cannot("pack", path, &error);
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let bytes = metadata.len();
        let mut header = header_of(&metadata);
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes);
        let reader =
            FileReader { file, left: bytes, hasher: ContentHasher::default(), meter: &mut self.meter };
        let mut buffered = BufReader::with_capacity(PIECE_BYTES, reader);
        self.builder.append_data(&mut header, text, &mut buffered).map_err(failed)?;
        let content = buffered.into_inner().hasher.finish();
        self.files.push(PackedFile {
            path: text.to_owned(),
            bytes: content.bytes,
            blake3: content.blake3,
            is_sparse: metadata.blocks() * 512 < bytes,
        });
        Ok(())
    }
}

fn header_of(metadata: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(metadata.mode() & 0o7777);
    header.set_uid(u64::from(metadata.uid()));
    header.set_gid(u64::from(metadata.gid()));
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    header.set_size(0);
    header
}

/// Exactly as many bytes of a file as its header in the tar file says.
struct FileReader<'a, 'b> {
    file: File,
    left: u64,
    hasher: ContentHasher,
    meter: &'a mut Meter<'b>,
}

impl Read for FileReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.left -= read as u64;
        self.hasher.add(&buffer[..read]);
        self.meter.add(read as u64);
        Ok(read)
    }
}
