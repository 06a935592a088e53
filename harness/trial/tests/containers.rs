//! Containers start, stop and run scripts as requested, report the resources that they used, and are always removed.
//!
//! These tests need Docker and the tools image, which the first of them builds if it is missing. Without Docker they
//! fail, unless `BACKUP_DRILL_WITHOUT_DOCKER` is set.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use engines::images;
use engines::mysql::MYSQL;
use machine::container::{BindMount, Container, LABEL, Network, OwnNetwork, Port, Protocol, Spec, sweep};
use machine::error::{Error, Result};
use machine::process::{Account, Cancel, Launcher};
use machine::workspace::{Swept, Workspace};

const SOON: Duration = Duration::from_secs(30);

/// A server that distinguishes its first and second start, and stops on request.
const SERVER: &str = r#"
trap 'echo bye; exit 0' TERM
if [ -e /tmp/seen ]; then echo "second start"; else touch /tmp/seen; echo "first start"; fi
while true; do sleep 0.05; done"#;

/// The work directory of a trial.
struct Place {
    launcher: Launcher,
    directory: tempfile::TempDir,
}

impl Place {
    /// `None` if tests that need Docker are to be skipped.
    fn new() -> Option<Place> {
        if std::env::var_os("BACKUP_DRILL_WITHOUT_DOCKER").is_some() {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        Some(Place { launcher: Launcher::new(directory.path(), &Cancel::default()), directory })
    }

    fn tools(&self) -> String {
        static TOOLS: OnceLock<String> = OnceLock::new();
        let obtain = || images::obtain(&images::TOOLS, None, &self.launcher, &|_| ());
        TOOLS.get_or_init(|| obtain().unwrap_or_else(|error| panic!("{error}")).reference).clone()
    }

    fn server(&self, script: &str) -> Spec {
        Spec {
            entrypoint: Some("bash".to_owned()),
            command: vec!["-c".to_owned(), script.to_owned()],
            ..Spec::new(&self.tools(), "test server")
        }
    }

    fn start(&self, spec: Spec) -> Container {
        Container::start(&self.launcher, Account::Subject, spec).unwrap_or_else(|error| panic!("{error}"))
    }

    fn run(&self, spec: Spec) -> machine::container::Exit {
        let mut container = Container::start(&self.launcher, Account::Strategy, spec).unwrap();
        container.wait::<Error>(&mut || Ok(())).unwrap()
    }

    fn left(&self) -> Vec<String> {
        left(self.directory.path())
    }
}

/// Containers and networks of a work directory, as listed by Docker's command line.
fn left(directory: &Path) -> Vec<String> {
    let filter = format!("label={LABEL}={}", directory.display());
    let list = |arguments: &[&str]| {
        let output = Command::new("docker").args(arguments).args(["--filter", &filter]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    [list(&["ps", "--all", "--quiet"]), list(&["network", "ls", "--quiet"])].concat()
}

fn error_of<T>(outcome: Result<T>) -> String {
    match outcome {
        Ok(_) => panic!("this must fail"),
        Err(error @ Error::Environment(_)) => error.to_string(),
        Err(other) => panic!("not an error of the environment: {other}"),
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_server_stops_and_starts_again_on_the_same_port_and_dies_when_killed() {
    let Some(place) = Place::new() else { return };
    let port = Port { host: free_port(), container: 3306, protocol: Protocol::Tcp };
    let mut server = place.start(Spec { ports: vec![port], ..place.server(SERVER) });
    server.wait_for_log("first start", SOON).unwrap();
    assert!(server.is_running());
    assert!(!place.launcher.processes().running(Account::Subject).is_empty());
    TcpStream::connect(("127.0.0.1", port.host)).unwrap();

    server.stop(SOON).unwrap();
    assert!(!server.is_running());
    assert_eq!(place.launcher.processes().running(Account::Subject), Vec::<i32>::new());
    assert!(server.last_words().contains("bye"), "{}", server.last_words());
    assert!(TcpStream::connect(("127.0.0.1", port.host)).is_err());

    server.start_again().unwrap();
    let said_before = error_of(server.wait_for_log("first start", Duration::from_millis(300)));
    assert!(said_before.contains("not ready within 0 s"), "{said_before}");
    server.wait_for_log("second start", SOON).unwrap();
    TcpStream::connect(("127.0.0.1", port.host)).unwrap();

    let pids = place.launcher.processes().running(Account::Subject);
    server.kill();
    assert!(!server.is_running());
    assert!(pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}/exe")).exists()));
    assert!(server.last_words().contains("status 137"), "{}", server.last_words());
    let used = place.launcher.processes().used(Account::Subject).unwrap();
    assert!(used.memory_bytes_max > Some(1 << 18) && used.io.unwrap().bytes_read > 0, "{used:?}");

    drop(server);
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn a_script_of_tools_is_accounted_for_exactly() {
    let Some(place) = Place::new() else { return };
    let data = place.directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let script = "dd if=/dev/zero of=/data/file bs=1M count=64 conv=fsync 2> /dev/null; zstd --quiet < /data/file > \
                  /data/zst; i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done; echo done";
    let mounts = vec![BindMount { host: data.clone(), container: "/data".to_owned(), read_only: false }];
    let exit =
        place.run(Spec { mounts, network: Network::None, ..Spec::shell(&place.tools(), "copy", script) });
    assert_eq!((exit.code, exit.output.as_str()), (0, "done"));
    let used = exit.counters.unwrap();
    let io = used.io.unwrap();
    let compressed = std::fs::metadata(data.join("zst")).unwrap().len();
    let spare = 64 << 10;
    let written = (64 << 20) + compressed;
    assert!((written..written + spare).contains(&io.bytes_written), "{used:?}");
    // dd reads zeros, zstd the file.
    assert!(((128 << 20)..(128 << 20) + spare).contains(&io.bytes_read), "{used:?}");
    assert!(((64 << 20)..written + spare).contains(&io.disk_bytes_written), "{used:?}");
    assert!(used.cpu_seconds > 0.05 && used.cpu_seconds < 60.0, "{used:?}");
    assert!(used.memory_bytes_max > Some(2 << 20), "{used:?}");
    assert_eq!(place.launcher.processes().used(Account::Strategy), Some(used));
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(data.join("file")).unwrap());
    assert_eq!(owner, nix::unistd::geteuid().as_raw());
}

#[test]
fn a_script_ends_at_the_first_tool_that_fails() {
    let Some(place) = Place::new() else { return };
    let run = |script| place.run(Spec::shell(&place.tools(), "tools", script));
    let exit = run("echo before; (echo bad >&2; exit 5) | cat; echo after");
    assert_eq!((exit.code, exit.output.contains("bad"), exit.output.contains("after")), (5, true, false));
    assert!(exit.counters.is_some());
    let lines = run("for i in $(seq 100); do echo $i; done").output;
    assert_eq!((lines.lines().count(), lines.lines().last()), (20, Some("100")));
}

#[test]
fn an_error_of_the_waiting_caller_kills_at_once_and_keeps_the_counters() {
    let Some(place) = Place::new() else { return };
    let spec = Spec::shell(&place.tools(), "tools", "while true; do echo x > /dev/null; done");
    let mut container = Container::start(&place.launcher, Account::Strategy, spec).unwrap();
    let mut ticks = 0;
    let outcome = container.wait(&mut || {
        ticks += 1;
        if ticks < 10 { Ok(()) } else { Err(Error::Interrupted) }
    });
    assert!(matches!(outcome, Err(Error::Interrupted)) && !container.is_running());
    let used = place.launcher.processes().used(Account::Strategy).unwrap();
    assert!(used.cpu_seconds > 0.0 && used.io.unwrap().bytes_written > 1000, "{used:?}");
}

#[test]
fn a_cancellation_ends_every_wait() {
    let Some(place) = Place::new() else { return };
    let mut server = place.start(place.server("trap '' TERM; while true; do sleep 1; done"));
    let cancel = place.launcher.cancel.clone();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        cancel.cancel();
    });
    assert!(matches!(server.wait_for_log("never said", SOON), Err(Error::Interrupted)));
    canceller.join().unwrap();
    assert!(matches!(server.stop(SOON), Err(Error::Interrupted)));
    assert!(Container::start(&place.launcher, Account::Subject, place.server("true")).is_err());
    drop(server);
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn a_container_that_does_not_become_ready_is_reported_with_the_reason() {
    let Some(place) = Place::new() else { return };
    let mut server = place.start(place.server("echo no space left >&2; exit 3"));
    let message = error_of(server.wait_for_log("ready", SOON));
    assert!(message.contains("test server ended before it was ready"), "{message}");
    assert!(message.contains("status 3") && message.contains("no space left"), "{message}");

    let mut server = place.start(place.server("echo loading; sleep 60"));
    server.wait_for_log("loading", SOON).unwrap();
    let message = error_of(server.wait_for_log("ready", Duration::from_secs(1)));
    assert!(message.contains("not ready within 1 s") && message.contains("loading"), "{message}");
}

#[test]
fn a_container_that_does_not_stop_is_killed_and_reported() {
    let Some(place) = Place::new() else { return };
    let mut server = place.start(place.server("trap '' TERM; echo deaf; while true; do sleep 0.1; done"));
    server.wait_for_log("deaf", SOON).unwrap();
    let message = error_of(server.stop(Duration::from_secs(1)));
    assert!(message.contains("did not stop within 1 s of SIGTERM and was killed"), "{message}");
    assert!(!server.is_running());
}

#[test]
fn a_container_that_cannot_be_started_is_named_and_leaves_nothing() {
    let Some(place) = Place::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().port();
    let ports = vec![Port { host, container: 3306, protocol: Protocol::Tcp }];
    let environment = vec![("PASSWORD".to_owned(), "hunter2".to_owned())];
    let spec = Spec { ports, environment, ..place.server("sleep 60") };
    let message = error_of(Container::start(&place.launcher, Account::Subject, spec.clone()));
    assert!(message.contains(&format!("port {host} on 127.0.0.1 is in use")), "{message}");

    let nowhere = Spec { image: "backup-drill/no-such:1".to_owned(), ports: Vec::new(), ..spec.clone() };
    let absent = error_of(Container::start(&place.launcher, Account::Subject, nowhere));
    assert!(
        absent.contains("'backup-drill/no-such:1' of the test server is not on this machine"),
        "{absent}"
    );

    let program = Some("/no/such/program".to_owned());
    let broken = Spec { entrypoint: program, ports: Vec::new(), ..spec };
    let refused = error_of(Container::start(&place.launcher, Account::Subject, broken));
    assert!(refused.contains("test server cannot be started") && refused.contains("/no/such"), "{refused}");

    assert!([&message, &absent, &refused].iter().all(|text| !text.contains("hunter2")));
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn an_image_that_cannot_be_pulled_is_named_with_the_cause() {
    let Some(place) = Place::new() else { return };
    // Nothing listens on this port.
    let named = format!("127.0.0.1:{}/mysql:8.4", free_port());
    let message = error_of(images::obtain(MYSQL.image, Some(&named), &place.launcher, &|_| ()));
    assert!(message.contains(&format!("'{named}' cannot be pulled")), "{message}");
    assert!(message.contains("connection refused"), "{message}");
}

#[test]
fn containers_of_one_network_find_each_other() {
    let Some(place) = Place::new() else { return };
    let network = Arc::new(OwnNetwork::create(&place.launcher).unwrap());
    let joined = |alias: &str| Network::Joined(network.clone(), alias.to_owned());
    let server = place.start(Spec { network: joined("server"), ..place.server(SERVER) });
    let look = format!("getent hosts {}", network.host_name("server"));
    let shell = Spec::shell(&place.tools(), "client", &look);
    assert_eq!(place.run(Spec { network: joined("client"), ..shell.clone() }).code, 0);
    assert_ne!(place.run(shell).code, 0);
    assert_eq!(place.left().len(), 2);
    drop((server, network));
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn a_sweep_removes_leftovers_and_nothing_else() {
    let Some(place) = Place::new() else { return };
    let network = Arc::new(OwnNetwork::create(&place.launcher).unwrap());
    let spec = Spec { network: Network::Joined(network, "lost".to_owned()), ..place.server("sleep 600") };
    std::mem::forget(place.start(spec));
    let _kept = place.start(place.server("sleep 600"));
    let below = place.directory.path().join("below");
    let neighbour = format!("{}-neighbour", place.directory.path().display());
    assert_eq!(sweep(&below) + sweep(Path::new(&neighbour)), 0);
    assert_eq!(sweep(place.directory.path().parent().unwrap().join("nothing").as_path()), 0);
    assert_eq!(place.left().len(), 3);
    assert_eq!(sweep(place.directory.path()), 2);
    assert_eq!(place.left(), Vec::<String>::new());
}

const ROOT: &str = "BACKUP_DRILL_TEST_ROOT";

/// Runs in the process that the next test kills.
#[test]
#[ignore = "started by another test"]
fn starts_a_container_and_waits_to_be_killed() {
    let root = std::env::var(ROOT).expect("the other test names the directory");
    let work = Workspace::open(Path::new(&root)).unwrap().work_directory("killed").unwrap();
    let launcher = Launcher::new(work.path(), &Cancel::default());
    let place = Place { launcher, directory: tempfile::tempdir_in(&root).unwrap() };
    let _server = place.start(place.server("sleep 600"));
    std::fs::write(Path::new(&root).join("started"), "").unwrap();
    std::thread::sleep(Duration::from_secs(600));
}

#[test]
fn the_next_start_removes_the_containers_of_a_harness_that_was_killed() {
    let Some(place) = Place::new() else { return };
    place.tools();
    let root = place.directory.path().canonicalize().unwrap();
    let mut harness = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "starts_a_container_and_waits_to_be_killed"])
        .env(ROOT, &root)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !root.join("started").exists() {
        assert!(started.elapsed() < SOON && harness.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    harness.kill().unwrap();
    harness.wait().unwrap();
    let work = root.join("work").join(format!("killed-{}", harness.id()));
    assert_eq!(left(&work).len(), 1);
    let swept = Workspace::open(&root).unwrap().sweep().unwrap();
    assert_eq!(swept, Swept { runs: 1, containers: 1, ..Swept::default() });
    assert_eq!(left(&work), Vec::<String>::new());
}

#[test]
fn a_container_can_be_dropped_anywhere() {
    let Some(place) = Place::new() else { return };
    let container = place.start(place.server("sleep 600"));
    let panicked = std::thread::spawn(move || {
        let _container = container;
        panic!("as any bug would");
    });
    assert!(panicked.join().is_err());
    let container = place.start(place.server("sleep 600"));
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async move { drop(container) });
    assert_eq!(place.left(), Vec::<String>::new());
}
