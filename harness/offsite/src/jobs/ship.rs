//! The job that ships growing files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use machine::error::Result;
use machine::process::{Cancel, Launcher};
use machine::worker::{Job, Progress};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::content::{Content, ContentHasher, PIECE_BYTES, cannot};
use crate::destination::{ConfiguredDestination, DestinationChoice, ObjectName, Operation, Upload, registry};

/// Uploads what is appended to the files of a log, each time as an object of its own, until it is killed. The order of the
/// files is that of their names. When a later file begins, an empty part ends the earlier one, so that a missing end is found.
///
/// It continues where an earlier one was killed. A file that begins again, as `mysqlbinlog --raw` rewrites one after a
/// restart, is uploaded from where it becomes longer than before.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ship {
    /// Where to.
    pub destination: DestinationChoice,
    /// The files are directly in it.
    pub directory: PathBuf,
    /// Time from one look at the files to the next.
    pub interval: Duration,
    /// With which commands are marked, and where temporary files are.
    pub work_directory: PathBuf,
}

/// A part of a file, as an object. Its name is `FILE.OFFSET-DIGEST`: the offset in bytes has 15 digits, so that the order of
/// the names is that of the bytes; the digest is the beginning of the part's BLAKE3. An empty part is the end of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) file: String,
    pub(super) offset: u64,
    pub(super) digest: String,
}

impl Part {
    pub(super) fn of_name(name: &ObjectName) -> Option<Part> {
        let (file, rest) = name.as_str().rsplit_once('.')?;
        let (offset, digest) = rest.split_once('-')?;
        let is_offset = offset.len() == 15 && offset.bytes().all(|byte| byte.is_ascii_digit());
        let is_digest = digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let part =
            || Part { file: file.to_owned(), offset: offset.parse().unwrap_or(0), digest: digest.to_owned() };
        (is_offset && is_digest && !file.is_empty()).then(part)
    }

    fn name(&self) -> Result<ObjectName> {
        format!("{}.{:015}-{}", self.file, self.offset, self.digest).parse()
    }
}

impl Job for Ship {
    const NAME: &'static str = "offsite-ship";
    type Answer = ();

    fn title(&self) -> String {
        format!("shipping to the destination '{}'", self.destination.name)
    }

    fn run(self, report: &mut dyn FnMut(Progress)) -> anyhow::Result<()> {
        let destination = registry::configure(&self.destination)?;
        let launcher = Launcher::new(&self.work_directory, &Cancel::default());
        let mut operation = Operation { launcher: &launcher, report };
        let mut shipper = self.shipper(&destination, &mut operation)?;
        loop {
            let began = Instant::now();
            shipper.ship(&mut operation)?;
            launcher.cancel.sleep_until(began + self.interval)?;
        }
    }
}

impl Ship {
    fn shipper<'a>(
        &'a self,
        destination: &'a ConfiguredDestination,
        operation: &mut Operation,
    ) -> Result<Shipper<'a>> {
        let mut shipped: BTreeMap<String, Shipped> = BTreeMap::new();
        for object in destination.list(operation)?.objects {
            if let Some(part) = Part::of_name(&object.name) {
                let file = shipped.entry(part.file).or_default();
                file.bytes = file.bytes.max(part.offset + object.bytes);
                file.has_ended |= object.bytes == 0;
            }
        }
        Ok(Shipper { job: self, destination, shipped })
    }
}

/// How far a file is shipped.
#[derive(Clone, Copy, Default)]
struct Shipped {
    bytes: u64,
    has_ended: bool,
}

struct Shipper<'a> {
    job: &'a Ship,
    destination: &'a ConfiguredDestination,
    shipped: BTreeMap<String, Shipped>,
}

