//! The suite that every destination passes, on each against a real server, and its errors.

mod errors;
mod suite;

use std::fs;
use std::path::Path;

use machine::process::{Account, Cancel, Launcher};
use tempfile::TempDir;

use super::registry;
use crate::server::{Moto, ServeS3, Sshd, write_credentials};
use suite::{Interruption, run};

/// A launcher whose commands work in a directory of their own.
fn launcher(directory: &Path) -> Launcher {
    Launcher::new(directory, &Cancel::default())
}

/// What is missing on this machine fails the test: otherwise it would pass without having tested anything.
fn needs(missing: Option<String>) {
    if let Some(missing) = missing {
        panic!("this test needs a package: {missing}");
    }
}

/// The server of a worker, here in a thread that ends with the tests.
fn s3_server(directory: &Path, buckets: &[&str]) -> (String, std::path::PathBuf) {
    let credentials_file = directory.join("credentials");
    write_credentials(&credentials_file).unwrap();
    buckets.iter().for_each(|bucket| fs::create_dir_all(directory.join("objects").join(bucket)).unwrap());
    let port_file = directory.join("port");
    let job = ServeS3 {
        objects: directory.join("objects"),
        credentials_file: credentials_file.clone(),
        port_file: port_file.clone(),
    };
    let (sender, ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(job.serve(&|| sender.send(()).unwrap())).unwrap();
    });
    ready.recv().unwrap();
    (format!("http://127.0.0.1:{}", fs::read_to_string(port_file).unwrap()), credentials_file)
}

fn sshd(directory: &TempDir) -> (Launcher, Sshd) {
    needs(Sshd::missing());
    let launcher = launcher(directory.path());
    let server = Sshd::start(&launcher, Account::Preparation, directory.path()).unwrap();
    (launcher, server)
}

#[test]
fn the_destination_directory_passes_the_suite() {
    let directory = tempfile::tempdir().unwrap();
    let objects = directory.path().join("objects");
    fs::create_dir(&objects).unwrap();
    let settings = toml::Table::from_iter([("path".to_owned(), objects.display().to_string().into())]);
    let destination = registry::named("directory").unwrap().configure(&settings).unwrap();
    run(&destination, &Interruption::Cancel);
}

#[test]
fn the_destination_s3_passes_the_suite_on_s3s() {
    let directory = tempfile::tempdir().unwrap();
    let (endpoint, credentials) = s3_server(directory.path(), &["bucket"]);
    let mut choice = crate::server::s3_destination(&endpoint, &credentials, "bucket");
    run(&registry::configure(&choice).unwrap(), &Interruption::Cancel);
    choice.settings.insert("prefix".to_owned(), "some/deep prefix".into());
    run(&registry::configure(&choice).unwrap(), &Interruption::Cancel);
}

#[test]
fn the_destination_s3_passes_the_suite_on_moto() {
    needs(Moto::missing());
    let directory = tempfile::tempdir().unwrap();
    let launcher = launcher(directory.path());
    // Beside the results of the build, so that it is installed once.
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/offsite-cache");
    let moto = Moto::start(&launcher, Account::Preparation, &cache, directory.path(), &["bucket"]).unwrap();
    run(&registry::configure(&moto.destination("bucket")).unwrap(), &Interruption::Cancel);
}

#[test]
fn the_destination_sftp_passes_the_suite() {
    let directory = tempfile::tempdir().unwrap();
    let (_launcher, server) = sshd(&directory);
    let objects = directory.path().join("objects with 'quotes' and % signs");
    fs::create_dir(&objects).unwrap();
    let destination = registry::configure(&server.destination("sftp", &objects)).unwrap();
    run(&destination, &Interruption::Cancel);
}

#[test]
fn the_destination_rsync_passes_the_suite() {
    let directory = tempfile::tempdir().unwrap();
    let (_launcher, server) = sshd(&directory);
    let objects = directory.path().join("objects with 'quotes' and % signs");
    fs::create_dir(&objects).unwrap();
    let destination = registry::configure(&server.destination("rsync", &objects)).unwrap();
    needs(destination.missing());
    run(&destination, &Interruption::Planted(&objects));
}
