//! What the protocols of announces have in common.

use std::num::NonZeroU16;
use std::time::Duration;

use model::writes::{InfoHash, Model};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::client::Answer;

/// A request without an answer after this time counts as unanswered. A tracker does not answer for up to 5 s while its
/// database is locked by another process; if the tracker is not running, the connection is refused immediately.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// A protocol of announces.
pub(super) trait Protocol {
    /// Makes the tracker count one download.
    fn count(&mut self, download: &Download) -> Answer;

    /// Requests the state of a torrent.
    ///
    /// # Errors
    /// When there is no answer, or the answer does not contain the torrent.
    fn scrape(&mut self, info_hash: [u8; 20]) -> anyhow::Result<()>;
}

/// A peer and the torrent that it downloads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Download {
    pub(super) info_hash: [u8; 20],
    pub(super) peer_id: [u8; 20],
    pub(super) port: NonZeroU16,
}

impl Download {
    /// The download for a write. Each peer has a different id, which is computed from the write.
    pub(super) fn new(model: &Model, info_hash: &InfoHash, writer: u32, index: u64) -> Download {
        let mut write = [0; 12];
        write[..4].copy_from_slice(&writer.to_le_bytes());
        write[4..].copy_from_slice(&index.to_le_bytes());
        let draw = xxh3_128_with_seed(&write, model.seed).to_le_bytes();
        let mut peer_id = *b"-BD0001-............";
        peer_id[8..].copy_from_slice(&draw[..12]);
        let port = NonZeroU16::new(u16::from_le_bytes([draw[12], draw[13]])).unwrap_or(NonZeroU16::MAX);
        Download { info_hash: binary(info_hash), peer_id, port }
    }
}

/// An info-hash in bytes instead of digits.
pub(super) fn binary(info_hash: &InfoHash) -> [u8; 20] {
    std::array::from_fn(|nth| {
        let digits = std::str::from_utf8(&info_hash[2 * nth..2 * nth + 2]);
        let byte = digits.ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.expect("an info-hash has hexadecimal digits")
    })
}
