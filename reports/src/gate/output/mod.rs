//! The results of a comparison, for people and for other programs.

mod benchmark;
mod findings;
mod junit;
mod markdown;
mod measured;
mod openmetrics;
mod table;

pub use benchmark::benchmark_json;
pub use findings::Findings;
pub use junit::junit;
pub use markdown::markdown;
pub use openmetrics::openmetrics;
pub use table::{WHY, reasons, summary, table, table_of_numbers};
