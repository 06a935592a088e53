//! Checks 2, 3 and 6, which follow from the writes that are present and those that are missing.

use machine::measure::clock::seconds_between;
use reports::record::RecoveryPoint;

use super::evidence::{Evidence, is_in};
use super::findings::Findings;
use super::presence::Presence;
use super::request::Request;
use crate::ledger::Outcome;

/// Check 2: for each writer, all writes up to one of them are present, and none after it.
pub(super) fn judge_prefix(presence: &Presence<'_>, prefix: &mut Findings) {
    let mut newest = vec![None; presence.ledger.writers() as usize];
    for (writer, index, entry, evidence) in presence.writes() {
        if is_in(entry, evidence) && evidence != Evidence::Overwritten {
            newest[writer as usize] = Some(index);
        }
    }
    for (writer, index, entry, evidence) in presence.writes() {
        let newest = newest[writer as usize];
        match (entry.outcome, evidence) {
            (Outcome::Acknowledged(_), Evidence::Absent) if newest > Some(index) => prefix.wrong(|| {
                let newest = newest.unwrap_or_default();
                format!(
                    "writer {writer}: write {index} was acknowledged but is missing, and its later write {newest} is \
                     present"
                )
            }),
            (Outcome::Acknowledged(_) | Outcome::Indeterminate, Evidence::Torn) => {
                prefix.wrong(|| format!("writer {writer}: write {index} is partially applied"));
            }
            _ => {}
        }
    }
}

/// Check 3: if a write is present, every write acknowledged before it was sent is present.
///
/// It is enough to check this for the present write that was sent last: a write that was acknowledged before any other
/// was sent was also acknowledged before the last one was sent.
pub(super) fn judge_order(presence: &Presence<'_>, order: &mut Findings) {
    // If the rows do not show it, the write may not have been made yet.
    let held = presence
        .writes()
        .filter(|&(_, _, entry, evidence)| is_in(entry, evidence) && evidence != Evidence::Overwritten);
    let last_sent = held.filter_map(|(writer, index, entry, _)| Some((entry.sent_ns?, writer, index))).max();
    let Some((last_sent_ns, later_writer, later_index)) = last_sent else {
        return;
    };
    for (writer, index, entry, evidence) in presence.writes() {
        let Outcome::Acknowledged(answered_ns) = entry.outcome else {
            continue;
        };
        if evidence == Evidence::Absent && answered_ns < last_sent_ns {
            order.wrong(|| {
                let ms = seconds_between(answered_ns, last_sent_ns) * 1e3;
                format!(
                    "writer {writer}: write {index} is missing, although it was acknowledged {ms:.3} ms before writer \
                     {later_writer} sent write {later_index}, which is present"
                )
            });
        }
    }
}

/// Check 6: counts the lost writes, and compares them with the promise.
pub(super) fn measure_loss<D>(
    presence: &Presence<'_>,
    request: &Request<D>,
    loss: &mut Findings,
) -> RecoveryPoint {
    let mut point = RecoveryPoint {
        acknowledged_writes: 0,
        indeterminate_writes: 0,
        lost_writes: 0,
        lost_promised_writes: 0,
        never_written: None,
        lost_seconds: None,
        lost_writes_at_completion: None,
        lost_seconds_at_completion: None,
        staleness_at_completion_seconds: None,
    };
    let mut newest_held_ns: Option<u64> = None;
    let mut lost_at_completion = request.backup_completed_ns.map(|_| 0);
    for (writer, index, entry, evidence) in presence.writes() {
        let held = is_in(entry, evidence);
        let answered_ns = match entry.outcome {
            Outcome::Acknowledged(answered_ns) => Some(answered_ns),
            Outcome::Indeterminate => {
                point.indeterminate_writes += 1;
                None
            }
            Outcome::Refused(_) => continue,
        };
        if held && evidence != Evidence::Overwritten {
            newest_held_ns = newest_held_ns.max(answered_ns.or(entry.sent_ns));
        }
        // The ledger is kept until after the disaster: writes that were answered after it do not count as lost.
        let Some(answered_ns) = answered_ns.filter(|&answered_ns| answered_ns <= request.disaster_ns) else {
            continue;
        };
        point.acknowledged_writes += 1;
        point.lost_writes += u64::from(!held);
        if let Some((lost, completed_ns)) = lost_at_completion.as_mut().zip(request.backup_completed_ns) {
            *lost += u64::from(!held && answered_ns <= completed_ns);
        }
        if !held && request.keep_acknowledged_before_ns.is_some_and(|keep_ns| answered_ns < keep_ns) {
            point.lost_promised_writes += 1;
            loss.wrong(|| {
                let seconds = seconds_between(answered_ns, request.disaster_ns);
                format!(
                    "writer {writer}: write {index}, acknowledged {seconds:.3} s before the disaster, was promised to \
                     be kept but is missing"
                )
            });
        }
    }
    let age_at = |instant_ns| newest_held_ns.map(|newest_ns| seconds_between(newest_ns, instant_ns));
    point.lost_seconds = if point.lost_writes == 0 { Some(0.0) } else { age_at(request.disaster_ns) };
    point.staleness_at_completion_seconds = request.backup_completed_ns.and_then(age_at);
    point.lost_writes_at_completion = lost_at_completion;
    point.lost_seconds_at_completion =
        if lost_at_completion == Some(0) { Some(0.0) } else { point.staleness_at_completion_seconds };
    judge_point_in_time(presence, request, loss);
    if request.keep_acknowledged_before_ns.is_none() {
        loss.cannot("nothing was promised to be kept");
    }
    point
}

/// Point-in-time recovery: no write that was sent after the requested point in time is present.
fn judge_point_in_time<D>(presence: &Presence<'_>, request: &Request<D>, loss: &mut Findings) {
    let Some(until_ns) = request.lack_sent_after_ns else {
        return;
    };
    for (writer, index, entry, evidence) in presence.writes() {
        let told = is_in(entry, evidence) && evidence != Evidence::Overwritten;
        if let Some(sent_ns) = entry.sent_ns.filter(|sent_ns| told && *sent_ns >= until_ns) {
            loss.wrong(|| {
                let ms = seconds_between(until_ns, sent_ns) * 1e3;
                format!(
                    "writer {writer}: write {index} was sent {ms:.0} ms after the requested point in time, but is \
                     present"
                )
            });
        }
    }
}
