//! The console and the REST interface on one loopback port, behind the operator token.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use gridlatch_console::ConsoleState;
use gridlatch_host::{DataDir, Hub, Shutdown};
use gridlatch_platform::{PlatformHandle, rest};
use gridlatch_vocab::Secret;
use tokio::task::JoinHandle;

use super::UpConfig;
use super::commands::Orders;
use super::trust::Pictures;

/// The file that holds the operator token within the data folder.
const TOKEN_FILE: &str = "operator.token";

/// The running web server.
#[derive(Debug)]
pub(crate) struct Web {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The operator token, for the address that is printed once.
    pub(crate) token: String,
    /// Where the token is kept.
    pub(crate) token_file: PathBuf,
    serving: JoinHandle<()>,
}

impl Web {
    /// Waits until open pages are closed.
    pub(crate) async fn stopped(self) {
        let _ = self.serving.await;
    }
}

/// Starts it.
pub(crate) async fn start(
    config: &UpConfig,
    data: &DataDir,
    platform: &PlatformHandle,
    bill_roots: Vec<Vec<u8>>,
    (hub, shutdown): (&Hub, &Shutdown),
) -> Result<Web> {
    let (token, token_file) = operator_token(data)?;
    let listener = tokio::net::TcpListener::bind(config.console).await.with_context(|| {
        format!("cannot listen on {}; if the port is taken, choose another with --console (127.0.0.1:0 takes any)", config.console)
    })?;
    let address = listener
        .local_addr()
        .context("cannot tell the console's address")?;
    let console = ConsoleState::new(
        platform.state.store().clone(),
        hub.clone(),
        Arc::new(Orders(platform.state.clone())),
        "/api/v1",
        shutdown.clone(),
    )
    .bill_roots(bill_roots)
    .trust(Arc::new(Pictures::of(platform.state.clone())));
    let router = rest::router(platform.state.clone()).merge(gridlatch_console::router(console));
    let operator = rest::auth::Operator::new(Secret::new(token.clone()), hub.clone());
    let router = rest::auth::require_operator(operator, router);
    let stop = shutdown.clone();
    let serving = tokio::spawn(async move {
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::error!(%error, "the console stopped");
        }
    });
    Ok(Web {
        address,
        token,
        token_file,
        serving,
    })
}

/// The token of earlier runs, or a new one of 128 random bits.
fn operator_token(data: &DataDir) -> Result<(String, PathBuf)> {
    let path = data.path(TOKEN_FILE);
    if let Ok(text) = std::fs::read_to_string(&path) {
        let token = text.trim();
        if token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok((token.to_owned(), path));
        }
    }
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).context("the system gave no random numbers")?;
    let token = random
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    let path = data.write_private(TOKEN_FILE, token.as_bytes())?;
    Ok((token, path))
}
