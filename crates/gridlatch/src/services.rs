//! The certificate services of a CA on their two addresses: enrolment and the pools of Plug & Charge over HTTPS,
//! OCSP answers and revocation lists over plain HTTP, which is where certificates say they are.

mod pools;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gridlatch_host::{Hub, Shutdown};
use gridlatch_pki::ca::Ca;
use gridlatch_pki::crl::Publisher;
use gridlatch_pki::est::Est;
use gridlatch_pki::est::clients::Clients;
use gridlatch_pki::est::pending::Pending;
use gridlatch_pki::http::{Report, serve};
use gridlatch_pki::ocsp::Responder;
use gridlatch_pki::pools::Pools;
use gridlatch_tls::{Credential, WebServer, WebServerConfig};
use gridlatch_vocab::catalogue::{enrolment, pools as pool_codes};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) use pools::provisioner;

/// Where enrolment and the pools listen when nothing else is asked for.
pub(crate) const EST: SocketAddr = SocketAddr::new(LOOPBACK, 8444);
/// Where OCSP and revocation lists are when nothing else is asked for.
pub(crate) const STATUS: SocketAddr = SocketAddr::new(LOOPBACK, 8081);

const LOOPBACK: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// The file of those who may enrol with a secret, in the CA's folder.
pub(crate) const CLIENTS: &str = "clients.json";
/// The folder of requests that wait for a person, in the CA's folder.
pub(crate) const WAITING: &str = "waiting";

/// Two addresses that are taken, before anything is issued that names them.
#[derive(Debug)]
pub(crate) struct Places {
    est: TcpListener,
    status: TcpListener,
    /// Where enrolment is.
    pub(crate) est_at: SocketAddr,
    /// Where OCSP and revocation lists are.
    pub(crate) status_at: SocketAddr,
    /// Whether that address will be the same next time, so that certificates may name it.
    pub(crate) lasting: bool,
}

impl Places {
    /// Takes the addresses. One that nobody asked for by name may be another when it is taken already.
    pub(crate) async fn take(est: Option<SocketAddr>, status: Option<SocketAddr>) -> Result<Self> {
        let (est, _) = bind(est, EST, "--est").await?;
        let (status, lasting) = bind(status, STATUS, "--status").await?;
        Ok(Self {
            est_at: est.local_addr().context("cannot tell the address of enrolment")?,
            status_at: status.local_addr().context("cannot tell the address of OCSP")?,
            est,
            status,
            lasting,
        })
    }

    /// Where OCSP answers, as certificates say it.
    pub(crate) fn ocsp_url(&self) -> String {
        format!("http://{}/ocsp", self.status_at)
    }

    /// Where revocation lists are; `{authority}` is for the CA's name.
    pub(crate) fn crl_url(&self) -> String {
        format!("http://{}/crl/{{authority}}.crl", self.status_at)
    }
}

/// The listener, and whether it is at an address of somebody's choice.
async fn bind(wanted: Option<SocketAddr>, usual: SocketAddr, flag: &str) -> Result<(TcpListener, bool)> {
    let address = wanted.unwrap_or(usual);
    match TcpListener::bind(address).await {
        Ok(listener) => Ok((listener, address.port() != 0)),
        Err(error) if wanted.is_none() && error.kind() == std::io::ErrorKind::AddrInUse => {
            let any = SocketAddr::new(LOOPBACK, 0);
            let listener = TcpListener::bind(any).await;
            Ok((listener.context("cannot listen on 127.0.0.1")?, false))
        }
        Err(error) => Err(error).with_context(|| {
            format!("cannot listen on {address}; if the port is taken, choose another with {flag}")
        }),
    }
}

/// The running services.
#[derive(Debug)]
pub(crate) struct Services {
    /// Shows another certificate when it is time.
    pub(crate) web: Arc<WebServer>,
    serving: Vec<JoinHandle<()>>,
}

impl Services {
    /// Starts them for `ca`, whose folder holds the clients of enrolment; its database holds those of the pools.
    pub(crate) async fn start(
        places: Places,
        ca: &Ca,
        folder: &Path,
        credential: Credential,
        pools: Option<Pools>,
        hub: &Hub,
        stop: &Shutdown,
    ) -> Result<Self> {
        let report = Report::new(Arc::new(hub.clone()));
        let roots = ca
            .authorities()
            .into_iter()
            .filter(|authority| authority.is_root());
        let web = Arc::new(WebServer::new(WebServerConfig {
            credential,
            client_roots: roots.map(|root| root.der.clone()).collect(),
            handshake_timeout: Duration::from_secs(10),
        })?);
        let clients = Arc::new(Clients::open(&folder.join(CLIENTS))?);
        let pending = Pending::in_folder(&folder.join(WAITING));
        let mut secure = Est::new(ca.clone(), clients, pending, report.clone()).router();
        let responder = Responder::start(ca.clone(), report.clone(), stop.clone()).await?;
        let publisher = Publisher::start(ca.clone(), report.clone(), stop.clone()).await?;
        let status = responder.router().merge(publisher.router());
        report.happened(
            enrolment::SERVING,
            format!(
                "enrolment at https://{}, OCSP and revocation lists at http://{}",
                places.est_at, places.status_at
            ),
        );
        let mut serving = Vec::new();
        if let Some(pools) = pools {
            secure = secure.merge(gridlatch_pki::pools::router(pools.clone()));
            report.happened(
                pool_codes::SERVING,
                format!("the pools at https://{}", places.est_at),
            );
            let stop = stop.clone();
            serving.push(tokio::spawn(async move { pools.deliver(stop).await }));
        }
        serving.push(tokio::spawn(serve(
            places.est,
            Some(Arc::clone(&web)),
            secure,
            report.clone(),
            stop.clone(),
        )));
        serving.push(tokio::spawn(serve(
            places.status,
            None,
            status,
            report,
            stop.clone(),
        )));
        Ok(Self { web, serving })
    }

    /// Waits until all have ended.
    pub(crate) async fn stopped(self) {
        for serving in self.serving {
            let _ = serving.await;
        }
    }
}
