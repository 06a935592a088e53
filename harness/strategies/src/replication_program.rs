//! A program on this machine that replicates changes while the application runs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use machine::error::Result;
use machine::process::{Account, Counters, Group, Launcher, last_lines};

use crate::strategy::Shipper;

/// A replication program. Its output goes to a file, so that no thread is needed to read it.
pub struct ShippingProgram {
    launcher: Launcher,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    running: Group,
    /// Resources used by the processes that were killed.
    used: Counters,
}

impl ShippingProgram {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(launcher: &Launcher, program: &Path, arguments: Vec<String>) -> Result<ShippingProgram> {
        let log = launcher.work_directory().join("shipping.log");
        let running = spawn(launcher, program, &arguments, &log)?;
        Ok(ShippingProgram {
            launcher: launcher.clone(),
            program: program.to_owned(),
            arguments,
            log,
            running,
            used: Counters::default(),
        })
    }
}

fn spawn(launcher: &Launcher, program: &Path, arguments: &[String], log: &Path) -> Result<Group> {
    let output = File::options().create(true).append(true).open(log).context("cannot open a log file")?;
    let errors = output.try_clone().context("cannot open a log file twice")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
    Ok(Group::new(vec![launcher.spawn(Account::Strategy, command)?]))
}

impl Shipper for ShippingProgram {
    fn ended(&self) -> Option<String> {
        if !self.running.has_ended() {
            return None;
        }
        let name = self.program.file_name().unwrap_or_default().to_string_lossy();
        Some(format!("the replication program '{name}' exited; last output: {}", self.last_lines()))
    }

    fn last_lines(&self) -> String {
        last_lines(&self.log)
    }

    fn kill(&mut self) {
        self.running.kill();
    }

    fn start_again(&mut self) -> Result<()> {
        self.used.add(&self.running.counters());
        self.running = spawn(&self.launcher, &self.program, &self.arguments, &self.log)?;
        Ok(())
    }

    fn counters(&self) -> Option<Counters> {
        let mut sum = self.used;
        sum.add(&self.running.counters());
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::process::Cancel;

    fn started(script: &str, directory: &Path) -> ShippingProgram {
        let launcher = Launcher::new(directory, &Cancel::default());
        let arguments = vec!["-c".into(), script.into()];
        ShippingProgram::start(&launcher, Path::new("/bin/sh"), arguments).unwrap()
    }

    fn wait_for_end(shipping: &ShippingProgram) -> String {
        loop {
            if let Some(ended) = shipping.ended() {
                return ended;
            }
            std::thread::sleep(machine::process::TICK);
        }
    }

    #[test]
    fn an_unexpected_exit_is_reported_with_the_last_output() {
        let directory = tempfile::tempdir().unwrap();
        let shipping = started("echo one; echo 'no such bucket' >&2", directory.path());
        insta::assert_snapshot!(wait_for_end(&shipping), @"
        the replication program 'sh' exited; last output: one
        no such bucket
        ");
    }

    #[test]
    fn the_resources_of_its_child_processes_are_counted_too() {
        let directory = tempfile::tempdir().unwrap();
        // One process that has ended and one that still runs; the shell itself writes nothing.
        let script = "sh -c 'printf 12345 >file'; sh -c 'printf 123 >>file; exec sleep 600'; true";
        let shipping = started(&format!("cd {} && {script}", directory.path().display()), directory.path());
        while std::fs::read(directory.path().join("file")).unwrap_or_default().len() < 8 {
            std::thread::sleep(machine::process::TICK);
        }
        assert_eq!(shipping.counters().unwrap().io.unwrap().bytes_written, 8);
    }

    #[test]
    fn after_a_kill_it_can_be_restarted_and_the_resources_of_both_runs_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        // Writes a line and keeps running: 2 bytes each time it is started.
        let mut shipping = started("echo x; exec sleep 600", directory.path());
        let log = directory.path().join("shipping.log");
        let said = |bytes| {
            while std::fs::metadata(&log).unwrap().len() < bytes {
                std::thread::sleep(machine::process::TICK);
            }
        };
        said(2);
        assert_eq!(shipping.ended(), None);
        shipping.kill();
        assert!(shipping.ended().is_some());
        shipping.start_again().unwrap();
        said(4);
        assert_eq!(shipping.ended(), None);
        assert_eq!(shipping.counters().unwrap().io.unwrap().bytes_written, 4);
        let launcher = shipping.launcher.clone();
        drop(shipping);
        assert!(launcher.roster().running(Account::Strategy).is_empty(), "it ends when it is dropped");
    }
}
