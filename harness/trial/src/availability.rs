//! Whether this machine has everything that a trial needs. A trial gets it; a [`Forecast`] only checks, for plans, for
//! `doctor` and for the tests of this repository. Both use the same checks in the same order, those of `supply`, so
//! that the forecast is what a run finds.

mod forecast;
mod needs;

pub use forecast::{Forecast, Outlook};
pub use needs::Needs;
pub(crate) use needs::{Supplier, supply};
