//! The streaming of the binary log, and the shipping of what was streamed.

use std::path::Path;

use machine::container::Container;
use machine::error::Result;
use machine::process::{Account, Counters, Group, Launcher};
use offsite::jobs::Ship;

use crate::contract::Replication;
use crate::published::PublishedPlace;

/// The container that streams, and the worker that ships. If one of them exits, the replication has ended.
pub(super) struct Shipping {
    stream: Container,
    job: Ship,
    shipper: Group,
    launcher: Launcher,
    /// Resources used by the workers that were killed.
    used: Counters,
    /// Where it ships to. The base goes there as well.
    pub(super) place: PublishedPlace,
}

impl Shipping {
    /// Starts to ship the files in `logs`, which `stream` writes.
    ///
    /// # Errors
    /// When the worker cannot be started.
    pub(super) fn start(
        stream: Container,
        place: PublishedPlace,
        logs: &Path,
        launcher: &Launcher,
    ) -> Result<Shipping> {
        let job = place.ship(logs);
        let shipper = start(&job, launcher)?;
        let used = Counters::default();
        Ok(Shipping { stream, job, shipper, launcher: launcher.clone(), used, place })
    }
}

fn start(job: &Ship, launcher: &Launcher) -> Result<Group> {
    let (child, _stdin) = launcher.worker(Account::Strategy, job)?;
    Ok(Group::new(vec![child]))
}

impl Replication for Shipping {
    fn ended(&self) -> Option<String> {
        let shipper = || self.shipper.has_ended().then(|| self.shipper.last_words());
        self.stream.is_running().then(shipper).unwrap_or_else(|| Replication::ended(&self.stream))
    }

    fn counters(&self) -> Option<Counters> {
        let mut sum = Replication::counters(&self.stream)?;
        sum.add(&self.used);
        sum.add(&self.shipper.counters());
        Some(sum)
    }

    fn last_lines(&self) -> String {
        Replication::last_lines(&self.stream)
    }

    fn note(&mut self) {
        Replication::note(&mut self.stream);
    }

    fn kill(&mut self) {
        Replication::kill(&mut self.stream);
        self.shipper.kill();
    }

    fn start_again(&mut self) -> Result<()> {
        Replication::start_again(&mut self.stream)?;
        self.used.add(&self.shipper.counters());
        self.shipper = start(&self.job, &self.launcher)?;
        Ok(())
    }
}
