//! `pki serve`: the CA's services on the network.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gridlatch_host::{DataDir, Hub, HubConfig, SecurityLog, Shutdown, now};
use gridlatch_keys::{FileKey, Signer as _, write_atomically};
use gridlatch_pki::ca::{Ca, Order, Requester, Role, World};
use gridlatch_pki::pools::{Place as Webhook, Places as Notify, Pools};
use gridlatch_tls::Credential;
use gridlatch_trust::build::{AltName, Subject};
use gridlatch_trust::certificate;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::catalogue::pools;
use gridlatch_vocab::{Event, EventSink};
use serde_json::json;

use super::{CliError, Place, print};
use crate::say;
use crate::services::{Places, Services, provisioner};

/// The CA that certifies the service itself.
const ISSUER: &str = "ocpp/csms-sub";
/// How often the service looks at its own certificate.
const LOOK: Duration = Duration::from_secs(3600);

/// Serve enrolment (EST), the Plug & Charge pools, OCSP and revocation lists until Ctrl-C.
///
/// Enrolment and the pools take HTTPS with a certificate from the CA's own tree for OCPP, issued and renewed here.
/// Whoever enrols is known by a certificate of this CA or by a secret (`pki client add`), whoever uses the pools by
/// a token for its secret (`pki pools client`).
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// Where clients enrol and use the pools (HTTPS); 127.0.0.1:8444 when not given
    #[arg(long, value_name = "ADDR:PORT")]
    est: Option<SocketAddr>,
    /// Where OCSP and revocation lists are (HTTP); 127.0.0.1:8081 when not given
    #[arg(long, value_name = "ADDR:PORT")]
    status: Option<SocketAddr>,
    /// A host name or address clients reach this machine by; may be repeated
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// A place the pools may send notifications to: https://HOST or https://HOST:PORT; may be repeated
    #[arg(long = "notify", value_name = "URL")]
    notify: Vec<Webhook>,
}

pub(super) async fn run(args: ServeArgs) -> Result<(), CliError> {
    args.place.present()?;
    let data = DataDir::open(&args.place.data).map_err(CliError::run)?;
    let Some(_claim) = data.claim().map_err(CliError::run)? else {
        return Err(CliError::Usage(format!(
            "another gridlatch runs on {}; `gridlatch up` serves its CA already",
            data.root().display()
        )));
    };
    let log = data.path("security.jsonl");
    let log = SecurityLog::open(&log).with_context(|| format!("cannot open {}", log.display()))?;
    let hub = Hub::new(HubConfig::default(), Some(log));
    let store = args.place.store(false).await?;
    let ca = Ca::open(store, args.place.keys(), Arc::new(hub.clone())).await?;
    let places = Places::take(args.est, args.status).await?;
    let sink: Arc<dyn EventSink> = Arc::new(hub.clone());
    // Enrolment and OCSP are not held up by what only contracts need.
    let pools = match provisioner(&ca, None, &args.place.by, sink).await {
        Ok(service) => Some(Pools::new(service, Notify::only(args.notify))),
        Err(error) => {
            hub.emit(Event::new(now(), pools::NOT_SERVED, "pki", error.to_string()));
            say::talk(format!("the pools are not served: {}: {error}", error.code()));
            None
        }
    };
    let mut lines = vec![
        String::new(),
        format!("  EST    https://{}/.well-known/est", places.est_at),
        match pools {
            Some(_) => format!("  pools  https://{0}/v1 and https://{0}/opnc/v1", places.est_at),
            None => "  pools  not served".to_owned(),
        },
        format!("  OCSP   {}", places.ocsp_url()),
        format!("  CRL    {}", places.crl_url()),
        String::new(),
    ];
    let urls = &ca.policy().urls;
    if urls.ocsp.is_none() || urls.crl.is_none() {
        lines.push(
            "  Certificates do not say where to ask: name the places in [urls] of the policy".to_owned(),
        );
        lines.push("  (`gridlatch pki policy`).".to_owned());
    }
    lines.push("  Ctrl-C stops.".to_owned());
    let ready = json!({
        "est": format!("https://{}/.well-known/est", places.est_at),
        "pools": pools.as_ref().map(|_| format!("https://{}", places.est_at)),
        "ocsp": places.ocsp_url(),
        "crl": places.crl_url(),
    });
    let names = names(&args.hosts);
    let folder = args.place.folder();
    let shutdown = Shutdown::new();
    let credential = credential(&ca, &folder, &names).await?;
    let services = Services::start(places, &ca, &folder, credential, pools, &hub, &shutdown).await?;
    print(args.place.format, &ready, || lines.join("\n"));
    let stopped = wait_for_stop();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            () = &mut stopped => break,
            () = tokio::time::sleep(LOOK) => {
                if let Ok(credential) = self::credential(&ca, &folder, &names).await {
                    services.web.replace(credential).map_err(CliError::run)?;
                }
            }
        }
    }
    say::talk("stopping");
    shutdown.cancel();
    services.stopped().await;
    Ok(())
}

async fn wait_for_stop() {
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

/// The names of this machine, and those clients reach it by.
pub(crate) fn names(hosts: &[String]) -> Vec<AltName> {
    ["localhost", "127.0.0.1", "::1"]
        .into_iter()
        .chain(hosts.iter().map(String::as_str))
        .map(|host| match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => AltName::Ip(address.octets().to_vec()),
            Ok(IpAddr::V6(address)) => AltName::Ip(address.octets().to_vec()),
            Err(_) => AltName::Dns(host.to_owned()),
        })
        .collect()
}

/// The service's certificate: the one of the last run while it is good and has these names, else another.
pub(crate) async fn credential(ca: &Ca, folder: &Path, names: &[AltName]) -> Result<Credential, CliError> {
    let stem = folder.join("services");
    let (cert, key) = (stem.with_extension("crt.pem"), stem.with_extension("key.pem"));
    let wanted = format!("{names:?}");
    let note = stem.with_extension("names");
    let known = std::fs::read_to_string(&note).is_ok_and(|text| text == wanted);
    if known && let (Ok(text), Ok(key)) = (std::fs::read(&cert), FileKey::load(&key)) {
        let chain = certificate::from_pem(&text).unwrap_or_default();
        let good = chain
            .first()
            .and_then(|leaf| certificate::summary(leaf).ok())
            .is_some_and(|summary| {
                let life = summary.not_after.0 - summary.not_before.0;
                summary.not_after.0 - ca.now().0 > life / 3
            });
        if good {
            return Ok(Credential::new("services", chain, Arc::new(key)));
        }
    }
    let fresh = FileKey::generate(World::Ocpp.algorithm()).map_err(CliError::run)?;
    let issued = ca
        .issue(Order {
            authority: ISSUER.to_owned(),
            profile: World::Ocpp.profile(Kind::CsmsServer),
            subject: Subject {
                common_name: "localhost".to_owned(),
                organization: None,
                country: None,
            },
            spki: fresh.public_key_der().to_vec(),
            alt_names: names.to_vec(),
            not_before: None,
            not_after: None,
            requester: Requester {
                role: Role::Operator,
                id: "serve".to_owned(),
            },
        })
        .await?;
    fresh.save(&key).map_err(CliError::run)?;
    let text: String = issued.chain.iter().map(|der| certificate::to_pem(der)).collect();
    write_atomically(&cert, text.as_bytes(), 0o644).map_err(CliError::run)?;
    write_atomically(&note, wanted.as_bytes(), 0o644).map_err(CliError::run)?;
    Ok(Credential::new("services", issued.chain, Arc::new(fresh)))
}
