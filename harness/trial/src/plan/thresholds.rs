//! Thresholds of a scenario: checked before anything happens, and handed to the trials that they are for.

use std::collections::BTreeMap;

use machine::error::unknown;
use reports::gate::thresholds::{MEASUREMENTS, Mistake, Threshold};
use strategies::strategy::Promise;

use crate::scenario::{Scenario, Variant};

/// # Errors
/// The place of a threshold that cannot be, and why.
pub(super) fn check(scenario: &Scenario) -> Result<(), String> {
    let known = MEASUREMENTS.map(|measurement| measurement.name);
    let check = |place: &str, thresholds: &BTreeMap<String, String>| {
        thresholds.iter().try_for_each(|(name, limit)| match Threshold::parse(name, limit) {
            Ok(_) => Ok(()),
            Err(Mistake::Unknown) => Err(format!("{place}: {}", unknown("measurement", name, &known))),
            Err(Mistake::NoLimit(why)) => Err(format!("{place}.{name}: {why}")),
        })
    };
    check("thresholds", &scenario.thresholds)?;
    scenario.variants.iter().zip(1..).try_for_each(|(variant, number)| {
        check(&format!("variant {number} ({}): thresholds", variant.strategy), &variant.thresholds)
    })
}

/// The thresholds of a variant: those of the scenario, and its own in addition or in their place. What promises nothing is
/// held to its own alone.
pub(super) fn of(scenario: &Scenario, variant: &Variant, promise: Promise) -> BTreeMap<String, String> {
    let all = scenario.thresholds.iter().filter(|_| !promise.is_none());
    all.chain(&variant.thresholds).map(|(name, limit)| (name.clone(), limit.clone())).collect()
}
