//! The three kinds of error, and the interruption.

use std::path::Path;

use nix::errno::Errno;

/// Why a command failed. Each kind has its own exit code (see `xtask`), and `trial/blame.rs` defines what each means
/// inside a trial.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bad input. The message gives the place, the cause and the remedy.
    #[error("{0}")]
    Input(String),
    /// Something is missing on this machine, or the machine rejected an operation. The message says what, and how to
    /// fix it.
    #[error("{0}")]
    Environment(String),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A bug in Backup Drill.
    #[error("{0:#}")]
    Bug(anyhow::Error),
}

/// The result of operations whose errors are shown to the user.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that the machine caused, although its type does not show that here: the error of a library that this
    /// crate does not know, such as a database's. The message is that of the error, with its causes.
    pub fn environment(error: &anyhow::Error) -> Error {
        Error::Environment(told(error))
    }

    /// The error for a path that is not UTF-8: paths are written to JSON, option files, labels and mounts, all of which
    /// are text.
    pub fn not_utf8(path: &Path) -> Error {
        Error::Input(format!("the path '{}' is not UTF-8: rename it, or choose another", path.display()))
    }
}

impl From<anyhow::Error> for Error {
    /// Chooses the kind by the type of the root cause, whatever context was added: an error of the operating system is
    /// [`Error::Environment`], an [`Error`] keeps its kind, and everything else is a bug. Who knows better about the
    /// errors of a library marks them before with [`Error::environment`].
    fn from(error: anyhow::Error) -> Error {
        let message = told(&error);
        let kind = error.chain().find_map(|cause| match cause.downcast_ref::<Error>() {
            Some(Error::Input(_)) => Some(Error::Input(message.clone())),
            Some(Error::Interrupted) => Some(Error::Interrupted),
            Some(Error::Environment(_)) => Some(Error::Environment(message.clone())),
            Some(Error::Bug(_)) => None,
            None => is_the_machines(cause).then(|| Error::Environment(message.clone())),
        });
        kind.unwrap_or(Error::Bug(error))
    }
}

/// The contexts and the root cause in one line, without repetitions.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told {
        told if told.is_empty() => cause,
        told if told.ends_with(&cause) => told,
        told => format!("{told}: {cause}"),
    })
}

fn is_the_machines(cause: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<std::io::Error>() {
        return error.raw_os_error().is_some_and(|number| refuses(Errno::from_raw(number)));
    }
    cause.downcast_ref().is_some_and(|number| refuses(*number))
}

/// False for error numbers of an invalid call, which are bugs.
fn refuses(number: Errno) -> bool {
    !matches!(number, Errno::EBADF | Errno::EFAULT | Errno::EINVAL)
}

/// The message about an unknown name, with the most similar known name and all known names.
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let nearest = known.iter().max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b)));
    let hint = match nearest {
        Some(nearest) if strsim::jaro(name, nearest) > 0.7 => format!(" (did you mean '{nearest}'?)"),
        _ => String::new(),
    };
    format!("unknown {what} '{name}'{hint}: expected one of {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn what_an_error_is_depends_on_its_type_and_not_on_how_it_was_wrapped() {
        let full = || std::io::Error::from_raw_os_error(libc::ENOSPC);
        let marked = || Error::environment(&anyhow!("disk full").context("cannot open the database"));
        let kind = |error: anyhow::Error| match Error::from(error) {
            Error::Bug(_) => "bug".to_owned(),
            Error::Interrupted => "interrupted".to_owned(),
            Error::Environment(message) => format!("machine: {message}"),
            Error::Input(message) => format!("user: {message}"),
        };
        let kinds = [
            kind(full().into()),
            kind(anyhow::Error::from(full()).context("cannot write").context("no record")),
            kind(Errno::EMFILE.into()),
            kind(anyhow::Error::from(marked()).context("cannot begin")),
            kind(Error::Input("no such size".into()).into()),
            kind(Err::<(), _>(Error::Environment("no Docker".into())).context("no server").unwrap_err()),
            kind(Err::<(), _>(Error::Interrupted).context("stopping").unwrap_err()),
            kind(Error::Bug(anyhow!("a count is off")).into()),
            kind(anyhow!("a count is off")),
            kind(Errno::EBADF.into()),
            kind(std::io::Error::other("half a message").into()),
        ];
        insta::assert_snapshot!(kinds.join("\n"), @"
        machine: No space left on device (os error 28)
        machine: no record: cannot write: No space left on device (os error 28)
        machine: EMFILE: Too many open files
        machine: cannot begin: cannot open the database: disk full
        user: no such size
        machine: no server: no Docker
        interrupted
        bug
        bug
        bug
        bug
        ");
    }
}
