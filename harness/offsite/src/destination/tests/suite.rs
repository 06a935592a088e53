//! What every destination does.

use std::fs;
use std::path::Path;

use machine::process::{Cancel, Launcher};
use machine::worker::Progress;

use crate::content::Content;
use crate::destination::contract::partial_name;
use crate::destination::{ConfiguredDestination, Moved, ObjectName, Operation, Upload};

/// How an upload of the suite is interrupted.
pub(super) enum Interruption<'a> {
    /// The user asks to stop after the first progress.
    Cancel,
    /// A half upload is put into this directory, as an interrupted command leaves it.
    Planted(&'a Path),
}

/// Names that some shell, pattern, URL or protocol could take for something else.
const NAMES: [&str; 12] = [
    "a b",
    "quote'\"`",
    "n\u{e4}me-\u{2603}",
    "100%25 %s",
    "#?*[x]",
    "$HOME;&|<>~!",
    "-dash",
    "back\\slash",
    "{a,b}",
    "+plus=equal,",
    "~tilde",
    "host:path@user",
];

/// Larger than two parts of the smallest size, in bytes.
const LARGE: usize = 40 << 20;

/// A destination under test, with a directory for local files.
struct Subject<'a> {
    destination: &'a ConfiguredDestination,
    place: tempfile::TempDir,
}

impl Subject<'_> {
    fn launcher(&self) -> Launcher {
        Launcher::new(self.place.path(), &Cancel::default())
    }

    fn put_with(
        &self,
        launcher: &Launcher,
        name: &str,
        bytes: &[u8],
        report: &mut dyn FnMut(Progress),
    ) -> machine::error::Result<Moved> {
        let file = self.place.path().join("to upload");
        fs::write(&file, bytes).unwrap();
        let name: ObjectName = name.parse().unwrap();
        let content = Content::of_file(&file).unwrap();
        let upload = Upload { file: &file, name: &name, content: &content };
        self.destination.put(&upload, &mut Operation { launcher, report })
    }

    fn put(&self, name: &str, bytes: &[u8]) -> machine::error::Result<Moved> {
        self.put_with(&self.launcher(), name, bytes, &mut |_| ())
    }

    fn get(&self, name: &str) -> machine::error::Result<Vec<u8>> {
        let to = self.place.path().join("downloaded");
        let launcher = self.launcher();
        let operation = &mut Operation { launcher: &launcher, report: &mut |_| () };
        let got = self.destination.get(&name.parse().unwrap(), &to, operation);
        assert_eq!(got.is_ok(), to.exists(), "{name}: {got:?}");
        got.map(|moved| {
            let bytes = fs::read(&to).unwrap();
            fs::remove_file(&to).unwrap();
            assert!(moved.bytes >= bytes.len() as u64, "{moved:?}");
            bytes
        })
    }

    fn get_range(&self, name: &str, range: std::ops::Range<u64>) -> machine::error::Result<Vec<u8>> {
        let launcher = self.launcher();
        let operation = &mut Operation { launcher: &launcher, report: &mut |_| () };
        let (bytes, moved) = self.destination.get_range(&name.parse().unwrap(), range, operation)?;
        assert_eq!(moved.bytes, bytes.len() as u64);
        Ok(bytes)
    }

    fn list(&self) -> Vec<(String, u64)> {
        let launcher = self.launcher();
        let operation = &mut Operation { launcher: &launcher, report: &mut |_| () };
        let listing = self.destination.list(operation).unwrap();
        listing.objects.into_iter().map(|object| (object.name.to_string(), object.bytes)).collect()
    }

    fn delete(&self, name: &str) {
        let launcher = self.launcher();
        let operation = &mut Operation { launcher: &launcher, report: &mut |_| () };
        self.destination.delete(&name.parse().unwrap(), operation).unwrap();
    }
}

/// The suite. The destination must be empty, and is empty afterwards.
pub(super) fn run(destination: &ConfiguredDestination, interruption: &Interruption) {
    let subject = Subject { destination, place: tempfile::tempdir().unwrap() };
    assert_eq!(subject.list(), []);
    small_objects(&subject);
    odd_names(&subject);
    nothing_is_overwritten(&subject);
    what_changed_is_not_published(&subject);
    an_interrupted_upload_is_continued(&subject, interruption);
    assert_eq!(subject.list(), []);
}

