//! Sizing: predictions from measured runs for another size and rate, and which strategies meet given objectives
//! there.
//!
//! [`fit()`] makes a [`Model`] from runs, [`predict()`] evaluates it for one load, [`decide`] compares the predictions
//! with objectives, and [`check`] measures the error of predictions. A model consists of plain coefficients, so that
//! the script of a page can evaluate it, too. The formulas and their limits are in `docs/sizing.md`.

pub mod check;
mod contender;
pub mod decide;
mod fit;
mod line;
mod predict;
mod range;
#[cfg(test)]
mod tests;
pub mod text;

pub use contender::{Contender, Model, TrialOutcome};
pub use fit::fit;
pub use line::{Line, Point};
pub use predict::{Load, Prediction, predict};
pub use range::Range;
