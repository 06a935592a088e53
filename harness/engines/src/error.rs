//! Who caused an error of a database's library: the machine, or the code that called it.

use machine::error::Error;
use rusqlite::ErrorCode;

/// Marks an error of SQLite that the machine caused, such as a full disk or a lock that another process holds, as
/// [`Error::Environment`]. Every other error stays as it is. Call this where an error of SQLite becomes an [`Error`]:
/// there, it would be a bug. Errors that end a worker have passed here.
pub fn attributed(error: anyhow::Error) -> anyhow::Error {
    let is_the_machines = error.chain().any(|cause| cause.downcast_ref().is_some_and(is_the_machines));
    if is_the_machines { Error::environment(&error).into() } else { error }
}

fn is_the_machines(error: &rusqlite::Error) -> bool {
    use ErrorCode::*;
    matches!(
        error.sqlite_error_code(),
        Some(
            CannotOpen
                | DatabaseBusy
                | DatabaseLocked
                | DiskFull
                | OutOfMemory
                | PermissionDenied
                | ReadOnly
                | SystemIoFailure
        )
    )
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn kind(code: i32) -> String {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        let error = anyhow::Error::from(error).context("cannot open the database");
        match Error::from(attributed(error)) {
            Error::Bug(_) => "bug".to_owned(),
            Error::Environment(message) => format!("machine: {message}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_full_disk_is_the_machines_and_a_damaged_file_is_not() {
        let full = kind(ffi::SQLITE_FULL);
        assert_eq!(full, "machine: cannot open the database: Error code 13: database or disk is full");
        assert_eq!(kind(ffi::SQLITE_CORRUPT), "bug");
    }
}
