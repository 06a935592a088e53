//! A line to a server that can be cut, and that can be as slow as one to another place: a proxy that passes bytes on in
//! both directions.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use machine::error::Result;

/// How much a line carries, and how long that takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineQuality {
    /// Bytes per second in each direction, for all connections together; 0: as many as this machine can pass on.
    pub bytes_per_second: u64,
    /// The time from one end to the other end and back.
    pub round_trip: Duration,
}

/// What is read, and passed on, at a time.
const CHUNK_BYTES: usize = 16 << 10;
/// Chunks on their way in one direction of one connection, besides those that the length of the line holds.
const CHUNKS_MIN: usize = 8;
/// The same at most: a long line without a speed limit.
const CHUNKS_MAX: usize = 4096;

/// One direction of a line, for all connections.
struct Direction {
    quality: LineQuality,
    /// When the last byte that was accepted has entered the line.
    free_at: Mutex<Instant>,
}

impl Direction {
    fn new(quality: LineQuality) -> Direction {
        Direction { quality, free_at: Mutex::new(Instant::now()) }
    }

    /// When so many bytes that want to enter the line now arrive at its other end.
    fn arrival(&self, bytes: usize) -> Instant {
        let mut free_at = self.free_at.lock().expect("no thread panics while it holds this lock");
        let entered = match self.quality.bytes_per_second {
            0 => Instant::now(),
            rate => (*free_at).max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / rate as f64),
        };
        *free_at = entered;
        entered + self.quality.round_trip / 2
    }

    /// How many chunks are on their way when the line is full.
    fn chunks(&self) -> usize {
        let held = match self.quality.bytes_per_second {
            0 if self.quality.round_trip.is_zero() => 0,
            0 => CHUNKS_MAX,
            rate => (rate as f64 * self.quality.round_trip.as_secs_f64() / 2.0) as usize / CHUNK_BYTES,
        };
        (held + CHUNKS_MIN).min(CHUNKS_MAX)
    }

    /// Passes bytes on until one end is closed.
    fn pass(&self, mut from: TcpStream, to: TcpStream) {
        if self.quality == LineQuality::default() {
            let mut to = to;
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
        let (sender, receiver) = sync_channel(self.chunks());
        thread::spawn(move || deliver(&receiver, to));
        let mut buffer = [0; CHUNK_BYTES];
        while let Ok(bytes @ 1..) = from.read(&mut buffer) {
            if sender.send((self.arrival(bytes), buffer[..bytes].to_vec())).is_err() {
                return;
            }
        }
    }
}

