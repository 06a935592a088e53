//! Keeps the evidence of a verdict: files move from the directory of a trial to the directory of the run, as far as
//! there is enough disk space.
//!
//! Directories with passwords (`run-*`) are never kept. Files on the same disk are renamed, which needs no time and no
//! space; files on the trial's own file system, or that must go to another disk, are copied.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use engines::subject::Subject;
use machine::file_system;
use machine::measure::{calibration, storage};
use machine::process::kill_marked;
use machine::workspace::KEPT;
use reports::printable;
use reports::record::{self, Check, Trial};
use xxhash_rust::xxh3::xxh3_64;

use super::context::TrialContext;
use super::environment::Keep;
use super::evidence;
use super::live_restore::place_of;
use super::observed::Observed;
use super::phase_results::{PhaseResults, Verified};

/// The destination of evidence, and how much of it may be kept.
pub struct Keeper<'a> {
    /// The directory of the run.
    pub directory: &'a Path,
    /// Bytes on the disk that may still be kept.
    pub bytes_left: u64,
}

/// A trial that has ended, and the files in its directory until that is removed.
pub struct Concluded<'a> {
    /// What was measured.
    pub record: Trial,
    /// `None` when the trial could not be run.
    pub(super) ended: Option<EndedTrial<'a>>,
}

/// What the evidence of a trial is made from.
pub(super) struct EndedTrial<'a> {
    /// `None` when the ledger could not be read.
    pub(super) observed: Option<Observed>,
    pub(super) results: PhaseResults,
    /// The last field: the results contain subjects whose data is on the file system of the context.
    pub(super) context: TrialContext<'a>,
}

impl Concluded<'_> {
    /// Keeps the evidence of the verdict if it is requested for this trial. What cannot be kept is listed in the
    /// result, and is not an error.
    pub fn keep(&mut self, keeper: &Keeper<'_>) -> Option<record::Kept> {
        let ended = self.ended.as_mut()?;
        if !ended.context.environment.keep.wants(&self.record) {
            return None;
        }
        let mut kept = record::Kept { path: None, bytes: 0, left_out: Vec::new() };
        match place(keeper.directory, &self.record.id) {
            Ok((name, directory)) => {
                ended.keep_in(&directory, &self.record, keeper.bytes_left, &mut kept.left_out);
                kept.bytes = storage::allocated_bytes(&directory).unwrap_or_default();
                kept.path = Some(name);
            }
            Err(error) => kept.left_out.push(format!("everything: cannot make a directory for it: {error}")),
        }
        Some(kept)
    }
}

/// File systems allow names of up to 255 bytes; this leaves room for suffixes.
const NAME_BYTES_MAX: usize = 150;

/// Makes the directory of a trial's evidence. Returns its path relative to the directory of the run, and its full path.
fn place(run: &Path, id: &str) -> std::io::Result<(String, PathBuf)> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.,=".contains(character);
    let mut safe: String =
        id.chars().map(|character| if plain(character) { character } else { '_' }).collect();
    if safe.len() > NAME_BYTES_MAX {
        // The id contains the whole script if the variant has no name.
        safe.truncate(NAME_BYTES_MAX);
        safe += &format!("-{:016x}", xxh3_64(id.as_bytes()));
    }
    // Evidence is a copy of the data, which may be private.
    let private = |directory: PathBuf| std::fs::DirBuilder::new().mode(0o700).create(directory);
    std::fs::create_dir_all(run.join(KEPT))?;
    let mut name = format!("{KEPT}/{safe}");
    loop {
        match private(run.join(&name)) {
            // Another id maps to the same name, or an earlier run was killed while it kept this trial.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => name.push('+'),
            made => return made.map(|()| (name.clone(), run.join(&name))),
        }
    }
}

impl TrialContext<'_> {
    /// Releases the restored subject. If its data may be kept, the database server is shut down cleanly, so that a
    /// later server finds the data that the verifier has seen.
    pub(super) fn leave(&self, mut restored: Subject, verified: &Verified) {
        let is_right = verified.database.as_ref().is_ok_and(|report| is_right(&report.verification));
        let may_be_kept = match self.environment.keep {
            Keep::Failed => !is_right,
            Keep::All => true,
            Keep::None => false,
        };
        if may_be_kept {
            // A server that does not shut down cleanly is killed like all others.
            let _ = restored.shut_down();
        }
    }
}

