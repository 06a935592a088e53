//! A small tracker that counts like a real one, and fails on request.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use aquatic_http_protocol::{common as http, request as http_request, response as http_response};
use aquatic_udp_protocol as udp;
use engines::applications::tracker::announces::Announces;

/// A fault of one announcement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// No fault.
    None,
    /// The announcement is lost.
    Deaf,
    /// The announcement is processed, but the answer is lost.
    Mute,
    /// The answer is an error.
    Error,
    /// An answer to another request arrives before the answer.
    Stale,
    /// An answer to another request arrives instead of the answer.
    StaleOnly,
    /// The tracker is restarted after the answer.
    Forget,
}

/// The state that the tracker keeps in memory.
#[derive(Default)]
struct Memory {
    /// Changes at every start of the tracker.
    secret: i64,
    /// True for a peer that has started, false for one that has completed.
    peers: HashMap<[u8; 20], bool>,
    counted: HashMap<[u8; 20], u64>,
    faults: VecDeque<Fault>,
}

impl Memory {
    fn hear(&mut self, info_hash: [u8; 20], peer_id: [u8; 20], completes: bool) {
        let known = self.peers.insert(peer_id, !completes);
        if completes && known == Some(true) {
            *self.counted.entry(info_hash).or_default() += 1;
        }
    }

    fn start(&mut self) {
        self.secret += 1;
        self.peers.clear();
    }
}

/// A tracker of one protocol.
pub struct Fake {
    pub announces: Announces,
    pub port: u16,
    memory: Arc<Mutex<Memory>>,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

/// Number of ports that were tried: tests run in parallel.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// How often a tracker checks whether it must stop.
const NAP: Duration = Duration::from_millis(5);

impl Fake {
    /// Starts a tracker on its own port, which the system does not assign to other processes while the tracker is stopped.
    pub fn start(announces: Announces) -> Fake {
        let mut fake = Fake { announces, port: 0, memory: Arc::default(), running: None };
        let is_free = |port: &u16| {
            let address = (Ipv4Addr::LOCALHOST, *port);
            UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
        };
        let mut ports = std::iter::repeat_with(|| 20_000 + NEXT_PORT.fetch_add(1, Ordering::Relaxed));
        fake.port = ports.find(is_free).unwrap();
        fake.start_again();
        fake
    }

    /// Starts it on the same port.
    pub fn start_again(&mut self) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let stop = Arc::new(AtomicBool::new(false));
        let (memory, stopped) = (Arc::clone(&self.memory), Arc::clone(&stop));
        memory.lock().unwrap().start();
        let thread = if self.announces == Announces::Udp {
            let socket = UdpSocket::bind(address).unwrap();
            std::thread::spawn(move || serve_udp(&socket, &memory, &stopped))
        } else {
            let listener = TcpListener::bind(address).unwrap();
            std::thread::spawn(move || serve_http(&listener, &memory, &stopped))
        };
        self.running = Some((stop, thread));
    }

    /// Stops it: nothing listens on the port any more, and all connections are closed.
    pub fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            stop.store(true, Ordering::Relaxed);
            thread.join().unwrap();
        }
    }

    /// Sets the faults of the next two announcements. The second announcement is not sent if the first fails.
    pub fn next_faults(&self, started: Fault, completed: Fault) {
        self.memory.lock().unwrap().faults = [started, completed].into();
    }

    /// The number of counted downloads of each torrent that has any.
    pub fn counted(&self) -> Vec<u64> {
        self.memory.lock().unwrap().counted.values().copied().collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve_udp(socket: &UdpSocket, memory: &Mutex<Memory>, stop: &AtomicBool) {
    socket.set_read_timeout(Some(NAP)).unwrap();
    let mut bytes = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, peer)) = socket.recv_from(&mut bytes) else {
            continue;
        };
        let request = udp::Request::parse_bytes(&bytes[..length], 74).unwrap();
        for answer in answer_udp(request, &mut memory.lock().unwrap()) {
            let mut bytes = Vec::new();
            answer.write_bytes(&mut bytes).unwrap();
            socket.send_to(&bytes, peer).unwrap();
        }
    }
}

