//! Thresholds of a scenario: validated before the run starts, and assigned to the trials that they apply to.

use std::collections::BTreeMap;

use machine::error::unknown;
use reports::gate::thresholds::{MEASUREMENTS, Mistake, Threshold};
use strategies::contract::Promise;

use crate::scenario::{Scenario, Variant};

/// # Errors
/// The place of an invalid threshold, and why it is invalid.
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

/// The thresholds of a variant: those of the scenario, to which its own are added or which they replace. A variant that
/// promises nothing has only its own.
pub(super) fn of(scenario: &Scenario, variant: &Variant, promise: Promise) -> BTreeMap<String, String> {
    let all = scenario.thresholds.iter().filter(|_| !promise.is_none());
    all.chain(&variant.thresholds).map(|(name, limit)| (name.clone(), limit.clone())).collect()
}
