//! What every TLS context here has in common, and reading credentials.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use gridlatch_keys::KeyAlgorithm;
use openssl::hash::MessageDigest;
use openssl::ssl::{SslContextBuilder, SslMethod, SslOptions, SslRef, SslVersion};
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::{X509, X509Name};

use crate::choose::Facts;
use crate::observed::distinguished;
use crate::{Credential, TlsError, ffi, openssl_failed};

/// The CBC suite that ISO 15118-2 demands, by OpenSSL's name (0xC023).
pub(crate) const LEGACY_CBC: &str = "ECDHE-ECDSA-AES128-SHA256";
/// Suites of TLS 1.2 that every peer of today should offer.
pub(crate) const GCM: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
/// Suites of ISO 15118-20.
pub(crate) const TLS13: &str = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

/// A peer's chain in octets: six certificates of 1600, the limit of ISO 15118-20 Amd 1, are plenty.
pub(crate) const MAX_CHAIN_OCTETS: u16 = 16 * 1024;
/// A staple in octets: one answer about one certificate, with the responder's certificate.
const MAX_STAPLE_OCTETS: usize = 16 * 1024;
/// Sub-CAs between leaf and root: two by [V2G2-009], one more for a cross-certificate.
const MAX_SUB_CAS: u32 = 3;

/// A builder with the rules that hold on every link.
pub(crate) fn builder(
    method: SslMethod,
    min: SslVersion,
    max: SslVersion,
) -> Result<SslContextBuilder, TlsError> {
    let failed = openssl_failed("set up a TLS context");
    let mut builder = SslContextBuilder::new(method).map_err(&failed)?;
    builder.set_options(
        SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION | SslOptions::CIPHER_SERVER_PREFERENCE,
    );
    builder.set_min_proto_version(Some(min)).map_err(&failed)?;
    builder.set_max_proto_version(Some(max)).map_err(&failed)?;
    builder.set_verify_depth(MAX_SUB_CAS);
    ffi::set_max_certificate_list(&mut builder, MAX_CHAIN_OCTETS);
    Ok(builder)
}

/// Installs certificate, chain and key.
pub(crate) fn install(builder: &mut SslContextBuilder, credential: &Credential) -> Result<(), TlsError> {
    let bad = |reason| TlsError::Credential {
        label: credential.label.clone(),
        reason,
    };
    let (leaf, subs) = credential
        .chain
        .split_first()
        .ok_or_else(|| bad("the chain is empty"))?;
    let leaf = X509::from_der(leaf).map_err(|_| bad("the leaf is not a certificate"))?;
    let spki = leaf.public_key().and_then(|key| key.public_key_to_der());
    if spki.map_err(|_| bad("the leaf's key cannot be read"))? != credential.key.public_key_der() {
        return Err(bad("the key does not belong to the leaf"));
    }
    let failed = openssl_failed("install a certificate");
    builder.set_certificate(&leaf).map_err(&failed)?;
    match credential.key.as_file() {
        Some(file) => builder.set_private_key(file.pkey()).map_err(&failed)?,
        None if credential.key.algorithm() == KeyAlgorithm::Ed448 => {
            return Err(bad("OpenSSL can use an Ed448 key only from a file"));
        }
        None => {
            let key = ffi::signer_key(&credential.key).map_err(&failed)?;
            builder.set_private_key(&key).map_err(&failed)?;
        }
    }
    for sub in subs {
        let sub = X509::from_der(sub).map_err(|_| bad("a sub-CA is not a certificate"))?;
        // The root is never sent: the peer has it or does not trust it.
        if sub.subject_name().to_der().ok() != sub.issuer_name().to_der().ok() {
            // As this certificate's own chain: only to such a chain OpenSSL staples more than one answer.
            ffi::add_chain_certificate(builder, &sub).map_err(&failed)?;
        }
    }
    Ok(())
}

/// OCSP answers about the certificates of one chain, leaf first; exchanged while contexts that give them to
/// clients are in use.
pub(crate) type Staples = Arc<ArcSwap<Vec<Option<Vec<u8>>>>>;

/// Whether this OpenSSL staples an answer to every certificate of a chain in TLS 1.3, or to the leaf alone.
pub(crate) fn whole_chain() -> bool {
    const OPENSSL_3_6: i64 = 0x3060_0000;
    openssl::version::number() >= OPENSSL_3_6
}

/// Whether a staple is of a size that can be sent.
pub(crate) fn check_staple(label: &str, staple: Option<&[u8]>) -> Result<(), TlsError> {
    match staple {
        Some(staple) if staple.is_empty() || staple.len() > MAX_STAPLE_OCTETS => Err(TlsError::Credential {
            label: label.to_owned(),
            reason: "the OCSP staple is empty or longer than 16 KiB",
        }),
        _ => Ok(()),
    }
}

