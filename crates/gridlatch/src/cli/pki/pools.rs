//! `pki pools`: who may use the Plug & Charge pools of this CA, and whose roots they believe.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use gridlatch_host::{DataDir, Hub, HubConfig, SecurityLog, Shutdown, now};
use gridlatch_keys::FileKey;
use gridlatch_keys::delivery::Kdf;
use gridlatch_pki::ca::Ca;
use gridlatch_pki::http::{self, Report};
use gridlatch_pki::pools::{self, NewClient, Place as GoTo, Places, Pools, Role};
use gridlatch_pki::provisioning::{CaContracts, Provisioner, ProvisioningError, RootKind, Settings};
use gridlatch_tls::{Credential, WebServer, WebServerConfig};
use gridlatch_vocab::Event;
use gridlatch_vocab::EventSink as _;
use gridlatch_vocab::catalogue;
use serde_json::json;

use super::{CliError, Place, files, print};
use crate::say;

/// The Plug & Charge pools: clients and roots.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct PoolsArgs {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register a client, or give it other rights and a new secret
    Client(ClientArgs),
    /// Put a root certificate into the root pool
    AddRoot(RootArgs),
    /// List the root pool
    Roots,
    /// Serve the pools until Ctrl-C
    Serve(ServeArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Where clients come; without TLS only an address of this machine
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8445")]
    listen: SocketAddr,
    /// The server's certificates, PEM, leaf first
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM (mode 600)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A place notifications may go to: https://HOST or https://HOST:PORT; may be repeated
    #[arg(long = "notify", value_name = "URL")]
    places: Vec<GoTo>,
}

#[derive(Debug, Args)]
struct ClientArgs {
    /// Its name, which is its client_id: 1 to 64 letters, digits, - and _
    name: String,
    /// What it is; may be repeated
    #[arg(long = "role", value_enum, required = true)]
    roles: Vec<RoleArg>,
    /// A world manufacturer identifier of an OEM, three characters; may be repeated
    #[arg(long = "wmi", value_name = "WMI")]
    wmis: Vec<String>,
    /// A provider id of an MO, country and provider (DE-ABC); may be repeated
    #[arg(long = "provider", value_name = "ID")]
    providers: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    Admin,
    Oem,
    Mo,
    Cpo,
    Cps,
}

#[derive(Debug, Args)]
struct RootArgs {
    /// The certificate, PEM or DER
    file: PathBuf,
    /// Whose root it is: v2g, mo, oem or pe
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: RootKind,
}

fn kind(text: &str) -> Result<RootKind, String> {
    RootKind::parse(text).ok_or_else(|| "v2g, mo, oem or pe".to_owned())
}

fn refused(error: ProvisioningError) -> CliError {
    CliError::No(error.code(), error.to_string())
}

pub(super) async fn run(args: PoolsArgs) -> Result<(), CliError> {
    if let Command::Serve(serving) = args.command {
        return serve(&args.place, serving).await;
    }
    let opened = args.place.open().await?;
    let format = args.place.format;
    let contracts = CaContracts::open(opened.ca.clone()).await.map_err(refused)?;
    let roots = contracts.pool_roots();
    let settings = Settings {
        clock: Arc::new(now),
        kdf: Kdf::default(),
        on_demand: None,
        intermediates: Vec::new(),
    };
    let store = opened.ca.store().clone();
    let provisioner = Provisioner::new(store, Arc::new(contracts), settings, opened.sink());
    let done = async {
        // The CA's own roots belong there, whatever else does.
        for (kind, root) in roots {
            provisioner
                .add_root(kind, &root, &args.place.by)
                .await
                .map_err(refused)?;
        }
        match args.command {
            Command::Client(client) => {
                let value = register(&provisioner, client).await?;
                print(format, &value, || {
                    format!(
                        "client_id      {}\nclient_secret  {}\nThe secret is shown this once and kept nowhere.",
                        value["client_id"].as_str().unwrap_or_default(),
                        value["client_secret"].as_str().unwrap_or_default()
                    )
                });
            }
            Command::AddRoot(root) => {
                for der in files::certificates(&root.file)? {
                    let added = provisioner
                        .add_root(root.kind, &der, &args.place.by)
                        .await
                        .map_err(refused)?;
                    print(format, &json!({"id": added.id, "new": added.new}), || {
                        format!("{} {}", added.id, if added.new { "added" } else { "was there" })
                    });
                }
            }
            Command::Roots => {
                let store = provisioner.store();
                for root in store.pool_roots(None).await.map_err(CliError::run)? {
                    let value = json!({
                        "id": root.id, "kind": root.kind, "fingerprint": root.fingerprint,
                        "addedBy": root.added_by, "at": root.at.to_rfc3339(),
                    });
                    print(format, &value, || {
                        format!(
                            "{} {:<3} {} by {}",
                            root.id, root.kind, root.fingerprint, root.added_by
                        )
                    });
                }
            }
            // Handled above: it needs a log that is written while it runs.
            Command::Serve(_) => {}
        }
        Ok::<(), CliError>(())
    };
    let result = done.await;
    opened.finish(result).await
}

