//! `list`: what there is to choose from.

use harness::dataset::profile;
use harness::error::Result;
use harness::scenario::Scenario;
use harness::strategy::{STRATEGIES, Settings};

/// Prints strategies, scenarios and profiles.
///
/// # Errors
/// When a shipped scenario cannot be read.
pub fn show() -> Result<u8> {
    println!("Strategies\n");
    for strategy in STRATEGIES {
        let card = strategy.card();
        println!("  {} ({}; {}): {}", card.name, card.kind.name(), card.engines.join(", "), card.summary);
        println!("      promises: {}", card.promise.text);
        let defaults = strategy.complete(&Settings::new()).expect("defaults are valid");
        for (name, meaning) in card.settings {
            println!("      {name} = {}: {meaning}", defaults[*name]);
        }
    }
    println!("\nScenarios\n");
    for scenario in Scenario::shipped()? {
        println!("  {}: {}", scenario.name, scenario.description.trim());
    }
    println!("\nDataset profiles\n");
    for profile in profile::PROFILES {
        println!("  {}: {}", profile.name, profile.description);
    }
    Ok(crate::exit::SUCCESS)
}
