//! Removes directories to which the user's own commands have written, as far as possible, and reports what could not be
//! removed, why, and what to do about it.
//!
//! A read-only directory of this user is made writable: this user could change its mode at any time. Immutable files
//! and files of another user are not touched: they were locked on purpose, or only their owner may remove them.

use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

use crate::file_system;

/// A file or directory that could not be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The first file or directory that could not be removed.
    pub path: PathBuf,
    /// Number of further files and directories that could not be removed, not counting the directories that contain
    /// them.
    pub others: usize,
    /// Why it could not be removed.
    pub cause: String,
    /// What to do about it.
    pub cure: String,
}

impl std::fmt::Display for Leftover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot remove {}{}: {}; {}", self.path.display(), self.and_others(), self.cause, self.cure)
    }
}

impl Leftover {
    /// The path relative to `directory`, and the cause. For records, which do not contain the path of the working
    /// directory.
    pub fn below(&self, directory: &Path) -> String {
        let prefix = format!("{}/", directory.display());
        format!("{}{}: {}", self.path.display(), self.and_others(), self.cause).replace(&prefix, "")
    }

    fn and_others(&self) -> String {
        if self.others == 0 { String::new() } else { format!(" and {} more", self.others) }
    }
}

/// Unmounts everything that is mounted in a directory and removes the directory with its content, as far as possible.
/// Does nothing if it does not exist.
///
/// # Errors
/// What could not be removed. If something cannot be unmounted, nothing is removed: it could be the user's own data.
pub fn remove(directory: &Path) -> Result<(), Leftover> {
    file_system::sweep(directory).map_err(|error| Leftover {
        path: directory.to_owned(),
        others: 0,
        cause: error.to_string(),
        cure: "unmount it".into(),
    })?;
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {}
        _ => return Ok(()),
    }
    let mut obstacles = Vec::new();
    clear(directory, &mut obstacles);
    let others = obstacles.len().saturating_sub(1);
    match obstacles.into_iter().next() {
        None => Ok(()),
        Some((path, error)) => Err(explain(path, others, &error)),
    }
}

/// Removes a file. Does nothing if it does not exist.
///
/// # Errors
/// Why it could not be removed.
pub fn remove_file(path: &Path) -> Result<(), Leftover> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(explain(path.to_owned(), 0, &error)),
        _ => Ok(()),
    }
}

/// Removes everything that can be removed, and continues after errors. Not with walkdir, which lists a directory before
/// its mode can be changed.
fn clear(path: &Path, obstacles: &mut Vec<(PathBuf, io::Error)>) {
    let already = obstacles.len();
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => clear_directory(path, &metadata, obstacles),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // The entries that keep the directory from being empty have been recorded.
        Err(_) if obstacles.len() > already => {}
        Err(error) => obstacles.push((path.to_owned(), error)),
        Ok(()) => {}
    }
}

fn clear_directory(
    path: &Path,
    metadata: &Metadata,
    obstacles: &mut Vec<(PathBuf, io::Error)>,
) -> io::Result<()> {
    let mode = metadata.mode();
    if mode & 0o700 != 0o700 {
        // An error is ignored: if it belongs to another user, removing its entries reports that.
        let _ = fs::set_permissions(path, Permissions::from_mode(mode | 0o700));
    }
    for entry in fs::read_dir(path)? {
        clear(&entry?.path(), obstacles);
    }
    fs::remove_dir(path)
}

fn explain(path: PathBuf, others: usize, error: &io::Error) -> Leftover {
    let parent = path.parent().map(Path::to_owned);
    // Whether an entry can be removed depends on the entry and on its directory.
    let suspects = [Some(path.clone()), parent];
    let suspect = |is: &dyn Fn(&Path) -> bool| suspects.iter().flatten().find(|path| is(path));
    let (cause, cure) = if let Some(locked) = suspect(&is_locked) {
        (
            format!("{error}, {} is immutable", named(locked, &path)),
            format!("run 'chattr -i -a {}'", locked.display()),
        )
    } else if let Some(foreign) = suspect(&|path| owner(path).is_some_and(|user| user != geteuid().as_raw()))
    {
        let user = owner(foreign).unwrap_or_default();
        (
            format!("{error}, {} belongs to the user with the id {user}", named(foreign, &path)),
            format!("remove it as that user, for example with 'sudo rm -r {}'", foreign.display()),
        )
    } else {
        (error.to_string(), "remove it by hand".to_owned())
    };
    Leftover { path, others, cause, cure }
}

