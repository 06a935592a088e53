//! Announces over UDP (BEP 15).

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use aquatic_udp_protocol::{
    AnnounceEvent, AnnounceRequest, ConnectRequest, ConnectionId, InfoHash, Ipv4AddrBytes, NumberOfBytes,
    NumberOfPeers, PeerId, PeerKey, Port, Request, Response, ScrapeRequest, TransactionId,
};

use super::protocol::{ANSWER_WAIT, Download, Protocol};
use crate::client::Answer;

/// A connection id is used this long: one minute, as in the protocol. The tracker accepts it for two minutes.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(60);
/// Longer than any answer: 74 peers of 6 bytes each.
const ANSWER_BYTES_MAX: usize = 2048;

/// A tracker that is reached over UDP.
pub(super) struct UdpTracker {
    port: u16,
    connection: Option<Connection>,
}

/// A socket and the connection id that the tracker has assigned to it. The id is derived from a secret that the tracker
/// generates when it starts, so a restarted tracker does not accept an earlier id.
struct Connection {
    socket: UdpSocket,
    id: ConnectionId,
    made: Instant,
    transaction: i32,
}

impl UdpTracker {
    /// A tracker on loopback. Nothing is sent yet.
    pub(super) fn new(port: u16) -> UdpTracker {
        UdpTracker { port, connection: None }
    }

    /// Takes the connection if it is not too old, or opens a new one. The caller puts it back on success.
    fn take_connection(&mut self) -> io::Result<Connection> {
        match self.connection.take() {
            Some(connection) if connection.made.elapsed() < CONNECTION_AGE_MAX => Ok(connection),
            _ => Connection::new(self.port),
        }
    }
}

impl Protocol for UdpTracker {
    fn count(&mut self, download: &Download) -> Answer {
        let Ok(mut connection) = self.take_connection() else {
            return Answer::Refused;
        };
        // Both use the same id: a tracker that has not received the first announcement refuses the second.
        if !matches!(connection.announce(download, AnnounceEvent::Started), Ok(Response::AnnounceIpv4(_))) {
            return Answer::Refused;
        }
        match connection.announce(download, AnnounceEvent::Completed) {
            Ok(Response::AnnounceIpv4(_)) => {
                self.connection = Some(connection);
                Answer::Acknowledged
            }
            // The tracker sends an error only if it has not processed the request.
            Ok(Response::Error(_)) => Answer::Refused,
            _ => Answer::None,
        }
    }

    fn scrape(&mut self, info_hash: [u8; 20]) -> anyhow::Result<()> {
        let mut connection = self.take_connection().context("cannot connect to the UDP tracker")?;
        let request = |connection_id, transaction_id| {
            let info_hashes = vec![InfoHash(info_hash)];
            ScrapeRequest { connection_id, transaction_id, info_hashes }.into()
        };
        match connection.ask(request).context("the UDP tracker does not answer a scrape")? {
            Response::Scrape(answer) if answer.torrent_stats.len() == 1 => Ok(()),
            answer => bail!("the UDP tracker answered a scrape with {answer:?}"),
        }
    }
}

impl Connection {
    fn new(port: u16) -> io::Result<Connection> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        // A connected socket reports when no process listens, and receives datagrams only from the tracker.
        socket.connect((Ipv4Addr::LOCALHOST, port))?;
        let mut connection =
            Connection { socket, id: ConnectionId::new(0), made: Instant::now(), transaction: 0 };
        match connection.ask(|_, transaction_id| ConnectRequest { transaction_id }.into())? {
            Response::Connect(answer) => connection.id = answer.connection_id,
            _ => return Err(ErrorKind::InvalidData.into()),
        }
        Ok(connection)
    }

    fn announce(&mut self, download: &Download, event: AnnounceEvent) -> io::Result<Response> {
        let left = i64::from(event != AnnounceEvent::Completed);
        self.ask(|connection_id, transaction_id| {
            let request = AnnounceRequest {
                connection_id,
                action_placeholder: Default::default(),
                transaction_id,
                info_hash: InfoHash(download.info_hash),
                peer_id: PeerId(download.peer_id),
                bytes_downloaded: NumberOfBytes::new(1 - left),
                bytes_left: NumberOfBytes::new(left),
                bytes_uploaded: NumberOfBytes::new(0),
                event: event.into(),
                ip_address: Ipv4AddrBytes([0; 4]),
                key: PeerKey::new(0),
                peers_wanted: NumberOfPeers::new(1),
                port: Port::new(download.port),
            };
            request.into()
        })
    }

    /// Sends one request, and waits for its answer; all other datagrams are ignored.
    fn ask(&mut self, request: impl FnOnce(ConnectionId, TransactionId) -> Request) -> io::Result<Response> {
        self.transaction = self.transaction.wrapping_add(1);
        let transaction_id = TransactionId::new(self.transaction);
        let mut bytes = Vec::with_capacity(128);
        request(self.id, transaction_id).write_bytes(&mut bytes)?;
        let deadline = Instant::now() + ANSWER_WAIT;
        self.socket.send(&bytes)?;
        let mut answer = [0; ANSWER_BYTES_MAX];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.socket.set_read_timeout(Some(left))?;
            let length = match self.socket.recv(&mut answer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                received => received?,
            };
            match Response::parse_bytes(&answer[..length], true) {
                Ok(response) if transaction_of(&response) == transaction_id => return Ok(response),
                // A late answer to an earlier request, or not a valid answer.
                _ => {}
            }
        }
    }
}

fn transaction_of(response: &Response) -> TransactionId {
    match response {
        Response::Connect(answer) => answer.transaction_id,
        Response::AnnounceIpv4(answer) => answer.fixed.transaction_id,
        Response::AnnounceIpv6(answer) => answer.fixed.transaction_id,
        Response::Scrape(answer) => answer.transaction_id,
        Response::Error(answer) => answer.transaction_id,
    }
}