/// Hands over each chunk when it arrives, and then the end.
fn deliver(chunks: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    for (at, bytes) in chunks {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// A port of 127.0.0.1 behind which a server is reached, until the line is cut. Connections of a cut line are closed, and
/// new ones are closed at once.
pub struct Line {
    port: u16,
    ends: Arc<Mutex<Ends>>,
}

#[derive(Default)]
struct Ends {
    is_cut: bool,
    /// Connections that were refused since the line was cut.
    refused: usize,
    /// The value was dropped: the next connection ends the thread that accepts them.
    is_over: bool,
    /// Both ends of every connection that was made.
    streams: Vec<TcpStream>,
}

impl Line {
    /// A line to a server, as fast as this machine.
    ///
    /// # Errors
    /// When this machine has no free port.
    pub fn to(server: SocketAddr) -> Result<Line> {
        Line::of(LineQuality::default(), server)
    }

    /// A line of a quality to a server.
    ///
    /// # Errors
    /// When this machine has no free port.
    pub fn of(quality: LineQuality, server: SocketAddr) -> Result<Line> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
        let port = listener.local_addr().context("there is no free port")?.port();
        let ends = Arc::new(Mutex::new(Ends::default()));
        let of_thread = ends.clone();
        let directions = [quality, quality].map(|quality| Arc::new(Direction::new(quality)));
        thread::spawn(move || {
            for client in listener.incoming().map_while(io::Result::ok) {
                if lock(&of_thread).is_over {
                    return;
                }
                // A server that is not there closes the connection, as it would itself.
                let _ = connect(client, server, &directions, &of_thread);
            }
        });
        Ok(Line { port, ends })
    }

    /// The port on 127.0.0.1 at which the server is reached.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes all connections, and new ones from now on. Returns how many there were that were open.
    pub fn cut(&self) -> usize {
        let mut ends = lock(&self.ends);
        (ends.is_cut, ends.refused) = (true, 0);
        let streams = ends.streams.drain(..);
        // A connection that has ended is no longer connected, and the second end of one may already know of the first.
        let closed = streams.filter(|stream| stream.shutdown(Shutdown::Both).is_ok());
        closed.count().div_ceil(2)
    }

    /// Lets new connections through again. Returns how many were refused since the line was cut.
    pub fn mend(&self) -> usize {
        let mut ends = lock(&self.ends);
        ends.is_cut = false;
        ends.refused
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.cut();
        lock(&self.ends).is_over = true;
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn lock(ends: &Mutex<Ends>) -> MutexGuard<'_, Ends> {
    ends.lock().expect("no thread panics while it holds this lock")
}

/// Joins a client and the server. A line that is cut drops the client, which closes its connection.
fn connect(
    client: TcpStream,
    server: SocketAddr,
    directions: &[Arc<Direction>; 2],
    ends: &Mutex<Ends>,
) -> io::Result<()> {
    // Held until both ends are noted, so that no connection escapes a cut.
    let mut ends = lock(ends);
    if ends.is_cut {
        ends.refused += 1;
        return Ok(());
    }
    let server = TcpStream::connect(server)?;
    // Small packets must not wait for each other: the line alone decides how long they take.
    let _ = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    for ((from, to), direction) in [(&client, &server), (&server, &client)].into_iter().zip(directions) {
        let (from, to, direction) = (from.try_clone()?, to.try_clone()?, direction.clone());
        thread::spawn(move || direction.pass(from, to));
    }
    ends.streams.extend([client, server]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// A server that answers each byte with the next one.
    fn counting() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut byte = [0];
                    while client.read_exact(&mut byte).is_ok() && client.write_all(&[byte[0] + 1]).is_ok() {}
                });
            }
        });
        address
    }

    fn ask(client: &mut TcpStream, byte: u8) -> io::Result<u8> {
        let mut answer = [byte];
        client.write_all(&answer)?;
        client.read_exact(&mut answer)?;
        Ok(answer[0])
    }

    #[test]
    fn a_line_passes_bytes_until_it_is_cut_and_again_when_it_is_mended() {
        let line = Line::to(counting()).unwrap();
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, line.port())).unwrap();
        let mut first = connect();
        assert_eq!(ask(&mut first, 1).unwrap(), 2);
        assert_eq!(line.cut(), 1);
        assert!(ask(&mut first, 1).is_err());
        assert!(ask(&mut connect(), 1).is_err());
        assert_eq!(line.mend(), 1);
        assert_eq!(ask(&mut connect(), 3).unwrap(), 4);
    }

    /// Bytes arrive no earlier than the line allows. How much later they arrive depends on the machine.
    #[test]
    fn a_slow_line_carries_everything_and_takes_the_time_that_it_must() {
        let quality = LineQuality { bytes_per_second: 1_000_000, round_trip: Duration::from_millis(40) };
        let line = Line::of(quality, counting()).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, line.port())).unwrap();
        let began = Instant::now();
        assert_eq!(ask(&mut client, 1).unwrap(), 2);
        assert!(began.elapsed() >= quality.round_trip);
        let began = Instant::now();
        let sent: Vec<u8> = (0..100_000u32).map(|byte| (byte % 250) as u8).collect();
        let mut answer = vec![0; sent.len()];
        thread::scope(|scope| {
            let mut sending = client.try_clone().unwrap();
            scope.spawn(move || sending.write_all(&sent).unwrap());
            client.read_exact(&mut answer).unwrap();
        });
        assert!(answer.iter().zip(0u32..).all(|(byte, place)| *byte == (place % 250) as u8 + 1));
        assert!(began.elapsed() >= Duration::from_millis(100));
        assert_eq!(line.cut(), 1);
        assert!(ask(&mut client, 1).is_err());
    }

    #[test]
    fn connections_share_a_line() {
        let quality = LineQuality { bytes_per_second: 1000, round_trip: Duration::ZERO };
        let direction = Direction::new(quality);
        let began = Instant::now();
        let arrivals = [500, 500, 1000].map(|bytes| direction.arrival(bytes));
        assert!(arrivals[0] >= began + Duration::from_millis(500));
        assert_eq!(arrivals[1] - arrivals[0], Duration::from_millis(500));
        assert_eq!(arrivals[2] - arrivals[1], Duration::from_secs(1));
    }

    #[test]
    fn a_line_that_is_dropped_closes_its_port() {
        let line = Line::to(counting()).unwrap();
        let port = line.port();
        drop(line);
        let is_closed = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err();
        assert!((0..100).any(|_| {
            thread::sleep(std::time::Duration::from_millis(10));
            is_closed()
        }));
    }
}
