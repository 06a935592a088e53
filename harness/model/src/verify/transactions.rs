//! Check 4: rows that change together agree.

use std::collections::HashMap;

use super::evidence::{is_in, is_undecided};
use super::findings::Findings;
use super::presence::Presence;
use super::torrents::Torrents;
use crate::writes::Together;

/// Maximum number of combinations of unanswered writes that are tried.
const TRIES_MAX: u64 = 1 << 20;

/// A transfer that may or may not be present.
struct Transfer {
    from: u64,
    to: u64,
    amount: i128,
}

/// The expected values of the metric and the accounts.
struct Due {
    /// Writes that certainly incremented the metric, and those that may have.
    metric: i128,
    metric_more: i128,
    /// Completions that each account certainly gained; accounts without a gain are absent or 0.
    gains: HashMap<u64, i128>,
    undecided: Vec<Transfer>,
}

/// Compares the metric and the accounts with the writes that are present.
pub(super) fn judge_transactions(
    presence: &Presence<'_>,
    torrents: &Torrents,
    metric_initial: i64,
    metric: Option<i64>,
    transactions: &mut Findings,
) {
    let total: i128 = torrents.gains.values().sum();
    if total != 0 {
        transactions.wrong(|| {
            format!("the fixed total of the accounts is off by {total}: a transfer is partially applied")
        });
    }
    let due = add_up(presence);
    match metric {
        None => transactions.wrong(|| "the metric torrents_downloads_total is missing".to_owned()),
        Some(metric) => judge_metric(i128::from(metric) - i128::from(metric_initial), &due, transactions),
    }
    judge_accounts(due, &torrents.gains, transactions);
}

fn add_up(presence: &Presence<'_>) -> Due {
    let mut due = Due { metric: 0, metric_more: 0, gains: HashMap::new(), undecided: Vec::new() };
    for (writer, index, entry, evidence) in presence.writes() {
        let certain = is_in(entry, evidence);
        if !certain && !is_undecided(entry, evidence) {
            continue;
        }
        match presence.model.write(writer, index).together {
            Together::Nothing => {}
            Together::Metric if certain => due.metric += 1,
            Together::Metric => due.metric_more += 1,
            Together::Transfer { from, to, amount } if certain => {
                *due.gains.entry(from).or_default() -= i128::from(amount);
                *due.gains.entry(to).or_default() += i128::from(amount);
            }
            Together::Transfer { from, to, amount } => {
                due.undecided.push(Transfer { from, to, amount: i128::from(amount) });
            }
        }
    }
    due
}

fn judge_metric(raised: i128, due: &Due, transactions: &mut Findings) {
    let most = due.metric + due.metric_more;
    if !(due.metric..=most).contains(&raised) {
        transactions.wrong(|| {
            let due =
                if due.metric_more == 0 { most.to_string() } else { format!("{} to {most}", due.metric) };
            format!("torrents_downloads_total increased by {raised}, but {due} writes that increase it are present")
        });
    }
}

fn judge_accounts(due: Due, gains: &HashMap<u64, i128>, transactions: &mut Findings) {
    // The gain that is not explained yet, by account.
    let mut open: HashMap<u64, i128> = gains.clone();
    for (account, gain) in due.gains {
        *open.entry(account).or_default() -= gain;
    }
    open.retain(|_, gain| *gain != 0);
    let mut undecided = due.undecided;
    // An account without undecided transfers must already agree.
    let mut disagreeing: Vec<_> = open
        .iter()
        .filter(|&(account, _)| {
            undecided.iter().all(|transfer| transfer.from != *account && transfer.to != *account)
        })
        .collect();
    disagreeing.sort();
    for (account, gain) in &disagreeing {
        transactions.wrong(|| {
            let found = gains.get(account).copied().unwrap_or_default();
            let due = found - *gain;
            format!(
                "torrents row {account} gained {found} completions, but the transfers that are present add up to {due}"
            )
        });
    }
    if !disagreeing.is_empty() {
        return;
    }
    // Transfers that share accounts are sorted next to each other, so that a wrong choice is detected early.
    undecided.sort_by_key(|transfer| (transfer.from.min(transfer.to), transfer.from.max(transfer.to)));
    let mut tries = 0;
    match explain(&undecided, &mut open, &mut tries) {
        Some(true) => {}
        Some(false) => {
            transactions
                .wrong(|| "no combination of the unanswered transfers explains the accounts".to_owned());
        }
        None => transactions
            .cannot(format!("{} unanswered transfers are too many to try all combinations", undecided.len())),
    }
}

/// True when some combination of the transfers adds up to exactly the open gains. `None` when too many combinations
/// would have to be tried.
fn explain(transfers: &[Transfer], open: &mut HashMap<u64, i128>, tries: &mut u64) -> Option<bool> {
    *tries += 1;
    if *tries > TRIES_MAX {
        return None;
    }
    let Some((transfer, rest)) = transfers.split_first() else {
        return Some(open.values().all(|gain| *gain == 0));
    };
    for amount in [0, transfer.amount] {
        *open.entry(transfer.from).or_default() += amount;
        *open.entry(transfer.to).or_default() -= amount;
        // An account without later transfers must be explained now.
        let settled = [transfer.from, transfer.to].iter().all(|account| {
            open[account] == 0 || rest.iter().any(|later| later.from == *account || later.to == *account)
        });
        let explained = if settled { explain(rest, open, tries) } else { Some(false) };
        *open.entry(transfer.from).or_default() -= amount;
        *open.entry(transfer.to).or_default() += amount;
        if explained != Some(false) {
            return explained;
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(transfers: &[(u64, u64, i128)], open: &[(u64, i128)]) -> Option<bool> {
        let transfers: Vec<_> =
            transfers.iter().map(|&(from, to, amount)| Transfer { from, to, amount }).collect();
        explain(&transfers, &mut open.iter().copied().collect(), &mut 0)
    }

    #[test]
    fn undecided_transfers_explain_exactly_their_sums() {
        let transfers = [(8, 24, 3), (24, 40, 5), (8, 40, 1)];
        assert_eq!(explained(&transfers, &[]), Some(true));
        assert_eq!(explained(&transfers, &[(8, -3), (24, 3)]), Some(true));
        assert_eq!(explained(&transfers, &[(8, -4), (24, -2), (40, 6)]), Some(true));
        assert_eq!(explained(&transfers, &[(8, -4), (24, -1), (40, 5)]), Some(false));
        assert_eq!(explained(&transfers, &[(56, 1)]), Some(false));
    }

    #[test]
    fn too_many_combinations_are_not_called_a_pass() {
        let transfers = vec![(8, 24, 2); 64];
        assert_eq!(explained(&transfers, &[(8, -63), (24, 63)]), None);
    }
}
