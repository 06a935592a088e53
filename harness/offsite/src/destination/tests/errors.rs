//! Bad days: each is one error with place, cause and cure.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use toml::Value;

use super::{launcher, registry, s3_server, sshd};
use crate::content::Content;
use crate::destination::{DestinationChoice, Operation, Upload};
use crate::server::s3_destination;
use machine::process::Launcher;

/// The error of listing, without what differs between runs.
fn listing(choice: &DestinationChoice, launcher: &Launcher) -> String {
    let destination = registry::configure(choice).unwrap();
    let operation = &mut Operation { launcher, report: &mut |_| () };
    let error = destination.list(operation).map(|listing| listing.objects).unwrap_err().to_string();
    assert!(error.contains(&destination.place()), "{error}");
    error.replace(&destination.place(), "PLACE")
}

fn with(choice: &DestinationChoice, name: &str, value: impl Into<Value>) -> DestinationChoice {
    let mut choice = choice.clone();
    choice.settings.insert(name.to_owned(), value.into());
    choice
}

#[test]
fn s3_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let launcher = launcher(directory.path());
    let (endpoint, credentials) = s3_server(directory.path(), &["bucket"]);
    let right = s3_destination(&endpoint, &credentials, "bucket");
    let text = fs::read_to_string(&credentials).unwrap();
    let file = |name: &str, text: String| {
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let wrong_secret = file("secret", text.replace("secret_access_key = ", "secret_access_key = 0"));
    let wrong_id = file("id", text.replace("key_id = ", "key_id = 0"));
    let none = file("none", String::new());
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = with(&with(&right, "endpoint", format!("http://{unused}")), "retries", 1);
    let errors = [
        listing(&with(&right, "bucket", "other-bucket"), &launcher),
        listing(&with(&right, "credentials_file", wrong_secret), &launcher),
        listing(&with(&right, "credentials_file", wrong_id), &launcher),
        listing(&unreachable, &launcher),
    ];
    insta::assert_snapshot!(errors.join("\n"));
    let destination = registry::configure(&with(&right, "credentials_file", none)).unwrap();
    let operation = &mut Operation { launcher: &launcher, report: &mut |_| () };
    let missing = destination.list(operation).unwrap_err().to_string();
    assert!(missing.starts_with("there are no credentials for S3: set AWS_ACCESS_KEY_ID"), "{missing}");
}

/// A server that gives the same answer to every request, and counts them.
fn server_that_answers(answer: &'static str) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 65536]);
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (endpoint, count)
}

#[test]
fn an_error_of_the_server_is_repeated_within_bounds() {
    let directory = tempfile::tempdir().unwrap();
    let launcher = launcher(directory.path());
    let credentials = directory.path().join("credentials");
    crate::server::write_credentials(&credentials).unwrap();
    let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 49\r\nConnection: close\r\n\r\n\
                  <Error><Code>SlowDown</Code><Message/></Error>   ";
    let (endpoint, count) = server_that_answers(answer);
    let choice = with(&s3_destination(&endpoint, &credentials, "bucket"), "retries", 2);
    let error = listing(&choice, &launcher);
    assert!(error.contains("the server answered 503 SlowDown, also to 2 repetitions"), "{error}");
    assert_eq!(count.load(Ordering::Relaxed), 3);
}

/// A proxy in front of a server that loses the answer to the first request which completes an upload.
fn proxy_that_loses_an_answer(server: &str) -> (String, Arc<AtomicU64>) {
    let server = server.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let lost = Arc::new(AtomicU64::new(0));
    let counted = lost.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
            let answers = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let loses = Arc::new(AtomicBool::new(false));
            let (counted, of_answers) = (counted.clone(), loses.clone());
            std::thread::spawn(move || {
                pass(client, server, |request| {
                    let head = String::from_utf8_lossy(&request[..request.len().min(4096)]);
                    let completes = head.starts_with("POST ") && head.contains("uploadId=");
                    if completes && counted.swap(1, Ordering::Relaxed) == 0 {
                        loses.store(true, Ordering::Relaxed);
                    }
                    true
                });
            });
            std::thread::spawn(move || pass(answers.0, answers.1, |_| !of_answers.load(Ordering::Relaxed)));
        }
    });
    (endpoint, lost)
}

