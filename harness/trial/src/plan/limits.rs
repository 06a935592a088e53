//! When a backup without progress is stopped.

use std::time::Duration;

use strategies::convergence::{Limit, Limits};

use crate::scenario::Scenario;

/// How long a backup may go on without progress, in seconds, where a plain copy takes `copy_seconds`.
pub(super) fn stall_seconds(scenario: &Scenario, copy_seconds: f64) -> f64 {
    (scenario.trial.stall_copies * copy_seconds).max(scenario.trial.stall_seconds_min)
}

/// How long a backup of `database_bytes` may go on without progress, where a plain copy takes `copy_seconds`.
pub fn limits(scenario: &Scenario, copy_seconds: f64, database_bytes: u64) -> Limits {
    let times = &scenario.trial;
    let no_gain_seconds = stall_seconds(scenario, copy_seconds);
    let no_gain_setting = if no_gain_seconds > times.stall_seconds_min {
        format!("trial.stall_copies = {}, and a plain copy took {copy_seconds:.2} s", times.stall_copies)
    } else {
        format!("trial.stall_seconds_min = {}", times.stall_seconds_min)
    };
    let quiet_setting = format!("trial.stall_quiet_seconds = {}", times.stall_quiet_seconds);
    let limit = |seconds, setting| Limit { after: Duration::from_secs_f64(seconds), setting };
    Limits {
        no_gain: limit(no_gain_seconds, no_gain_setting),
        quiet: limit(times.stall_quiet_seconds, quiet_setting),
        database_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_sets_the_limit_is_named() {
        let mut scenario = Scenario::parse("limits", "description = 'x'\n[dataset]\nsizes = ['1MiB']\n[workload]\nrates = [1]\n[[variants]]\nstrategy = 'cold-copy'\n").unwrap();
        scenario.trial.stall_copies = 20.0;
        scenario.trial.stall_seconds_min = 10.0;
        let decided = |copy_seconds| {
            let limit = limits(&scenario, copy_seconds, 1).no_gain;
            format!("{:?}: {}", limit.after, limit.setting)
        };
        assert_eq!(decided(0.1), "10s: trial.stall_seconds_min = 10");
        assert_eq!(decided(1.0), "20s: trial.stall_copies = 20, and a plain copy took 1.00 s");
    }
}
