//! Announces over HTTP (BEP 3).

use anyhow::{Context, bail, ensure};
use aquatic_http_protocol::common::{AnnounceEvent, InfoHash, PeerId};
use aquatic_http_protocol::request::{AnnounceRequest, Request, ScrapeRequest};
use aquatic_http_protocol::response::Response;
use ureq::Agent;

use super::protocol::{ANSWER_WAIT, Download, Protocol};
use crate::client::Answer;

/// A tracker that is reached over HTTP, with one connection that is kept open.
pub(super) struct HttpTracker {
    port: u16,
    agent: Agent,
}

impl HttpTracker {
    /// A tracker on loopback. Nothing is sent yet.
    pub(super) fn new(port: u16) -> HttpTracker {
        let configuration = Agent::config_builder()
            .timeout_global(Some(ANSWER_WAIT))
            // A proxy in the environment must not affect the trial.
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .max_idle_connections_per_host(1)
            .build();
        HttpTracker { port, agent: configuration.into() }
    }

    fn announce(&self, download: &Download, event: AnnounceEvent) -> anyhow::Result<Response> {
        let left = usize::from(event != AnnounceEvent::Completed);
        self.ask(&Request::Announce(AnnounceRequest {
            info_hash: InfoHash(download.info_hash),
            peer_id: PeerId(download.peer_id),
            port: download.port.get(),
            bytes_uploaded: 0,
            bytes_downloaded: 1 - left,
            bytes_left: left,
            event,
            numwant: Some(1),
            key: None,
        }))
    }

    /// Sends one request. It is never sent twice.
    fn ask(&self, request: &Request) -> anyhow::Result<Response> {
        let mut text = Vec::with_capacity(256);
        request.write(&mut text, b"")?;
        let text = String::from_utf8(text)?;
        // The path of the request line: GET, path, version.
        let path = text.split(' ').nth(1).context("a request has a path")?;
        let mut response = self.agent.get(format!("http://127.0.0.1:{}{path}", self.port)).call()?;
        let body = response.body_mut().read_to_vec()?;
        ensure!(response.status() == 200, "status {}", response.status());
        Ok(Response::parse_bytes(&body)?)
    }
}

impl Protocol for HttpTracker {
    fn count(&mut self, download: &Download) -> Answer {
        match self.announce(download, AnnounceEvent::Started) {
            Ok(Response::Announce(_)) => {}
            Ok(_) | Err(_) => return Answer::Refused,
        }
        match self.announce(download, AnnounceEvent::Completed) {
            Ok(Response::Announce(_)) => Answer::Acknowledged,
            // The tracker sends a failure reason only if it has not processed the request. A status other than 200 may
            // come after it has counted: it times out after 5 s at any point.
            Ok(Response::Failure(_)) => Answer::Refused,
            _ => Answer::None,
        }
    }

    fn scrape(&mut self, info_hash: [u8; 20]) -> anyhow::Result<()> {
        let info_hash = InfoHash(info_hash);
        let request = Request::Scrape(ScrapeRequest { info_hashes: vec![info_hash] });
        match self.ask(&request).context("the HTTP tracker does not answer a scrape")? {
            Response::Scrape(answer) if answer.files.contains_key(&info_hash) => Ok(()),
            answer => bail!("the HTTP tracker answered a scrape with {answer:?}"),
        }
    }
}
