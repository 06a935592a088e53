//! What artifacts that left the machine cost, at prices that the user gives. No price is built in: they differ between
//! providers, regions and years.

use serde::Deserialize;

use super::conditions::Conditions;
use super::number;
use super::table::{Cell, Column, Rank, Table};
use crate::compare::{Spread, groups};
use crate::record::{Offsite, Trial};

const GIGABYTE: f64 = 1e9;

/// The prices of a destination, all in the same currency. Without a price, that part is free.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// The currency, for the header.
    pub currency: String,
    /// Of 1,000 requests on the way to the destination.
    pub thousand_requests_out: f64,
    /// Of 1,000 requests on the way back.
    pub thousand_requests_back: f64,
    /// Of 1 GB (10^9 bytes) that is kept for a month.
    pub gigabyte_month: f64,
    /// Of 1 GB that is read from the destination.
    pub gigabyte_back: f64,
}

impl Prices {
    /// Checks the values.
    ///
    /// # Errors
    /// The impossible price.
    pub fn validate(&self) -> Result<(), String> {
        let prices = [
            ("thousand_requests_out", self.thousand_requests_out),
            ("thousand_requests_back", self.thousand_requests_back),
            ("gigabyte_month", self.gigabyte_month),
            ("gigabyte_back", self.gigabyte_back),
        ];
        match prices.iter().find(|(_, price)| !(price.is_finite() && *price >= 0.0)) {
            Some((name, price)) => Err(format!("{name} is {price}: a price is a number from 0")),
            None if self.currency.is_empty() => Err("currency is missing, such as \"EUR\"".into()),
            None => Ok(()),
        }
    }

    /// Of the requests and bytes of one direction; `None` when it did not come to its end, or the requests could not be
    /// counted and have a price.
    fn of(&self, record: &Offsite, is_back: bool) -> Option<f64> {
        record.seconds(is_back)?;
        let bytes = record.object_bytes? as f64;
        let (request, byte) = match is_back {
            false => (self.thousand_requests_out / 1000.0, 0.0),
            true => (self.thousand_requests_back / 1000.0, self.gigabyte_back / GIGABYTE),
        };
        let requests = if request == 0.0 { 0.0 } else { record.requests(is_back)? as f64 };
        Some(requests * request + bytes * byte)
    }
}

/// What one backup costs, and one recovery; `None` when no artifact left the machine. Medians of the repetitions.
pub fn costs(trials: &[Trial], prices: &Prices) -> Option<Table> {
    let away: Vec<&Trial> = trials.iter().filter(|trial| trial.offsite.is_some()).collect();
    if away.is_empty() {
        return None;
    }
    let conditions = Conditions::of(&away).without("stages");
    let currency = &prices.currency;
    let mut table = Table::new(vec![
        Column::text("Strategy", "strategy", Rank::Always),
        Column::text("Stages", "stages", Rank::Always),
        Column::number("Object", "object_bytes", Rank::Main(1)),
        Column::number(&format!("Publish ({currency})"), "publish_cost", Rank::Main(0)),
        Column::number(&format!("Keep for a month ({currency})"), "month_cost", Rank::Main(0)),
        Column::number(&format!("Fetch ({currency})"), "fetch_cost", Rank::Main(0)),
    ]);
    for group in groups(trials).into_iter().filter(|group| group.first.offsite.is_some()) {
        let records: Vec<&Offsite> = group.trials.iter().filter_map(|trial| trial.offsite.as_ref()).collect();
        let median = |value: &dyn Fn(&Offsite) -> Option<f64>| {
            Spread::of(records.iter().filter_map(|record| value(record))).map(|spread| spread.median)
        };
        let bytes = median(&|record| record.object_bytes.map(|bytes| bytes as f64));
        table.push(vec![
            conditions.row_name(group.first).into(),
            records[0].label.clone().into(),
            Cell::measured(bytes, number::bytes),
            Cell::measured(median(&|record| prices.of(record, false)), money),
            Cell::measured(bytes.map(|bytes| bytes / GIGABYTE * prices.gigabyte_month), money),
            Cell::measured(median(&|record| prices.of(record, true)), money),
        ]);
    }
    Some(table)
}

/// Two significant digits at least: one backup often costs less than a cent.
fn money(amount: f64) -> String {
    if amount == 0.0 || amount >= 1.0 {
        return format!("{amount:.2}");
    }
    let decimals = (1.0 - amount.log10().floor()) as usize;
    format!("{amount:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::offsite::example_run;

    fn prices() -> Prices {
        Prices {
            currency: "EUR".into(),
            thousand_requests_out: 5.0,
            thousand_requests_back: 0.4,
            gigabyte_month: 0.02,
            gigabyte_back: 0.09,
        }
    }

    #[test]
    fn costs_are_shown_with_their_currency() {
        assert!(costs(&example_run::trials()[..1], &prices()).is_none());
        insta::assert_snapshot!(costs(&example_run::trials(), &prices()).unwrap().markdown());
    }

    #[test]
    fn a_record_is_multiplied_with_the_prices() {
        let trials = example_run::trials();
        let record = trials[1].offsite.as_ref().unwrap();
        let bytes = record.object_bytes.unwrap() as f64;
        let out = record.requests(false).unwrap() as f64 * 0.005;
        assert!((prices().of(record, false).unwrap() - out).abs() < 1e-12);
        let back = record.requests(true).unwrap() as f64 * 0.0004 + bytes * 0.09 / 1e9;
        assert!((prices().of(record, true).unwrap() - back).abs() < 1e-12);
        // What was never published has no price.
        assert_eq!(prices().of(trials[3].offsite.as_ref().unwrap(), false), None);
    }

    #[test]
    fn small_amounts_keep_two_digits_and_impossible_prices_are_refused() {
        assert_eq!([0.0, 12.345, 0.5, 0.00123].map(money), ["0.00", "12.35", "0.50", "0.0012"]);
        assert_eq!(prices().validate(), Ok(()));
        let wrong = Prices { gigabyte_back: -1.0, ..prices() };
        assert_eq!(wrong.validate(), Err("gigabyte_back is -1: a price is a number from 0".into()));
        assert!(Prices { currency: String::new(), ..prices() }.validate().is_err());
    }
}
