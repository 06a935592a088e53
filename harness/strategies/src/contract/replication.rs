//! Continuous replication while it runs.

use std::any::Any;

use machine::container::Container;
use machine::error::Result;
use machine::process::Counters;

/// A process or container that replicates changes while the application runs. It is stopped when dropped. A strategy can
/// recognise its own by its type.
pub trait Replication: Any {
    /// How it ended, when it exited without being killed by the harness.
    fn ended(&self) -> Option<String>;

    /// The resources that it has used so far; `None` when they are unknown.
    fn counters(&self) -> Option<Counters>;

    /// The last lines that it printed.
    fn last_lines(&self) -> String;

    /// Reads the resources that it has used, shortly before it is killed, if they cannot be read afterwards.
    fn note(&mut self);

    /// Kills it with SIGKILL.
    fn kill(&mut self);

    /// Starts it again after [`Replication::kill`], in the same way as the first time.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start_again(&mut self) -> Result<()>;
}

impl Replication for Container {
    fn ended(&self) -> Option<String> {
        (!self.is_running()).then(|| format!("the replication container ended: {}", self.last_words()))
    }

    fn counters(&self) -> Option<Counters> {
        Container::counters(self)
    }

    fn last_lines(&self) -> String {
        Container::last_lines(self)
    }

    fn note(&mut self) {
        Container::note(self);
    }

    fn kill(&mut self) {
        Container::kill(self);
    }

    fn start_again(&mut self) -> Result<()> {
        Container::start_again(self)
    }
}
