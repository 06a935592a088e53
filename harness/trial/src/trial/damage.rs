//! Damage that the verifier must find: each kind changes a restored database that is known to be right.
//!
//! Which rows are damaged follows from a seed, so that many draws of a kind hit many places. Only writes that are present
//! for certain are damaged, and never the newest ones of a writer: without those the database would be right as well, of an
//! earlier moment.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;
use engines::access::Access;
use model::dataset::OriginalTorrents;
use model::ledger::{Ledger, Outcome};
use model::writes::{InfoHash, Key, Model, Role, Together, info_hash, role, stamp};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A kind of damage.
pub struct Damage {
    /// What is wrong afterwards.
    pub name: &'static str,
    how: How,
}

enum How {
    /// Statements that every engine executes.
    Statements(fn(&mut Victim<'_>) -> anyhow::Result<Vec<String>>),
    /// The same statement for every database.
    Statement(&'static str),
    /// A change of a file, for databases that are a single file.
    File(fn(&mut Victim<'_>, &File) -> std::io::Result<()>),
}

/// The unit in which files are damaged, in bytes: the page size of generated databases.
const PAGE_BYTES: u64 = 4096;
/// This many of the newest writes of each writer are not damaged.
const NEWEST: usize = 8;

/// None at all, in the same way: a statement that changes nothing, so that what is found is found because of the damage.
pub static NO_DAMAGE: Damage = Damage {
    name: "nothing: a statement changed nothing",
    how: How::Statement("UPDATE torrents SET completed = completed WHERE id = 1"),
};

/// All kinds.
pub static DAMAGES: &[Damage] = &[
    Damage { name: "a row that no write changes is missing", how: How::Statements(untouched_missing) },
    Damage { name: "a row that no write changes has another count", how: How::Statements(untouched_raised) },
    Damage { name: "a row that no write changes has another key", how: How::Statements(untouched_renamed) },
    Damage { name: "a row that a write changed is missing", how: How::Statements(written_missing) },
    Damage { name: "a row that a write changed is as before", how: How::Statements(written_reverted) },
    Damage {
        name: "a row that a write changed is as after another write",
        how: How::Statements(written_stale),
    },
    Damage { name: "a row that a write changed has another key", how: How::Statements(written_renamed) },
    Damage { name: "a row that a write inserted is missing", how: How::Statements(inserted_missing) },
    Damage { name: "a row that a write inserted has another count", how: How::Statements(inserted_raised) },
    Damage { name: "a row that nobody wrote is present", how: How::Statements(foreign) },
    Damage { name: "an account is missing", how: How::Statements(account_missing) },
    Damage { name: "half of a transfer is undone", how: How::Statements(half_transfer) },
    Damage { name: "all rows of one writer are as some writes ago", how: How::Statements(set_back) },
    Damage {
        name: "an increment of the metric is missing",
        how: How::Statement("UPDATE torrent_aggregate_metrics SET value = value - 1"),
    },
    Damage {
        name: "the metric has one increment too many",
        how: How::Statement("UPDATE torrent_aggregate_metrics SET value = value + 1"),
    },
    Damage { name: "a small table lacks a row", how: How::Statement("DELETE FROM whitelist WHERE id = 1") },
    Damage { name: "a table is missing", how: How::Statement("DROP TABLE whitelist") },
    Damage { name: "a table is too many", how: How::Statement("CREATE TABLE more (id INTEGER)") },
    Damage {
        name: "a column is too many",
        how: How::Statement("ALTER TABLE torrents ADD COLUMN more INTEGER"),
    },
    Damage { name: "an index is too many", how: How::Statement("CREATE INDEX more ON torrents (completed)") },
    Damage { name: "a view is too many", how: How::Statement("CREATE VIEW more AS SELECT 1 AS one") },
    Damage { name: "a page of the file is all zeros", how: How::File(zeros) },
    Damage { name: "the last page of the file is missing", how: How::File(cut_off) },
];

impl Damage {
    /// True if it damages a file, which only some engines have.
    pub fn is_of_files(&self) -> bool {
        matches!(self.how, How::File(_))
    }

    /// Damages the file of a database that nobody has opened; does nothing for damage by statements.
    pub(super) fn change_file(&self, victim: &mut Victim<'_>, file: &Path) -> anyhow::Result<()> {
        let How::File(change) = self.how else { return Ok(()) };
        let opened = OpenOptions::new().read(true).write(true).open(file);
        opened
            .and_then(|opened| change(victim, &opened))
            .with_context(|| format!("cannot damage {}", file.display()))
    }

    /// Damages a database by statements; does nothing for damage to files.
    pub(super) fn execute(&self, victim: &mut Victim<'_>, access: &dyn Access) -> anyhow::Result<()> {
        let statements = match self.how {
            How::Statements(make) => make(victim)?,
            How::Statement(text) => vec![text.to_owned()],
            How::File(_) => return Ok(()),
        };
        let mut client = access.another_client()?;
        statements.iter().try_for_each(|statement| client(statement).with_context(|| statement.clone()))
    }
}

/// What is known about a right database.
pub(super) struct Victim<'a> {
    model: &'a Model,
    original: &'a dyn OriginalTorrents,
    ledger: &'a Ledger,
    /// Writer and index of the writes that are present.
    present: Vec<(u32, u64)>,
    seed: u64,
    draws: u64,
}

impl<'a> Victim<'a> {
    /// The database of a trial in which all writes are present that were acknowledged before `kept_ns`.
    pub(super) fn new(
        model: &'a Model,
        original: &'a dyn OriginalTorrents,
        ledger: &'a Ledger,
        kept_ns: u64,
        seed: u64,
    ) -> Victim<'a> {
        let acknowledged = |writer: u32| -> Vec<(u32, u64)> {
            let entries = ledger.writer(writer);
            let is_present = |index: &u64| matches!(entries.entry(*index).outcome, Outcome::Acknowledged(at) if at < kept_ns);
            (0..entries.count()).filter(is_present).map(|index| (writer, index)).collect()
        };
        let present = (0..model.writers).flat_map(|writer| {
            let mut writes = acknowledged(writer);
            writes.truncate(writes.len().saturating_sub(NEWEST));
            writes
        });
        Victim { model, original, ledger, present: present.collect(), seed, draws: 0 }
    }

    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.draws += 1;
        xxh3_64_with_seed(&self.draws.to_le_bytes(), self.seed) % limit.max(1)
    }

    /// The id of a row of the dataset with this role.
    fn row(&mut self, wanted: Role) -> u64 {
        let first = self.below(self.model.torrents) + 1;
        let mut ids = (first..=self.model.torrents).chain(1..first);
        ids.find(|id| role(*id) == wanted).expect("a dataset has rows of each role")
    }

    /// A present write, as far as `of` accepts it.
    fn write<T>(&mut self, of: impl Fn(&Model, u32, u64) -> Option<T>) -> anyhow::Result<T> {
        let first = self.below(self.present.len() as u64) as usize;
        let (before, after) = self.present.split_at(first.min(self.present.len()));
        let mut writes = after.iter().chain(before);
        let found = writes.find_map(|(writer, index)| of(self.model, *writer, *index));
        found.context("the trial has no write of the kind that is to be damaged: it needs more writes")
    }

    /// A row of the dataset that a present write stamped: its id.
    fn written(&mut self) -> anyhow::Result<u64> {
        self.write(|model, writer, index| model.write(writer, index).stamped.into_iter().find_map(of_dataset))
    }

    /// A row that a present write inserted.
    fn inserted(&mut self) -> anyhow::Result<InfoHash> {
        self.write(|model, writer, index| {
            let stamped = model.write(writer, index).stamped;
            stamped.into_iter().find_map(|key| match key {
                Key::New { writer, index, row } => Some(model.new_info_hash(writer, index, row)),
                Key::Dataset(_) => None,
            })
        })
    }

    /// A key that no row has.
    fn foreign_key(&mut self) -> String {
        let parts = [self.below(u64::MAX), self.below(u64::MAX)].map(u128::from);
        text(&info_hash(parts[0] << 64 | parts[1], self.below(1 << 32) as u32))
    }
}

fn of_dataset(key: Key) -> Option<u64> {
    match key {
        Key::Dataset(id) => Some(id),
        Key::New { .. } => None,
    }
}

/// An info-hash as text.
fn text(info_hash: &InfoHash) -> String {
    info_hash.iter().map(|digit| char::from(*digit)).collect()
}

fn delete(id: u64) -> Vec<String> {
    vec![format!("DELETE FROM torrents WHERE id = {id}")]
}

fn set(id: u64, completed: i64) -> String {
    format!("UPDATE torrents SET completed = {completed} WHERE id = {id}")
}

fn rename(id: u64, key: &str) -> Vec<String> {
    vec![format!("UPDATE torrents SET info_hash = '{key}' WHERE id = {id}")]
}

fn untouched_missing(victim: &mut Victim<'_>) -> anyhow::Result<Vec<String>> {
    Ok(delete(victim.row(Role::Untouched)))
}

fn untouched_raised(victim: &mut Victim<'_>) -> anyhow::Result<Vec<String>> {
    let id = victim.row(Role::Untouched);
    Ok(vec![set(id, victim.original.torrent(id).completed + 1)])
}

fn untouched_renamed(victim: &mut Victim<'_>) -> anyhow::Result<Vec<String>> {
    Ok(rename(victim.row(Role::Untouched), &victim.foreign_key()))
}

fn written_missing(victim: &mut Victim<'_>) -> anyhow::Result<Vec<String>> {
    Ok(delete(victim.written()?))
}

fn written_reverted(victim: &mut Victim<'_>) -> anyhow::Result<Vec<String>> {
    let id = victim.written()?;
    Ok(vec![set(id, victim.original.torrent(id).completed)])
}

fn written_stale(victim: &mut Victim<'_>) -> anyhow::Result<Vec<String>> {
    let of = |model: &Model, writer, index| {
        let id = model.write(writer, index).stamped.into_iter().find_map(of_dataset)?;
        // A write that stamped other rows.
        let other = (0..index)
            .rev()
            .find(|other| !model.write(writer, *other).stamped.contains(&Key::Dataset(id)))?;
        Some(vec![set(id, stamp(other))])
    };
    victim.write(of)
}

fn written_renamed(victim: &mut Victim<'_>) -> anyhow::Result<Vec<String>> {
    Ok(rename(victim.written()?, &victim.foreign_key()))
}

fn inserted_missing(victim: &mut Victim<'_>) -> anyhow::Result<Vec<String>> {
    Ok(vec![format!("DELETE FROM torrents WHERE info_hash = '{}'", text(&victim.inserted()?))])
}

fn inserted_raised(victim: &mut Victim<'_>) -> anyhow::Result<Vec<String>> {
    let key = text(&victim.inserted()?);
    Ok(vec![format!("UPDATE torrents SET completed = completed + 1 WHERE info_hash = '{key}'")])
}

fn foreign(victim: &mut Victim<'_>) -> anyhow::Result<Vec<String>> {
    let key = victim.foreign_key();
    Ok(vec![format!("INSERT INTO torrents (info_hash, completed) VALUES ('{key}', 1)")])
}

fn account_missing(victim: &mut Victim<'_>) -> anyhow::Result<Vec<String>> {
    Ok(delete(victim.row(Role::Account)))
}

fn half_transfer(victim: &mut Victim<'_>) -> anyhow::Result<Vec<String>> {
    victim.write(|model, writer, index| match model.write(writer, index).together {
        Together::Transfer { to, amount, .. } => {
            Some(vec![format!("UPDATE torrents SET completed = completed - {amount} WHERE id = {to}")])
        }
        Together::Nothing | Together::Metric => None,
    })
}

/// Gives all rows that one writer stamped the values that they had after some of its writes.
fn set_back(victim: &mut Victim<'_>) -> anyhow::Result<Vec<String>> {
    let (writer, newest) = victim.write(|_, writer, index| Some((writer, index)))?;
    let mut values = HashMap::new();
    for (_, index) in victim.present.iter().filter(|(of, index)| *of == writer && *index < newest) {
        for id in victim.model.write(writer, *index).stamped.into_iter().filter_map(of_dataset) {
            values.insert(id, stamp(*index));
        }
    }
    let later = (newest..victim.ledger.writer(writer).count())
        .flat_map(|index| victim.model.write(writer, index).stamped);
    let statement = |key| match key {
        Key::Dataset(id) => {
            set(id, values.get(&id).copied().unwrap_or_else(|| victim.original.torrent(id).completed))
        }
        Key::New { writer, index, row } => {
            let key = text(&victim.model.new_info_hash(writer, index, row));
            format!("DELETE FROM torrents WHERE info_hash = '{key}'")
        }
    };
    Ok(later.map(statement).collect())
}

fn zeros(victim: &mut Victim<'_>, file: &File) -> std::io::Result<()> {
    let page = victim.below(file.metadata()?.len() / PAGE_BYTES);
    file.write_all_at(&[0; PAGE_BYTES as usize], page * PAGE_BYTES)
}

fn cut_off(_: &mut Victim<'_>, file: &File) -> std::io::Result<()> {
    file.set_len(file.metadata()?.len().saturating_sub(PAGE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_different_names() {
        let mut names: Vec<&str> = DAMAGES.iter().map(|damage| damage.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DAMAGES.len());
    }
}
