//! What the application acknowledged and never wrote.

use std::sync::atomic::AtomicU64;

use anyhow::anyhow;
use machine::error::Result;

use super::findings::Findings;
use super::presence::{Evidence, replay};
use super::reader::{DatabaseReader, Location, Unreadable};
use super::reading::compare_torrents;
use super::torrents::{Limits, Torrents, halves};
use super::{Request, changed_rows_max, open_ledger};
use crate::dataset::Origin;
use crate::ledger::Outcome;

/// The acknowledged writes, by writer and index, that the database of `request` certainly lacks: the one that the
/// application left behind, after whoever reads it first has rolled back or folded in its journal.
///
/// An application may acknowledge what it failed to write, as a tracker does. No backup can hold such a write, so it is
/// no loss of the strategy's: it belongs into [`Request::never_written`]. Only the model, the ledger and the
/// database of `request` are looked at.
///
/// # Errors
/// When the ledger or the database cannot be read, or more has changed in it than all writes can change.
pub fn unwritten<D: Location>(request: &Request<D>, origin: &dyn Origin) -> Result<Vec<(u32, u64)>> {
    let ledger = open_ledger(request)?;
    let engine = request.database.reader(origin.tables());
    let limits = Limits {
        changed_max: changed_rows_max(&ledger, &request.model),
        without_never_completed: request.without_never_completed,
    };
    let torrents = read_torrents(engine.as_ref(), origin, limits)
        .map_err(|unreadable| anyhow!("{}: {}", request.database, unreadable.reason))?;
    if torrents.overflowed {
        let database = &request.database;
        return Err(anyhow!("{database}: more torrents have changed than all writes can change").into());
    }
    // What is wrong with it shows in the restored database, if the strategy is to blame.
    let (mut prefix, mut transactions) = (Findings::new("prefix"), Findings::new("transactions"));
    let presence = replay(&ledger, &request.model, &torrents, origin, &mut prefix, &mut transactions);
    let lacking = presence.writes().filter(|(_, _, entry, evidence)| {
        matches!(entry.outcome, Outcome::Acknowledged(_)) && *evidence == Evidence::Absent
    });
    Ok(lacking.map(|(writer, index, ..)| (writer, index)).collect())
}

fn read_torrents(
    engine: &dyn DatabaseReader,
    origin: &dyn Origin,
    limits: Limits,
) -> std::result::Result<Torrents, Unreadable> {
    let rows_read = AtomicU64::new(0);
    let [first, second] =
        halves(origin.torrents()).map(|ids| compare_torrents(engine, origin, &ids, limits, &rows_read));
    let mut torrents = first?;
    torrents.absorb(second?);
    Ok(torrents)
}
