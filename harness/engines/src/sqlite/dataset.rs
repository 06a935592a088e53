//! TODO(mod)

pub mod tests;
