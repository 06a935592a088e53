//! A profile defines the content of generated databases.

use super::original_torrents::OriginalTorrents;
use super::rows::Table;

/// The result of a profile for a size and a seed.
pub struct Shape {
    /// The tables in the order in which they are created.
    pub tables: Vec<Table>,
    /// The content of the table `torrents`.
    pub original: Box<dyn OriginalTorrents>,
}

/// A kind of database. A new one is one file, and one line in the registry.
pub struct Profile {
    /// Its name in scenarios.
    pub name: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// The tables for (size of the file in bytes, seed).
    pub(crate) shape: fn(u64, u64) -> Shape,
}
