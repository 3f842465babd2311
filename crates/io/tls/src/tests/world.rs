//! A small V2G world: roots, chains and credentials, made on the spot.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gridlatch_keys::{FileKey, KeyAlgorithm, Signer};
use gridlatch_trust::build::{AltName, Issuer, Request, Subject, build};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, Profile};
use gridlatch_vocab::Timestamp;
use openssl::x509::X509;
use tokio::net::{TcpListener, TcpStream};

use crate::{
    Credential, Handshake, Refusal, TlsStream, VehicleClient, VehicleClientConfig, VehicleServer,
    VehicleServerConfig,
};

pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// A certificate and its key.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) der: Vec<u8>,
    pub(super) key: Arc<FileKey>,
}

/// When certificates of a test are valid, in days from now.
pub(super) type Days = (i64, i64);
pub(super) const VALID: Days = (-1, 30);

pub(super) fn issue(
    profile: Profile,
    algorithm: KeyAlgorithm,
    cn: &str,
    issuer: Option<&Node>,
    days: Days,
) -> Node {
    let key = Arc::new(FileKey::generate(algorithm).unwrap());
    let der = certify(
        profile,
        key.public_key_der(),
        cn,
        issuer.map_or((None, &key), |ca| (Some(&*ca.der), &ca.key)),
        days,
    );
    Node { der, key }
}

/// A certificate for a key that is somewhere else.
fn certify(
    profile: Profile,
    spki: &[u8],
    cn: &str,
    (issuer, signer): (Option<&[u8]>, &Arc<FileKey>),
    days: Days,
) -> Vec<u8> {
    let at = |days| Timestamp(time::OffsetDateTime::now_utc() + time::Duration::days(days));
    build(
        &Request {
            profile,
            subject: Subject {
                common_name: cn.into(),
                organization: Some("Test".into()),
                country: None,
            },
            spki,
            serial: &[rand(), rand(), rand()],
            not_before: at(days.0),
            not_after: Some(at(days.1)),
            alt_names: if profile.kind == Kind::CsmsServer {
                vec![AltName::Dns("localhost".into()), AltName::Ip(vec![127, 0, 0, 1])]
            } else {
                Vec::new()
            },
            ocsp_url: None,
            crl_url: None,
        },
        issuer.map_or(Issuer::Itself, Issuer::Ca),
        signer.algorithm(),
        &|message| signer.sign(message).map_err(Into::into),
    )
    .unwrap()
}

fn rand() -> u8 {
    let mut octet = [0];
    openssl::rand::rand_bytes(&mut octet).unwrap();
    octet[0] & 0x7F | 1
}

/// A root, and a leaf below two sub-CAs.
pub(super) struct Tree {
    pub(super) root: Node,
    /// What signed the leaf.
    pub(super) issuer: Node,
    /// What signed that.
    pub(super) sub1: Node,
    pub(super) leaf: Credential,
}

pub(super) fn tree(
    generation: Generation,
    algorithm: KeyAlgorithm,
    kinds: [Kind; 4],
    cn: &str,
    days: Days,
) -> Tree {
    let profile = |kind| Profile { kind, generation };
    let long = (-300, 400);
    let name = format!("{cn} {generation} {algorithm}");
    let root = issue(profile(kinds[0]), algorithm, &format!("{name} Root"), None, long);
    let sub1 = issue(
        profile(kinds[1]),
        algorithm,
        &format!("{name} Sub1"),
        Some(&root),
        long,
    );
    let sub2 = issue(
        profile(kinds[2]),
        algorithm,
        &format!("{name} Sub2"),
        Some(&sub1),
        long,
    );
    let leaf = issue(profile(kinds[3]), algorithm, leaf_cn(kinds[3]), Some(&sub2), days);
    Tree {
        root,
        issuer: sub2.clone(),
        sub1: sub1.clone(),
        leaf: Credential {
            label: name,
            chain: vec![leaf.der, sub2.der, sub1.der],
            key: leaf.key,
            staple: None,
        },
    }
}

/// A tree whose leaf has the given key.
pub(super) fn tree_for(key: &Arc<dyn Signer>, generation: Generation, kinds: [Kind; 4], cn: &str) -> Tree {
    let mut tree = tree(generation, key.algorithm(), kinds, cn, VALID);
    let profile = Profile {
        kind: kinds[3],
        generation,
    };
    let issuer = (Some(&*tree.issuer.der), &tree.issuer.key);
    tree.leaf.chain[0] = certify(profile, key.public_key_der(), leaf_cn(kinds[3]), issuer, VALID);
    tree.leaf.key = Arc::clone(key);
    tree
}

const fn leaf_cn(kind: Kind) -> &'static str {
    match kind {
        Kind::SeccLeaf => "DE*TST*E1",
        _ => "TSTV1234567890ABC",
    }
}

