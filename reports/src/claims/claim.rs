//! What a claim is.

use super::finding::Finding;
use crate::record::Trial;

/// One claim.
pub struct Claim {
    /// A short name for headings and links.
    pub name: &'static str,
    /// The claim, in our own words.
    pub statement: &'static str,
    /// Who claims it.
    pub source: &'static str,
    /// The address of the source; empty where no public page is known.
    pub link: &'static str,
    /// Which trials test the claim, and when they confirm it.
    pub criterion: &'static str,
    /// The command that runs such trials.
    pub command: &'static str,
    /// What is said where no trial tests it.
    pub untested: &'static str,
    /// Whether a trial tests the claim. It is called only for trials that ran and were conclusive.
    pub(super) concerns: fn(&Trial) -> bool,
    /// Judges these trials; never called without a trial.
    pub(super) judge: fn(&[&Trial]) -> Finding,
}
