//! PKI-A as a service: a CA with its enrolment and its root pool over HTTPS, exactly as `gridlatch pki serve` runs
//! them, on addresses of this machine, and the clients that use it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_fetch::{Answer, Ask};
use gridlatch_host::{DataDir, Hub, HubConfig, Shutdown};
use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_pki::ca::{Ca, KeyRing, Order, Plan, Requester, Role, World};
use gridlatch_pki::pools::{self, NewClient, Pools};
use gridlatch_pki::provisioning::RootKind;
use gridlatch_store::Store;
use gridlatch_tls::{Credential, WebClient};
use gridlatch_trust::build::Subject;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, certificate, cms};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::cli::pki::serve;
use crate::services::{Places, Services, provisioner};

/// Octets of an answer.
const MAX_ANSWER: usize = 1024 * 1024;
/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(20);
/// The station as PKI-A knows it; what it charges at ends in this.
const STATION: &str = "BENCH1";

/// The running service.
pub(super) struct Service {
    ca: Ca,
    pools: Pools,
    at: SocketAddr,
    web_roots: Vec<Vec<u8>>,
    stop: Shutdown,
    _running: Services,
    /// Gone when the service is.
    _folder: Folder,
}

/// A folder that goes with the run.
struct Folder(DataDir);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.root());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Service {
    /// Sets PKI-A up and serves it.
    ///
    /// # Errors
    /// The folder cannot be made, an address cannot be taken, or a key cannot be made.
    pub(super) async fn start() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("gridlatch-bench-pnc-{}", std::process::id()));
        let folder = Folder(DataDir::open(&path)?);
        let pki = folder.0.dir("pki")?;
        let hub = Hub::new(HubConfig::default(), None);
        let database = pki.join("ca.db");
        let store = Store::open(database.to_str().context("the folder's name is not text")?).await?;
        let plan = Plan {
            worlds: vec![World::Iso2, World::Iso20, World::Ocpp],
            ..Plan::single("PKI-A")
        };
        let ca = Ca::init(store, KeyRing::in_folder(&pki), Arc::new(hub.clone()), &plan).await?;
        let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let places = Places::take(any, any).await?;
        let at = places.est_at;
        let credential = serve::credential(&ca, &pki, &serve::names(&[]))
            .await
            .map_err(|error| anyhow!("no certificate for the service: {error:?}"))?;
        let provisioner = provisioner(&ca, None, "bench", Arc::new(hub.clone())).await?;
        let pools = Pools::new(provisioner, pools::Places::default());
        let stop = Shutdown::new();
        let running =
            Services::start(places, &ca, &pki, credential, Some(pools.clone()), &hub, &stop).await?;
        let web_roots = ca
            .authorities()
            .into_iter()
            .filter(|authority| authority.profile.kind == Kind::CsmsRoot)
            .map(|authority| authority.der.clone())
            .collect();
        Ok(Self {
            ca,
            pools,
            at,
            web_roots,
            stop,
            _running: running,
            _folder: folder,
        })
    }

    /// The V2G root that PKI-A's vehicles hold (DER).
    pub(super) fn v2g(&self, generation: Generation) -> Result<Vec<u8>> {
        let name = match generation {
            Generation::Iso2 => "iso2/v2g-root",
            Generation::Iso20 => "iso20/v2g-root",
        };
        Ok(self.ca.authority(name)?.der.clone())
    }

    /// Has the keeper of the root pool put another PKI's root into it.
    pub(super) async fn publish_root(&self, der: &[u8]) -> Result<()> {
        let keeper = self.partner("keeper", pools::Role::Admin).await?;
        let body =
            serde_json::json!({"caCertificate": STANDARD.encode(der), "rootType": RootKind::V2g.as_str()});
        let answer = keeper
            .ask("PUT", "/v1/root/rootCerts", "application/json", body.to_string())
            .await?;
        ensure!(
            answer.status == 200,
            "the root pool refused the root: {}",
            said(&answer)
        );
        Ok(())
    }

    /// A partner of the ecosystem with a token of its own.
    pub(super) async fn partner(&self, name: &str, role: pools::Role) -> Result<Partner> {
        let rights = NewClient {
            roles: vec![role],
            wmis: Vec::new(),
            providers: Vec::new(),
        };
        let secret = self.pools.register(name, &rights).await?;
        let mut partner = Partner {
            at: self.at,
            client: WebClient::new(&self.web_roots)?,
            token: None,
        };
        let form = format!(
            "grant_type=client_credentials&client_id={name}&client_secret={}",
            secret.expose()
        );
        let answer = partner
            .ask("POST", "/oauth/token", "application/x-www-form-urlencoded", form)
            .await?;
        ensure!(answer.status == 200, "no token: {}", said(&answer));
        let value: Value = serde_json::from_slice(&answer.body)?;
        partner.token = value["access_token"].as_str().map(str::to_owned);
        Ok(partner)
    }

    /// The operator with the client certificate that PKI-A gave it for the station.
    pub(super) async fn enrolling(&self) -> Result<Partner> {
        let key = FileKey::generate(KeyAlgorithm::P256)?;
        let issued = self
            .ca
            .issue(Order {
                authority: "ocpp/csms-sub".to_owned(),
                profile: World::Ocpp.profile(Kind::StationClient),
                subject: Subject {
                    common_name: STATION.to_owned(),
                    organization: Some("CPO of PKI-B".to_owned()),
                    country: None,
                },
                spki: key.public_key_der().to_vec(),
                alt_names: Vec::new(),
                not_before: None,
                not_after: None,
                requester: Requester {
                    role: Role::Operator,
                    id: "bench".to_owned(),
                },
            })
            .await?;
        let shown = Credential::new("the operator at PKI-A", issued.chain, Arc::new(key));
        Ok(Partner {
            at: self.at,
            client: WebClient::showing(&self.web_roots, &shown)?,
            token: None,
        })
    }

    /// Where it listens, for the log.
    pub(super) const fn address(&self) -> SocketAddr {
        self.at
    }
}