fn named(suspect: &Path, path: &Path) -> &'static str {
    if suspect == path { "it" } else { "its directory" }
}

fn owner(path: &Path) -> Option<u32> {
    path.symlink_metadata().ok().map(|metadata| metadata.uid())
}

/// True for a file with the immutable or the append-only flag.
fn is_locked(path: &Path) -> bool {
    let locked = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
    found.is_ok_and(|found| found.stx_attributes.intersects(locked))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn place() -> tempfile::TempDir {
        // Next to the build, because a file system in memory has no file flags.
        let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        fs::create_dir_all(place.path().join("trial/artifact/today")).unwrap();
        for file in ["trial/artifact/today/copy.db", "trial/artifact/zzz", "trial/aaa"] {
            fs::write(place.path().join(file), "content").unwrap();
        }
        place
    }

    #[test]
    fn a_directory_that_was_made_read_only_is_removed() {
        let place = place();
        let trial = place.path().join("trial");
        for (path, mode) in [("artifact/today", 0o555), ("artifact", 0)] {
            fs::set_permissions(trial.join(path), Permissions::from_mode(mode)).unwrap();
        }
        assert_eq!(remove(&trial), Ok(()));
        assert!(!trial.exists());
        assert_eq!(remove(&trial), Ok(()), "removing a missing directory succeeds");
    }

    #[test]
    fn only_a_locked_file_is_left_and_reported_with_cause_and_remedy() {
        let place = place();
        let trial = place.path().join("trial");
        let locked = trial.join("artifact/today/copy.db");
        let chattr = |flag: &str| Command::new("chattr").arg(flag).arg(&locked).status();
        if !geteuid().is_root() || !chattr("+i").is_ok_and(|status| status.success()) {
            return;
        }
        let leftover = remove(&trial);
        let only = |path: &Path| {
            fs::read_dir(path).unwrap().flatten().map(|entry| entry.file_name()).collect::<Vec<_>>()
        };
        let left = [only(&trial), only(&trial.join("artifact"))];
        assert!(chattr("-i").unwrap().success());
        let leftover = leftover.unwrap_err();
        assert_eq!(left, [["artifact"], ["today"]], "everything else is gone");
        insta::assert_snapshot!(
            leftover.to_string().replace(&place.path().display().to_string(), "PLACE"),
            @"cannot remove PLACE/trial/artifact/today/copy.db: Operation not permitted (os error 1), it is immutable; run 'chattr -i -a PLACE/trial/artifact/today/copy.db'"
        );
        insta::assert_snapshot!(
            leftover.below(&trial),
            @"artifact/today/copy.db: Operation not permitted (os error 1), it is immutable"
        );
        assert_eq!(remove(&trial), Ok(()));
    }

    #[test]
    fn for_a_file_of_another_user_the_message_names_that_user() {
        let place = place();
        let today = place.path().join("trial/artifact/today");
        let explained = |path: &Path| {
            let denied = io::Error::from_raw_os_error(libc::EACCES);
            explain(path.to_owned(), 2, &denied)
                .to_string()
                .replace(&place.path().display().to_string(), "PLACE")
        };
        insta::assert_snapshot!(
            explained(&today),
            @"cannot remove PLACE/trial/artifact/today and 2 more: Permission denied (os error 13); remove it by hand"
        );
        if !geteuid().is_root() {
            return;
        }
        std::os::unix::fs::chown(&today, Some(12_345), None).unwrap();
        insta::assert_snapshot!(
            explained(&today.join("copy.db")),
            @"cannot remove PLACE/trial/artifact/today/copy.db and 2 more: Permission denied (os error 13), its directory belongs to the user with the id 12345; remove it as that user, for example with 'sudo rm -r PLACE/trial/artifact/today'"
        );
    }

    #[test]
    fn a_link_is_removed_and_not_followed() {
        let place = place();
        let (trial, outside) = (place.path().join("trial"), place.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "the user's").unwrap();
        std::os::unix::fs::symlink(&outside, trial.join("link")).unwrap();
        let mut obstacles = Vec::new();
        clear(&trial, &mut obstacles);
        assert!(obstacles.is_empty() && !trial.exists() && outside.join("file").exists());
    }
}
