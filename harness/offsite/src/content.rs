//! What a file contains, in a few bytes: its size and its BLAKE3.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::str::FromStr;

use machine::error::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How much is read at once, in bytes.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// A BLAKE3 digest of 32 bytes; as text, 64 lower-case hexadecimal digits, as `b3sum` prints them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(blake3::Hash);

impl Digest {
    /// The first 16 hexadecimal digits: enough to tell contents apart in a file name.
    pub fn short(&self) -> String {
        self.to_string()[..16].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Digest, String> {
        let digest = blake3::Hash::from_hex(text).map(Digest);
        digest.map_err(|_| format!("'{text}' is not a BLAKE3 digest of 64 hexadecimal digits"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The content of a file, as far as it takes to recognise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 of all bytes.
    pub blake3: Digest,
}

impl Content {
    /// The content of a file, which is read once.
    ///
    /// # Errors
    /// [`Error::Environment`] when it cannot be read.
    pub fn of_file(path: &Path) -> Result<Content> {
        let failed = |error| cannot("read", path, &error);
        let mut file = File::open(path).map_err(failed)?;
        let mut hasher = ContentHasher::default();
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => return Ok(hasher.finish()),
                bytes => hasher.add(&buffer[..bytes]),
            }
        }
    }

    /// Compares what was found with this, which is what was expected.
    ///
    /// # Errors
    /// [`Error::Environment`]: `what` is truncated, too long, or changed.
    pub fn expect(&self, found: &Content, what: &str) -> Result<()> {
        let problem = if found.bytes < self.bytes {
            format!("is truncated: {} of {} bytes", found.bytes, self.bytes)
        } else if found.bytes > self.bytes {
            format!("is too long: {} bytes instead of {}", found.bytes, self.bytes)
        } else if found.blake3 == self.blake3 {
            return Ok(());
        } else {
            format!("has changed: its BLAKE3 is {} instead of {}", found.blake3, self.blake3)
        };
        Err(Error::Environment(format!("{what} {problem}; use another backup")))
    }
}

/// Collects a [`Content`].
#[derive(Default)]
pub(crate) struct ContentHasher {
    bytes: u64,
    hasher: blake3::Hasher,
}

impl ContentHasher {
    pub(crate) fn add(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        self.hasher.update(data);
    }

    pub(crate) fn finish(&self) -> Content {
        Content { bytes: self.bytes, blake3: Digest(self.hasher.finalize()) }
    }
}

/// Passes everything on and collects its content.
pub(crate) struct Hashing<T> {
    pub(crate) inner: T,
    pub(crate) hasher: ContentHasher,
}

impl<T> Hashing<T> {
    pub(crate) fn new(inner: T) -> Hashing<T> {
        Hashing { inner, hasher: ContentHasher::default() }
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(data)?;
        self.hasher.add(&data[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.add(&buffer[..read]);
        Ok(read)
    }
}

/// The error of an operation on a file.
pub(crate) fn cannot(operation: &str, path: &Path, error: &io::Error) -> Error {
    Error::Environment(format!("cannot {operation} {}: {error}", path.display()))
}

/// Copies a stream with a large buffer.
pub(crate) fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(bytes) => to.write_all(&buffer[..bytes])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