/// Gives what is known to clients that ask: about the whole chain where TLS and OpenSSL can, else about the leaf.
/// For servers only: on a client's context the same call would judge the server's staple.
pub(crate) fn staple(builder: &mut SslContextBuilder, credential: &Credential) -> Result<Staples, TlsError> {
    check_staple(&credential.label, credential.staple.as_deref())?;
    let mut known = vec![None; credential.chain.len()];
    if let Some(leaf) = known.first_mut() {
        leaf.clone_from(&credential.staple);
    }
    let staples: Staples = Arc::new(ArcSwap::from_pointee(known));
    let source = Arc::clone(&staples);
    builder
        .set_status_callback(move |ssl| {
            let known = source.load();
            if whole_chain() {
                let carried = ffi::set_staples(ssl, &known)?;
                let tls13 = ssl.version2() == Some(SslVersion::TLS1_3);
                // TLS 1.2 has room for the leaf's alone, and promises it before it sends it.
                return Ok(carried
                    .iter()
                    .take(if tls13 { carried.len() } else { 1 })
                    .any(|one| *one));
            }
            match known.first().and_then(Option::as_ref) {
                Some(staple) => ssl.set_ocsp_status(staple).map(|()| true),
                None => Ok(false),
            }
        })
        .map_err(openssl_failed("install an OCSP staple"))?;
    Ok(staples)
}

/// Which root a credential leads to; `roots` are known roots, for clients that name a root by hash.
pub(crate) fn facts(credential: &Credential, roots: &[Vec<u8>]) -> Result<Facts, TlsError> {
    let bad = |reason| TlsError::Credential {
        label: credential.label.clone(),
        reason,
    };
    let top = credential.chain.last().ok_or_else(|| bad("the chain is empty"))?;
    let top = X509::from_der(top).map_err(|_| bad("the chain holds something that is no certificate"))?;
    let root_name = top
        .issuer_name()
        .to_der()
        .map_err(|_| bad("the top of the chain does not name its issuer"))?;
    let root = roots
        .iter()
        .filter_map(|der| X509::from_der(der).ok())
        .find(|root| root.subject_name().to_der().is_ok_and(|name| name == root_name));
    Ok(Facts {
        algorithm: credential.key.algorithm(),
        root_key_id: top.authority_key_id().map(|id| id.as_slice().to_vec()),
        root_sha1: root
            .and_then(|root| root.digest(MessageDigest::sha1()).ok())
            .and_then(|digest| (*digest).try_into().ok()),
        root_name,
    })
}

/// A store that trusts exactly these roots.
pub(crate) fn store(roots: &[Vec<u8>]) -> Result<X509Store, TlsError> {
    let failed = openssl_failed("read a trusted root");
    let mut store = X509StoreBuilder::new().map_err(&failed)?;
    for root in roots {
        store
            .add_cert(X509::from_der(root).map_err(&failed)?)
            .map_err(&failed)?;
    }
    Ok(store.build())
}

/// The subjects of `roots`, as a TLS peer is told them.
pub(crate) fn names(roots: &[Vec<u8>]) -> Result<Stack<X509Name>, TlsError> {
    let failed = openssl_failed("name a trusted root");
    let mut names = Stack::new().map_err(&failed)?;
    for root in roots {
        let root = X509::from_der(root).map_err(&failed)?;
        names
            .push(root.subject_name().to_owned().map_err(&failed)?)
            .map_err(&failed)?;
    }
    Ok(names)
}

/// The leaf and what follows, in DER.
pub(crate) fn peer_chain(ssl: &SslRef) -> Vec<Vec<u8>> {
    let leaf = ssl.peer_certificate().and_then(|leaf| leaf.to_der().ok());
    let rest = ssl
        .peer_cert_chain()
        .into_iter()
        .flatten()
        .filter_map(|cert| cert.to_der().ok());
    let mut chain: Vec<Vec<u8>> = Vec::new();
    // A client sees its peer's leaf in the chain too, a server does not.
    for certificate in leaf.into_iter().chain(rest) {
        if !chain.contains(&certificate) {
            chain.push(certificate);
        }
    }
    chain
}

/// The path OpenSSL built, leaf first, root last; nothing where there is no peer certificate.
pub(crate) fn peer_path(ssl: &SslRef) -> Vec<Vec<u8>> {
    if ssl.peer_certificate().is_none() {
        return Vec::new();
    }
    let path: Result<Vec<_>, _> = ssl
        .verified_chain()
        .into_iter()
        .flatten()
        .map(|cert| cert.to_der())
        .collect();
    path.unwrap_or_default()
}

/// Appends TLS secrets to a file in the format of `SSLKEYLOGFILE`, readable by its owner only.
#[derive(Debug, Clone)]
pub(crate) struct KeyLog(Arc<Mutex<fs::File>>);

impl KeyLog {
    pub(crate) fn open(path: &Path) -> Result<Self, TlsError> {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map(|file| Self(Arc::new(Mutex::new(file))))
            .map_err(|source| TlsError::KeyLog {
                path: path.to_owned(),
                source,
            })
    }

    pub(crate) fn install(&self, builder: &mut SslContextBuilder) {
        let file = Arc::clone(&self.0);
        builder.set_keylog_callback(move |_, line| {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            // A full disk loses decryption of a capture, not the connection.
            let _ = file.write_all(format!("{line}\n").as_bytes());
        });
    }
}

/// The issuer of the chain's last certificate, for messages.
pub(crate) fn top_issuer(credential: &Credential) -> String {
    credential
        .chain
        .last()
        .and_then(|der| X509::from_der(der).ok())
        .map_or_else(|| "(unknown)".to_owned(), |top| distinguished(top.issuer_name()))
}