async fn register(provisioner: &Provisioner, client: ClientArgs) -> Result<serde_json::Value, CliError> {
    let named = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if client.name.is_empty() || client.name.len() > 64 || !named(&client.name) {
        return Err(CliError::Usage(
            "a client's name is 1 to 64 letters, digits, - and _".to_owned(),
        ));
    }
    if let Some(wmi) = client.wmis.iter().find(|wmi| wmi.len() != 3 || !named(wmi)) {
        return Err(CliError::Usage(format!(
            "{wmi:?} is no manufacturer identifier of three characters"
        )));
    }
    if let Some(id) = client
        .providers
        .iter()
        .find(|id| id.replace('-', "").len() != 5 || !named(id))
    {
        return Err(CliError::Usage(format!(
            "{id:?} is no provider id such as DE-ABC"
        )));
    }
    let rights = NewClient {
        roles: client
            .roles
            .into_iter()
            .map(|role| match role {
                RoleArg::Admin => Role::Admin,
                RoleArg::Oem => Role::Oem,
                RoleArg::Mo => Role::Mo,
                RoleArg::Cpo => Role::Cpo,
                RoleArg::Cps => Role::Cps,
            })
            .collect(),
        wmis: client.wmis,
        providers: client.providers,
    };
    let pools = Pools::new(provisioner.clone(), Places::default());
    let secret = pools.register(&client.name, &rights).await.map_err(refused)?;
    Ok(json!({"client_id": client.name, "client_secret": secret.expose()}))
}

async fn serve(place: &Place, args: ServeArgs) -> Result<(), CliError> {
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => {
            let key = FileKey::load(key).map_err(CliError::run)?;
            let credential = Credential::new("pools", files::certificates(cert)?, Arc::new(key));
            let server = WebServer::new(WebServerConfig {
                credential,
                client_roots: Vec::new(),
                handshake_timeout: Duration::from_secs(10),
            });
            Some(Arc::new(server.map_err(CliError::run)?))
        }
        _ if args.listen.ip().is_loopback() => None,
        _ => {
            return Err(CliError::Usage(
                "tokens and contracts do not go over a network without TLS: give --tls-cert and --tls-key"
                    .to_owned(),
            ));
        }
    };
    let data = DataDir::open(&place.data).map_err(CliError::run)?;
    let Some(_claim) = data.claim().map_err(CliError::run)? else {
        return Err(CliError::Usage(format!(
            "another gridlatch runs on {}",
            data.root().display()
        )));
    };
    let log = data.path("security.jsonl");
    let log = SecurityLog::open(&log).with_context(|| format!("cannot open {}", log.display()))?;
    let hub = Hub::new(HubConfig::default(), Some(log));
    let store = place.store(false).await?;
    let ca = Ca::open(store.clone(), place.keys(), Arc::new(hub.clone())).await?;
    let contracts = CaContracts::open(ca).await.map_err(refused)?;
    let roots = contracts.pool_roots();
    let settings = Settings {
        clock: Arc::new(now),
        kdf: Kdf::default(),
        on_demand: None,
        intermediates: Vec::new(),
    };
    let provisioner = Provisioner::new(store, Arc::new(contracts), settings, Arc::new(hub.clone()));
    for (kind, root) in roots {
        provisioner
            .add_root(kind, &root, &place.by)
            .await
            .map_err(refused)?;
    }
    let pools = Pools::new(provisioner, Places::only(args.places));
    let listener = tokio::net::TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let at = listener.local_addr().map_err(CliError::run)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    say::result(format!("  pools  {scheme}://{at}\n  Ctrl-C stops."));
    hub.emit(Event::new(
        now(),
        catalogue::pools::SERVING,
        "pki",
        format!("the pools at {scheme}://{at}"),
    ));
    let stop = Shutdown::new();
    let delivering = tokio::spawn({
        let (pools, stop) = (pools.clone(), stop.clone());
        async move { pools.deliver(stop).await }
    });
    let report = Report::new(Arc::new(hub.clone()));
    let serving = tokio::spawn(http::serve(
        listener,
        tls,
        pools::router(pools),
        report,
        stop.clone(),
    ));
    stopped().await;
    stop.cancel();
    let _ = serving.await;
    let _ = delivering.await;
    Ok(())
}

/// Until somebody asks the process to end.
async fn stopped() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
