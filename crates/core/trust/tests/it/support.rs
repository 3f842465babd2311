//! Keys that are always the same, a clock that stands, and OpenSSL's command line.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gridlatch_trust::build::{self, Issuer, Request, SignError, Subject};
use gridlatch_trust::cross::{self, CrossRequest, Reach};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::{Generation, KeyAlgorithm, RustCrypto, Verify};
use gridlatch_vocab::Timestamp;
use p256::ecdsa::signature::Signer as _;

/// `at("2026-11-21T12:00:00Z")`.
pub fn at(text: &str) -> Timestamp {
    let format = time::format_description::well_known::Rfc3339;
    Timestamp(time::OffsetDateTime::parse(text, &format).unwrap())
}

/// The day on which everything here happens.
pub fn now() -> Timestamp {
    at("2026-11-21T12:00:00Z")
}

pub fn days(count: i64) -> time::Duration {
    time::Duration::days(count)
}

pub fn from_now(count: i64) -> Timestamp {
    Timestamp(now().0 + days(count))
}

/// A private key made from a number, so that a failure can be repeated.
#[derive(Clone)]
pub enum Key {
    P256(p256::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
    /// PKCS#8 PEM, used through the command line.
    Ed448(PathBuf),
}

impl Key {
    pub fn p256(seed: u8) -> Self {
        let mut scalar = [0x11; 32];
        scalar[31] = seed;
        Self::P256(p256::ecdsa::SigningKey::from_slice(&scalar).unwrap())
    }

    pub fn p521(seed: u8) -> Self {
        let mut scalar = [0; 66];
        scalar[40] = 0x22;
        scalar[65] = seed;
        Self::P521(p521::ecdsa::SigningKey::from_slice(&scalar).unwrap())
    }

    pub fn ed448(dir: &Path, name: &str) -> Self {
        let path = dir.join(name);
        openssl(
            ["genpkey", "-algorithm", "ed448", "-out"]
                .map(String::from)
                .into_iter()
                .chain([path.display().to_string()]),
        );
        Self::Ed448(path)
    }

    /// Of the type that `generation` prescribes.
    pub fn of(generation: Generation, seed: u8) -> Self {
        match generation {
            Generation::Iso2 => Self::p256(seed),
            Generation::Iso20 => Self::p521(seed),
        }
    }

    pub fn algorithm(&self) -> KeyAlgorithm {
        match self {
            Self::P256(_) => KeyAlgorithm::P256,
            Self::P521(_) => KeyAlgorithm::P521,
            Self::Ed448(_) => KeyAlgorithm::Ed448,
        }
    }

    pub fn spki(&self) -> Vec<u8> {
        let (prefix, point) = match self {
            Self::P256(key) => (
                "3059301306072a8648ce3d020106082a8648ce3d030107034200",
                key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            ),
            Self::P521(key) => (
                "30819b301006072a8648ce3d020106052b81040023038186 00",
                key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            ),
            Self::Ed448(path) => {
                let path = path.display().to_string();
                return openssl(["pkey", "-in", &path, "-pubout", "-outform", "DER"].map(String::from))
                    .stdout;
            }
        };
        let mut spki = hex::decode(prefix.replace(' ', "")).unwrap();
        spki.extend(point);
        spki
    }

    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
            Self::P521(key) => {
                let signature: p521::ecdsa::Signature = key.sign(message);
                signature.to_der().as_bytes().to_vec()
            }
            Self::Ed448(path) => {
                let dir = tempfile::tempdir().unwrap();
                let input = write(dir.path(), "message", message);
                let key = path.display().to_string();
                openssl(["pkeyutl", "-sign", "-rawin", "-inkey", &key, "-in", &input].map(String::from))
                    .stdout
            }
        })
    }

    /// PKCS#8 in PEM, for OpenSSL.
    pub fn pem(&self, dir: &Path, name: &str) -> String {
        // ECPrivateKey (RFC 5915) with the curve's name; OpenSSL reads it as it is.
        let (scalar, curve, label) = match self {
            Self::P256(key) => (
                key.to_bytes().to_vec(),
                "a00a06082a8648ce3d030107",
                "EC PRIVATE KEY",
            ),
            Self::P521(key) => (key.to_bytes().to_vec(), "a00706052b81040023", "EC PRIVATE KEY"),
            Self::Ed448(path) => return path.display().to_string(),
        };
        let mut body = vec![0x02, 0x01, 0x01, 0x04, u8::try_from(scalar.len()).unwrap()];
        body.extend(scalar);
        body.extend(hex::decode(curve).unwrap());
        let mut der = vec![0x30, u8::try_from(body.len()).unwrap()];
        der.extend(body);
        let pem = der::pem::encode_string(label, der::pem::LineEnding::LF, &der).unwrap();
        write(dir, name, pem.as_bytes())
    }
}

/// RustCrypto, and OpenSSL's command line for Ed448.
pub struct Verifier;

