//! What the application needs from whatever it writes to: an engine, or a tracker.

use model::writes::InfoHash;

/// A client of the target.
pub trait Client: Sync {
    /// Reads one torrent of the dataset.
    ///
    /// # Errors
    /// When there is no answer, or the answer is wrong.
    fn read(&self, info_hash: &InfoHash) -> anyhow::Result<()>;

    /// Makes the probe write, which belongs to no writer: [`Model::probe_info_hash`](model::writes::Model::probe_info_hash).
    ///
    /// # Errors
    /// When it is not acknowledged.
    fn probe(&self) -> anyhow::Result<()>;

    /// Opens a session for one writer.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn session(&self) -> anyhow::Result<Box<dyn Session + '_>>;

    /// Closes the client cleanly, after all sessions.
    ///
    /// # Errors
    /// When it cannot be closed.
    fn close(self: Box<Self>) -> anyhow::Result<()>;
}

/// One writer's connection to the target.
pub trait Session: Send {
    /// Makes a writer's write number `index`.
    fn write(&mut self, writer: u32, index: u64) -> Answer;

    /// Closes the session cleanly.
    ///
    /// # Errors
    /// When it cannot be closed.
    fn close(self: Box<Self>) -> anyhow::Result<()>;
}

/// The answer to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The write was committed.
    Acknowledged,
    /// The write was not committed.
    Refused,
    /// It is not known whether the write was committed.
    None,
}
