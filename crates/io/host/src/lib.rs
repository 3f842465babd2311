//! What every role needs of its host: the event hub, the data folder, the clock, shutdown.
//!
//! Deliberately absent: anything about charging. A role that needs a fact about a session gets it
//! from the session, not from here.
#![forbid(unsafe_code)]

mod clock;
mod data_dir;
mod hub;
mod sandbox;
mod secret;
mod security_log;

pub use clock::now;
pub use data_dir::{Claim, DataDir, DataDirError};
pub use hub::{Hub, HubConfig};
pub use sandbox::limit_memory;
pub use secret::ask_secret;
pub use security_log::SecurityLog;
/// Cancelled once when the process is asked to stop; every task selects on it.
pub use tokio_util::sync::CancellationToken as Shutdown;
/// Counts running tasks so that a stop can wait for them.
pub use tokio_util::task::TaskTracker;
