//! `plan`: what a run would do, without doing it.

use std::path::Path;

use bytesize::ByteSize;
use harness::error::Result;
use harness::plan::{ASSUMED_COPY_BYTES_PER_SECOND, Plan};
use harness::run;

/// Prints the trials of a plan, the disk and the time it needs.
///
/// # Errors
/// When the disk of `directory` has too little space for it.
pub fn show(plan: &Plan, directory: &Path) -> Result<u8> {
    println!("scenario '{}': {}", plan.scenario.name, plan.scenario.description.trim());
    println!("{} trials, seed {}:", plan.trials.len(), plan.scenario.seed);
    for trial in &plan.trials {
        println!("  {} (about {:.0} s)", trial.id, trial.seconds(&plan.scenario).ceil());
    }
    for (engine, dataset, bytes) in plan.datasets() {
        println!(
            "dataset {} for {}, seed {}: {}",
            dataset.profile,
            engine.name(),
            dataset.seed,
            ByteSize(bytes)
        );
    }
    let cached = run::cached_bytes(plan, &directory.join("cache"));
    println!("disk: {} at the peak, {} of it cached already", ByteSize(plan.disk_bytes()), ByteSize(cached));
    println!(
        "time: about {:.0} min on a disk that copies {}/s; a deadline of {} s ends a backup that takes longer",
        (plan.seconds() / 60.0).ceil(),
        ByteSize(ASSUMED_COPY_BYTES_PER_SECOND as u64).display().si(),
        plan.scenario.trial.deadline_seconds
    );
    // The nearest directory that exists is on the same disk.
    let existing = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    plan.check_disk(existing, cached)?;
    Ok(crate::exit::SUCCESS)
}
