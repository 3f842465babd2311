//! A CA with its services running, and the command-line tools that judge it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gridlatch_host::{Shutdown, now};
use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_pki::ca::{Ca, Issued, KeyRing, Order, Plan, Reason, Requester, Role, World};
use gridlatch_pki::crl::Publisher;
use gridlatch_pki::est::Est;
use gridlatch_pki::est::clients::Clients;
use gridlatch_pki::est::pending::Pending;
use gridlatch_pki::http::{Report, serve};
use gridlatch_pki::ocsp::Responder;
use gridlatch_store::Store;
use gridlatch_tls::{Credential, WebServer, WebServerConfig};
use gridlatch_trust::build::{AltName, Subject};
use gridlatch_trust::certificate;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::{Code, Event, EventSink};
use tokio::net::TcpListener;

#[derive(Default)]
pub(crate) struct Events(Mutex<Vec<Event>>);

impl EventSink for Events {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events {
    pub(crate) fn count(&self, code: Code) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|event| event.code == code)
            .count()
    }
}

impl Events {
    /// How many have a code that begins with one of these.
    pub(crate) fn of_areas(&self, areas: &[&str]) -> usize {
        let events = self.0.lock().unwrap();
        let of = |event: &&Event| areas.iter().any(|area| event.code.as_str().starts_with(area));
        events.iter().filter(of).count()
    }
}

