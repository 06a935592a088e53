//! `report --prices`: what artifacts that left the machine cost.

use std::path::Path;

use machine::error::{Error, Result};
use reports::record::Results;
use reports::render::costs::{Prices, costs};

use crate::exit;
use crate::format::Format;

/// Prints the costs of each strategy with its stages.
///
/// # Errors
/// [`Error::Input`] when the file has no valid prices, or no artifact of the run left the machine.
pub fn show(results: &Results, file: &Path, format: Format) -> Result<u8> {
    let table = costs(&results.trials, &read(file)?).ok_or_else(|| {
        Error::Input("no artifact of this run left the machine: there is nothing to pay for".into())
    })?;
    println!("{}", format.of(&table));
    Ok(exit::SUCCESS)
}

fn read(file: &Path) -> Result<Prices> {
    let refused = |cause: String| Error::Input(format!("{}: {cause}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    let prices: Prices = toml::from_str(&text).map_err(|error| refused(error.to_string()))?;
    prices.validate().map_err(refused)?;
    Ok(prices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_prices_is_read_and_a_wrong_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("prices.toml");
        let read_text = |text: &str| {
            std::fs::write(&file, text).unwrap();
            read(&file).map_err(|error| error.to_string())
        };
        let prices = read_text("currency = \"EUR\"\ngigabyte_month = 0.02\n").unwrap();
        assert_eq!((prices.gigabyte_month, prices.gigabyte_back), (0.02, 0.0));
        let refused = read_text("currency = \"EUR\"\ngigabyte_moth = 1\n").unwrap_err();
        assert!(refused.contains("prices.toml") && refused.contains("gigabyte_moth"), "{refused}");
        let refused = read_text("currency = \"EUR\"\ngigabyte_month = -1.0\n").unwrap_err();
        assert!(refused.ends_with("gigabyte_month is -1: a price is a number from 0"), "{refused}");
    }
}
