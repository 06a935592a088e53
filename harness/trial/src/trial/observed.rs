//! What was observed during a trial, apart from what the verifier finds.

use model::verify;
use serde::{Deserialize, Serialize};

use super::impact::Offered;
use super::live_restore::name_of;
use super::verdict::Evidence;

/// What was observed during the trial, in the terms of [`Evidence`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Observed {
    pub(super) acknowledged: bool,
    pub(super) died: Option<String>,
    pub(super) obstacle: Option<String>,
    /// Why the fault did not strike.
    #[serde(default)]
    pub(super) missed: Option<String>,
    pub(super) offered: Offered,
    pub(super) errors_allowed: f64,
    /// The restored subject's own answer, regardless of whether the verifier then found its write.
    pub(super) answered: Option<Result<f64, String>>,
}

impl Observed {
    /// The evidence with these reports of the verifier, each or the error with which it failed: on the database that was
    /// restored after the disaster and then `served`, and on those that were restored while the application ran.
    pub(super) fn evidence<'a>(
        &'a self,
        served: Option<&'a Result<f64, String>>,
        last: Option<&'a Result<verify::Report, String>>,
        live: &'a [Result<verify::Report, String>],
    ) -> Evidence<'a> {
        let live_report = |(report, number): (&'a Result<_, String>, u32)| {
            (name_of(number, live.len()), report.as_ref().map_err(String::as_str))
        };
        Evidence {
            acknowledged: self.acknowledged,
            died: self.died.as_deref(),
            obstacle: self.obstacle.as_deref(),
            missed: self.missed.as_deref(),
            offered: self.offered,
            errors_allowed: self.errors_allowed,
            backup: None,
            restore: None,
            served,
            verified: last.and_then(|last| last.as_ref().ok()),
            live: live.iter().zip(1..).map(live_report).collect(),
            verifier_error: last.and_then(|last| last.as_ref().err()).map(String::as_str),
        }
    }

    /// Whether the restored subject responded, after the verifier has looked for its write: an application may
    /// acknowledge a write without making it.
    pub(super) fn served(&self, verified: Option<&verify::Report>) -> Option<Result<f64, String>> {
        let lacked = verified.is_some_and(|report| report.probed == Some(false));
        match &self.answered {
            Some(Ok(_)) if lacked => {
                Some(Err("it acknowledged a write that is missing from its database".into()))
            }
            answered => answered.clone(),
        }
    }
}
