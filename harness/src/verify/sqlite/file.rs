//! The file of a database, and what lies beside it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::journals;
use crate::verify::findings::Findings;

const HEADER_BYTES: usize = 100;

/// Looks at the file and beside it. Says whether there is a file to open.
pub(super) fn judge_file(database: &Path, integrity: &mut Findings) -> bool {
    for journal in journals(database) {
        match journal.metadata().map(|metadata| metadata.len()) {
            Ok(0) => {}
            Ok(bytes) => integrity.wrong(|| {
                let name = journal.file_name().unwrap_or_default().to_string_lossy().into_owned();
                format!("{name} was left beside the database with {bytes} bytes")
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => integrity.cannot(format!("{}: {error}", journal.display())),
        }
    }
    match judge_header(database, integrity) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            integrity.wrong(|| format!("there is no database file {}", database.display()));
            false
        }
        Err(error) => {
            integrity.cannot(format!("{}: {error}", database.display()));
            true
        }
    }
}

/// Holds the header's page size and page count against the length of the file.
fn judge_header(database: &Path, integrity: &mut Findings) -> io::Result<()> {
    let file = File::open(database)?;
    let bytes = file.metadata()?.len();
    if bytes < HEADER_BYTES as u64 {
        integrity.wrong(|| format!("the database file has {bytes} bytes: not even a header"));
        return Ok(());
    }
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0)?;
    if !header.starts_with(b"SQLite format 3\0") {
        integrity.wrong(|| "the file is no SQLite database: its first bytes are others".to_owned());
        return Ok(());
    }
    let word = |offset: usize| {
        u64::from(u32::from_be_bytes(header[offset..offset + 4].try_into().expect("four bytes")))
    };
    let page_bytes = match u64::from(u16::from_be_bytes([header[16], header[17]])) {
        1 => 65_536,
        page_bytes => page_bytes,
    };
    if !(512..=65_536).contains(&page_bytes) || !page_bytes.is_power_of_two() {
        integrity.wrong(|| format!("the header names a page size of {page_bytes} bytes"));
        return Ok(());
    }
    if bytes % page_bytes != 0 {
        integrity.wrong(|| {
            format!("the file has {bytes} bytes: the last of its {page_bytes}-byte pages is cut off")
        });
    }
    // The page count holds only for the change at which it was written.
    let (pages, change_counter, valid_for) = (word(28), word(24), word(92));
    if pages != 0 && change_counter == valid_for && bytes != pages * page_bytes {
        integrity.wrong(|| {
            format!("the header counts {pages} pages of {page_bytes} bytes, and the file has {bytes} bytes")
        });
    }
    Ok(())
}
