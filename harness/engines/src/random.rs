//! Random numbers that nobody can guess.

use std::fs::File;
use std::io::Read;

use anyhow::Context;
use machine::error::Result;

/// Random bytes.
///
/// # Errors
/// When there is no source of random numbers.
pub(crate) fn random<const BYTES: usize>() -> Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("cannot read random numbers")?;
    Ok(bytes)
}
