//! The torrents that the dataset does not have: those that writes inserted, and others.

use std::collections::HashMap;

use super::findings::Findings;
use super::torrents::{Added, Torrents};
use crate::writes::{InfoHash, Model};

/// The torrents that the dataset does not have. Duplicates are added to `prefix`.
pub(super) fn added_by_hash<'a>(
    torrents: &'a Torrents,
    prefix: &mut Findings,
) -> HashMap<&'a InfoHash, &'a Added> {
    let mut added = HashMap::with_capacity(torrents.added.len());
    for row in &torrents.added {
        if let Some(twin) = added.insert(&row.info_hash, row) {
            let twin: &Added = twin;
            prefix.wrong(|| format!("torrents rows {} and {} have the same info_hash", twin.id, row.id));
        }
    }
    added
}

/// Reports the torrents that no writer inserted, except the probe's torrent, if its value is that of a probe.
pub(super) fn judge_unknown(
    added: HashMap<&InfoHash, &Added>,
    model: &Model,
    is_probes: impl Fn(i64) -> bool,
    prefix: &mut Findings,
) {
    let probe = model.probe_info_hash();
    let mut unknown: Vec<_> = added.into_values().collect();
    unknown.sort_by_key(|row| row.id);
    for &Added { id, info_hash, completed } in unknown {
        if info_hash != probe {
            prefix.wrong(|| format!("torrents row {id} belongs neither to the dataset nor to a write"));
        } else if !is_probes(completed) {
            prefix.wrong(|| format!("torrents row {id} belongs to the probe, but completed is {completed}"));
        }
    }
}
