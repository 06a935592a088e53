//! Configuration files beside a database: test files with properties that are easily lost in backup and restore, and a
//! comparison of them after the restore.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;
use xxhash_rust::xxh3::xxh3_64;

/// Their directory beside a database, to which a strategy restores them.
pub const DIRECTORY: &str = "config";

/// Another owner than the user who restores. Only root can set it.
const OTHER_USER: u32 = 12_345;
const OTHER_GROUP: u32 = 23_456;
/// The mode bits that `chmod` can set.
const MODE: u32 = 0o7777;

/// The entry at each path in a directory tree; the directory itself has the empty path.
pub type Listing = BTreeMap<PathBuf, Entry>;

/// A file, a directory or a symbolic link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    what: What,
    mode: u32,
    user: u32,
    group: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    File { bytes: u64, digest: u64 },
    Directory,
    Link(PathBuf),
    Special,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::File { .. } => f.write_str("a file"),
            What::Directory => f.write_str("a directory"),
            What::Link(target) => write!(f, "a link to {}", target.display()),
            What::Special => f.write_str("a special file"),
        }
    }
}

/// Creates a directory of configuration files: hidden, secret, executable, empty, and with other owners (if run as
/// root), and symbolic links, one of which is broken.
///
/// # Errors
/// When one cannot be created.
pub fn make(directory: &Path) -> io::Result<Listing> {
    let at = |name: &str| directory.join(name);
    fs::create_dir_all(at("private"))?;
    let files = [
        ("tracker.toml", "[core]\nprivate = true\n", 0o640),
        (".environment", "LANGUAGE=C\n", 0o644),
        ("empty", "", 0o644),
        ("start", "#!/bin/sh\nexec tracker\n", 0o755),
        ("private/token", "not for others\n", 0o600),
        ("private/key with a blank", "for nobody to change\n", 0o400),
    ];
    for (name, content, _) in files {
        fs::write(at(name), content)?;
    }
    symlink("tracker.toml", at("current"))?;
    symlink("/nowhere/to/be/found", at("dangling"))?;
    if geteuid().is_root() {
        for name in ["private", "private/token"] {
            chown(at(name), Some(OTHER_USER), Some(OTHER_GROUP))?;
        }
    }
    // Modes are set last: changing the owner may clear mode bits, and the umask affects new files.
    let directories = [("private", 0o750), ("", 0o751)];
    for (name, mode) in files.map(|(name, _, mode)| (name, mode)).into_iter().chain(directories) {
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode))?;
    }
    list(directory)
}

/// Lists a directory tree; empty if the directory does not exist.
///
/// # Errors
/// When an entry cannot be read.
pub fn list(directory: &Path) -> io::Result<Listing> {
    let mut listing = Listing::new();
    if directory.symlink_metadata().is_err() {
        return Ok(listing);
    }
    let os_error = |error: walkdir::Error| {
        error.into_io_error().expect("there are no loops, because links are not followed")
    };
    for entry in WalkDir::new(directory).follow_root_links(false) {
        let entry = entry.map_err(os_error)?;
        let name = entry.path().strip_prefix(directory).expect("the walk only visits paths below");
        let metadata = entry.metadata().map_err(os_error)?;
        listing.insert(name.to_owned(), describe(entry.path(), &metadata)?);
    }
    Ok(listing)
}

fn describe(path: &Path, metadata: &fs::Metadata) -> io::Result<Entry> {
    let what = if metadata.is_symlink() {
        What::Link(fs::read_link(path)?)
    } else if metadata.is_dir() {
        What::Directory
    } else if metadata.is_file() {
        What::File { bytes: metadata.len(), digest: xxh3_64(&fs::read(path)?) }
    } else {
        What::Special
    };
    Ok(Entry { what, mode: metadata.mode() & MODE, user: metadata.uid(), group: metadata.gid() })
}

