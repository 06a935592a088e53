//! What goes wrong: the faults of the registry that can strike a running sidecar, and troubles of its own.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};

use anyhow::Context;
use machine::error::{Error, Result};
use machine::process::Account;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use strategies::contract::Settings;

use super::bench::Bench;
use crate::fault::{ConfiguredFault, Injected, Prepared, Scene, Separates, registry};

/// Something that goes wrong, or nothing.
pub struct Trouble {
    /// Its name: that of a fault, or one of its own.
    pub name: &'static str,
    /// What happens, in one sentence.
    pub summary: &'static str,
    /// It strikes programs only when they start, so the sidecar is started again.
    pub(super) restarts: bool,
    how: How,
}

enum How {
    Nothing,
    Fault(ConfiguredFault),
    Own(for<'a> fn(&'a Bench<'_>) -> Result<Injected<'a>>),
}

/// Faults of the registry that are left out, and why.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("bit-flip", "it strikes a stored backup: a restore finds it by the manifest"),
    ("kill-database", "no application runs in these trials"),
    ("missing-piece", "it strikes a stored backup: a restore finds it"),
    ("network-cut", "it strikes the stages of a trial; here the line is cut until the trouble ends"),
    ("power-cut", "the sidecar is gone with the machine, as in kill-strategy"),
    ("power-cut-at-success", "the sidecar is gone with the machine, as in kill-strategy"),
    ("stale-companion", "it strikes a restore"),
    ("truncated", "it strikes a stored backup: a restore finds it by the manifest"),
    ("two-at-once", "the sidecar runs one backup at a time, and its lock refuses another process"),
    ("wrong-password", "it needs a server with accounts"),
];

/// Settings of faults that differ from their defaults, and whether the sidecar has to be started again.
fn adjusted(name: &str) -> (Settings, bool) {
    let one = |key: &str, value: &str| Settings::from_iter([(key.to_owned(), value.into())]);
    match name {
        // Slow enough that a backup takes several intervals.
        "slow-disk" => (one("bytes_per_second", "256KiB"), false),
        "memory-limit" => (Settings::new(), true),
        _ => (Settings::new(), false),
    }
}

/// Everything that is tried: a good day first.
pub fn troubles() -> Vec<Trouble> {
    let own = |name, summary, how| Trouble { name, summary, restarts: false, how: How::Own(how) };
    let mut all =
        vec![Trouble { name: "good-day", summary: "nothing goes wrong", restarts: false, how: How::Nothing }];
    for entry in registry::all() {
        if LEFT_OUT.iter().any(|(name, _)| *name == entry.name) {
            continue;
        }
        let (settings, restarts) = adjusted(entry.name);
        let fault = entry.configure(&settings).expect("the adjusted settings are valid");
        all.push(Trouble { name: entry.name, summary: entry.summary, restarts, how: How::Fault(fault) });
    }
    all.extend([
        own("source-damaged", "pages in the middle of the live database are overwritten", damage_source),
        own("source-locked", "another client holds the live database exclusively", lock_source),
        own("sidecar-hangs", "the processes of the sidecar are stopped (SIGSTOP)", hang),
        own("line-cut", "the line to the destination is cut", cut_line),
        own("wrong-credentials", "the destination no longer accepts the key", change_key),
    ]);
    all
}

impl Trouble {
    pub(super) fn separates(&self) -> Separates {
        match &self.how {
            How::Fault(fault) => fault.separates(),
            _ => Separates::Nothing,
        }
    }

    pub(super) fn prepare<'a>(&self, scene: &'a Scene<'a>) -> Result<Prepared<'a>> {
        match &self.how {
            How::Fault(fault) => fault.prepare(scene),
            _ => Ok(Box::new(())),
        }
    }

    /// Strikes.
    pub(super) fn strike<'a>(&self, bench: &'a Bench<'_>) -> Result<Injected<'a>> {
        match &self.how {
            How::Nothing => Ok(Injected { proof: "nothing".into(), heal: Box::new(|| Ok(())) }),
            How::Own(own) => own(bench),
            How::Fault(fault) => bench.strike_with(fault),
        }
    }
}

fn cannot(what: &str, error: std::io::Error) -> Error {
    Error::Environment(format!("cannot {what}: {error}"))
}

fn damage_source<'a>(bench: &'a Bench<'_>) -> Result<Injected<'a>> {
    let live = &bench.live;
    let whole = live.with_extension("whole");
    let failed = |error| cannot("damage the database", error);
    fs::copy(live, &whole).map_err(failed)?;
    let middle = fs::metadata(live).map_err(failed)?.len() / 2 / 4096 * 4096;
    let mut file = File::options().write(true).open(live).map_err(failed)?;
    file.seek(SeekFrom::Start(middle)).and_then(|_| file.write_all(&[0xA5; 16 * 4096])).map_err(failed)?;
    let heal = move || fs::copy(&whole, live).map(|_| ()).map_err(|error| cannot("mend the database", error));
    Ok(Injected { proof: "16 pages were overwritten".into(), heal: Box::new(heal) })
}

fn lock_source<'a>(bench: &'a Bench<'_>) -> Result<Injected<'a>> {
    let first = ["PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE", "PRAGMA user_version = 7"];
    let end =
        bench.scene.other_client(first.map(str::to_owned).into(), Vec::new(), vec!["ROLLBACK".into()])?;
    Ok(Injected {
        proof: "an exclusive transaction was open".into(),
        heal: Box::new(move || end().map(|_| ())),
    })
}

fn hang<'a>(bench: &'a Bench<'_>) -> Result<Injected<'a>> {
    let running = bench.scene.launcher.processes().running(Account::Strategy);
    let signal =
        |pids: &[i32], signal| pids.iter().filter(|pid| kill(Pid::from_raw(**pid), signal).is_ok()).count();
    let stopped = signal(&running, Signal::SIGSTOP);
    let heal = move || {
        signal(&running, Signal::SIGCONT);
        Ok(())
    };
    Ok(Injected { proof: format!("stopped processes: {stopped}"), heal: Box::new(heal) })
}

fn cut_line<'a>(bench: &'a Bench<'_>) -> Result<Injected<'a>> {
    let line = &bench.line;
    line.cut();
    let heal = || {
        line.mend();
        Ok(())
    };
    Ok(Injected { proof: "connections are closed at once".into(), heal: Box::new(heal) })
}

fn change_key<'a>(bench: &'a Bench<'_>) -> Result<Injected<'a>> {
    let file = bench.server.credentials_file();
    let right = fs::read_to_string(file).context("cannot read a key")?;
    let wrong = right.replace("aws_secret_access_key = ", "aws_secret_access_key = 0");
    fs::write(file, wrong).map_err(|error| cannot("change a key", error))?;
    let heal = move || fs::write(file, right).map_err(|error| cannot("change a key", error));
    Ok(Injected { proof: "the sidecar's key is not that of the server".into(), heal: Box::new(heal) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_tried_or_left_out_for_a_reason() {
        let tried = troubles();
        for entry in registry::all() {
            let is_left_out = LEFT_OUT.iter().any(|(name, _)| *name == entry.name);
            assert_ne!(tried.iter().any(|trouble| trouble.name == entry.name), is_left_out, "{}", entry.name);
        }
        for (name, _) in LEFT_OUT {
            assert!(registry::named(name).is_ok(), "{name}");
        }
    }
}