pub(super) const SECC: [Kind; 4] = [Kind::V2gRoot, Kind::CpoSub1, Kind::CpoSub2, Kind::SeccLeaf];
pub(super) const VEHICLE: [Kind; 4] = [Kind::OemRoot, Kind::OemSub1, Kind::OemSub2, Kind::VehicleLeaf];

/// A station with one chain per key type, and vehicles for it.
pub(super) struct World {
    pub(super) p256: Tree,
    pub(super) p521: Tree,
    pub(super) ed448: Tree,
    pub(super) vehicle: Tree,
}

pub(super) fn world() -> World {
    World {
        p256: tree(Generation::Iso2, KeyAlgorithm::P256, SECC, "A", VALID),
        p521: tree(Generation::Iso20, KeyAlgorithm::P521, SECC, "A", VALID),
        ed448: tree(Generation::Iso20, KeyAlgorithm::Ed448, SECC, "A", VALID),
        vehicle: tree(Generation::Iso20, KeyAlgorithm::P521, VEHICLE, "V", VALID),
    }
}

impl World {
    pub(super) fn server_config(&self) -> VehicleServerConfig {
        VehicleServerConfig {
            credentials: vec![self.p521.leaf.clone(), self.p256.leaf.clone()],
            vehicle_roots: vec![self.vehicle.root.der.clone()],
            iso2: true,
            iso20: true,
            allow_legacy_cbc: true,
            key_log: None,
            handshake_timeout: TIMEOUT,
        }
    }

    pub(super) fn client_config(&self, generation: Generation) -> VehicleClientConfig {
        VehicleClientConfig {
            generation,
            roots: vec![match generation {
                Generation::Iso2 => self.p256.root.der.clone(),
                Generation::Iso20 => self.p521.root.der.clone(),
            }],
            identity: (generation == Generation::Iso20).then(|| self.vehicle.leaf.clone()),
            key_log: None,
            handshake_timeout: TIMEOUT,
        }
    }
}

/// What each side made of one connection.
pub(super) struct Met {
    pub(super) server: Result<(TlsStream, Handshake), Refusal>,
    pub(super) client: Result<(TlsStream, Handshake), Refusal>,
}

pub(super) async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

pub(super) async fn meet(server: VehicleServerConfig, client: VehicleClientConfig) -> Met {
    let (near, far) = sockets().await;
    let server = VehicleServer::new(server).unwrap();
    let client = VehicleClient::new(client).unwrap();
    let (server, client) = tokio::join!(server.accept(far), client.connect(near, Some("fe80::1%eth0")));
    Met { server, client }
}

/// PEM files for OpenSSL's command line.
pub(super) struct Files {
    pub(super) dir: tempfile::TempDir,
}

impl Files {
    pub(super) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn certificates(&self, name: &str, chain: &[Vec<u8>]) -> PathBuf {
        let path = self.dir.path().join(name);
        let text: String = chain
            .iter()
            .map(|der| gridlatch_trust::certificate::to_pem(der))
            .collect();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What the issuer says of `leaf`, in the words of OpenSSL's own responder.
    pub(super) fn ocsp(&self, issuer: &Node, leaf: &[u8], revoked: bool) -> Vec<u8> {
        let serial: String = X509::from_der(leaf)
            .unwrap()
            .serial_number()
            .to_bn()
            .unwrap()
            .to_hex_str()
            .unwrap()
            .to_string();
        let state = if revoked { "R" } else { "V" };
        let when = if revoked { "260101000000Z" } else { "" };
        let index = self.dir.path().join("index.txt");
        std::fs::write(
            &index,
            format!("{state}\t491231000000Z\t{when}\t{serial}\tunknown\t/CN=x\n"),
        )
        .unwrap();
        let key: Arc<dyn Signer> = issuer.key.clone();
        let paths = [
            self.certificates("ocsp-ca.pem", std::slice::from_ref(&issuer.der)),
            self.key("ocsp-ca.key", &key),
            self.certificates("ocsp-leaf.pem", &[leaf.to_vec()]),
            self.dir.path().join("ocsp.der"),
        ];
        let [ca, key, leaf, out] = paths.each_ref().map(|path| path.to_str().unwrap());
        let run = std::process::Command::new("openssl")
            .args([
                "ocsp",
                "-index",
                index.to_str().unwrap(),
                "-CA",
                ca,
                "-rsigner",
                ca,
                "-rkey",
                key,
            ])
            .args([
                "-issuer",
                ca,
                "-cert",
                leaf,
                "-ndays",
                "2",
                "-respout",
                out,
                "-no_nonce",
                "-noverify",
            ])
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        std::fs::read(out).unwrap()
    }

    pub(super) fn key(&self, name: &str, key: &Arc<dyn Signer>) -> PathBuf {
        let path = self.dir.path().join(name);
        key.as_file().unwrap().save(&path).unwrap();
        path
    }
}