/// The differences between two listings, one line each.
pub fn differences(before: &Listing, after: &Listing) -> Vec<String> {
    let mut found = Vec::new();
    for (name, was) in before {
        match after.get(name) {
            None => found.push(format!("configuration: {} is missing", shown(name))),
            Some(is) => compare(&shown(name), was, is, &mut found),
        }
    }
    let extra = after.keys().filter(|name| !before.contains_key(*name));
    found.extend(extra.map(|name| format!("configuration: {} did not exist before", shown(name))));
    found
}

fn compare(name: &str, was: &Entry, is: &Entry, found: &mut Vec<String>) {
    let mut wrong = |what: String| found.push(format!("configuration: {name} {what}"));
    match (&was.what, &is.what) {
        (was, is) if was == is => {}
        (What::File { .. }, What::File { .. }) => wrong("has different content".to_owned()),
        (was, is) => return wrong(format!("is {is}, but was {was}")),
    }
    if is.mode & !was.mode != 0 {
        wrong(format!("became more permissive: mode {:04o} was changed to {:04o}", was.mode, is.mode));
    } else if is.mode != was.mode {
        wrong(format!("has mode {:04o}, but had {:04o}", is.mode, was.mode));
    }
    if (is.user, is.group) != (was.user, was.group) {
        wrong(format!("is owned by {}:{}, but was owned by {}:{}", is.user, is.group, was.user, was.group));
    }
}

fn shown(name: &Path) -> String {
    if name.as_os_str().is_empty() { DIRECTORY.to_owned() } else { name.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The differences after one change to otherwise identical files.
    fn found(change: impl FnOnce(&Path)) -> String {
        let place = tempfile::tempdir().unwrap();
        let (before, after) = (place.path().join("before"), place.path().join("after"));
        let before = make(&before).unwrap();
        assert_eq!(make(&after).unwrap(), before);
        change(&after);
        differences(&before, &list(&after).unwrap()).join("\n")
    }

    fn set_mode(path: PathBuf, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn unchanged_files_give_no_finding() {
        assert_eq!(found(|_| ()), "");
    }

    #[test]
    fn every_change_is_found() {
        let changes = [
            found(|at| fs::write(at.join(".environment"), "LANGUAGE=D\n").unwrap()),
            found(|at| fs::remove_file(at.join(".environment")).unwrap()),
            found(|at| fs::write(at.join("new"), "").unwrap()),
            found(|at| {
                fs::remove_file(at.join("current")).unwrap();
                symlink("start", at.join("current")).unwrap();
            }),
            found(|at| {
                fs::remove_file(at.join("current")).unwrap();
                fs::write(at.join("current"), "[core]\nprivate = true\n").unwrap();
            }),
            found(|at| set_mode(at.join("private/token"), 0o640)),
            found(|at| set_mode(at.join("start"), 0o644)),
            found(|at| set_mode(at.to_owned(), 0o755)),
        ];
        insta::assert_snapshot!(changes.join("\n"), @"
        configuration: .environment has different content
        configuration: .environment is missing
        configuration: new did not exist before
        configuration: current is a link to start, but was a link to tracker.toml
        configuration: current is a file, but was a link to tracker.toml
        configuration: private/token became more permissive: mode 0600 was changed to 0640
        configuration: start has mode 0644, but had 0755
        configuration: config became more permissive: mode 0751 was changed to 0755
        ");
    }

    #[test]
    fn another_owner_is_found() {
        if !geteuid().is_root() {
            return;
        }
        assert_eq!(
            found(|at| chown(at.join("private/token"), Some(0), Some(0)).unwrap()),
            "configuration: private/token is owned by 0:0, but was owned by 12345:23456"
        );
    }

    #[test]
    fn if_the_directory_is_gone_every_file_is_missing() {
        let lines = found(|at| fs::remove_dir_all(at).unwrap());
        assert!(
            lines.starts_with("configuration: config is missing\nconfiguration: .environment is missing")
        );
    }
}
