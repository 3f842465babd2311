//! The parties behind solutions B and C: a root pool that knows who operates which root, a charge point
//! operator that enrols its station elsewhere, and an OEM's back end that sends roots over the air.
//!
//! They are called in this process; what they exchange (a signing request, a certificate chain, a signed
//! trust list) is what would go over the network, byte for byte, and is checked by whoever receives it.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use gridlatch_keys::{FileKey, KeyAlgorithm, OpensslVerifier, Signer as _};
use gridlatch_tls::Credential;
use gridlatch_trust::build::Subject;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::trust_list::TrustList;
use gridlatch_trust::verdict::check_with;
use gridlatch_trust::{Generation, Profile, certificate, csr};
use gridlatch_vocab::catalogue::{pki, rollover};
use gridlatch_vocab::{Event, Timestamp};

use super::world::{Branch, EVSE_ID, Pki, algorithm};

/// Knows every PKI by its roots.
pub(super) struct RootPool<'a>(pub(super) &'a [&'a Pki]);

impl RootPool<'_> {
    /// The branch whose V2G root has this common name.
    fn find(&self, root: &str) -> Option<&Branch> {
        self.0
            .iter()
            .flat_map(|pki| [&pki.iso2, &pki.iso20])
            .find(|branch| branch.v2g.name == root)
    }

    fn ask(&self, root: &str, log: &mut Vec<Event>, now: Timestamp) -> Result<&Branch> {
        let branch = self
            .find(root)
            .with_context(|| format!("no PKI of the pool has the root {root:?}"))?;
        log.push(Event::new(
            now,
            rollover::ROOT_FOUND,
            "root pool",
            format!("{root:?} is operated by PKI-{}", branch.letter),
        ));
        Ok(branch)
    }
}

/// Solution B: the station asks its operator for a leaf under the root a car named, with a fresh key and
/// a signing request; the operator finds the PKI in the root pool and has it issued there.
///
/// # Errors
/// The pool does not know the root, the request is refused, or the answer does not verify.
pub(super) fn second_leaf(
    pool: &RootPool<'_>,
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
    let issuer = pool.ask(root, log, now)?;
    // The CA believes only what the request proves: that its sender holds the key.
    let asked = csr::parse(&request, &OpensslVerifier)
        .with_context(|| format!("{} refuses the request", issuer.cpo2.name))?;
    let Some(name) = asked.subject.common_name else {
        bail!("the request names nobody");
    };
    let chain = issuer.station_for(&name, &asked.spki, now)?;
    log.push(Event::new(
        now,
        pki::ISSUED,
        "pki",
        format!("SECC certificate for {name} by {:?}", issuer.cpo2.name),
    ));
    // The station believes the answer only if it leads to the root it was asked for.
    let profile = Profile {
        kind: Kind::SeccLeaf,
        generation,
    };
    check_with(
        &chain,
        std::slice::from_ref(&issuer.v2g.der),
        profile,
        now,
        &OpensslVerifier,
    )
    .context("the operator's answer does not lead to the root")?;
    if certificate::public_key_der(chain.first().context("the answer is empty")?)? != key.public_key_der() {
        bail!("the answer is for another key");
    }
    Ok(Credential::new(
        format!("PKI-{} station", issuer.letter),
        chain,
        Arc::new(key),
    ))
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
    pub(super) fn send_root(
        &mut self,
        pool: &RootPool<'_>,
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
        let branch = pool.ask(root, log, now)?;
        let mut roots = vehicle.installed.roots.clone();
        roots.push(branch.v2g.der.clone());
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