/// A client of the service over HTTPS.
pub(super) struct Partner {
    at: SocketAddr,
    client: WebClient,
    token: Option<String>,
}

impl Partner {
    async fn ask(&self, method: &str, path: &str, kind: &str, body: String) -> Result<Answer> {
        let place = format!("localhost:{}", self.at.port());
        let mut fields = vec![("content-type", kind.to_owned())];
        if let Some(token) = &self.token {
            fields.push(("authorization", format!("Bearer {token}")));
        }
        let exchange = async {
            let stream = TcpStream::connect(self.at).await?;
            let stream = self.client.connect(stream, "localhost").await?;
            let ask = Ask {
                method,
                place: &place,
                path,
                fields: &fields,
                body: body.into_bytes(),
            };
            Ok::<_, anyhow::Error>(gridlatch_fetch::ask(stream, ask, MAX_ANSWER).await?)
        };
        tokio::time::timeout(LIMIT, exchange)
            .await
            .with_context(|| format!("{method} {path}: no answer in time"))?
            .with_context(|| format!("{method} {path}"))
    }

    /// The V2G root with this common name from the root pool, and whose it is.
    ///
    /// # Errors
    /// The pool does not know it.
    pub(super) async fn look_up(&self, root: &str) -> Result<(Vec<u8>, String)> {
        let answer = self
            .ask(
                "GET",
                "/v1/root/rootCerts?rootType=V2G",
                "application/json",
                String::new(),
            )
            .await?;
        ensure!(answer.status == 200, "the root pool refused: {}", said(&answer));
        let value: Value = serde_json::from_slice(&answer.body)?;
        let listed = value["RootCertificateCollection"]["rootCertificates"].as_array();
        let found = listed
            .into_iter()
            .flatten()
            .find(|one| one["commonName"] == root)
            .with_context(|| format!("no PKI of the pool has the root {root:?}"))?;
        let der = STANDARD.decode(found["caCertificate"].as_str().unwrap_or_default())?;
        let whose = found["organizationName"].as_str().unwrap_or_default();
        Ok((der, whose.to_owned()))
    }

    /// Enrols a station over EST; the chain, leaf first, without the root.
    ///
    /// # Errors
    /// The CA refuses the request, with its code and remedy.
    pub(super) async fn enrol(&self, csr: &[u8], generation: Generation) -> Result<Vec<Vec<u8>>> {
        let (edition, curve) = match generation {
            Generation::Iso2 => ("ISO15118-2", "secp256r1"),
            Generation::Iso20 => ("ISO15118-20", "secp521r1"),
        };
        let path = format!("/.well-known/est/cpo/simpleenroll/{edition}");
        let answer = self
            .ask("POST", &path, "application/pkcs10", STANDARD.encode(csr))
            .await?;
        if answer.status != 200 {
            bail!("PKI-A refuses the request: {}", said(&answer));
        }
        let mut chain = certificates(&answer)?;
        ensure!(
            chain.len() == 1,
            "EST answers a request with one certificate, not {}",
            chain.len()
        );
        let path = format!("/.well-known/est/cpo/cacerts/{edition}/{curve}");
        let above = self
            .ask("GET", &path, "application/pkcs10", String::new())
            .await?;
        ensure!(above.status == 200, "no CA certificates: {}", said(&above));
        // A PKCS#7 is a set: the order is found by following the issuers, up to and without the root.
        let above = certificates(&above)?;
        let mut issuer = certificate::summary(chain.first().context("the answer is empty")?)?.issuer_cn;
        for _ in 0..above.len() {
            let next = above.iter().find_map(|der| {
                let summary = certificate::summary(der).ok()?;
                (summary.subject_cn == issuer && summary.issuer_cn != issuer)
                    .then_some((der, summary.issuer_cn))
            });
            let Some((der, higher)) = next else { break };
            chain.push(der.clone());
            issuer = higher;
        }
        Ok(chain)
    }
}

fn certificates(answer: &Answer) -> Result<Vec<Vec<u8>>> {
    let text: Vec<u8> = answer
        .body
        .iter()
        .copied()
        .filter(|octet| !octet.is_ascii_whitespace())
        .collect();
    Ok(cms::parse_certs_only(&STANDARD.decode(text)?)?)
}

fn said(answer: &Answer) -> String {
    format!(
        "{}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body).trim()
    )
}
