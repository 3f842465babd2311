//! A small V2G world: roots, chains and credentials, made on the spot.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gridlatch_keys::{FileKey, KeyAlgorithm, Signer};
use gridlatch_trust::build::{AltName, Issuer, Request, Subject, build};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, Profile};
use gridlatch_vocab::Timestamp;
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
    let key = FileKey::generate(algorithm).unwrap();
    let at = |days| Timestamp(time::OffsetDateTime::now_utc() + time::Duration::days(days));
    let signer = issuer.map_or(&key, |issuer| &*issuer.key);
    let der = build(
        &Request {
            profile,
            subject: Subject {
                common_name: cn.into(),
                organization: Some("Test".into()),
                country: None,
            },
            spki: key.public_key_der(),
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
        issuer.map_or(Issuer::Itself, |issuer| Issuer::Ca(&issuer.der)),
        signer.algorithm(),
        &|message| signer.sign(message).map_err(Into::into),
    )
    .unwrap();
    Node {
        der,
        key: Arc::new(key),
    }
}

fn rand() -> u8 {
    let mut octet = [0];
    openssl::rand::rand_bytes(&mut octet).unwrap();
    octet[0] & 0x7F | 1
}

/// A root, and a leaf below two sub-CAs.
pub(super) struct Tree {
    pub(super) root: Node,
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
    let leaf_cn = if kinds[3] == Kind::SeccLeaf {
        "DE*TST*E1"
    } else {
        "TSTV1234567890ABC"
    };
    let leaf = issue(profile(kinds[3]), algorithm, leaf_cn, Some(&sub2), days);
    Tree {
        root,
        leaf: Credential {
            label: name,
            chain: vec![leaf.der, sub2.der, sub1.der],
            key: leaf.key,
            staple: None,
        },
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

    pub(super) fn key(&self, name: &str, key: &Arc<dyn Signer>) -> PathBuf {
        let path = self.dir.path().join(name);
        key.as_file().unwrap().save(&path).unwrap();
        path
    }
}
