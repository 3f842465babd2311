//! What can go wrong with the store.

use thiserror::Error;

/// A statement, the writer or the file failed. Display says the operation; the cause is the source.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database could not be opened.
    #[error("cannot open the database {place}")]
    Open {
        /// Which one; never with credentials.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A schema step failed.
    #[error("cannot bring the database schema to version {version}")]
    Migrate {
        /// The step.
        version: i64,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The database was written by a newer release.
    #[error("the database has schema version {found}, this release knows up to {known}")]
    TooNew {
        /// What the file says.
        found: i64,
        /// What this release knows.
        known: i64,
    },
    /// A statement failed.
    #[error("database statement failed")]
    Statement(#[from] sqlx::Error),
    /// The commit of the batch this write belonged to failed: nothing of it is stored.
    #[error("the write was not committed: {0}")]
    NotCommitted(String),
    /// The writer is gone: the process is stopping.
    #[error("the store is closed")]
    Closed,
    /// A stored value is not what this release writes.
    #[error("stored value of {0} is not readable")]
    Corrupt(&'static str),
}

/// Result of a store operation.
pub type Result<T> = std::result::Result<T, StoreError>;
