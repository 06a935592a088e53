//! A line to a server that can be cut: a proxy that passes bytes on in both directions.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use anyhow::Context;
use machine::error::Result;

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
    /// A line to a server.
    ///
    /// # Errors
    /// When this machine has no free port.
    pub fn to(server: SocketAddr) -> Result<Line> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
        let port = listener.local_addr().context("there is no free port")?.port();
        let ends = Arc::new(Mutex::new(Ends::default()));
        let of_thread = ends.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(io::Result::ok) {
                if lock(&of_thread).is_over {
                    return;
                }
                // A server that is not there closes the connection, as it would itself.
                let _ = connect(client, server, &of_thread);
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
fn connect(client: TcpStream, server: SocketAddr, ends: &Mutex<Ends>) -> io::Result<()> {
    // Held until both ends are noted, so that no connection escapes a cut.
    let mut ends = lock(ends);
    if ends.is_cut {
        ends.refused += 1;
        return Ok(());
    }
    let server = TcpStream::connect(server)?;
    for (from, to) in [(&client, &server), (&server, &client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
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
