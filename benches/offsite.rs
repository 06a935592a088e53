//! The stages of a backup off the machine, beside plain programs that do the same: packing beside the command `tar`, which
//! makes no digests, encryption beside the command `age`, an upload to S3 beside rclone, to the same server. Each figure is
//! the median of several rounds, in which the two take turns. A program that is not installed is left out, with a note.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use machine::process::{Account, Cancel, Launcher};
use offsite::content::Content;
use offsite::destination::{Operation, Upload, registry};
use offsite::jobs::{Pack, Transform};
use offsite::server::S3Server;
use offsite::transform::{Direction, TransformChoice};

use super::beside::{Scale, compare, place, run as run_program};

const BUCKET: &str = "bench";

pub fn run(scale: Scale) {
    let place = place();
    let launcher = Launcher::new(place.path(), &Cancel::default());
    let file = place.path().join("artifact");
    incompressible(&file, scale.of(1 << 30, 8 << 20));
    packing(&launcher, place.path(), &file, scale);
    encryption(&launcher, place.path(), &file, scale);
    upload(&launcher, place.path(), &file, scale);
}

/// Data that nothing can compress.
fn incompressible(file: &Path, bytes: u64) {
    let source = std::fs::File::open("/dev/urandom").unwrap();
    let mut target = std::fs::File::create(file).unwrap();
    std::io::copy(&mut std::io::Read::take(source, bytes), &mut target).unwrap();
    target.sync_all().unwrap();
}

fn packing(launcher: &Launcher, place: &Path, file: &Path, scale: Scale) {
    let at = |name: &str| place.join(name);
    std::fs::create_dir(at("packed")).unwrap();
    std::fs::hard_link(file, at("packed/artifact")).unwrap();
    let ours = || {
        let began = Instant::now();
        let job = Pack { directory: at("packed"), tar: at("ours.tar") };
        launcher.work(Account::Strategy, &job, &mut |_| ()).unwrap();
        remove(&at("ours.tar"), began)
    };
    let tar = || {
        let began = Instant::now();
        let mut command = Command::new("tar");
        command
            .arg("--create")
            .arg("--file")
            .arg(at("tar.tar"))
            .arg("--directory")
            .arg(at("packed"))
            .arg(".");
        run_program(command)?;
        Some(remove(&at("tar.tar"), began))
    };
    compare("packing", "tar", scale, ours, tar);
}

fn encryption(launcher: &Launcher, place: &Path, file: &Path, scale: Scale) {
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
        run_program(command)?;
        std::fs::File::open(at("age.age")).unwrap().sync_all().unwrap();
        Some(remove(&at("age.age"), began))
    };
    compare("encryption", "age", scale, ours, age);
}

fn upload(launcher: &Launcher, place: &Path, file: &Path, scale: Scale) {
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
        run_program(command)?;
        Some(remove(&directory.join("objects").join(BUCKET).join("rclone"), began))
    };
    compare("upload to S3", "rclone", scale, ours, rclone);
}

/// Removes a file that was written, whose removal is not measured. Returns the time from the beginning to now.
fn remove(file: &Path, began: Instant) -> Duration {
    let took = began.elapsed();
    std::fs::remove_file(file).unwrap();
    took
}