impl EndedTrial<'_> {
    fn keep_in(&mut self, directory: &Path, record: &Trial, bytes_max: u64, left_out: &mut Vec<String>) {
        let written = match &self.observed {
            Some(observed) => self.context.case(&self.results, observed, record).save(directory),
            None => Err(std::io::Error::other("the ledger cannot be read")),
        };
        left_out.extend(written.err().map(|error| format!("{}: {error}", evidence::FILE)));
        let parts = self.parts();
        // Ends all processes that may still have files open in these directories.
        kill_marked(self.context.environment.directory);
        self.results.tail.live_restores.clear();
        let mut bytes_left = bytes_max;
        for (name, part) in parts.into_iter().filter(|(_, part)| part.symlink_metadata().is_ok()) {
            match self.keep_part(&part, &directory.join(&name), bytes_left) {
                Ok(bytes) => bytes_left -= bytes,
                Err(why) => left_out.push(printable(&format!("{name}: {why}"))),
            }
        }
    }

    /// The parts of the evidence; those that are needed to judge the trial again come first.
    fn parts(&self) -> Vec<(String, PathBuf)> {
        let Self { context, results, .. } = self;
        let mut parts = vec![(evidence::LEDGER.to_owned(), context.ledger())];
        let artifact = context.artifact();
        let mut add = |name: &str| parts.push((name.to_owned(), context.place(name)));
        add("restored");
        (1..=results.tail.live_restores.len()).for_each(|number| add(&place_of(number as u32)));
        if results.verified.as_ref().is_some_and(|verified| verified.never_written.is_some()) {
            // The writes that the application did not make were found by reading this directory.
            add("lost");
        }
        parts.push(("artifact".to_owned(), artifact));
        let beside = std::fs::read_dir(context.environment.directory).into_iter().flatten().flatten();
        let logs = beside.map(|entry| entry.path());
        let logs = logs.filter(|path| path.extension().is_some_and(|end| end == "log" || end == "yml"));
        parts.extend(logs.filter_map(|path| Some((path.file_name()?.to_string_lossy().into_owned(), path))));
        parts
    }

    /// Moves a file or directory. Returns the bytes that it uses on the disk, or why it was not kept.
    fn keep_part(&self, from: &Path, to: &Path, bytes_left: u64) -> Result<u64, String> {
        // Otherwise a file system that a command has mounted in it would be moved with it.
        file_system::sweep(from).map_err(|error| error.to_string())?;
        let bytes = storage::allocated_bytes(from).map_err(|error| format!("cannot measure it: {error}"))?;
        if bytes > bytes_left {
            let (bytes, left) = (ByteSize(bytes), ByteSize(bytes_left));
            return Err(format!("needs {bytes}, but --keep-bytes and the free disk space leave {left}"));
        }
        if std::fs::rename(from, to).is_ok() {
            return Ok(bytes);
        }
        let directory = to.parent().expect("it goes into a directory");
        let free = storage::free_bytes(directory).map_err(|error| error.to_string())?;
        if free < bytes {
            return Err(format!("needs {}, but {} are free", ByteSize(bytes), ByteSize(free)));
        }
        calibration::duplicate(&self.context.launcher, from, to).map_err(|error| {
            // An incomplete copy is of no use.
            let _ = machine::removal::remove(to);
            error.to_string()
        })?;
        Ok(bytes)
    }
}

fn is_right(verification: &record::Verification) -> bool {
    let record::Verification { integrity, prefix, order, transactions, content, loss, configuration, .. } =
        verification;
    let made = [integrity, prefix, order, transactions, content];
    made.iter().all(|check| **check == Some(Check::Pass))
        && [loss, configuration].iter().all(|check| **check != Some(Check::Fail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trial_has_its_own_directory_with_a_safe_name() {
        let run = tempfile::tempdir().unwrap();
        let name = |id| place(run.path(), id).unwrap().0;
        assert_eq!(name("external:my script/wal/4MiB/40/1"), "kept/external_my_script_wal_4MiB_40_1");
        assert_eq!(name("external:my_script/wal/4MiB/40/1"), "kept/external_my_script_wal_4MiB_40_1+");
        assert_eq!(name("../../x"), "kept/.._.._x");
        assert!(run.path().join("kept/.._.._x").is_dir());
        let long = "external:cp $DRILL_SOURCE ".repeat(40);
        let (first, second) = (name(&long), name(&long));
        assert!(first.len() < 200 && second == format!("{first}+"), "{first}");
    }
}