impl Shipper<'_> {
    /// Uploads what was appended since the last time.
    fn ship(&mut self, operation: &mut Operation) -> Result<()> {
        let directory = &self.job.directory;
        let entries = std::fs::read_dir(directory).map_err(|error| cannot("read", directory, &error))?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for (index, file) in files.iter().enumerate() {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut shipped = self.shipped.get(&name).copied().unwrap_or_default();
            if shipped.has_ended {
                continue;
            }
            shipped.bytes += self.ship_after(file, &name, shipped.bytes, operation)?;
            // When a later file is in the list, the earlier one was complete before it was read.
            if index + 1 < files.len() {
                self.put(
                    &name,
                    shipped.bytes,
                    &self.temporary()?,
                    &ContentHasher::default().finish(),
                    operation,
                )?;
                shipped.has_ended = true;
            }
            self.shipped.insert(name, shipped);
        }
        Ok(())
    }

    /// Uploads what a file has after this offset. Returns how much that is, in bytes.
    fn ship_after(&self, path: &Path, name: &str, offset: u64, operation: &mut Operation) -> Result<u64> {
        let failed = |error| cannot("read", path, &error);
        let mut from = File::open(path).map_err(failed)?;
        if from.metadata().map_err(failed)?.len() <= offset {
            return Ok(0);
        }
        from.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut to = self.temporary()?;
        let mut hasher = ContentHasher::default();
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let read = from.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                break;
            }
            hasher.add(&buffer[..read]);
            to.write_all(&buffer[..read]).context("cannot write a part that is shipped")?;
        }
        let content = hasher.finish();
        self.put(name, offset, &to, &content, operation)?;
        Ok(content.bytes)
    }

    fn put(
        &self,
        name: &str,
        offset: u64,
        part: &NamedTempFile,
        content: &Content,
        operation: &mut Operation,
    ) -> Result<()> {
        let name = Part { file: name.to_owned(), offset, digest: content.blake3.short() }.name()?;
        let upload = Upload { file: part.path(), name: &name, content };
        self.destination.put(&upload, operation).map(|_| ())
    }

    fn temporary(&self) -> Result<NamedTempFile> {
        let file = NamedTempFile::new_in(&self.job.work_directory);
        Ok(file.context("cannot create a file for a part that is shipped")?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::super::Collect;
    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Place {
            let place = Place(tempfile::tempdir().unwrap());
            for directory in ["logs", "destination", "work"] {
                fs::create_dir(place.at(directory)).unwrap();
            }
            place
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn destination(&self) -> DestinationChoice {
            let path = self.at("destination").display().to_string();
            DestinationChoice {
                name: "directory".to_owned(),
                settings: [("path".to_owned(), path.into())].into_iter().collect(),
            }
        }

        fn append(&self, file: &str, text: &str) {
            let file = File::options().create(true).append(true).open(self.at("logs").join(file));
            file.unwrap().write_all(text.as_bytes()).unwrap();
        }

        /// One look of a job that was started anew.
        fn ship(&self) {
            let job = Ship {
                destination: self.destination(),
                directory: self.at("logs"),
                interval: Duration::ZERO,
                work_directory: self.at("work"),
            };
            let destination = registry::configure(&job.destination).unwrap();
            let launcher = Launcher::new(&job.work_directory, &Cancel::default());
            let mut operation = Operation { launcher: &launcher, report: &mut |_| () };
            job.shipper(&destination, &mut operation).unwrap().ship(&mut operation).unwrap();
        }

        fn collect(&self) -> anyhow::Result<u64> {
            let directory = self.at("collected");
            let _ = fs::remove_dir_all(&directory);
            let job = Collect { destination: self.destination(), directory, work_directory: self.at("work") };
            job.run(&mut |_| ())
        }

        fn parts(&self) -> Vec<PathBuf> {
            let mut parts: Vec<PathBuf> =
                fs::read_dir(self.at("destination")).unwrap().map(|entry| entry.unwrap().path()).collect();
            parts.sort();
            parts
        }
    }

    #[test]
    fn what_grows_is_shipped_once_and_comes_back_whole() {
        let place = Place::new();
        place.append("log.000001", "one ");
        place.ship();
        place.ship();
        assert_eq!(place.parts().len(), 1, "nothing has grown");
        place.append("log.000001", "two");
        place.append("log.000002", "three");
        place.ship();
        // It is written again from its beginning.
        fs::write(place.at("logs/log.000002"), "thr").unwrap();
        place.ship();
        fs::write(place.at("logs/log.000002"), "three four").unwrap();
        place.ship();
        assert_eq!(place.parts().len(), 5, "with the end of the first file");
        fs::write(place.at("destination/other object"), "").unwrap();
        assert_eq!(place.collect().unwrap(), 17);
        assert_eq!(fs::read_to_string(place.at("collected/log.000001")).unwrap(), "one two");
        assert_eq!(fs::read_to_string(place.at("collected/log.000002")).unwrap(), "three four");
        assert_eq!(fs::read_dir(place.at("work")).unwrap().count(), 0, "no temporary file is left");
    }

    #[test]
    fn a_missing_or_changed_part_is_found() {
        let place = Place::new();
        for text in ["one", "two", "three"] {
            place.append("log", text);
            place.ship();
        }
        let middle = place.parts().remove(1);
        let kept = fs::read(&middle).unwrap();
        fs::write(&middle, "tw0").unwrap();
        let changed = place.collect().unwrap_err().to_string();
        assert!(changed.contains("has changed: its BLAKE3 begins with"), "{changed}");
        fs::remove_file(&middle).unwrap();
        let missing = place.collect().unwrap_err().to_string();
        assert!(missing.starts_with("the part of 'log' from byte 3 to byte 6 is missing at "), "{missing}");
        fs::write(&middle, kept).unwrap();
        assert_eq!(place.collect().unwrap(), 11);
    }

    #[test]
    fn a_missing_end_of_an_earlier_file_is_found() {
        let place = Place::new();
        for (file, text) in [("log.1", "one"), ("log.1", "two"), ("log.2", "three")] {
            place.append(file, text);
            place.ship();
        }
        let parts = place.parts();
        let [_, second, end, _] = &parts[..] else { panic!("{parts:?}") };
        assert!(fs::read(end).unwrap().is_empty());
        for lost in [vec![second], vec![end], vec![second, end]] {
            let kept: Vec<_> = lost.iter().map(|part| (part, fs::read(part).unwrap())).collect();
            lost.iter().for_each(|part| fs::remove_file(part).unwrap());
            let missing = place.collect().unwrap_err().to_string();
            assert!(missing.contains("of 'log.1'") && missing.contains("is missing at "), "{missing}");
            kept.into_iter().for_each(|(part, bytes)| fs::write(part, bytes).unwrap());
        }
        assert_eq!(place.collect().unwrap(), 11);
    }

    #[test]
    fn parts_that_overlap_are_joined() {
        let place = Place::new();
        place.append("log", "one");
        place.ship();
        let early = place.parts().remove(0);
        let kept = fs::read(&early).unwrap();
        fs::remove_file(&early).unwrap();
        place.append("log", "two");
        place.ship();
        // The first upload was complete only after the second job had looked.
        fs::write(&early, kept).unwrap();
        assert_eq!(place.parts().len(), 2);
        assert_eq!(place.collect().unwrap(), 6);
        assert_eq!(fs::read_to_string(place.at("collected/log")).unwrap(), "onetwo");
    }

    #[test]
    fn only_names_of_parts_are_parts() {
        let part = Part { file: "binlog.000001".into(), offset: 4096, digest: "0123456789abcdef".into() };
        let name = part.name().unwrap();
        assert_eq!(name.as_str(), "binlog.000001.000000000004096-0123456789abcdef");
        assert_eq!(Part::of_name(&name), Some(part));
        for other in
            ["20260131T235959.123Z-0123456789abcdef.tar", "a.b", "x-y", ".000000000000001-0123456789abcdef"]
        {
            assert_eq!(other.parse().ok().and_then(|name| Part::of_name(&name)), None, "{other}");
        }
    }
}
