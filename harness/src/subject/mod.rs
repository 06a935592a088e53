//! Systems under test.

mod embedded_sqlite;

use std::path::Path;

pub use embedded_sqlite::EmbeddedSqlite;

use crate::error::Result;
use crate::measure::impact::Span;

/// An application on a database engine, in one deployment.
pub trait Subject {
    /// Starts the application with its workload and waits until it has answered a read.
    ///
    /// # Errors
    /// When it does not come up.
    fn start(&mut self) -> Result<()>;

    /// Stops it in good order.
    ///
    /// # Errors
    /// When it does not stop, or ends with an error.
    fn stop(&mut self) -> Result<()>;

    /// Ends it with SIGKILL.
    fn kill(&mut self);

    /// True while it runs.
    fn is_running(&self) -> bool;

    /// Starts it without workload and waits until it has answered one read and one write.
    ///
    /// # Errors
    /// When it does not.
    fn serve(&mut self) -> Result<()>;

    /// The times for which it was stopped in good order, each until it answered again.
    fn outages(&self) -> &[Span];

    /// The live database: a file for SQLite.
    fn database(&self) -> &Path;
}
