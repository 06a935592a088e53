//! Records as people read them.

pub(crate) mod conditions;
pub mod markdown;
pub(crate) mod number;
pub mod table;

pub use markdown::markdown;
