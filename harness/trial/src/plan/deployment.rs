//! Where a trial runs: an application on an engine, on a file system.

use engines::kinds::{App, Engine};
use engines::sqlite::client::JournalMode;
use machine::file_system::FileSystem;
use strategies::contract::Card;

use crate::scenario::{SubjectSection, Variant};

/// An application on an engine, on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The engine.
    pub engine: Engine,
    /// The application.
    pub app: App,
    /// SQLite's journal mode; `None` for MySQL.
    pub journal_mode: Option<JournalMode>,
    /// Where its data is stored.
    pub file_system: FileSystem,
}

impl Deployment {
    /// All deployments that a scenario asks for.
    pub(super) fn all(subject: &SubjectSection) -> Vec<Deployment> {
        let mut all = Vec::new();
        for &app in &subject.apps {
            for &engine in &subject.engines {
                let modes = match engine {
                    Engine::Sqlite => subject.journal_modes.iter().map(|mode| Some(*mode)).collect(),
                    Engine::Mysql => vec![None],
                };
                for journal_mode in modes {
                    let on = |&file_system| Deployment { engine, app, journal_mode, file_system };
                    all.extend(subject.file_systems.iter().map(on));
                }
            }
        }
        all
    }

    /// One word: `wal`, `mysql`, `tracker-wal`, `tracker-mysql-btrfs`.
    pub(super) fn label(self) -> String {
        let tracker = (self.app == App::Tracker).then(|| self.app.name());
        let engine = self.journal_mode.map_or(self.engine.name(), JournalMode::name);
        let file_system = self.file_system.maker().map(|_| self.file_system.name());
        let words: Vec<&str> = tracker.into_iter().chain([engine]).chain(file_system).collect();
        words.join("-")
    }

    pub(super) fn is_for(self, variant: &Variant, card: &Card) -> bool {
        card.supports(self.engine)
            && variant.engines.as_ref().is_none_or(|engines| engines.contains(&self.engine))
            && variant.apps.as_ref().is_none_or(|apps| apps.contains(&self.app))
            && variant.file_systems.as_ref().is_none_or(|those| those.contains(&self.file_system))
            && self
                .journal_mode
                .is_none_or(|mode| variant.journal_modes.as_ref().is_none_or(|modes| modes.contains(&mode)))
    }
}
