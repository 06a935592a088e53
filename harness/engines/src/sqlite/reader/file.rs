//! The file of a database, and the files next to it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use model::verify::findings::{Findings, NOTHING_RESTORED};

use super::header::{HEADER_BYTES, Header};

/// Checks the file and the files next to it. True if there is a file to open.
pub(super) fn judge_file(database: &Path, integrity: &mut Findings) -> bool {
    for journal in journals(database) {
        match journal.metadata().map(|metadata| metadata.len()) {
            Ok(0) => {}
            Ok(bytes) => integrity.wrong(|| {
                let name = journal.file_name().unwrap_or_default().to_string_lossy().into_owned();
                format!("{name} was left next to the database, with {bytes} bytes")
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => integrity.cannot(format!("{}: {error}", journal.display())),
        }
    }
    match judge_header(database, integrity) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            integrity.wrong(|| NOTHING_RESTORED.to_owned());
            false
        }
        Err(error) => {
            integrity.cannot(format!("{}: {error}", database.display()));
            true
        }
    }
}

/// Compares the page size and page count in the header with the length of the file. Bytes after the last page are not
/// damage: an application may let the file grow in large steps (`SQLITE_FCNTL_CHUNK_SIZE`).
fn judge_header(database: &Path, integrity: &mut Findings) -> io::Result<()> {
    let bytes = fs::metadata(database)?.len();
    if bytes < HEADER_BYTES as u64 {
        integrity.wrong(|| format!("the database file has {bytes} bytes: too short for a header"));
        return Ok(());
    }
    let header = Header::read(database)?;
    if !header.is_sqlite() {
        integrity.wrong(|| "not a SQLite database: bad file header".to_owned());
        return Ok(());
    }
    let Some(page_bytes) = header.page_bytes() else {
        integrity.wrong(|| "the header contains an invalid page size".to_owned());
        return Ok(());
    };
    match header.pages() {
        Some(pages) if bytes < pages * page_bytes => integrity.wrong(|| {
            format!("the header counts {pages} pages of {page_bytes} bytes, but the file has {bytes} bytes")
        }),
        None if bytes % page_bytes != 0 => integrity.wrong(|| {
            format!("the file has {bytes} bytes: the last of its {page_bytes}-byte pages is truncated")
        }),
        _ => {}
    }
    Ok(())
}

/// How many bytes longer a database file is than its header says; negative when it is shorter.
///
/// # Errors
/// When its header cannot be read.
pub fn surplus_bytes(database: &Path) -> io::Result<i64> {
    let (bytes, header) = (fs::metadata(database)?.len(), Header::read(database)?);
    let counted = header.pages().zip(header.page_bytes()).map(|(pages, page_bytes)| pages * page_bytes);
    Ok(counted.map_or(0, |counted| bytes as i64 - counted as i64))
}

/// Bytes that the kernel is asked for at once: a process can be killed between two requests.
const AHEAD_BYTES: i64 = 64 << 20;

/// Asks the kernel to read the file from its beginning to its end. Scans follow trees, whose pages may be anywhere in the
/// file: without this, each of them waits for the disk once for each page.
pub(super) fn read_ahead(database: &Path) -> io::Result<()> {
    let file = fs::File::open(database)?;
    for start in (0..file.metadata()?.len() as i64).step_by(AHEAD_BYTES as usize) {
        posix_fadvise(&file, start, AHEAD_BYTES, PosixFadviseAdvice::POSIX_FADV_WILLNEED)?;
    }
    Ok(())
}

/// The files next to `database` in which SQLite keeps changes that are not in it yet.
pub(crate) fn journals(database: &Path) -> [PathBuf; 2] {
    ["-journal", "-wal"].map(|suffix| {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    })
}
