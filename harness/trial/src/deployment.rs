//! Where a trial runs: an application on an engine, on a file system.

use engines::applications::App;
use engines::engine::Engine;
use engines::images::ImageKind;
use engines::mode::Mode;
use engines::subject_section::SubjectSection;
use machine::file_system::FileSystem;

/// An application on an engine, on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The engine.
    pub engine: &'static dyn Engine,
    /// The application.
    pub app: App,
    /// The mode of the engine; `None` for an engine that has none.
    pub mode: Option<Mode>,
    /// Where its data is stored.
    pub file_system: FileSystem,
}

impl Deployment {
    /// All deployments that a scenario asks for.
    pub(crate) fn all(subject: &SubjectSection) -> Vec<Deployment> {
        let mut all = Vec::new();
        for &app in &subject.apps {
            for &engine in &subject.engines {
                for mode in subject.modes_of(engine) {
                    let on = |&file_system| Deployment { engine, app, mode, file_system };
                    all.extend(subject.file_systems.iter().map(on));
                }
            }
        }
        all
    }

    /// The images of its containers.
    pub fn images(self) -> impl Iterator<Item = &'static ImageKind> {
        self.engine.image().into_iter().chain(self.app.image())
    }

    /// One word: `wal`, `mysql`, `tracker-wal`, `tracker-mysql-btrfs`.
    pub(crate) fn label(self) -> String {
        let tracker = (self.app == App::Tracker).then(|| self.app.name());
        let engine = self.mode.map_or(self.engine.name(), |mode| mode.name);
        let file_system = self.file_system.maker().map(|_| self.file_system.name());
        let words: Vec<&str> = tracker.into_iter().chain([engine]).chain(file_system).collect();
        words.join("-")
    }
}
