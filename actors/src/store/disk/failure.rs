//! Failure: why the database does not work, as far as it matters for what to do about it.

use std::io;

use rusqlite::{ErrorCode, ffi};

/// Why an operation on the database failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There is no room. The connection can still be used, at least to read.
    #[error("the disk is full: {0}")]
    Full(String),
    /// It cannot be written: it is read-only, or writing fails. A connection that there was may still be used to read.
    #[error("the disk cannot be written: {0}")]
    Unwritable(String),
    /// Another process has it open.
    #[error("the database is in use by another process: {0}")]
    InUse(String),
    /// Its content makes no sense: it has to be moved aside.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// It was written by a later version of the program, which alone understands it.
    #[error("the database has version {found}, this program knows up to {known}")]
    Newer {
        /// Its version.
        found: i64,
        /// The latest that this program knows.
        known: i64,
    },
    /// Anything else, mostly of the disk.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// Whether the connection is worth keeping: what it has read and could read is still good.
    pub(super) fn keeps_connection(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Unwritable(_))
    }
}

/// What SQLite says when writing fails and the file is otherwise where it was.
const WRITING: &[std::ffi::c_int] = &[
    ffi::SQLITE_READONLY,
    ffi::SQLITE_IOERR_WRITE,
    ffi::SQLITE_IOERR_FSYNC,
    ffi::SQLITE_IOERR_DIR_FSYNC,
    ffi::SQLITE_IOERR_TRUNCATE,
];

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let text = match error.sqlite_extended_error_code() {
            // SQLite's text for an I/O error does not tell a failed sync from a failed read; its code does.
            Some(code) => format!("{error} (SQLite code {code})"),
            None => error.to_string(),
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(text),
            Some(ErrorCode::ReadOnly | ErrorCode::SystemIoFailure)
                if error
                    .sqlite_extended_error_code()
                    .is_some_and(|code| WRITING.contains(&code)) =>
            {
                Self::Unwritable(text)
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse(text),
            // A constraint can fail only if an index and its table disagree, a column's type only if the row was damaged.
            Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch,
            ) => Self::Damaged(text),
            Some(_) => Self::Other(text),
            None => Self::Damaged(text),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full(error.to_string())
            }
            io::ErrorKind::ReadOnlyFilesystem => Self::Unwritable(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}
