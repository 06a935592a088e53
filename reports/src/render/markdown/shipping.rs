//! Strategies that keep running after their first backup: their cost, and whether live restores were correct.

use crate::record::{Check, LiveRestore, Trial};
use crate::render::{conditions, number, table::Table};

const HOW: &str = "These strategies keep working after their first backup, until the disaster. **CPU**: share of one \
                   processor during that time. **Replica**: size at the disaster. **Largest log**: largest \
                   write-ahead log or rollback journal beside the live database in the whole trial. **Live restores**: \
                   restores made while the application ran, each verified as if the disaster had happened at that \
                   moment. **Data loss**: the largest data loss of these restores.";

/// The section on continuous and scheduled backups, where there are any.
pub(super) fn blocks(trials: &[Trial]) -> Vec<String> {
    let shipping: Vec<&Trial> =
        trials.iter().filter(|trial| trial.resources.shipping_cpu_share.is_some()).collect();
    if shipping.is_empty() {
        return Vec::new();
    }
    let header = ["Strategy", "Subject", "CPU", "Replica", "Largest log", "Live restores", "Data loss"];
    let row = |trial: &&Trial| {
        let artifact_bytes = trial.backup.as_ref().and_then(|backup| backup.artifact_bytes);
        let size = |bytes: Option<u64>| number::or_missing(bytes.map(|bytes| bytes as f64), number::bytes);
        let behind = trial.live_restores.iter().map(lost_seconds).max_by(f64::total_cmp);
        vec![
            conditions::strategy(trial),
            conditions::subject(trial),
            number::or_missing(trial.resources.shipping_cpu_share, number::percent),
            size(artifact_bytes),
            size(trial.resources.journal_bytes_max),
            restored_while_running(&trial.live_restores),
            number::or_missing(behind, number::seconds),
        ]
    };
    let rows = shipping.iter().map(row).collect();
    let comparison = Table::of_texts(header, rows);
    vec!["## Continuous and scheduled backups".to_string(), HOW.to_string(), comparison.markdown()]
}

fn lost_seconds(live: &LiveRestore) -> f64 {
    live.recovery_point.as_ref().and_then(|point| point.lost_seconds).unwrap_or(f64::INFINITY)
}

/// How many restores made while the application ran were correct.
pub(crate) fn restored_while_running(live_restores: &[LiveRestore]) -> String {
    if live_restores.is_empty() {
        return number::MISSING.to_string();
    }
    let is_right = |live: &&LiveRestore| {
        let checks = &live.verification;
        let those =
            [checks.integrity, checks.prefix, checks.order, checks.transactions, checks.content, checks.loss];
        those.iter().all(|check| *check == Some(Check::Pass))
    };
    let right = live_restores.iter().filter(is_right).count();
    format!("{right} of {} correct", live_restores.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::Verdict::Restorable;

    #[test]
    fn continuous_replication_has_a_row_with_its_cost_and_its_live_restores() {
        let mut shipper = example::trial("shipper", Restorable);
        assert!(blocks(std::slice::from_ref(&shipper)).is_empty());
        shipper.resources.shipping_cpu_share = Some(0.012);
        let mut live = LiveRestore {
            at_seconds: 5.0,
            seconds: 1.5,
            recovery_point: shipper.recovery_point.clone(),
            verification: shipper.verification.clone().unwrap(),
        };
        shipper.live_restores.push(live.clone());
        live.recovery_point.as_mut().unwrap().lost_seconds = Some(2.5);
        live.verification.order = Some(Check::Fail);
        shipper.live_restores.push(live);
        let plain = [example::trial("one-step", Restorable), shipper];
        insta::assert_snapshot!(blocks(&plain)[2], @"
        | Strategy | Subject | CPU | Replica | Largest log | Live restores | Data loss |
        | --- | --- | --- | --- | --- | --- | --- |
        | shipper | embedded on sqlite (wal) | 1.2 % | 300 MiB | – | 1 of 2 correct | 2.50 s |
        ");
    }
}
