//! The way of a backup through all jobs, in this process.

use std::fs;
use std::path::{Path, PathBuf};

use machine::error::Error;
use machine::worker::Job;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::{Fetch, Fetched, Pack, Publish, Published, Transform, Unpack, Which};
use crate::content::Content;
use crate::destination::DestinationChoice;
use crate::manifest::{Backup, Manifest};
use crate::transform::{Direction, TransformChoice};

/// A place with an artifact and a destination.
struct Stages {
    place: TempDir,
}

impl Stages {
    fn new() -> Stages {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("artifact/sub")).unwrap();
        fs::write(place.path().join("artifact/database.db"), vec![5; 300_000]).unwrap();
        fs::write(place.path().join("artifact/sub/log"), "log").unwrap();
        fs::create_dir(place.path().join("destination")).unwrap();
        Stages { place }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn destination(&self) -> DestinationChoice {
        let path = self.at("destination").display().to_string();
        DestinationChoice {
            name: "directory".to_owned(),
            settings: [("path".to_owned(), path.into())].into_iter().collect(),
        }
    }

    fn transform(&self, choice: &TransformChoice, direction: Direction, from: &Path, to: &Path) -> Content {
        let job = Transform {
            transform: choice.clone(),
            direction,
            from: from.to_owned(),
            to: to.to_owned(),
            identity_file: self.at("key"),
        };
        job.run(&mut |_| ()).unwrap()
    }

    fn prepared(&self, moment: &str) -> Publish {
        let packed = Pack { directory: self.at("artifact"), tar: self.at("tar") }.run(&mut |_| ()).unwrap();
        let transforms = ["zstd", "age"]
            .map(|name| TransformChoice { name: name.to_owned(), settings: toml::Table::new() });
        self.transform(&transforms[0], Direction::Apply, &self.at("tar"), &self.at("tar.zst"));
        let content =
            self.transform(&transforms[1], Direction::Apply, &self.at("tar.zst"), &self.at("tar.zst.age"));
        fs::remove_file(self.at("tar")).unwrap();
        fs::remove_file(self.at("tar.zst")).unwrap();
        Publish {
            destination: self.destination(),
            file: self.at("tar.zst.age"),
            content,
            packed,
            transforms: transforms.to_vec(),
            backup: Backup {
                source: json!({"database": "database.db"}),
                strategy: "plain-copy".to_owned(),
                promise: "consistent".to_owned(),
                versions: [("sqlite".to_owned(), "3.50.0".to_owned())].into(),
                moment: moment.parse().unwrap(),
            },
            work_directory: self.place.path().to_owned(),
        }
    }

    fn publish(&self, moment: &str) -> Published {
        let published = self.prepared(moment).run(&mut |_| ()).unwrap();
        fs::remove_file(self.at("tar.zst.age")).unwrap();
        published
    }

    fn fetch(&self, which: Which) -> Result<Fetched, Error> {
        let fetch = Fetch {
            destination: self.destination(),
            which,
            to: self.at("fetched"),
            work_directory: self.place.path().to_owned(),
        };
        fetch.run(&mut |_| ()).map_err(Error::from)
    }
}

#[test]
fn a_backup_comes_back_from_the_destination_alone() {
    let stages = Stages::new();
    let first = stages.publish("2026-01-31T23:59:59.123Z");
    assert!(first.object.as_str().starts_with("20260131T235959.123Z-"), "{first:?}");
    assert!(first.object.as_str().ends_with(".tar.zst.age"), "{first:?}");
    fs::write(stages.at("artifact/database.db"), "second").unwrap();
    let second = stages.publish("2026-02-01T00:00:00Z");
    fs::rename(stages.at("artifact"), stages.at("original")).unwrap();
    let fetched = stages.fetch(Which::Newest).unwrap();
    assert_eq!((&fetched.name, &fetched.manifest.object.name), (&second.manifest, &second.object));
    let mut file = stages.at("fetched");
    for (number, choice) in fetched.manifest.transforms.iter().enumerate().rev() {
        let to = stages.at(&format!("reverted {number}"));
        stages.transform(choice, Direction::Revert, &file, &to);
        file = to;
    }
    assert_eq!(Content::of_file(&file).unwrap(), fetched.manifest.packed);
    let unpack = Unpack { tar: file, directory: stages.at("restored"), files: fetched.manifest.files };
    assert_eq!(unpack.run(&mut |_| ()).unwrap(), 6 + 3);
    assert_eq!(fs::read(stages.at("restored/database.db")).unwrap(), b"second");
    fs::remove_file(stages.at("fetched")).unwrap();
    let older = stages.fetch(Which::Named(first.manifest.clone())).unwrap();
    assert_eq!(older.manifest.object.name, first.object);
}

