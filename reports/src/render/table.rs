//! A table as plain data, with four output formats: JSON, CSV, Markdown, and text for a terminal.

mod data;
mod markdown;
mod terminal;
#[cfg(test)]
mod tests;

pub use data::{Cell, Column, MAIN_COLUMNS, Rank, Section, Table};
pub use terminal::{Fitted, wrapped};
