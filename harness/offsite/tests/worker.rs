//! The jobs in real workers, with the S3 server in one of them. This test is a program of its own, because a worker is
//! this same program, started again.

use std::fs;

use machine::process::{Account, Cancel, Launcher};
use machine::worker;
use offsite::jobs::{Fetch, JOBS, Pack, Publish, Transform, Unpack, Which};
use offsite::manifest::Backup;
use offsite::server::S3Server;
use offsite::transform::{Direction, TransformChoice};

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(worker::ARGUMENT) {
        std::process::exit(worker::main(JOBS, |error| error));
    }
    // What `cargo test` passes to every test program; there is only one test here.
    if std::env::args().any(|argument| argument == "--list") {
        println!("a_backup_goes_to_s3_and_back_in_workers: test");
        return;
    }
    a_backup_goes_to_s3_and_back_in_workers();
    println!("a_backup_goes_to_s3_and_back_in_workers ... ok");
}

fn a_backup_goes_to_s3_and_back_in_workers() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let artifact: Vec<u8> =
        (0..20_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::create_dir(at("artifact")).unwrap();
    fs::write(at("artifact/database.db"), &artifact).unwrap();
    fs::create_dir(at("server")).unwrap();
    let launcher = Launcher::new(place.path(), &Cancel::default());
    let server = S3Server::start(&launcher, Account::Preparation, &at("server"), &["bucket"]).unwrap();
    let mut shares = Vec::new();
    let mut progress = |progress: worker::Progress| shares.push(progress.remaining);
    let pack = Pack { directory: at("artifact"), tar: at("tar") };
    let packed = launcher.work(Account::Strategy, &pack, &mut progress).unwrap();
    let mut transform = Transform {
        transform: TransformChoice { name: "age".to_owned(), settings: toml::Table::new() },
        direction: Direction::Apply,
        from: at("tar"),
        to: at("tar.age"),
        identity_file: at("key"),
    };
    let content = launcher.work(Account::Strategy, &transform, &mut progress).unwrap();
    let destination = server.destination("bucket");
    let publish = Publish {
        destination: destination.clone(),
        file: at("tar.age"),
        content,
        packed,
        transforms: vec![transform.transform.clone()],
        backup: Backup {
            source: serde_json::Value::Null,
            strategy: "test".to_owned(),
            promise: "none".to_owned(),
            versions: Default::default(),
            moment: "2026-01-31T00:00:00Z".parse().unwrap(),
        },
        work_directory: place.path().to_owned(),
    };
    let published = launcher.work(Account::Strategy, &publish, &mut progress).unwrap();
    assert!(published.moved.requests.unwrap() >= 8, "{published:?}");
    fs::remove_dir_all(at("artifact")).unwrap();
    let fetch = Fetch {
        destination,
        which: Which::Newest,
        to: at("fetched"),
        work_directory: place.path().to_owned(),
    };
    let fetched = launcher.work(Account::Strategy, &fetch, &mut progress).unwrap();
    (transform.direction, transform.from, transform.to) =
        (Direction::Revert, at("fetched"), at("fetched.tar"));
    launcher.work(Account::Strategy, &transform, &mut progress).unwrap();
    let unpack = Unpack { tar: at("fetched.tar"), directory: at("restored"), files: fetched.manifest.files };
    assert_eq!(launcher.work(Account::Strategy, &unpack, &mut progress).unwrap(), artifact.len() as u64);
    assert!(fs::read(at("restored/database.db")).unwrap() == artifact);
    assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)) && shares.len() >= 6, "{shares:?}");
    // What messages and jobs are made of contains no secret.
    let secret = fs::read_to_string(server.credentials_file()).unwrap();
    let secret = secret.lines().last().unwrap().rsplit(' ').next().unwrap();
    assert!(!serde_json::to_string(&publish).unwrap().contains(secret));
    let endpoint = server.endpoint().to_owned();
    drop(server);
    let gone = std::net::TcpStream::connect(endpoint.trim_start_matches("http://"));
    assert!(gone.is_err(), "the server is killed when it is dropped");
}