/// Passes bytes on as long as they may pass, and then ends the connection.
fn pass(mut from: TcpStream, mut to: TcpStream, mut may_pass: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if !may_pass(&buffer[..bytes]) || to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn an_upload_whose_completion_was_not_answered_is_complete() {
    let directory = tempfile::tempdir().unwrap();
    let launcher = launcher(directory.path());
    let (endpoint, credentials) = s3_server(directory.path(), &["bucket"]);
    let (proxy, lost) = proxy_that_loses_an_answer(&endpoint);
    let destination = registry::configure(&s3_destination(&proxy, &credentials, "bucket")).unwrap();
    let file = directory.path().join("large");
    fs::write(&file, vec![7; 40 << 20]).unwrap();
    let (name, content) = ("large".parse().unwrap(), Content::of_file(&file).unwrap());
    let operation = &mut Operation { launcher: &launcher, report: &mut |_| () };
    destination.put(&Upload { file: &file, name: &name, content: &content }, operation).unwrap();
    assert_eq!(lost.load(Ordering::Relaxed), 1, "an answer was lost");
    assert_eq!(destination.list(operation).unwrap().objects.len(), 1);
}

#[test]
fn a_truncated_answer_is_an_error_and_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let launcher = launcher(directory.path());
    let credentials = directory.path().join("credentials");
    crate::server::write_credentials(&credentials).unwrap();
    let answer = "HTTP/1.1 206 Partial Content\r\nContent-Length: 100\r\nContent-Range: bytes 0-99/100\r\n\
                  ETag: \"e\"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nConnection: close\r\n\r\nshort";
    let (endpoint, _) = server_that_answers(answer);
    let choice = with(&s3_destination(&endpoint, &credentials, "bucket"), "retries", 1);
    let destination = registry::configure(&choice).unwrap();
    let to = directory.path().join("downloaded");
    let operation = &mut Operation { launcher: &launcher, report: &mut |_| () };
    let error = destination.get(&"name".parse().unwrap(), &to, operation).unwrap_err().to_string();
    assert!(error.starts_with("cannot download 'name' at s3://bucket on "), "{error}");
    assert!(!to.exists());
}

#[test]
fn ssh_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let (launcher, server) = sshd(&directory);
    let objects = directory.path().join("objects");
    fs::create_dir(&objects).unwrap();
    let right = server.destination("sftp", &objects);
    let other = tempfile::tempdir().unwrap();
    let (_other_launcher, other_server) = sshd(&other);
    let foreign = other_server.destination("sftp", &objects).settings["identity_file"].clone();
    let empty = directory.path().join("empty");
    fs::write(&empty, "").unwrap();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cases = [
        with(&right, "identity_file", foreign),
        with(&right, "known_hosts_file", empty.display().to_string()),
        with(&right, "port", i64::from(unused)),
        with(&right, "path", directory.path().join("absent").display().to_string()),
        with(&right, "host", "host.invalid"),
    ];
    for (case, cause) in cases.iter().zip([
        "the server accepts none of the keys: check user, identity_file and ssh-agent",
        "the host's key is not known: add it to known_hosts_file",
        "nothing listens there: check host and port, and whether sshd runs",
        "on the host: create it",
        "the name of the host is unknown: check host and the network",
    ]) {
        for name in ["sftp", "rsync"] {
            let error = listing(&DestinationChoice { name: name.to_owned(), ..case.clone() }, &launcher);
            assert!(error.starts_with("cannot list PLACE: ") && error.contains(cause), "{error}");
        }
    }
}

#[test]
fn bad_settings_are_the_users_errors() {
    let wrong = |name: &str, settings: &str| {
        let choice = DestinationChoice { name: name.to_owned(), settings: settings.parse().unwrap() };
        registry::configure(&choice).unwrap_err().to_string()
    };
    let errors = [
        wrong("directory", ""),
        wrong("directory", "path = 'relative'"),
        wrong("directory", "path = '/x'\npaht = '/y'"),
        wrong("s3", "bucket = 'b'\nendpoint = 'localhost:9000'"),
        wrong("s3", "bucket = 'b'\nendpoint = 'http://user:password@localhost'"),
        wrong("s3", "bucket = 'b'\nsecret_access_key = 'x'"),
        wrong("s3", "bucket = 'b'\npart_mib = 1"),
        wrong("sftp", "host = '-oProxyCommand=x'\npath = '/x'"),
        wrong("rsync", "host = 'h'\npath = ''"),
        wrong("webdav", ""),
    ];
    insta::assert_snapshot!(errors.join("\n"));
}
