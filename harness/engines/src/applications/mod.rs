//! What writes to a database: the embedded application, or the Torrust tracker.

pub mod embedded;
pub mod tracker;
pub mod writer;

use serde::{Deserialize, Serialize};

use crate::images::ImageKind;

/// What writes to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum App {
    /// The harness's own writer process.
    Embedded,
    /// The Torrust tracker, written to through announces.
    Tracker,
}

impl App {
    /// Both.
    pub const ALL: [App; 2] = [App::Embedded, App::Tracker];

    /// The name in records.
    pub fn name(self) -> &'static str {
        match self {
            App::Embedded => "embedded",
            App::Tracker => "tracker",
        }
    }

    /// The image of its container; `None` when it needs no container.
    pub fn image(self) -> Option<&'static ImageKind> {
        match self {
            App::Embedded => None,
            App::Tracker => Some(&tracker::image::TRACKER),
        }
    }
}
