//! The stages of a backup off the machine, beside plain programs that do the same: encryption beside the command `age`,
//! an upload to S3 beside rclone, to the same server. Each figure is the median of several rounds, in which the two take
//! turns.
//!
//! `cargo bench --bench offsite`; with `-- --test` each runs once on little data, as a smoke test. A program that is not
//! installed is left out, with a note.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use machine::process::{Account, Cancel, Launcher};
use offsite::content::Content;
use offsite::destination::{Operation, Upload, registry};
use offsite::jobs::Transform;
use offsite::server::S3Server;
use offsite::transform::{Direction, TransformChoice};

const BUCKET: &str = "bench";

fn main() {
    if std::env::args().nth(1).as_deref() == Some(machine::worker::ARGUMENT) {
        std::process::exit(harness::jobs::main());
    }
    let smoke = std::env::args().any(|argument| argument == "--test");
    let (bytes, rounds) = if smoke { (8 << 20, 1) } else { (1 << 30, 5) };
    let place = tempfile::tempdir_in(".").unwrap();
    let launcher = Launcher::new(place.path(), &Cancel::default());
    let file = place.path().join("artifact");
    incompressible(&file, bytes);
    encryption(&launcher, place.path(), &file, rounds);
    upload(&launcher, place.path(), &file, rounds);
}

/// Data that nothing can compress.
fn incompressible(file: &Path, bytes: u64) {
    let source = std::fs::File::open("/dev/urandom").unwrap();
    let mut target = std::fs::File::create(file).unwrap();
    std::io::copy(&mut std::io::Read::take(source, bytes), &mut target).unwrap();
    target.sync_all().unwrap();
}

fn encryption(launcher: &Launcher, place: &Path, file: &Path, rounds: usize) {
    let at = |name: &str| place.join(name);
    let job = |to: &str| Transform {
        transform: TransformChoice { name: "age".to_owned(), settings: toml::Table::new() },
        direction: Direction::Apply,
        from: file.to_owned(),
        to: at(to),
        identity_file: at("key"),
    };
    // The first encryption makes the key.
    launcher.work(Account::Strategy, &job("first.age"), &mut |_| ()).unwrap();
    std::fs::remove_file(at("first.age")).unwrap();
    let ours = || {
        let began = Instant::now();
        launcher.work(Account::Strategy, &job("ours.age"), &mut |_| ()).unwrap();
        remove(&at("ours.age"), began)
    };
    let age = || {
        let began = Instant::now();
        let mut command = Command::new("age");
        command.args(["--encrypt", "--identity"]).arg(at("key")).arg("--output").arg(at("age.age")).arg(file);
        run(command)?;
        std::fs::File::open(at("age.age")).unwrap().sync_all().unwrap();
        Some(remove(&at("age.age"), began))
    };
    compare("encryption", "age", rounds, ours, age);
}

fn upload(launcher: &Launcher, place: &Path, file: &Path, rounds: usize) {
    let directory = place.join("server");
    std::fs::create_dir(&directory).unwrap();
    let server = S3Server::start(launcher, Account::Preparation, &directory, &[BUCKET]).unwrap();
    let destination = registry::configure(&server.destination(BUCKET)).unwrap();
    let content = Content::of_file(file).unwrap();
    let name = "ours".parse().unwrap();
    let ours = || {
        let began = Instant::now();
        let operation = &mut Operation { launcher, report: &mut |_| () };
        destination.put(&Upload { file, name: &name, content: &content }, operation).unwrap();
        let took = began.elapsed();
        destination.delete(&name, operation).unwrap();
        took
    };
    let rclone = || {
        let began = Instant::now();
        let mut command = Command::new("rclone");
        command.args(["--config", "/dev/null", "copyto"]).arg(file).arg(format!(":s3:{BUCKET}/rclone"));
        command.args(["--s3-provider", "Other", "--s3-env-auth", "--s3-no-check-bucket"]);
        command.args(["--s3-endpoint", server.endpoint(), "--s3-region", "us-east-1"]);
        for name in ["AWS_CA_BUNDLE", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            command.env_remove(name);
        }
        command.env("AWS_SHARED_CREDENTIALS_FILE", server.credentials_file());
        run(command)?;
        Some(remove(&directory.join("objects").join(BUCKET).join("rclone"), began))
    };
    compare("upload to S3", "rclone", rounds, ours, rclone);
}

/// Prints how fast ours is as a share of how fast the other program is.
fn compare(
    what: &str,
    other: &str,
    rounds: usize,
    ours: impl Fn() -> Duration,
    theirs: impl Fn() -> Option<Duration>,
) {
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let Some(took) = theirs() else {
            println!("{what}: {other} cannot be run here");
            return;
        };
        times.1.push(took.as_secs_f64());
        times.0.push(ours().as_secs_f64());
    }
    let (ours, theirs) = (median(&mut times.0), median(&mut times.1));
    println!("{what}: {ours:.3} s, {other} {theirs:.3} s; {:.2} of its speed", theirs / ours);
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs a program; `None` where it is not installed or fails.
fn run(mut command: Command) -> Option<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.ok().filter(|status| status.success()).map(drop)
}

/// Removes a file that was written, whose removal is not measured. Returns the time from the beginning to now.
fn remove(file: &Path, began: Instant) -> Duration {
    let took = began.elapsed();
    std::fs::remove_file(file).unwrap();
    took
}
