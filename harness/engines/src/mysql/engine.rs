//! The contract of an engine, for servers that speak MySQL's protocol.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use machine::container::Network;
use machine::error::{Error, Result};
use machine::process::{Account, Launcher};
use model::dataset::{DatasetSpec, Generated};
use reports::record::Workload;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access::ServerAccess;
use super::cache::{self, CachedServer, Maker};
use super::connection::Address;
use super::dataset;
use super::flavour::Flavour;
use super::options::ServerArguments;
use super::server::{Server, ServerSetup};
use super::settings::ServerSettings;
use crate::access::Access;
use crate::applications::App;
use crate::engine::{Engine, Provision, START_TIMEOUT, Template};
use crate::images::{Image, ImageKind};
use crate::instance::Instance;
use crate::mode::Mode;
use crate::secret::Secret;
use crate::settings::{EngineSettings, Settings};
use crate::source::{Preparation, Source};

/// A server that speaks MySQL's protocol.
pub struct ServerEngine {
    /// What is its own.
    pub flavour: &'static Flavour,
    /// Its image.
    pub image: &'static ImageKind,
    /// The commented parts of a scenario that a user begins with.
    pub template: Template,
}

/// What a server needs to run on kept data.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptServer {
    /// Id of its image.
    image: String,
    /// Its arguments, without those that the harness always sets.
    arguments: ServerArguments,
}

impl ServerEngine {
    fn settings_of<'a>(&self, settings: &'a EngineSettings) -> &'a ServerSettings {
        settings.of(self.flavour.engine)
    }

    fn setup(&self, provision: Provision<'_>) -> ServerSetup {
        let settings = self.settings_of(provision.settings);
        ServerSetup {
            flavour: self.flavour,
            image: obtained(provision.image).reference.clone(),
            data_directory: provision.data,
            run_directory: provision.run_directory,
            artifact: provision.artifact,
            arguments: settings.arguments(),
            password: provision.password,
            // The other servers of a trial may run at the same time.
            port: settings.port().filter(|_| provision.is_live),
            network: provision.network,
            account: provision.account,
            start_timeout: provision.start_timeout,
        }
    }

    /// Loads a dataset into an empty data directory, with a server of its own.
    fn load(
        &self,
        spec: &DatasetSpec,
        data: &Path,
        making: &[String],
        image: &Image,
        preparation: &Preparation<'_>,
    ) -> Result<dataset::Loaded> {
        let Preparation { launcher, .. } = *preparation;
        let loading = self.flavour.loading_arguments.iter().map(|argument| (*argument).to_owned());
        let setup = ServerSetup {
            flavour: self.flavour,
            image: image.reference.clone(),
            data_directory: data.to_owned(),
            run_directory: launcher.work_directory().join("run-loading"),
            artifact: launcher.work_directory().to_owned(),
            arguments: ServerArguments { making: making.to_owned(), running: loading.collect() },
            password: Secret::random()?,
            port: None,
            network: Network::Bridge,
            account: Account::Preparation,
            start_timeout: START_TIMEOUT,
        };
        preparation.tell(format!("starting a {} server to load the dataset", self.flavour.title));
        let mut server = Server::new(launcher, setup)?;
        server.start()?;
        let cancelled = || launcher.cancel.is_cancelled();
        let loaded = dataset::load(self.flavour, server.address(), spec, &cancelled, &mut |bytes| {
            preparation.tell_generated(spec, bytes);
        })?;
        server.stop()?;
        Ok(loaded)
    }
}

impl Engine for ServerEngine {
    fn name(&self) -> &'static str {
        self.flavour.engine
    }

    fn title(&self) -> &'static str {
        self.flavour.title
    }

    fn template(&self) -> &Template {
        &self.template
    }

    fn settings(&self, given: Map<String, Value>) -> serde_json::Result<Arc<dyn Settings>> {
        Ok(Arc::new(ServerSettings::new(self.flavour, given)?))
    }

    fn image(&self) -> Option<&'static ImageKind> {
        Some(self.image)
    }

    fn predicted(&self, spec: &DatasetSpec) -> Result<Generated> {
        dataset::predicted(self.flavour, spec)
    }

    /// Never for certain: the server that made a dataset is known only after its image was obtained.
    fn is_cached(&self, _cache: &Path, _spec: &DatasetSpec) -> bool {
        false
    }

    fn prepare(&self, spec: &DatasetSpec, preparation: &Preparation<'_>) -> Result<Source> {
        let image = obtained(preparation.image);
        let ServerArguments { making, .. } = self.settings_of(preparation.settings).arguments();
        let maker = Maker { server: image.id.clone(), arguments: making.clone() };
        let cancelled = || preparation.launcher.cancel.is_cancelled();
        let cached = cache::obtain(preparation.cache, self.flavour, spec, &maker, &cancelled, &mut |data| {
            self.load(spec, data, &making, image, preparation)
        })?;
        let CachedServer { data_directory, bytes, rows, content, .. } = cached;
        Ok(Source { database: data_directory, bytes, rows, content, remarks: Vec::new() })
    }

    fn data(&self, place: &Path) -> PathBuf {
        place.join(self.flavour.engine)
    }

    fn provision(&self, provision: Provision<'_>) -> Result<Box<dyn Instance>> {
        let launcher = provision.launcher;
        Ok(Box::new(Server::new(launcher, self.setup(provision))?))
    }

    fn attach(&self, provision: Provision<'_>, access: &dyn Access) -> Result<Box<dyn Instance>> {
        let address: Address =
            serde_json::from_value(access.value()).context("not the address of a server")?;
        let launcher = provision.launcher;
        Ok(Box::new(Server::attached(launcher, self.setup(provision), address)))
    }

    fn kept(&self, settings: &EngineSettings, image: Option<&Image>) -> Option<Value> {
        let arguments = self.settings_of(settings).arguments();
        let kept = KeptServer { image: obtained(image).id.clone(), arguments };
        Some(serde_json::to_value(kept).expect("it is plain data"))
    }

    fn reopen(&self, launcher: &Launcher, data: PathBuf, kept: Option<&Value>) -> Result<Box<dyn Instance>> {
        let kept = kept.ok_or_else(|| {
            let title = self.flavour.title;
            Error::Input(format!("does not name the {title} server that it needs"))
        })?;
        let KeptServer { image, arguments } = KeptServer::deserialize(kept)
            .map_err(|error| Error::Input(format!("cannot be read by this version: {error}")))?;
        let setup = ServerSetup {
            flavour: self.flavour,
            image,
            data_directory: data,
            run_directory: launcher.work_directory().join("run-judge"),
            artifact: launcher.work_directory().to_owned(),
            arguments,
            password: Secret::random()?,
            port: None,
            network: Network::Bridge,
            account: Account::Harness,
            start_timeout: START_TIMEOUT,
        };
        Ok(Box::new(Server::new(launcher, setup)?))
    }

    fn access(&self, value: Value) -> serde_json::Result<Arc<dyn Access>> {
        let address: Address = serde_json::from_value(value)?;
        Ok(Arc::new(ServerAccess { flavour: self.flavour, address }))
    }

    fn record(&self, settings: &EngineSettings, _mode: Option<Mode>, _app: App, workload: &mut Workload) {
        let options = self.settings_of(settings).options();
        workload.server_options =
            options.into_iter().map(|(name, value)| (name, value.to_string())).collect();
    }
}

/// # Panics
/// Without an image: a run obtains the images of its subjects first.
fn obtained(image: Option<&Image>) -> &Image {
    image.expect("a run obtains the images of its subjects first")
}
