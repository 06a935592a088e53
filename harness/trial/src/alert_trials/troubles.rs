//! What goes wrong: the faults of the registry that can strike a running sidecar, and troubles of its own.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};

use anyhow::Context;
use engines::engine::Engine;
use machine::error::{Error, Result};
use machine::process::Account;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use strategies::contract::Settings;

use super::bench::Bench;
use crate::fault::{ConfiguredFault, FaultEntry, Injected, Prepared, Scene, Separates, Stops, registry};

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

/// Which engines something is about.
#[derive(Clone, Copy)]
enum On {
    All,
    Files,
    Servers,
}

impl On {
    fn includes(self, engine: &dyn Engine) -> bool {
        match self {
            On::All => true,
            On::Files => engine.files().is_some(),
            On::Servers => engine.files().is_none(),
        }
    }
}

/// What is left out, on which engines, and why.
const LEFT_OUT: &[(&str, On, &str)] = &[
    ("bit-flip", On::All, "it strikes a stored backup: a restore finds it by the manifest"),
    ("kill-database", On::Files, "no application runs in these trials"),
    ("missing-piece", On::All, "it strikes a stored backup: a restore finds it"),
    ("network-cut", On::All, "it strikes the stages of a trial; here the line is cut until the trouble ends"),
    ("power-cut", On::All, "the sidecar is gone with the machine, as in kill-strategy"),
    ("power-cut-at-success", On::All, "the sidecar is gone with the machine, as in kill-strategy"),
    (
        SOURCE_DAMAGED,
        On::Servers,
        "a server reads its pages from memory, and stops when it finds a damaged one",
    ),
    ("stale-companion", On::All, "it strikes a restore"),
    ("truncated", On::All, "it strikes a stored backup: a restore finds it by the manifest"),
    ("two-at-once", On::All, "the sidecar runs one backup at a time, and its lock refuses another process"),
    ("wrong-key", On::All, "it strikes a restore"),
    ("wrong-password", On::Files, "the database has no accounts"),
];

const SOURCE_DAMAGED: &str = "source-damaged";

/// What is left out on an engine, and why.
pub fn left_out(engine: &dyn Engine) -> impl Iterator<Item = (&'static str, &'static str)> {
    LEFT_OUT.iter().filter(move |(_, on, _)| on.includes(engine)).map(|(name, _, why)| (*name, *why))
}

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

/// What a fault of the registry does in these trials.
fn summary(entry: &FaultEntry) -> &'static str {
    match entry.name {
        "kill-database" => "SIGKILL of the database server, which is started again afterwards",
        _ => entry.summary,
    }
}

/// Everything that is tried on an engine: a good day first.
pub fn troubles(engine: &dyn Engine) -> Vec<Trouble> {
    let own = |name, summary, how| Trouble { name, summary, restarts: false, how: How::Own(how) };
    let mut all =
        vec![Trouble { name: "good-day", summary: "nothing goes wrong", restarts: false, how: How::Nothing }];
    for entry in registry::all() {
        let (settings, restarts) = adjusted(entry.name);
        let fault = entry.configure(&settings).expect("the adjusted settings are valid");
        all.push(Trouble { name: entry.name, summary: summary(entry), restarts, how: How::Fault(fault) });
    }
    all.extend([
        own(SOURCE_DAMAGED, "pages in the middle of the live database are overwritten", damage_source),
        own("source-locked", "another client has an exclusive lock on what is backed up", lock_source),
        own("sidecar-hangs", "the processes of the sidecar are stopped (SIGSTOP)", hang),
        own("line-cut", "the line to the destination is cut", cut_line),
        own("wrong-credentials", "the destination no longer accepts the key", change_key),
    ]);
    all.retain(|trouble| left_out(engine).all(|(name, _)| name != trouble.name));
    all
}

impl Trouble {
    pub(super) fn separates(&self) -> Separates {
        match &self.how {
            How::Fault(fault) => fault.separates(),
            _ => Separates::Nothing,
        }
    }

    /// True if it ends the database server, which is then started again.
    pub(super) fn stops_database(&self) -> bool {
        matches!(&self.how, How::Fault(fault) if fault.stops() == Stops::Application)
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
    let live = &bench.data;
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
    let (first, last) = match bench.scene.database.engine.files() {
        Some(_) => (
            ["PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE", "PRAGMA user_version = 7"]
                .map(str::to_owned)
                .to_vec(),
            "ROLLBACK",
        ),
        None => (vec![format!("LOCK TABLES {} WRITE", bench.scene.table)], "UNLOCK TABLES"),
    };
    let proof = format!("another client had executed: {}", first.join("; "));
    let end = bench.scene.other_client(first, Vec::new(), vec![last.into()])?;
    Ok(Injected { proof, heal: Box::new(move || end().map(|_| ())) })
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
    use crate::fault::Moment;

    #[test]
    fn every_fault_is_tried_or_left_out_for_a_reason() {
        for engine in engines::registry::ENGINES {
            let tried = troubles(*engine);
            let is_tried = |name: &str| tried.iter().any(|trouble| trouble.name == name);
            for entry in registry::all() {
                let is_left_out = left_out(*engine).any(|(name, _)| name == entry.name);
                assert_ne!(is_tried(entry.name), is_left_out, "{} on {}", entry.name, engine.name());
                // What strikes a restore, or a backup that is stored, has nothing to strike here.
                let strikes_backup = matches!(
                    entry.with_defaults().moment(),
                    Moment::BeforeBackup | Moment::DuringBackup | Moment::AtSuccess
                );
                assert!(is_left_out || strikes_backup, "{}", entry.name);
            }
            assert!(is_tried("good-day") && is_tried("source-locked"));
            assert_eq!(is_tried("source-damaged"), engine.files().is_some());
            assert_eq!(is_tried("wrong-password"), engine.files().is_none());
            assert_eq!(is_tried("kill-database"), engine.files().is_none());
        }
        for (name, _, _) in LEFT_OUT {
            assert!(*name == SOURCE_DAMAGED || registry::named(name).is_ok(), "{name}");
        }
    }
}