/// A CA whose services run.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) ca: Ca,
    pub(crate) events: Arc<Events>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) pending: Pending,
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) responder: Responder,
    stop: Shutdown,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn requester(role: Role, id: &str) -> Requester {
    Requester {
        role,
        id: id.to_owned(),
    }
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::of(vec![World::Iso2, World::Ocpp]).await
    }

    pub(crate) async fn of(worlds: Vec<World>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let events = Arc::new(Events::default());
        let store = Store::open(dir.path().join("ca.db").to_str().unwrap())
            .await
            .unwrap();
        let plan = Plan {
            worlds,
            ..Plan::single("Test")
        };
        let ca = Ca::init(store, KeyRing::in_folder(dir.path()), events.clone(), &plan)
            .await
            .unwrap();
        let clients = Arc::new(Clients::open(&dir.path().join("clients.json")).unwrap());
        let pending = Pending::in_folder(&dir.path().join("pending"));
        let report = Report::new(events.clone());
        let stop = Shutdown::new();
        let roots = ca
            .authorities()
            .into_iter()
            .filter(|authority| authority.is_root());
        let client_roots = roots.map(|root| root.der.clone()).collect();
        let tls = WebServer::new(WebServerConfig {
            credential: server(&ca).await,
            client_roots,
            handshake_timeout: Duration::from_secs(10),
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let https = listener.local_addr().unwrap();
        let est = Est::new(ca.clone(), clients.clone(), pending.clone(), report.clone());
        tokio::spawn(serve(
            listener,
            Some(Arc::new(tls)),
            est.router(),
            report.clone(),
            stop.clone(),
        ));
        let responder = Responder::start(ca.clone(), report.clone(), stop.clone())
            .await
            .unwrap();
        let publisher = Publisher::start(ca.clone(), report.clone(), stop.clone())
            .await
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let router = responder.router().merge(publisher.router());
        tokio::spawn(serve(listener, None, router, report, stop.clone()));
        Self {
            dir,
            ca,
            events,
            clients,
            pending,
            https,
            http,
            responder,
            stop,
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Certificates as PEM in a file.
    pub(crate) fn pem(&self, name: &str, certificates: &[Vec<u8>]) -> PathBuf {
        let path = self.file(name);
        let text: String = certificates.iter().map(|der| certificate::to_pem(der)).collect();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The root that `authority` leads to, as PEM in a file.
    pub(crate) fn root(&self, authority: &str) -> PathBuf {
        let name = format!("{}-root.pem", authority.replace('/', "-"));
        self.pem(&name, &[self.ca.root_of(authority).unwrap().der.clone()])
    }

    /// Issues a leaf to an operator; certificate and key are written to `NAME.pem` and `NAME.key`.
    pub(crate) async fn leaf(&self, kind: Kind, authority: &str, cn: &str, name: &str) -> Issued {
        let world = World::from_folder(authority.split_once('/').unwrap().0).unwrap();
        let (issued, key) = issue(&self.ca, world, kind, authority, cn).await;
        self.pem(&format!("{name}.pem"), &issued.chain);
        key.save(&self.file(&format!("{name}.key"))).unwrap();
        issued
    }

    /// A new key and a request for it by OpenSSL, Base64 with line ends in `NAME.b64`.
    pub(crate) fn request(&self, name: &str, curve: &str, subject: &str) -> PathBuf {
        let key = self.file(&format!("{name}.key"));
        let algorithm = if curve == "ed448" {
            vec!["-algorithm".to_owned(), "ed448".to_owned()]
        } else {
            vec![
                "-algorithm".to_owned(),
                "EC".to_owned(),
                "-pkeyopt".to_owned(),
                format!("ec_paramgen_curve:{curve}"),
            ]
        };
        let made = Command::new("openssl")
            .arg("genpkey")
            .args(algorithm)
            .arg("-out")
            .arg(&key)
            .output();
        ok(&made.unwrap());
        self.request_for(name, subject, &[])
    }

    /// A request for the key in `NAME.key`.
    pub(crate) fn request_for(&self, name: &str, subject: &str, more: &[&str]) -> PathBuf {
        let key = self.file(&format!("{name}.key"));
        let der = self.file(&format!("{name}.csr"));
        let digest = if name.contains("p521") {
            "-sha512"
        } else {
            "-sha256"
        };
        let made = Command::new("openssl")
            .args(["req", "-new", digest, "-outform", "DER", "-subj", subject, "-key"])
            .arg(&key)
            .arg("-out")
            .arg(&der)
            .args(more)
            .output();
        ok(&made.unwrap());
        let b64 = self.file(&format!("{name}.b64"));
        let packed = Command::new("openssl")
            .args(["base64", "-in"])
            .arg(&der)
            .arg("-out")
            .arg(&b64)
            .output();
        ok(&packed.unwrap());
        b64
    }

    /// curl on a path of the HTTPS service: status, head fields and body.
    pub(crate) fn curl(&self, path: &str, args: &[&str]) -> Answer {
        let root = self.root("ocpp/csms-sub");
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--include",
                "--max-time",
                "20",
                "--cacert",
            ])
            .arg(root)
            .args(args)
            .arg(format!("https://localhost:{}{path}", self.https.port()))
            .output()
            .unwrap();
        Answer::read(&output)
    }

    /// curl posts a file as a request for a certificate.
    pub(crate) fn post(&self, path: &str, body: &Path, args: &[&str]) -> Answer {
        let data = format!("@{}", body.display());
        let mut all = vec!["--data-binary", &data, "-H", "Content-Type: application/pkcs10"];
        all.extend(args);
        self.curl(path, &all)
    }

    /// The certificate of an answer, by OpenSSL's reading, into `NAME.pem`.
    pub(crate) fn certificate(&self, answer: &Answer, name: &str) -> PathBuf {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(
            answer
                .head
                .contains("content-type: application/pkcs7-mime; smime-type=certs-only"),
            "{answer:?}"
        );
        assert!(
            answer.head.contains("content-transfer-encoding: base64"),
            "{answer:?}"
        );
        let b64 = self.file(&format!("{name}.p7.b64"));
        std::fs::write(&b64, &answer.body).unwrap();
        let der = self.file(&format!("{name}.p7"));
        let unpacked = Command::new("openssl")
            .args(["base64", "-d", "-in"])
            .arg(&b64)
            .arg("-out")
            .arg(&der)
            .output();
        ok(&unpacked.unwrap());
        let pem = self.file(&format!("{name}.pem"));
        let printed = Command::new("openssl")
            .args(["pkcs7", "-inform", "DER", "-print_certs", "-in"])
            .arg(&der)
            .arg("-out")
            .arg(&pem)
            .output();
        ok(&printed.unwrap());
        pem
    }

    /// Revokes a certificate.
    pub(crate) async fn revoke(&self, authority: &str, issued: &Issued) {
        let by = requester(Role::Operator, "tester");
        self.ca
            .revoke(authority, issued.serial, Reason::KeyCompromise, now(), &by)
            .await
            .unwrap();
    }

    /// `openssl verify` on a leaf of `authority`.
    pub(crate) fn verify(&self, authority: &str, leaf: &Path) {
        let subs = self.pem("subs.pem", &self.ca.chain(authority).unwrap());
        let output = Command::new("openssl")
            .args(["verify", "-x509_strict", "-CAfile"])
            .arg(self.root(authority))
            .arg("-untrusted")
            .arg(subs)
            .arg(leaf)
            .output();
        ok(&output.unwrap());
    }
}

/// What a tool of the shell answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn read(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // With `Expect: 100-continue` there are two heads.
        let mut rest = text.as_str();
        while let Some(after) = rest
            .strip_prefix("HTTP/1.1 100 Continue\r\n")
            .and_then(|after| after.split_once("\r\n"))
        {
            rest = after.1;
        }
        let (head, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or(0),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }
}

pub(crate) fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The certificate the services show.
async fn server(ca: &Ca) -> Credential {
    let (issued, key) = issue(ca, World::Ocpp, Kind::CsmsServer, "ocpp/csms-sub", "localhost").await;
    Credential::new("services", issued.chain, Arc::new(key))
}

async fn issue(ca: &Ca, world: World, kind: Kind, authority: &str, cn: &str) -> (Issued, FileKey) {
    let key = FileKey::generate(world.algorithm()).unwrap();
    let alt_names = if kind == Kind::CsmsServer {
        vec![AltName::Dns("localhost".into()), AltName::Ip(vec![127, 0, 0, 1])]
    } else {
        Vec::new()
    };
    let issued = ca
        .issue(Order {
            authority: authority.to_owned(),
            profile: world.profile(kind),
            subject: Subject {
                common_name: cn.to_owned(),
                organization: Some("Test".to_owned()),
                country: Some("DE".to_owned()),
            },
            spki: key.public_key_der().to_vec(),
            alt_names,
            not_before: None,
            not_after: None,
            requester: requester(Role::Operator, "tester"),
        })
        .await
        .unwrap();
    (issued, key)
}

/// OpenSSL's word for a curve.
pub(crate) const fn curve(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::P256 => "prime256v1",
        KeyAlgorithm::P521 => "secp521r1",
        KeyAlgorithm::Ed448 => "ed448",
    }
}
