//! Writes through a tracker, by announces.
//!
//! For each write, a separate peer announces that it has started a download, and then that it has completed it. The
//! answer to the second announcement is the acknowledgement.
//!
//! The relevant behaviour of Torrust Tracker 3.0.0 (`core/mod.rs`, `torrent-repository/entry/single.rs`):
//!
//! - It counts a completed download only for a peer that it knows, and it keeps peers only in memory. So an
//!   announcement without an answer is never repeated: a tracker that was restarted in between would answer, but not
//!   count.
//! - It stores the count before it answers, and gives the same answer when storing failed.
//! - It never reads a count from the database. It stores what it has counted since it started, and the first
//!   announcement for a torrent stores 0.

mod http;
mod udp;

use std::num::NonZeroU16;
use std::time::Duration;

use model::dataset::Origin;
use model::writes::{InfoHash, Key, Model};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::application::{Answer, Client, Session};
use http::HttpTracker;
use udp::UdpTracker;

/// A tracker and the protocol of its announces.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrackerTarget {
    /// Port of the UDP tracker on loopback.
    pub udp_port: u16,
    /// Port of the HTTP tracker on loopback.
    pub http_port: u16,
    /// Which protocol the announces use.
    pub announces: Announces,
}

/// Which protocol announces use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Announces {
    /// BEP 15.
    Udp,
    /// BEP 3.
    Http,
    /// Writers alternate: the first uses UDP, the second HTTP.
    #[default]
    Both,
}

impl Announces {
    /// The name in records.
    pub fn name(self) -> &'static str {
        match self {
            Announces::Udp => "udp",
            Announces::Http => "http",
            Announces::Both => "both",
        }
    }
}

/// A request without an answer after this time counts as unanswered. A tracker does not answer for up to 5 s while its
/// database is locked by another process; if the tracker is not running, the connection is refused immediately.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// A protocol of announces.
trait Protocol {
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
struct Download {
    info_hash: [u8; 20],
    peer_id: [u8; 20],
    port: NonZeroU16,
}

impl Download {
    /// The download for a write. Each peer has a different id, which is computed from the write.
    fn new(model: &Model, info_hash: &InfoHash, writer: u32, index: u64) -> Download {
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

fn binary(info_hash: &InfoHash) -> [u8; 20] {
    std::array::from_fn(|nth| {
        let digits = std::str::from_utf8(&info_hash[2 * nth..2 * nth + 2]);
        let byte = digits.ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.expect("an info-hash has hexadecimal digits")
    })
}

/// Makes a client of the tracker. Nothing is sent before the first read or write.
///
/// # Errors
/// Never.
pub fn connect<'a>(
    target: &'a TrackerTarget,
    model: &'a Model,
    origin: &'a dyn Origin,
) -> anyhow::Result<Box<dyn Client + 'a>> {
    Ok(Box::new(TrackerClient { target, model, origin }))
}

struct TrackerClient<'a> {
    target: &'a TrackerTarget,
    model: &'a Model,
    origin: &'a dyn Origin,
}

impl Client for TrackerClient<'_> {
    /// The tracker answers for every torrent, with 0 for one that was not announced since it started. So an answer
    /// shows only that the tracker responds, and nothing about its database.
    fn read(&self, info_hash: &InfoHash) -> anyhow::Result<()> {
        let info_hash = binary(info_hash);
        if self.target.announces != Announces::Http {
            UdpTracker::new(self.target.udp_port).scrape(info_hash)?;
        }
        if self.target.announces != Announces::Udp {
            HttpTracker::new(self.target.http_port).scrape(info_hash)?;
        }
        Ok(())
    }

    fn probe(&self) -> anyhow::Result<()> {
        let download = Download::new(self.model, &self.model.probe_info_hash(), u32::MAX, 0);
        let answer = match self.target.announces {
            Announces::Http => HttpTracker::new(self.target.http_port).count(&download),
            Announces::Udp | Announces::Both => UdpTracker::new(self.target.udp_port).count(&download),
        };
        anyhow::ensure!(answer == Answer::Acknowledged, "the tracker did not count a download: {answer:?}");
        Ok(())
    }

    fn session(&self) -> anyhow::Result<Box<dyn Session + '_>> {
        let (udp, http) = (UdpTracker::new(self.target.udp_port), HttpTracker::new(self.target.http_port));
        Ok(Box::new(TrackerSession { client: self, udp, http }))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(())
    }
}

/// A session with both protocols. Neither opens a socket before it is used.
struct TrackerSession<'a> {
    client: &'a TrackerClient<'a>,
    udp: UdpTracker,
    http: HttpTracker,
}

impl Session for TrackerSession<'_> {
    fn write(&mut self, writer: u32, index: u64) -> Answer {
        let TrackerClient { target, model, origin } = self.client;
        let [key] = model.write(writer, index).stamped[..] else {
            unreachable!("a tracker counts a write for one torrent")
        };
        let info_hash = match key {
            Key::Dataset(id) => origin.torrent(id).info_hash,
            Key::New { writer, index, row } => model.new_info_hash(writer, index, row),
        };
        let download = Download::new(model, &info_hash, writer, index);
        let by_udp = match target.announces {
            Announces::Udp => true,
            Announces::Http => false,
            Announces::Both => writer.is_multiple_of(2),
        };
        if by_udp { self.udp.count(&download) } else { self.http.count(&download) }
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(())
    }
}