fn answer_udp(request: udp::Request, memory: &mut Memory) -> Vec<udp::Response> {
    let id = udp::ConnectionId::new(memory.secret);
    match request {
        udp::Request::Connect(udp::ConnectRequest { transaction_id }) => {
            vec![udp::ConnectResponse { transaction_id, connection_id: id }.into()]
        }
        udp::Request::Scrape(request) => {
            let statistics = udp::TorrentScrapeStatistics {
                seeders: udp::NumberOfPeers::new(0),
                completed: udp::NumberOfDownloads::new(0),
                leechers: udp::NumberOfPeers::new(0),
            };
            let torrent_stats = vec![statistics; request.info_hashes.len()];
            vec![udp::ScrapeResponse { transaction_id: request.transaction_id, torrent_stats }.into()]
        }
        udp::Request::Announce(request) => {
            let transaction_id = request.transaction_id;
            let fault = memory.faults.pop_front().unwrap_or(Fault::None);
            if fault == Fault::Deaf {
                return Vec::new();
            }
            if fault == Fault::Error || request.connection_id != id {
                return vec![udp::ErrorResponse { transaction_id, message: "refused".into() }.into()];
            }
            let completes = udp::AnnounceEvent::from(request.event) == udp::AnnounceEvent::Completed;
            memory.hear(request.info_hash.0, request.peer_id.0, completes);
            let stale = announced(udp::TransactionId::new(-7));
            match fault {
                Fault::Mute => Vec::new(),
                Fault::Stale => vec![stale, announced(transaction_id)],
                Fault::StaleOnly => vec![stale],
                Fault::Forget => {
                    memory.start();
                    vec![announced(transaction_id)]
                }
                Fault::None | Fault::Deaf | Fault::Error => vec![announced(transaction_id)],
            }
        }
    }
}

fn announced(transaction_id: udp::TransactionId) -> udp::Response {
    let fixed = udp::AnnounceResponseFixedData {
        transaction_id,
        announce_interval: udp::AnnounceInterval::new(120),
        leechers: udp::NumberOfPeers::new(1),
        seeders: udp::NumberOfPeers::new(0),
    };
    udp::Response::AnnounceIpv4(udp::AnnounceResponse { fixed, peers: Vec::new() })
}

fn serve_http(listener: &TcpListener, memory: &Mutex<Memory>, stop: &AtomicBool) {
    listener.set_nonblocking(true).unwrap();
    std::thread::scope(|scope| {
        while !stop.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => {
                    scope.spawn(move || serve_connection(stream, memory, stop));
                }
                Err(_) => std::thread::sleep(NAP),
            }
        }
    });
}

/// Answers requests until the client closes, the tracker stops, or an answer is to be lost.
fn serve_connection(mut stream: TcpStream, memory: &Mutex<Memory>, stop: &AtomicBool) {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(NAP)).unwrap();
    let mut request = Vec::new();
    let mut bytes = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut bytes) {
            Ok(0) => return,
            Ok(length) => request.extend(&bytes[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let parsed = http_request::Request::parse_bytes(&request).unwrap().unwrap();
        request.clear();
        let Some(answer) = answer_http(parsed, &mut memory.lock().unwrap()) else {
            return;
        };
        let mut body = Vec::new();
        answer.write_bytes(&mut body).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all(&[head.as_bytes(), &body].concat()).is_err() {
            return;
        }
    }
}

fn answer_http(request: http_request::Request, memory: &mut Memory) -> Option<http_response::Response> {
    let request = match request {
        http_request::Request::Announce(request) => request,
        http_request::Request::Scrape(request) => {
            let statistics = http_response::ScrapeStatistics { complete: 0, incomplete: 0, downloaded: 0 };
            let files = request.info_hashes.into_iter().map(|hash| (hash, statistics.clone()));
            let files = http_response::ScrapeResponse { files: files.collect() };
            return Some(http_response::Response::Scrape(files));
        }
    };
    let fault = memory.faults.pop_front().unwrap_or(Fault::None);
    match fault {
        Fault::Deaf => return None,
        Fault::Error => {
            let failure = http_response::FailureResponse::new("refused");
            return Some(http_response::Response::Failure(failure));
        }
        _ => {}
    }
    memory.hear(
        request.info_hash.0,
        request.peer_id.0,
        matches!(request.event, http::AnnounceEvent::Completed),
    );
    let answer = http_response::AnnounceResponse {
        announce_interval: 120,
        complete: 0,
        incomplete: 1,
        peers: http_response::ResponsePeerListV4::default(),
        peers6: http_response::ResponsePeerListV6::default(),
        warning_message: None,
    };
    (fault != Fault::Mute).then_some(http_response::Response::Announce(answer))
}
