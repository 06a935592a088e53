//! A web server that notes what it is told.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use machine::error::{Error, Result};
use serde::Deserialize;
use tiny_http::{Response, Server};

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub at: Instant,
    pub path: String,
    pub body: String,
}

/// The part of an alert's body that is needed here.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Alert {
    #[serde(rename = "alert")]
    pub name: String,
    pub state: String,
}

impl Call {
    /// The alert in its body that begins; `None` for any other body.
    pub fn alert(&self) -> Option<Alert> {
        self.any_alert().filter(|alert| alert.state == "firing")
    }

    fn any_alert(&self) -> Option<Alert> {
        serde_json::from_str(&self.body).ok()
    }
}

/// A server on 127.0.0.1 that accepts everything. It ends when it is dropped.
pub(super) struct Listener {
    server: Arc<Server>,
    calls: Arc<Mutex<Vec<Call>>>,
    began: Instant,
}

impl Listener {
    pub fn start() -> Result<Listener> {
        let server = Server::http((Ipv4Addr::LOCALHOST, 0))
            .map_err(|error| Error::Environment(format!("cannot listen on 127.0.0.1: {error}")))?;
        let server = Arc::new(server);
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (of_thread, noted) = (server.clone(), calls.clone());
        std::thread::spawn(move || {
            // Ends when the server is unblocked.
            while let Ok(mut request) = of_thread.recv() {
                let mut body = String::new();
                let _ = request.as_reader().read_to_string(&mut body);
                let call = Call { at: Instant::now(), path: request.url().to_owned(), body };
                noted.lock().expect("no thread panics while it holds this lock").push(call);
                let _ = request.respond(Response::empty(200));
            }
        });
        Ok(Listener { server, calls, began: Instant::now() })
    }

    /// Its address, without a path.
    pub fn address(&self) -> String {
        format!("http://{}", self.server.server_addr())
    }

    pub fn began(&self) -> Instant {
        self.began
    }

    /// All requests so far, in their order.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("no thread panics while it holds this lock").clone()
    }

    /// The alerts that have begun and not ended.
    pub fn firing(&self) -> Vec<String> {
        let mut firing = Vec::new();
        for alert in self.calls().iter().filter_map(Call::any_alert) {
            firing.retain(|name| *name != alert.name);
            if alert.state == "firing" {
                firing.push(alert.name);
            }
        }
        firing
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn post(listener: &Listener, path: &str, body: &str) {
        let mut stream = TcpStream::connect(listener.address().trim_start_matches("http://")).unwrap();
        let length = body.len();
        write!(stream, "POST {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[test]
    fn what_is_told_is_noted_and_an_alert_fires_until_it_is_resolved() {
        let listener = Listener::start().unwrap();
        let alert = |name, state| format!(r#"{{"alert": "{name}", "state": "{state}", "version": 1}}"#);
        post(&listener, "/ping/start", "");
        post(&listener, "/alert", &alert("backup-failed", "firing"));
        post(&listener, "/alert", &alert("nearly-full", "firing"));
        assert_eq!(listener.firing(), ["backup-failed", "nearly-full"]);
        post(&listener, "/alert", &alert("backup-failed", "resolved"));
        assert_eq!(listener.firing(), ["nearly-full"]);
        let calls = listener.calls();
        assert_eq!(calls.len(), 4);
        assert_eq!(calls[0].path, "/ping/start");
        assert!(calls[0].alert().is_none() && calls[1].alert().is_some() && calls[3].alert().is_none());
    }
}
