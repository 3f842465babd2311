//! Starting the platform.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use gridlatch_host::{Hub, Shutdown};
use gridlatch_store::{Store, StoreError};
use thiserror::Error;
use tokio::net::TcpListener;

use crate::accept::Accept;
use crate::config::PlatformConfig;
use crate::listener::{Arrival, OcppListener};
use crate::state::PlatformState;
use crate::{billing, journal, upgrade};

/// The platform could not start.
#[derive(Debug, Error)]
pub enum PlatformError {
    /// The port could not be taken.
    #[error("cannot listen for charging stations on {address}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store failed.
    #[error("cannot read the platform's state")]
    Store(#[from] StoreError),
}

/// The platform.
#[derive(Debug, Clone, Copy)]
pub struct Platform;

/// A running platform.
#[derive(Debug, Clone)]
pub struct PlatformHandle {
    /// Where stations connect: `wss://<ocpp_addr>/ocpp/<station id>`.
    pub ocpp_addr: SocketAddr,
    /// What REST and the composition use.
    pub state: PlatformState,
}

impl Platform {
    /// Starts the platform: the OCPP port behind `accept` (TLS with client certificates, outside tests),
    /// the event journal, and the pricing of what an earlier run left unpriced.
    ///
    /// # Errors
    /// The port is taken or the store fails.
    pub async fn start<A: Accept>(
        config: PlatformConfig,
        accept: A,
        store: Store,
        hub: Hub,
        shutdown: Shutdown,
    ) -> Result<PlatformHandle, PlatformError> {
        let address = config.listen;
        let tcp = TcpListener::bind(address)
            .await
            .map_err(|source| PlatformError::Listen { address, source })?;
        store.station_disconnect_all().await?;
        let last_number = store.setpoint_last_id().await?;
        journal::start(store.clone(), &hub, shutdown.clone());
        let state = PlatformState::new(config, store, hub.clone(), shutdown.clone(), last_number);
        billing::sweep(&state).await;

        let listener = OcppListener::start(tcp, Arc::new(accept), hub, shutdown.clone())
            .map_err(|source| PlatformError::Listen { address, source })?;
        let ocpp_addr = listener.address();
        let app = Router::new()
            .route("/ocpp/{station}", any(upgrade::upgrade))
            .fallback(upgrade::elsewhere)
            .with_state(state.clone())
            .into_make_service_with_connect_info::<Arrival>();
        tokio::spawn(async move {
            let serving = axum::serve(listener, app).with_graceful_shutdown(shutdown.cancelled_owned());
            if let Err(error) = serving.await {
                tracing::error!(%error, "the OCPP port stopped");
            }
        });
        state.resume_campaigns().await?;
        Ok(PlatformHandle { ocpp_addr, state })
    }
}
