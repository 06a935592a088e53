//! Writes that the application acknowledged but never made.

use std::sync::atomic::AtomicU64;

use anyhow::anyhow;
use machine::error::Result;

use super::evidence::Evidence;
use super::findings::Findings;
use super::presence::replay;
use super::reader::{DatabaseReader, Location, Unreadable};
use super::reading::compare_torrents;
use super::request::Request;
use super::torrents::{Limits, Torrents, halves};
use crate::dataset::OriginalTorrents;
use crate::ledger::Outcome;

/// The acknowledged writes, by writer and index, that are certainly missing from the database of `request`. This must
/// be the database that the application left, after its journal was rolled back or its log was recovered.
///
/// An application may acknowledge a write that it failed to make; the tracker does so. No backup can contain such a
/// write, so the strategy did not lose it, and it belongs into [`Request::never_written`]. Only the model, the ledger
/// and the database of `request` are used.
///
/// # Errors
/// When the ledger or the database cannot be read, or more rows have changed in it than all writes can change.
pub fn unwritten<D: Location>(
    request: &Request<D>,
    original: &dyn OriginalTorrents,
) -> Result<Vec<(u32, u64)>> {
    let ledger = request.open_ledger()?;
    let engine = request.database.reader(original.tables());
    let torrents = read_torrents(engine.as_ref(), original, request.limits(&ledger))
        .map_err(|unreadable| anyhow!("{}: {}", request.database, unreadable.reason))?;
    if torrents.overflowed {
        let database = &request.database;
        return Err(anyhow!("{database}: more torrents have changed than all writes can change").into());
    }
    // Findings are dropped here: damage that the strategy is responsible for is found in the restored database.
    let (mut prefix, mut transactions) = (Findings::new("prefix"), Findings::new("transactions"));
    let presence = replay(&ledger, &request.model, &torrents, original, &mut prefix, &mut transactions);
    let lacking = presence.writes().filter(|(_, _, entry, evidence)| {
        matches!(entry.outcome, Outcome::Acknowledged(_)) && *evidence == Evidence::Absent
    });
    Ok(lacking.map(|(writer, index, ..)| (writer, index)).collect())
}

fn read_torrents(
    engine: &dyn DatabaseReader,
    original: &dyn OriginalTorrents,
    limits: Limits,
) -> std::result::Result<Torrents, Unreadable> {
    let rows_read = AtomicU64::new(0);
    let [first, second] =
        halves(original.torrents()).map(|ids| compare_torrents(engine, original, &ids, limits, &rows_read));
    let mut torrents = first?;
    torrents.absorb(second?);
    Ok(torrents)
}
