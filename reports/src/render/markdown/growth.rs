//! The section on growth with the size of the database.

use super::text::plain;
use crate::record::Trial;
use crate::render::growth::growth;

const HOW: &str = "Exponents of power laws, fitted to all trials of a strategy: 1 for a figure that grows as the \
                   database does, 0 for one that does not grow. Fixed costs, which weigh on small databases, lower an \
                   exponent. **Plain copy**, **verification** and **harness's memory** are not the strategy's.";

/// The section on growth, where a strategy was tried at three sizes or more.
pub(super) fn blocks(trials: &[Trial]) -> Vec<String> {
    let Some(found) = growth(trials) else { return Vec::new() };
    let faster = match found.faster.as_slice() {
        [] => "Nothing grows faster than the database (exponents above 1.1).".to_string(),
        faster => format!("Faster than the database (above 1.1): {}.", plain(&faster.join("; "))),
    };
    vec!["## Growth with the size".to_string(), HOW.to_string(), found.table.markdown(), faster]
}
