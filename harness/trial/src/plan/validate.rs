//! Checks the values of a scenario that do not depend on its variants.

use bytesize::ByteSize;

use crate::scenario::Scenario;

/// Longer than any trial, and small enough for all clock arithmetic.
const SECONDS_MAX: f64 = 1e7;

/// # Errors
/// The key, its value, and the values that are allowed.
pub(super) fn validate(scenario: &Scenario) -> Result<(), String> {
    let workload = &scenario.workload;
    let times = &scenario.trial;
    let shares = [("multi_row_share", workload.multi_row_share), ("errors_allowed", workload.errors_allowed)];
    for (name, share) in shares {
        if !(0.0..=1.0).contains(&share) {
            return Err(format!("workload.{name} is {share}: it must be from 0 to 1"));
        }
    }
    let spans = [
        ("reference_seconds", times.reference_seconds),
        ("tail_seconds", times.tail_seconds),
        ("deadline_seconds", times.deadline_seconds),
        ("stall_copies", times.stall_copies),
        ("stall_seconds_min", times.stall_seconds_min),
        ("stall_quiet_seconds", times.stall_quiet_seconds),
    ];
    for (name, span) in spans {
        if !(span > 0.0 && span <= SECONDS_MAX) {
            return Err(format!("trial.{name} is {span}: it must be above 0 and at most {SECONDS_MAX}"));
        }
    }
    if let Some(bytes) = times.strategy_memory.filter(|bytes| *bytes < ByteSize::mib(1)) {
        return Err(format!("trial.strategy_memory is {bytes}: it must be at least 1 MiB"));
    }
    if let Some(cpus) = times.strategy_cpus.filter(|cpus| !(0.01..=1024.0).contains(cpus)) {
        return Err(format!("trial.strategy_cpus is {cpus}: it must be from 0.01 to 1024"));
    }
    let counts = [
        ("workload.writers", workload.writers, 256),
        ("workload.rows_per_transaction", workload.rows_per_transaction, 10_000),
        ("repetitions", scenario.repetitions, 1000),
    ];
    for (name, count, most) in counts {
        if count == 0 || count > most {
            return Err(format!("{name} is {count}: it must be from 1 to {most}"));
        }
    }
    let lists = [
        ("dataset.sizes", scenario.dataset.sizes.len()),
        ("workload.rates", workload.rates.len()),
        ("subject.engines", scenario.subject.engines.len()),
        ("subject.apps", scenario.subject.apps.len()),
        ("subject.journal_modes", scenario.subject.modes.len()),
        ("subject.file_systems", scenario.subject.file_systems.len()),
        ("variants", scenario.variants.len()),
        ("faults", scenario.faults.len()),
        ("stages", scenario.stages.len()),
    ];
    if let Some((name, _)) = lists.iter().find(|(_, length)| *length == 0) {
        return Err(format!("{name} is empty: give at least one value"));
    }
    let unreadable =
        |name: &str| name.trim().is_empty() || name.contains(|c: char| c == '/' || c.is_control());
    for (variant, number) in scenario.variants.iter().zip(1..) {
        if let Some(name) = variant.name.as_ref().filter(|name| unreadable(name)) {
            let name = name.escape_default();
            return Err(format!("variant {number}: its name is '{name}': it must be one line without '/'"));
        }
    }
    if scenario.subject.extents.is_some()
        && !scenario.subject.file_systems.iter().all(|on| on.shares_blocks())
    {
        return Err(
            "subject.extents requires subject.file_systems to list only btrfs and xfs: other file systems write in \
             place"
                .into(),
        );
    }
    scenario.subject.settings.check()?;
    workload.pattern.validate().map_err(|message| format!("workload.pattern: {message}"))
}
