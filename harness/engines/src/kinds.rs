//! Engines and applications, by name.

use serde::{Deserialize, Serialize};

/// A database engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// SQLite.
    Sqlite,
    /// MySQL.
    Mysql,
}

impl Engine {
    /// All engines.
    pub const ALL: [Engine; 2] = [Engine::Mysql, Engine::Sqlite];

    /// The name in records.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Sqlite => "sqlite",
            Engine::Mysql => "mysql",
        }
    }
}

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
    /// The name in records.
    pub fn name(self) -> &'static str {
        match self {
            App::Embedded => "embedded",
            App::Tracker => "tracker",
        }
    }
}