fn small_objects(subject: &Subject) {
    let bytes = random(100_000, 1);
    let moved = subject.put("one", &bytes).unwrap();
    assert!(moved.bytes >= 100_000, "{moved:?}");
    subject.put("empty", b"").unwrap();
    assert_eq!(subject.list(), [("empty".to_owned(), 0), ("one".to_owned(), 100_000)]);
    assert_eq!(subject.get("one").unwrap(), bytes);
    assert_eq!(subject.get("empty").unwrap(), b"");
    assert_eq!(subject.get_range("one", 10..50_010).unwrap(), bytes[10..50_010]);
    assert_eq!(subject.get_range("one", 99_990..200_000).unwrap(), bytes[99_990..]);
    assert_eq!(subject.get_range("one", 0..u64::MAX >> 1).unwrap(), bytes);
    assert_eq!(subject.get_range("one", 5..5).unwrap(), b"");
    assert_eq!(subject.get_range("one", 200_000..300_000).unwrap(), b"");
    assert_eq!(subject.get_range("empty", 0..10).unwrap(), b"");
    let absent = subject.get("two").unwrap_err().to_string();
    assert!(absent.starts_with("there is no object 'two' at "), "{absent}");
    let absent = subject.get_range("two", 0..1).unwrap_err().to_string();
    assert!(absent.starts_with("there is no object 'two' at "), "{absent}");
    ["one", "empty", "two"].iter().for_each(|name| subject.delete(name));
    assert_eq!(subject.list(), []);
}

fn odd_names(subject: &Subject) {
    for (number, name) in NAMES.iter().enumerate() {
        subject.put(name, &random(10, number as u8)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let mut names = NAMES.map(|name| (name.to_owned(), 10));
    names.sort();
    assert_eq!(subject.list(), names);
    for (number, name) in NAMES.iter().enumerate() {
        assert_eq!(subject.get(name).unwrap(), random(10, number as u8), "{name}");
        subject.delete(name);
        assert!(subject.get(name).is_err(), "{name}");
    }
    assert_eq!(subject.list(), []);
}

fn nothing_is_overwritten(subject: &Subject) {
    let small = random(10, 1);
    subject.put("kept", &small).unwrap();
    for other in [random(20, 2), random(LARGE, 3), small.clone(), Vec::new()] {
        let refused = subject.put("kept", &other).unwrap_err().to_string();
        assert!(refused.starts_with("'kept' already exists at "), "{refused}");
    }
    assert_eq!(subject.get("kept").unwrap(), small);
    // Nor is a local file.
    let local = subject.place.path().join("local");
    fs::write(&local, "mine").unwrap();
    let launcher = subject.launcher();
    let operation = &mut Operation { launcher: &launcher, report: &mut |_| () };
    subject.destination.get(&"kept".parse().unwrap(), &local, operation).unwrap_err();
    assert_eq!(fs::read(&local).unwrap(), b"mine");
    subject.delete("kept");
}

fn what_changed_is_not_published(subject: &Subject) {
    let file = subject.place.path().join("changing");
    fs::write(&file, random(1000, 4)).unwrap();
    let content = Content::of_file(&file).unwrap();
    fs::write(&file, random(1000, 5)).unwrap();
    let launcher = subject.launcher();
    let name = "changed".parse().unwrap();
    let upload = Upload { file: &file, name: &name, content: &content };
    let operation = &mut Operation { launcher: &launcher, report: &mut |_| () };
    let changed = subject.destination.put(&upload, operation).unwrap_err().to_string();
    assert!(changed.ends_with("changed after its digest was made: pack it again"), "{changed}");
    assert_eq!(subject.list(), []);
}

fn an_interrupted_upload_is_continued(subject: &Subject, interruption: &Interruption) {
    let bytes = random(LARGE, 6);
    match interruption {
        Interruption::Cancel => {
            let cancel = Cancel::default();
            let launcher = Launcher::new(subject.place.path(), &cancel);
            let stopped = subject.put_with(&launcher, "large", &bytes, &mut |_| cancel.cancel());
            assert!(matches!(stopped, Err(machine::error::Error::Interrupted)), "{stopped:?}");
        }
        Interruption::Planted(directory) => {
            let file = subject.place.path().join("planted");
            fs::write(&file, &bytes).unwrap();
            let (name, content) = ("large".parse().unwrap(), Content::of_file(&file).unwrap());
            let upload = Upload { file: &file, name: &name, content: &content };
            fs::write(directory.join(partial_name(&upload)), &bytes[..LARGE / 2]).unwrap();
        }
    }
    assert_eq!(subject.list(), [], "a half upload is not listed");
    assert!(subject.get("large").is_err());
    let moved = subject.put("large", &bytes).unwrap();
    assert!(moved.bytes < LARGE as u64, "it is continued: {moved:?}");
    assert_eq!(subject.list(), [("large".to_owned(), LARGE as u64)]);
    assert!(subject.get("large").unwrap() == bytes);
    let middle = LARGE as u64 / 2;
    assert!(subject.get_range("large", middle..middle + 1000).unwrap() == bytes[LARGE / 2..][..1000]);
    subject.delete("large");
    // Once more without interruption.
    let moved = subject.put("large", &bytes).unwrap();
    assert!(moved.bytes >= LARGE as u64, "{moved:?}");
    assert!(moved.requests.is_none_or(|requests| requests >= 4), "{moved:?}");
    assert!(subject.get("large").unwrap() == bytes);
    subject.delete("large");
}

/// Bytes that nothing can compress, the same for each seed.
pub(super) fn random(bytes: usize, seed: u8) -> Vec<u8> {
    let mut buffer = vec![0; bytes];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut buffer);
    buffer
}