impl Verify for Verifier {
    fn verify(&self, algorithm: KeyAlgorithm, spki: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
        if algorithm != KeyAlgorithm::Ed448 {
            return RustCrypto.verify(algorithm, spki, message, signature);
        }
        let dir = tempfile::tempdir().unwrap();
        let (key, input, signature) = (
            write(dir.path(), "key", spki),
            write(dir.path(), "message", message),
            write(dir.path(), "signature", signature),
        );
        let output = Command::new("openssl")
            .args([
                "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", &key,
            ])
            .args(["-in", &input, "-sigfile", &signature])
            .output()
            .unwrap();
        Some(output.status.success())
    }
}

/// Writes a file and gives its path as text.
pub fn write(dir: &Path, name: &str, content: &[u8]) -> String {
    let path = dir.join(name);
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

/// Runs `openssl` and insists on success.
pub fn openssl(arguments: impl IntoIterator<Item = String>) -> Output {
    let output = openssl_any(arguments);
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs `openssl`.
pub fn openssl_any(arguments: impl IntoIterator<Item = String>) -> Output {
    Command::new("openssl")
        .args(arguments)
        .output()
        .expect("the openssl command (Debian package openssl)")
}

/// Both outputs as text.
pub fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// PEM of several certificates.
pub fn pem(certificates: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let text: String = certificates
        .iter()
        .map(|der| gridlatch_trust::certificate::to_pem(der.as_ref()))
        .collect();
    text.into_bytes()
}

pub fn subject(common_name: &str) -> Subject {
    Subject {
        common_name: common_name.to_owned(),
        organization: Some("Gridlatch test".to_owned()),
        country: Some("DE".to_owned()),
    }
}

/// A certificate and the key it certifies.
#[derive(Clone)]
pub struct Entity {
    pub der: Vec<u8>,
    pub key: Key,
    pub name: String,
}

/// How a certificate departs from the usual.
#[derive(Clone, Copy)]
pub struct Validity {
    pub from: i64,
    pub to: i64,
}

impl Entity {
    pub fn root(profile: Profile, name: &str, key: Key) -> Self {
        Self::issue(profile, name, key, None, 1, None)
    }

    pub fn child(&self, profile: Profile, name: &str, key: Key, serial: u16) -> Self {
        Self::issue(profile, name, key, Some(self), serial, None)
    }

    pub fn child_valid(
        &self,
        profile: Profile,
        name: &str,
        key: Key,
        serial: u16,
        validity: Validity,
    ) -> Self {
        Self::issue(profile, name, key, Some(self), serial, Some(validity))
    }

    fn issue(
        profile: Profile,
        name: &str,
        key: Key,
        issuer: Option<&Self>,
        serial: u16,
        validity: Option<Validity>,
    ) -> Self {
        let spki = key.spki();
        let validity = validity.map(|v| (from_now(v.from), Some(from_now(v.to))));
        let (not_before, not_after) = validity.unwrap_or_else(|| (from_now(-30), None));
        let serial = serial.to_be_bytes();
        let request = Request {
            profile,
            subject: subject(name),
            spki: &spki,
            serial: &serial,
            not_before,
            not_after,
            alt_names: Vec::new(),
            ocsp_url: None,
            crl_url: None,
        };
        let signer = issuer.map_or(&key, |issuer| &issuer.key);
        let by = issuer.map_or(Issuer::Itself, |issuer| Issuer::Ca(&issuer.der));
        let der = build::build(&request, by, signer.algorithm(), &|message| signer.sign(message)).unwrap();
        Self {
            der,
            key,
            name: name.to_owned(),
        }
    }
}

/// The CPO tree of one generation: V2G root, sub-CA 1, sub-CA 2, SECC leaf.
pub struct Cpo {
    pub root: Entity,
    pub sub1: Entity,
    pub sub2: Entity,
    pub leaf: Entity,
}

impl Cpo {
    /// `number` keeps the keys and names of two trees apart.
    pub fn new(generation: Generation, number: u8) -> Self {
        let profile = |kind| Profile { kind, generation };
        let key = |n: u8| Key::of(generation, number * 16 + n);
        let root = Entity::root(profile(Kind::V2gRoot), &format!("Root {number}"), key(1));
        let sub1 = root.child(profile(Kind::CpoSub1), &format!("Sub1 {number}"), key(2), 2);
        let sub2 = sub1.child(profile(Kind::CpoSub2), &format!("Sub2 {number}"), key(3), 3);
        let leaf = sub2.child(profile(Kind::SeccLeaf), "DE*GLA*E1", key(4), 4);
        Self {
            root,
            sub1,
            sub2,
            leaf,
        }
    }

    /// As a station sends it.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        vec![
            self.leaf.der.clone(),
            self.sub2.der.clone(),
            self.sub1.der.clone(),
        ]
    }
}

/// The CA `subject` (of `kind`), its key certified by `issuer` as well.
pub fn cross(subject: &Entity, kind: Kind, issuer: &Entity, generation: Generation, serial: u8) -> Vec<u8> {
    let root = kind == Kind::V2gRoot;
    let request = CrossRequest {
        subject: &subject.der,
        kind,
        generation,
        serial: &[serial],
        not_before: from_now(-10),
        not_after: None,
        ocsp_url: None,
        crl_url: None,
        reach: if root {
            Reach::OverRootForExperiment
        } else {
            Reach::WithinPath
        },
    };
    cross::cross(&request, &issuer.der, issuer.key.algorithm(), &|m| {
        issuer.key.sign(m)
    })
    .unwrap()
}
