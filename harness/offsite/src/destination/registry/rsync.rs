//! `rsync`: a directory on a host, whose files are moved by `rsync` over `ssh`. Names, ranges and the publication of an
//! upload go over the SFTP protocol of the same host.

use std::io::Read;
use std::ops::Range;
use std::path::{self, Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use anyhow::Context;
use machine::error::{Error, Result};
use machine::how_to_install::HowToInstall;
use machine::process::{Account, Group};
use machine::tool::Tool;
use machine::worker::Progress;
use serde::{Deserialize, Serialize};

use crate::content::{Content, cannot};
use crate::destination::configured::DestinationEntry;
use crate::destination::contract::{
    Definition, Destination, Listing, Moved, Operation, Upload, changed, partial_name,
};
use crate::destination::name::ObjectName;
use crate::destination::ssh::files::{Files, transfer_failed};
use crate::destination::ssh::host::{self, Host, SSH};
use crate::output_file::OutputFile;
use crate::settings::SettingDoc;

inventory::submit! { DestinationEntry::of::<Rsync>() }

static RSYNC: Tool =
    Tool { command: "rsync", version_argument: "--version", install: HowToInstall::packages(&["rsync"]) };

static TOOLS: [&Tool; 2] = [&RSYNC, &SSH];

/// Its settings are those of the host.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Rsync(Host);

impl Definition for Rsync {
    const NAME: &'static str = "rsync";
    const SUMMARY: &'static str =
        "a directory on a host that has rsync, over ssh with its agent and configuration";
    const SETTINGS: &'static [SettingDoc] = host::SETTINGS;

    fn validate(&self) -> Result<(), String> {
        self.0.validate()
    }
}

impl Destination for Rsync {
    fn place(&self) -> String {
        self.0.place("rsync")
    }

    fn tools(&self) -> &'static [&'static Tool] {
        &TOOLS
    }

    fn put(&self, upload: &Upload, operation: &mut Operation) -> Result<Moved> {
        self.files().prepare(upload, operation)?;
        if Content::of_file(upload.file)? != *upload.content {
            return Err(changed(upload));
        }
        let partial = self.remote(&self.0.file(&partial_name(upload)));
        let mut command = self.command();
        // What is there of it is compared by its checksum, and kept.
        command.args(["--partial", "--append-verify", "--"]).arg(absolute(upload.file)?).arg(partial);
        let doing = format!("upload '{}' to {}", upload.name, self.place());
        let moved = self.run(command, &doing, "Total bytes sent:", operation)?;
        self.files().publish(upload, operation)?;
        Ok(moved)
    }

    fn list(&self, operation: &mut Operation) -> Result<Listing> {
        let listing = self.files().list(operation)?;
        Ok(Listing { moved: Moved::default(), ..listing })
    }

    fn get(&self, name: &ObjectName, to: &Path, operation: &mut Operation) -> Result<Moved> {
        // rsync itself does not tell an absent file from other errors.
        self.files().size(name, operation)?;
        let output = OutputFile::create(to)?;
        let mut command = self.command();
        command.args(["--inplace", "--whole-file", "--ignore-times", "--"]);
        command.arg(self.remote(&self.0.object(name))).arg(absolute(to)?);
        let doing = format!("download '{name}' from {}", self.place());
        let moved = self.run(command, &doing, "Total bytes received:", operation)?;
        output.keep();
        Ok(moved)
    }

    fn get_range(
        &self,
        name: &ObjectName,
        range: Range<u64>,
        operation: &mut Operation,
    ) -> Result<(Vec<u8>, Moved)> {
        let (part, moved) = self.files().get_range(name, range, operation)?;
        Ok((part, Moved { requests: None, ..moved }))
    }

    fn delete(&self, name: &ObjectName, operation: &mut Operation) -> Result<Moved> {
        self.files().delete(name, operation).map(|_| Moved::default())
    }
}

impl Rsync {
    fn files(&self) -> Files<'_> {
        Files { host: &self.0, place: self.place() }
    }

    /// A path on the host, as rsync takes it.
    fn remote(&self, path: &str) -> String {
        format!("{}:{path}", self.0.rsync_host())
    }

    fn command(&self) -> Command {
        // rsync splits this text at spaces, except in quotes; a quote in quotes is doubled.
        let words = self.0.ssh_words();
        let words = words.iter().map(|word| format!("'{}'", word.replace('\'', "''")));
        let mut command = Command::new(RSYNC.command);
        command.args(["--protect-args", "--no-human-readable", "--stats", "--info=progress2", "--outbuf=N"]);
        command.arg("--rsh").arg(words.collect::<Vec<_>>().join(" "));
        command.env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs rsync. `counter` is the line of its statistics with what it moved.
    fn run(&self, command: Command, doing: &str, counter: &str, operation: &mut Operation) -> Result<Moved> {
        let cancel = operation.launcher.cancel.clone();
        cancel.check()?;
        let mut child = operation.launcher.spawn(Account::Preparation, command)?;
        let stdout = child.take_stdout().context("its output is piped")?;
        let shares = listen(stdout, counter.to_owned());
        let mut bytes = 0;
        let mut drain = |report: &mut dyn FnMut(Progress)| {
            for said in shares.try_iter() {
                match said {
                    Said::Share(share) => report(Progress::done(share)),
                    Said::Moved(moved) => bytes = moved,
                }
            }
        };
        let ended = Group::new(vec![child]).wait(|_| {
            drain(operation.report);
            cancel.check()
        })?;
        ended.result().map_err(|error| transfer_failed(&self.0, doing, error.into()))?;
        // The last lines may come after the end.
        for said in shares.iter() {
            if let Said::Moved(moved) = said {
                bytes = moved;
            }
        }
        Ok(Moved { bytes, requests: None })
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    // A relative one could be taken for that of a host.
    path::absolute(path).map_err(|error| cannot("find", path, &error)).and_then(|path| match path.to_str() {
        Some(_) => Ok(path),
        None => Err(Error::not_utf8(&path)),
    })
}

/// What rsync printed.
enum Said {
    /// The share that is done, from 0 to 1.
    Share(f64),
    /// The bytes that were moved.
    Moved(u64),
}

fn listen(mut stdout: ChildStdout, counter: String) -> Receiver<Said> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut line = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stdout.read(&mut buffer) {
            for byte in &buffer[..read] {
                // Progress is printed over itself.
                if !matches!(byte, b'\n' | b'\r') {
                    line.push(*byte);
                    continue;
                }
                if let Some(said) = parse(&String::from_utf8_lossy(&line), &counter) {
                    let _ = sender.send(said);
                }
                line.clear();
            }
        }
    });
    receiver
}

fn parse(line: &str, counter: &str) -> Option<Said> {
    if let Some(number) = line.strip_prefix(counter) {
        return number.trim().replace(',', "").parse().ok().map(Said::Moved);
    }
    let percent = line.split_whitespace().nth(1)?.strip_suffix('%')?;
    Some(Said::Share(percent.parse::<f64>().ok()? / 100.0))
}
