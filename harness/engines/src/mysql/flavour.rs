//! What differs between the servers that speak MySQL's protocol and its dialect of SQL.

use std::fmt;

/// A server that speaks MySQL's protocol and its dialect of SQL.
pub struct Flavour {
    /// The name of the engine. Its data directories have this name too, and `<name>_options` is the key of its options.
    pub engine: &'static str,
    /// What messages call it.
    pub title: &'static str,
    /// What messages call its container.
    pub container: &'static str,
    /// The program of the server.
    pub program: &'static str,
    /// The program that creates a data directory, and its arguments besides the common ones.
    pub initialise: (&'static str, &'static [&'static str]),
    /// Arguments of the server that are always set.
    pub arguments: &'static [&'static str],
    /// Arguments of a server that loads a dataset, in addition to its data directory and the common ones.
    pub loading_arguments: &'static [&'static str],
    /// Statements before and after the rows of a dataset are loaded.
    pub loading_statements: (&'static [&'static str], &'static [&'static str]),
    /// Measured size of a data directory without any rows: redo and undo logs after a load, and the server's own tables.
    pub empty_directory_bytes: u64,
    /// Statement that makes the server compute statistics anew for a connection that reads them, if it needs one.
    pub fresh_statistics: Option<&'static str>,
    /// What a full `CHECK TABLE` is called. It need not compare indexes with rows: the verifier does that itself.
    pub full_check: &'static str,
    /// The condition in `information_schema.STATISTICS` that a query may use an index.
    pub usable_index: &'static str,
}

impl fmt::Debug for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.engine)
    }
}
