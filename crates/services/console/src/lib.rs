//! The operator's console: pages rendered on the server, complete without script, live with it.
//!
//! Each page is a pure function of what was read from the store ([`gridlatch_store`]). While it is open, one
//! task per page follows the hub ([`gridlatch_host::Hub`]) and sends the regions that changed as Server-Sent
//! Events; a small script puts them in place. Orders are HTML forms and go through [`Commands`].
//!
//! Deliberately absent: authentication (the binary puts the platform's operator check in front), OCPP, prices,
//! SQL, and any script that decides something. Nothing is loaded from elsewhere.
//!
//! Layer: service. It meets other services only in the store, in events, and in [`Commands`].
#![forbid(unsafe_code)]

mod assets;
mod bill;
mod certificates;
mod commands;
mod format;
mod layout;
mod live;
mod model;
mod orders;
mod pages;
mod plot;
mod proof;
mod reads;
mod routes;
mod trust;

use std::sync::Arc;

use axum::Router;
use gridlatch_host::{Hub, Shutdown};
use gridlatch_store::Store;
use tokio::sync::Semaphore;

pub use commands::{Commands, Outcome, Refused};
pub use trust::{BreakRow, CertificateRow, HolderRow, RefusedRow, Trust, TrustPicture};

/// What the console works with. Made once per process.
pub struct ConsoleState {
    store: Store,
    hub: Hub,
    commands: Arc<dyn Commands>,
    api_base: String,
    bill_roots: Vec<Vec<u8>>,
    trust: Option<Arc<dyn Trust>>,
    shutdown: Shutdown,
    live: Arc<Semaphore>,
}

impl ConsoleState {
    /// `api_base` is where the REST interface is mounted, without a slash at the end: `/api/v1`. Live pages
    /// are closed when `shutdown` is cancelled, so that a server that waits for its connections can stop.
    #[must_use]
    pub fn new(
        store: Store,
        hub: Hub,
        commands: Arc<dyn Commands>,
        api_base: impl Into<String>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            store,
            hub,
            commands,
            api_base: api_base.into(),
            bill_roots: Vec::new(),
            trust: None,
            shutdown,
            live: Arc::new(Semaphore::new(live::CONNECTIONS)),
        }
    }

    /// Where the certificates page gets its picture from; without it the page says that there is none.
    #[must_use]
    pub fn trust(mut self, trust: Arc<dyn Trust>) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Signed bills are checked against these roots (DER) whenever they are shown.
    #[must_use]
    pub fn bill_roots(mut self, roots: Vec<Vec<u8>>) -> Self {
        self.bill_roots = roots;
        self
    }
}

/// The console, to be mounted at `/`.
pub fn router(state: ConsoleState) -> Router {
    routes::router(Arc::new(state))
}
