//! Whole runs through the command line, on small databases: real processes, real kills, real files.

mod adopted;
mod alerts;
mod bad_input;
mod blame;
mod causes;
mod containers;
mod endings;
mod every_strategy;
mod evidence;
mod faults;
mod file_systems;
mod formats;
mod gate;
mod guards;
mod live_copy;
mod live_copy_page;
mod offsite;
mod offsite_page;
mod own;
mod power_cut;
mod preconditions;
mod program;
mod script_check;
mod secrets;
mod servers;
mod shipping;
mod sidecar;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use reports::record::{Results, Trial};
use tempfile::TempDir;

/// Tests in which it matters how long something takes have the machine to themselves: another run at the same time would
/// disturb their timing. The others run beside each other.
static MACHINE: RwLock<()> = RwLock::new(());

/// The use of the machine, until it is dropped.
enum Use {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

/// A new directory for datasets, working copies and results.
struct Place {
    directory: TempDir,
    _machine: Use,
}

impl Place {
    /// With exclusive use of the machine.
    fn new() -> Place {
        Place::with(Use::Alone { _guard: MACHINE.write().unwrap_or_else(PoisonError::into_inner) })
    }

    /// Beside other tests: for tests that come to the same result however long something takes.
    fn shared() -> Place {
        Place::with(Use::Shared { _guard: MACHINE.read().unwrap_or_else(PoisonError::into_inner) })
    }

    fn with(machine: Use) -> Place {
        // In the build directory, because the system's temporary directory may be in memory.
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Place { directory, _machine: machine }
    }

    /// With the datasets of servers that other tests have made: making one takes longer than most of these trials.
    fn with_datasets_of_servers(self) -> Place {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("datasets-of-servers");
        std::fs::create_dir_all(&made).unwrap();
        std::os::unix::fs::symlink(&made, self.path().join(machine::workspace::CACHE)).unwrap();
        self
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a scenario with these variants: 4 MiB, short windows.
    fn scenario(&self, extra: &str, variants: &str) -> PathBuf {
        let path = self.path().join("small.toml");
        let text = format!(
            r#"
            description = "A small scenario for tests."
            {extra}
            [trial]
            reference_seconds = 0.5
            tail_seconds = 0.5
            deadline_seconds = 60.0
            stall_seconds_min = 10.0
            stall_copies = 1.0
            {variants}
            "#
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backup-drill"));
        command.args(words).arg("--dir").arg(self.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn run_scenario(&self, scenario: &Path) -> Output {
        self.run(&["run", scenario.to_str().unwrap()])
    }

    fn results(&self) -> Results {
        Results::load(&self.path().join("latest/results.json")).unwrap()
    }

    /// Panics when a run has left something behind: a working directory, a process, a container, a file system.
    fn assert_clean(&self) {
        let left: Vec<_> = std::fs::read_dir(self.path().join("work"))
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name())
            .filter(|name| name != "guard.lock")
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        assert_eq!(self.processes(), 0, "processes are left behind");
        assert_eq!(
            machine::container::sweep(&self.path().canonicalize().unwrap()),
            0,
            "containers are left behind"
        );
        assert_eq!(self.mounts(), 0, "file systems are left mounted");
        // The kernel releases a loop device a moment after its last use.
        let give_up = Instant::now() + Duration::from_secs(10);
        while self.loop_devices() > 0 {
            assert!(Instant::now() < give_up, "loop devices are left behind");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Number of file systems that are mounted in this place.
    fn mounts(&self) -> usize {
        let root = self.path().canonicalize().unwrap().display().to_string();
        std::fs::read_to_string("/proc/self/mountinfo").unwrap().matches(&root).count()
    }

    /// Number of loop devices over files in this place.
    fn loop_devices(&self) -> usize {
        let root = self.path().canonicalize().unwrap();
        let devices = std::fs::read_dir("/sys/block").unwrap().flatten();
        let images = devices
            .filter_map(|device| std::fs::read_to_string(device.path().join("loop/backing_file")).ok());
        images.filter(|image| Path::new(image).starts_with(&root)).count()
    }

    /// Number of processes that carry the mark of a run in this place.
    fn processes(&self) -> usize {
        let mark = format!("BACKUP_DRILL_WORK={}", self.path().canonicalize().unwrap().display());
        let environment = |process: procfs::process::Process| {
            std::fs::read(format!("/proc/{}/environ", process.pid())).unwrap_or_default()
        };
        procfs::process::all_processes()
            .unwrap()
            .flatten()
            .filter(|process| process.stat().is_ok_and(|stat| stat.state != 'Z'))
            .map(environment)
            .filter(|environment| String::from_utf8_lossy(environment).contains(&mark))
            .count()
    }
}

const SMALL: &str = r#"
    [dataset]
    sizes = ["4MiB"]
    [workload]
    rates = [40]
"#;

/// Whether tests that need Docker are skipped; `cargo xtask test` lists what is then not tested.
fn without_docker() -> bool {
    std::env::var_os("BACKUP_DRILL_WITHOUT_DOCKER").is_some()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn trial<'a>(results: &'a Results, part: &str) -> &'a Trial {
    results.trials.iter().find(|trial| trial.id.contains(part)).unwrap_or_else(|| panic!("no trial '{part}'"))
}
