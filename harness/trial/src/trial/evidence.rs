//! The evidence of a verdict in addition to the restored data, as a file next to that data: with both, a trial can be
//! judged again.
//!
//! The file contains no password and no path of this machine. A request to the verifier is stored without the paths of
//! its database and its ledger, which are next to the file; the paths are inserted again when it is read.

use std::path::Path;

use anyhow::Context;
use engines::applications::App;
use engines::configuration::Listing;
use engines::engine::Engine;
use machine::error::{Error, Result};
use model::dataset::DatasetSpec;
use model::verify;
use reports::record::{Trial, Verdict};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::context::TrialContext;
use super::live_restore::place_of;
use super::observed::Observed;
use super::phase_results::PhaseResults;

/// The name of the file in the directory of kept evidence.
pub const FILE: &str = "evidence.json";
/// The version of its format that this program writes and reads.
const SCHEMA: &str = "drill-evidence/1";
/// The directory of the ledger, next to the file.
pub(super) const LEDGER: &str = "ledger";
/// The fields of a request that contain paths.
const PLACES: [&str; 2] = ["database", "ledger"];

/// The evidence of a verdict.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    schema: String,
    /// The id of the trial.
    pub(super) trial: String,
    /// The verdict and its reason, as they were recorded.
    pub(super) verdict: Verdict,
    pub(super) reason: String,
    /// The engine that reads the data.
    pub(super) engine: &'static dyn Engine,
    /// The specification of the dataset.
    pub(super) dataset: DatasetSpec,
    /// What the engine needs besides the data, such as the server that ran on it.
    pub(super) server: Option<Value>,
    /// What can only be observed while the trial runs.
    #[serde(rename = "seen")]
    pub(super) observed: Observed,
    /// The configuration files before the backup, if the strategy backs them up.
    pub(super) configuration: Option<Listing>,
    /// The database that was restored after the disaster; `None` if there was nothing to verify.
    pub(super) restored: Option<Held>,
    /// The databases that were restored while the application ran, in order.
    pub(super) live: Vec<Held>,
}

/// A restored database and the request to verify it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Held {
    /// Its directory, next to the file.
    pub(super) place: String,
    request: Value,
}

impl Held {
    pub(super) fn new(place: &str, request: &verify::Request<()>) -> Held {
        let mut request = serde_json::to_value(request).expect("a request is plain data");
        let fields = request.as_object_mut().expect("a request has fields");
        PLACES.iter().for_each(|name| {
            fields.remove(*name);
        });
        Held { place: place.to_owned(), request }
    }

    /// The request, for a database and a ledger at these paths.
    pub(super) fn request<D: Serialize + DeserializeOwned>(
        &self,
        database: D,
        ledger: &Path,
    ) -> Result<verify::Request<D>> {
        let mut request = self.request.clone();
        if let Some(fields) = request.as_object_mut() {
            let places = [serde_json::to_value(database), serde_json::to_value(ledger)];
            for (name, place) in PLACES.iter().zip(places) {
                fields.insert((*name).to_owned(), place.context("a place is plain data")?);
            }
        }
        serde_json::from_value(request).map_err(|error| Error::Input(error.to_string()))
    }
}

/// The part of the file that all versions of its format share.
#[derive(Deserialize)]
struct Header {
    schema: String,
    trial: String,
}

impl Case {
    /// Reads the evidence of a trial.
    ///
    /// # Errors
    /// [`Error::Input`] when there is none, when it is damaged, or when it belongs to another version or another trial.
    pub(super) fn load(directory: &Path, trial: &str) -> Result<Case> {
        let file = directory.join(FILE);
        let refused = |cause: String| {
            Error::Input(format!("cannot judge '{trial}' again: {}: {cause}", file.display()))
        };
        let text = std::fs::read(&file).map_err(|error| refused(error.to_string()))?;
        let header: Header = serde_json::from_slice(&text)
            .map_err(|error| refused(format!("not a file of kept evidence: {error}")))?;
        if header.schema != SCHEMA {
            return Err(refused(format!(
                "its format is '{}', but this version reads '{SCHEMA}'",
                header.schema
            )));
        }
        if header.trial != trial {
            return Err(refused(format!("it belongs to the trial '{}'", header.trial)));
        }
        let case: Case = serde_json::from_slice(&text)
            .map_err(|error| refused(format!("it cannot be read by this version: {error}")))?;
        for held in case.restored.iter().chain(&case.live) {
            // Reports a request of another version before anything is copied.
            held.request((), Path::new(""))
                .map_err(|error| refused(format!("its request cannot be read by this version: {error}")))?;
        }
        Ok(case)
    }

    pub(super) fn save(&self, directory: &Path) -> std::io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        std::fs::write(directory.join(FILE), text)
    }
}

impl TrialContext<'_> {
    /// The evidence of the trial's verdict.
    pub(super) fn case(&self, results: &PhaseResults, observed: &Observed, record: &Trial) -> Case {
        let engine = self.plan.deployment.engine;
        let (restored, live) = self.held(results).unzip();
        Case {
            schema: SCHEMA.into(),
            trial: record.id.clone(),
            verdict: record.verdict,
            reason: record.reason.clone(),
            engine,
            dataset: self.plan.dataset.clone(),
            server: engine.kept(&self.scenario.subject.settings, self.environment.images.of(engine)),
            observed: observed.clone(),
            configuration: results.provisioned.as_ref().and_then(|live| live.configuration.clone()),
            restored,
            live: live.unwrap_or_default(),
        }
    }

    /// The database that was restored after the disaster and verified, and those that were restored before it.
    fn held(&self, results: &PhaseResults) -> Option<(Held, Vec<Held>)> {
        let verified = results.verified.as_ref()?;
        if self.plan.deployment.app == App::Tracker && verified.never_written.is_none() {
            // It is not known which writes the application itself lost.
            return None;
        }
        let (artifact, lost) = (results.backup_outcome()?.ok()?, results.lost.as_ref()?);
        let never_written = verified.never_written.as_deref().unwrap_or_default();
        let hold = |place: &str, disaster_ns| {
            Held::new(place, &self.request((), artifact, disaster_ns, never_written))
        };
        let live = results.tail.live_restores.iter().zip(1..);
        let live = live.map(|(live, number)| hold(&place_of(number), live.at_ns)).collect();
        Some((hold("restored", lost.disaster_ns), live))
    }
}
