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

use model::dataset::OriginalTorrents;
use model::writes::{InfoHash, Key, Model};
use serde::{Deserialize, Serialize};

use super::http::HttpTracker;
use super::protocol::{Download, Protocol, binary};
use super::udp::UdpTracker;
use crate::client::{Answer, Client, Session};

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

/// Makes a client of the tracker. Nothing is sent before the first read or write.
///
/// # Errors
/// Never.
pub fn connect<'a>(
    target: &'a TrackerTarget,
    model: &'a Model,
    original: &'a dyn OriginalTorrents,
) -> anyhow::Result<Box<dyn Client + 'a>> {
    Ok(Box::new(TrackerClient { target, model, original }))
}

struct TrackerClient<'a> {
    target: &'a TrackerTarget,
    model: &'a Model,
    original: &'a dyn OriginalTorrents,
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
        let TrackerClient { target, model, original } = self.client;
        let [key] = model.write(writer, index).stamped[..] else {
            unreachable!("a tracker counts a write for one torrent")
        };
        let info_hash = match key {
            Key::Dataset(id) => original.torrent(id).info_hash,
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
