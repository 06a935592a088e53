//! The three kinds of error, and the interruption.

use std::path::Path;

/// Why a command could not do what it was asked. Each kind has an exit code of its own (see `xtask`).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bad input: names the place, the cause and the cure.
    #[error("{0}")]
    Input(String),
    /// The machine lacks something: names what is missing and how to get it.
    #[error("{0}")]
    Environment(String),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A bug of ours, or an operating system that refused what it never should.
    #[error("{0:#}")]
    Bug(#[from] anyhow::Error),
}

/// The result of everything that can fail for a user to see.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The refusal of a path that is not UTF-8: paths go into JSON, option files, labels and mounts, all of which are
    /// text.
    pub fn not_utf8(path: &Path) -> Error {
        Error::Input(format!("the path '{}' is not UTF-8: rename it, or choose another", path.display()))
    }
}

/// The message about a name that is not known, with the nearest one and all there are.
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let nearest = known.iter().max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b)));
    let hint = match nearest {
        Some(nearest) if strsim::jaro(name, nearest) > 0.7 => format!(" (did you mean '{nearest}'?)"),
        _ => String::new(),
    };
    format!("unknown {what} '{name}'{hint}: there are {}", known.join(", "))
}