#[test]
fn without_a_manifest_there_is_no_backup_and_a_repetition_completes_it() {
    let stages = Stages::new();
    let none = stages.fetch(Which::Newest).unwrap_err().to_string();
    assert!(none.starts_with("there is no manifest at "), "{none}");
    let job = stages.prepared("2026-01-31T23:59:59Z");
    let again = || Publish {
        destination: job.destination.clone(),
        file: job.file.clone(),
        packed: job.packed.clone(),
        transforms: job.transforms.clone(),
        backup: job.backup.clone(),
        work_directory: job.work_directory.clone(),
        content: job.content,
    };
    let published = again().run(&mut |_| ()).unwrap();
    fs::remove_file(stages.at("destination").join(published.manifest.as_str())).unwrap();
    let none = stages.fetch(Which::Newest).unwrap_err().to_string();
    assert!(none.starts_with("there is no manifest at "), "{none}");
    let repeated = again().run(&mut |_| ()).unwrap();
    assert!(repeated.moved.bytes < 10_000, "only the manifest: {repeated:?}");
    stages.fetch(Which::Newest).unwrap();
    let twice = again().run(&mut |_| ()).unwrap_err().to_string();
    assert!(twice.contains("is already at"), "{twice}");
}

#[test]
fn a_missing_object_or_a_foreign_manifest_is_an_error() {
    let stages = Stages::new();
    let published = stages.publish("2026-01-31T23:59:59Z");
    fs::remove_file(stages.at("destination").join(published.object.as_str())).unwrap();
    let missing = stages.fetch(Which::Newest).unwrap_err().to_string();
    assert!(missing.starts_with("there is no object '20260131T235959.000Z-"), "{missing}");
    let error = |text: &str| Manifest::from_json(text.as_bytes(), "name").unwrap_err().to_string();
    let errors = [
        error("no JSON"),
        error("{}"),
        error(r#"{"schema": "backup-drill-manifest", "version": 2}"#),
        error(r#"{"schema": "backup-drill-manifest", "version": 1}"#),
    ];
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn the_manifest_has_the_form_that_others_read() {
    let stages = Stages::new();
    let published = stages.publish("2026-01-31T23:59:59Z");
    let file = stages.at("destination").join(published.manifest.as_str());
    let text = fs::read_to_string(file).unwrap();
    let manifest = Manifest::from_json(text.as_bytes(), "name").unwrap();
    assert_eq!(manifest.to_json(), text.as_bytes());
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    // What is encrypted differs each time.
    for pointer in ["/object/name", "/object/blake3", "/packed/blake3"] {
        *value.pointer_mut(pointer).unwrap() = "...".into();
    }
    *value.pointer_mut("/object/bytes").unwrap() = 0.into();
    insta::assert_json_snapshot!(value);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_changed_byte_of_the_object_is_noticed(place in any::<prop::sample::Index>(), flip in 1_u8..) {
        let stages = Stages::new();
        let published = stages.publish("2026-01-31T23:59:59Z");
        let object = stages.at("destination").join(published.object.as_str());
        let mut bytes = fs::read(&object).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        fs::write(&object, &bytes).unwrap();
        let error = stages.fetch(Which::Newest).unwrap_err().to_string();
        prop_assert!(error.contains("has changed: its BLAKE3 is "), "{}", error);
        prop_assert!(!stages.at("fetched").exists());
        fs::write(&object, &bytes[..place]).unwrap();
        let error = stages.fetch(Which::Newest).unwrap_err().to_string();
        prop_assert!(error.contains("is truncated: "), "{}", error);
    }

    #[test]
    fn a_foreign_manifest_is_no_panic(place in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..30)) {
        let _ = Manifest::from_json(&bytes, "name");
        let stages = Stages::new();
        let published = stages.publish("2026-01-31T23:59:59Z");
        let file = stages.at("destination").join(published.manifest.as_str());
        let mut text = fs::read(&file).unwrap();
        let start = place.index(text.len());
        text.splice(start..start, bytes);
        fs::write(&file, text).unwrap();
        let _ = stages.fetch(Which::Newest);
    }
}
