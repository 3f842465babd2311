//! The parties behind solutions B and C: a root pool that knows who operates which root, a charge point
//! operator that enrols its station elsewhere, and an OEM's back end that sends roots over the air.
//!
//! What they exchange (a signing request, a certificate chain, a signed trust list) goes over sockets and is checked by
//! whoever receives it.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use gridlatch_keys::{FileKey, KeyAlgorithm, OpensslVerifier, Signer as _};
use gridlatch_pki::pools::Role;
use gridlatch_tls::Credential;
use gridlatch_trust::build::Subject;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::trust_list::TrustList;
use gridlatch_trust::verdict::check_with;
use gridlatch_trust::{Generation, Profile, certificate, csr};
use gridlatch_vocab::catalogue::{pki, rollover};
use gridlatch_vocab::{Event, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::service::Service;
use super::world::{EVSE_ID, algorithm};

/// The longest trust list a vehicle reads, octets: ten roots and a signature.
const MAX_LIST: usize = 64 * 1024;

/// Solution B: the station asks its operator for a leaf under the root a car named, with a fresh key and a signing
/// request; the operator finds the root in the root pool over HTTPS and enrols at its CA over EST with mutual TLS.
///
/// # Errors
/// The pool does not know the root, the request is refused, or the answer does not verify.
pub(super) async fn second_leaf(
    service: &Service,
    root: &str,
    generation: Generation,
    now: Timestamp,
    log: &mut Vec<Event>,
) -> Result<Credential> {
    log.push(Event::new(
        now,
        rollover::ROOT_MISSING,
        "station",
        format!("a car trusts only {root:?}: asking the operator for a certificate under it"),
    ));
    let key = FileKey::generate(algorithm(generation))?;
    let subject = Subject {
        common_name: EVSE_ID.to_owned(),
        organization: Some("CPO of PKI-B".to_owned()),
        country: Some("DE".to_owned()),
    };
    let request = csr::build(
        &subject,
        Some("CPO"),
        key.public_key_der(),
        key.algorithm(),
        &|message| key.sign(message).map_err(Into::into),
    )?;
    let operator = service.partner("operator", Role::Cpo).await?;
    let (anchor, whose) = operator.look_up(root).await?;
    found(root, &whose, log, now);
    let chain = service.enrolling().await?.enrol(&request, generation).await?;
    let leaf = chain.first().context("the answer is empty")?;
    let issuer = certificate::summary(leaf)?.issuer_cn;
    log.push(Event::new(
        now,
        pki::ISSUED,
        "pki",
        format!(
            "SECC certificate for {EVSE_ID} by {issuer:?}, over EST at https://{}",
            service.address()
        ),
    ));
    // The station believes the answer only if it leads to the root it was asked for.
    let profile = Profile {
        kind: Kind::SeccLeaf,
        generation,
    };
    check_with(&chain, &[anchor], profile, now, &OpensslVerifier)
        .context("the operator's answer does not lead to the root")?;
    if certificate::public_key_der(leaf)? != key.public_key_der() {
        bail!("the answer is for another key");
    }
    Ok(Credential::new("PKI-A station", chain, Arc::new(key)))
}

fn found(root: &str, whose: &str, log: &mut Vec<Event>, now: Timestamp) {
    log.push(Event::new(
        now,
        rollover::ROOT_FOUND,
        "root pool",
        format!("{root:?} is operated by {whose}"),
    ));
}

/// The way from the back end into the vehicle: a connection of its own, four octets of length, the list.
///
/// # Errors
/// The connection broke, or the list is longer than any list may be.
pub(super) async fn carry(list: &[u8]) -> Result<Vec<u8>> {
    let back_end = TcpListener::bind("127.0.0.1:0").await?;
    let at = back_end.local_addr()?;
    let send = async {
        let (mut stream, _) = back_end.accept().await?;
        stream.write_u32(u32::try_from(list.len())?).await?;
        stream.write_all(list).await?;
        stream.shutdown().await?;
        Ok::<_, anyhow::Error>(())
    };
    let receive = async {
        let mut stream = TcpStream::connect(at).await?;
        let length = usize::try_from(stream.read_u32().await?)?;
        ensure!(length <= MAX_LIST, "a list of {length} octets is refused");
        let mut received = vec![0; length];
        stream.read_exact(&mut received).await?;
        Ok::<_, anyhow::Error>(received)
    };
    let (sent, received) = tokio::join!(send, receive);
    sent?;
    received
}

/// What a vehicle holds of its maker's back end: the key it was built with, and the list in use.
pub(super) struct TrustStore {
    signer: (KeyAlgorithm, Vec<u8>),
    installed: TrustList,
}

/// The OEM's back end.
pub(super) struct OemBackEnd {
    key: FileKey,
    last: u64,
}

impl OemBackEnd {
    /// A back end with a key of its own, and a vehicle built for it that trusts `roots`.
    ///
    /// # Errors
    /// No entropy.
    pub(super) fn with_vehicle(roots: Vec<Vec<u8>>, now: Timestamp) -> Result<(Self, TrustStore)> {
        let key = FileKey::generate(KeyAlgorithm::P521)?;
        let store = TrustStore {
            signer: (key.algorithm(), key.public_key_der().to_vec()),
            installed: TrustList {
                number: 1,
                issued_at: now,
                valid_until: now,
                roots,
            },
        };
        Ok((Self { key, last: 1 }, store))
    }

    /// Solution C: the vehicle reports the root it lacks; the back end takes it from the pool and sends a
    /// signed list with it.
    ///
    /// # Errors
    /// The pool does not know the root, or the key failed.
    pub(super) async fn send_root(
        &mut self,
        service: &Service,
        root: &str,
        vehicle: &TrustStore,
        now: Timestamp,
        log: &mut Vec<Event>,
    ) -> Result<Vec<u8>> {
        log.push(Event::new(
            now,
            rollover::ROOT_MISSING,
            "vehicle",
            format!("a station's certificate leads to {root:?}: asking the maker's back end for it"),
        ));
        let maker = service.partner("maker", Role::Oem).await?;
        let (der, whose) = maker.look_up(root).await?;
        found(root, &whose, log, now);
        let mut roots = vehicle.installed.roots.clone();
        roots.push(der);
        self.last += 1;
        let list = TrustList {
            number: self.last,
            issued_at: Timestamp(now.0 - time::Duration::SECOND),
            valid_until: Timestamp(now.0 + time::Duration::days(30)),
            roots,
        };
        Ok(list.sign(self.key.algorithm(), &|message| {
            self.key.sign(message).map_err(Into::into)
        })?)
    }
}

impl TrustStore {
    /// Verifies a list from over the air and installs it.
    ///
    /// # Errors
    /// Which rule it breaks; the old list stays.
    pub(super) fn install(&mut self, list: &[u8], now: Timestamp, log: &mut Vec<Event>) -> Result<()> {
        let (algorithm, spki) = (self.signer.0, self.signer.1.as_slice());
        let number = self.installed.number;
        match TrustList::verify(list, (algorithm, spki), Some(number), now, &OpensslVerifier) {
            Ok(list) => {
                let names: Vec<String> = list.roots.iter().map(|root| name_of(root)).collect();
                log.push(Event::new(
                    now,
                    rollover::TRUST_LIST_INSTALLED,
                    "vehicle",
                    format!("list {} replaces {number}: {}", list.number, names.join(", ")),
                ));
                self.installed = list;
                Ok(())
            }
            Err(error) => {
                log.push(Event::new(now, error.code, "vehicle", error.to_string()));
                Err(error.into())
            }
        }
    }

    /// The roots in use.
    pub(super) fn roots(&self) -> Vec<Vec<u8>> {
        self.installed.roots.clone()
    }
}

/// The subject's common name.
pub(super) fn name_of(der: &[u8]) -> String {
    certificate::summary(der).map_or_else(|_| "(unreadable)".to_owned(), |summary| summary.subject_cn)
}
