//! The certificates a station holds: how it asks for new ones, proves them before it shows them, and
//! keeps the old ones until the change is over.
//!
//! A private key is made here, on the disk before anybody is asked for a certificate, and never leaves.
//! A certificate that arrives is judged as a vehicle or the platform would judge it; one that would be
//! refused is not installed, and what was in use stays in use. Old and new are both held for
//! [`CROSSOVER`], so that a peer which lacks the new chain's root can still be shown the old one.

mod disk;
mod installed;
mod keys;
mod shelf;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gridlatch_keys::{KeyAlgorithm, KeyError, OpensslVerifier};
use gridlatch_tls::{Credential, VehicleServer};
use gridlatch_trust::build::Subject;
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::{certificate, csr, verdict};
use gridlatch_vocab::catalogue::{custody as codes, pki};
use gridlatch_vocab::{Code, StationId, Timestamp};
use thiserror::Error;

pub use installed::{InstalledChain, Named, RootUse};
pub use keys::KeyStore;
pub use shelf::CROSSOVER;

use disk::Disk;
use keys::StationKey;
use shelf::{Held, Shelf};

/// How often the clock is looked at for certificates that begin, end or are superseded.
const TICK: Duration = Duration::from_secs(60);
/// Roots of one use that may be installed: ten per authority [V2G2-878] and some authorities.
const MAX_ROOTS: usize = 32;
/// Certificates of one use that may be held: one per root and generation, old and new.
const MAX_HELD: usize = 32;

/// What a certificate of the station is for, as OCPP's `CertificateSigningUse` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateUse {
    /// `ChargingStationCertificate`: shown to the platform.
    Platform,
    /// `V2GCertificate`: shown to vehicles of ISO 15118-2, on secp256r1.
    Vehicle,
    /// `V2G20Certificate` (OCPP 2.1): shown to vehicles of ISO 15118-20, on secp521r1.
    Vehicle20,
}

impl CertificateUse {
    /// Every use.
    pub const ALL: [Self; 3] = [Self::Platform, Self::Vehicle, Self::Vehicle20];

    /// OCPP's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Platform => "ChargingStationCertificate",
            Self::Vehicle => "V2GCertificate",
            Self::Vehicle20 => "V2G20Certificate",
        }
    }

    /// The use OCPP calls so.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }

    /// The profile of its certificate.
    #[must_use]
    pub const fn profile(self) -> Profile {
        match self {
            Self::Platform => Profile::iso2(Kind::StationClient),
            Self::Vehicle => Profile::iso2(Kind::SeccLeaf),
            Self::Vehicle20 => Profile::iso20(Kind::SeccLeaf),
        }
    }

    /// The type of its key.
    #[must_use]
    pub const fn algorithm(self) -> KeyAlgorithm {
        match self {
            Self::Platform | Self::Vehicle => KeyAlgorithm::P256,
            Self::Vehicle20 => KeyAlgorithm::P521,
        }
    }

    /// What its files are called.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Vehicle => "vehicle-2",
            Self::Vehicle20 => "vehicle-20",
        }
    }

    const fn for_vehicles(self) -> bool {
        matches!(self, Self::Vehicle | Self::Vehicle20)
    }
}

/// What a station starts with.
#[derive(Debug, Clone)]
pub struct CustodyConfig {
    /// Where keys and certificates that arrive later are kept; made if missing, mode 0700.
    pub folder: PathBuf,
    /// The station's identity: common name of its certificate towards the platform.
    pub station: StationId,
    /// Common name of its certificates towards vehicles: an EVSEID or SECCID.
    pub secc_name: String,
    /// Organisation in its requests.
    pub organization: String,
    /// Country in its requests, two letters.
    pub country: String,
    /// Certificates it was delivered with, for vehicles.
    pub vehicle: Vec<Credential>,
    /// The certificate it was delivered with, for the platform.
    pub platform: Option<Credential>,
    /// Roots it was delivered with, in DER.
    pub roots: Vec<(RootUse, Vec<u8>)>,
    /// Where it makes the keys of certificates it asks for.
    pub keys: KeyStore,
}

/// Why something was not installed, requested or removed. The old state is kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct CustodyError {
    /// The row of the catalogue.
    pub code: Code,
    /// What, why, by which rule.
    pub message: String,
}

impl CustodyError {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl From<KeyError> for CustodyError {
    fn from(error: KeyError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// A request for a certificate, on its way to the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningRequest {
    /// What the certificate is for.
    pub usage: CertificateUse,
    /// PKCS#10 as PEM.
    pub csr: String,
}

/// The certificates of one station. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct Custody(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: CustodyConfig,
    disk: Disk,
    state: Mutex<State>,
    /// Held while a key is made, so that the state is free meanwhile.
    making: Mutex<()>,
}

#[derive(Debug)]
struct State {
    shelves: BTreeMap<CertificateUse, Shelf>,
    /// Keys for which a certificate was asked.
    pending: BTreeMap<CertificateUse, StationKey>,
    /// Roots beyond those of the configuration.
    roots: Vec<(RootUse, Vec<u8>)>,
    server: Option<Arc<VehicleServer>>,
}

impl Custody {
    /// Reads what is kept in the folder on top of what the station was delivered with.
    ///
    /// # Errors
    /// The folder cannot be used, or a pair in it is damaged.
    pub fn open(config: CustodyConfig, now: Timestamp) -> Result<Self, CustodyError> {
        let disk = Disk::open(&config.folder, config.keys.clone())?;
        let mut shelves = BTreeMap::new();
        for usage in CertificateUse::ALL {
            let mut shelf = Shelf::default();
            let delivered: Vec<&Credential> = if usage.for_vehicles() {
                config.vehicle.iter().collect()
            } else {
                config.platform.iter().collect()
            };
            for credential in delivered {
                if credential.key.algorithm() == usage.algorithm() {
                    shelf.add(Held::new(credential.clone(), None)?);
                }
            }
            for (credential, at) in disk.pairs(usage)? {
                shelf.add(Held::new(credential, Some(at))?);
            }
            for dropped in shelf.tidy(now) {
                disk.forget(usage, &dropped);
            }
            shelves.insert(usage, shelf);
        }
        let pending = disk.pending()?;
        let roots = disk.roots()?;
        Ok(Self(Arc::new(Inner {
            config,
            disk,
            state: Mutex::new(State {
                shelves,
                pending,
                roots,
                server: None,
            }),
            making: Mutex::new(()),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to show vehicles now, the preferred first.
    #[must_use]
    pub fn vehicle_credentials(&self, now: Timestamp) -> Vec<Credential> {
        vehicle_credentials(&self.state(), now)
    }

    /// What to show the platform, the preferred first: a connection that fails with the first is tried
    /// with the next.
    #[must_use]
    pub fn platform_credentials(&self, now: Timestamp) -> Vec<Credential> {
        self.state()
            .shelves
            .get(&CertificateUse::Platform)
            .map(|shelf| shelf.serving(now))
            .unwrap_or_default()
    }

    /// Every root of a use, delivered and installed, in DER.
    #[must_use]
    pub fn roots(&self, usage: RootUse) -> Vec<Vec<u8>> {
        let state = self.state();
        all_roots(&self.0.config, &state, usage)
    }

    /// From now on `server` shows what is held here.
    pub(crate) fn serve(&self, server: Arc<VehicleServer>) {
        self.state().server = Some(server);
    }

    /// Watches the clock: certificates that begin to be valid are shown, those that ended or were
    /// superseded long enough ago are dropped.
    pub(crate) async fn keep(self) {
        loop {
            tokio::time::sleep(TICK).await;
            self.tick(gridlatch_host::now());
        }
    }

    /// One look at the clock.
    fn tick(&self, now: Timestamp) {
        let mut state = self.state();
        let mut dropped = Vec::new();
        for (usage, shelf) in &mut state.shelves {
            dropped.extend(shelf.tidy(now).into_iter().map(|name| (*usage, name)));
        }
        if let Some(server) = state.server.clone() {
            let credentials = vehicle_credentials(&state, now);
            // With nothing left to show the last ones stay: a vehicle then says itself that they expired.
            if !credentials.is_empty()
                && let Err(error) = server.replace_credentials(&credentials)
            {
                tracing::error!(%error, "the station's certificates could not be renewed in the listener");
            }
        }
        drop(state);
        for (usage, name) in dropped {
            self.0.disk.forget(usage, &name);
        }
    }

    /// Which certificates are in the last third of their life, or asked for and not arrived.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Vec<CertificateUse> {
        let state = self.state();
        CertificateUse::ALL
            .into_iter()
            .filter(|usage| {
                state.pending.contains_key(usage)
                    || state
                        .shelves
                        .get(usage)
                        .is_some_and(|shelf| shelf.renewal_due(now))
            })
            .collect()
    }

    /// A request for a new certificate. Its key is new and durable before this returns; asked again
    /// before an answer came, the request is for the same key.
    ///
    /// # Errors
    /// The key cannot be made or kept.
    pub fn request(&self, usage: CertificateUse) -> Result<SigningRequest, CustodyError> {
        let _one_at_a_time = self.0.making.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.state().pending.get(&usage).cloned();
        let key = match known {
            Some(key) => key,
            None => {
                // A token may take seconds; nothing else waits for it.
                let name = format!(
                    "{}-{}-{}",
                    self.0.config.station,
                    usage.folder(),
                    gridlatch_host::now().0.unix_timestamp()
                );
                let key = self.0.disk.new_pending(usage, &name)?;
                self.state().pending.insert(usage, key.clone());
                key
            }
        }
        .signer();
        let config = &self.0.config;
        let subject = Subject {
            common_name: if usage.for_vehicles() {
                config.secc_name.clone()
            } else {
                config.station.to_string()
            },
            organization: Some(config.organization.clone()),
            country: Some(config.country.clone()),
        };
        let der = csr::build(
            &subject,
            usage.profile().row().domain_component,
            key.public_key_der(),
            usage.algorithm(),
            &|message| key.sign(message).map_err(Into::into),
        )
        .map_err(|error| CustodyError::new(error.code(), error.to_string()))?;
        Ok(SigningRequest {
            usage,
            csr: csr::to_pem(&der),
        })
    }

    /// Installs the chain (PEM, leaf first) that answers a request, if it can be believed; it is on the
    /// disk and shown when this returns.
    ///
    /// # Errors
    /// Nobody asked with that key, the chain does not verify against the installed roots, names somebody
    /// else, or cannot be kept. What was in use stays.
    pub fn install(&self, usage: CertificateUse, pem: &str, now: Timestamp) -> Result<Named, CustodyError> {
        let chain = certificate::from_pem(pem.as_bytes())
            .map_err(|error| CustodyError::new(pki::MALFORMED, format!("the chain: {error}")))?;
        let leaf = chain
            .first()
            .ok_or_else(|| CustodyError::new(pki::MALFORMED, "the answer holds no certificate"))?;
        let mut state = self.state();
        let key = state.pending.get(&usage).cloned();
        let spki = certificate::public_key_der(leaf)
            .map_err(|error| CustodyError::new(pki::MALFORMED, error.to_string()))?;
        let key = key.filter(|key| key.signer().public_key_der() == spki);
        let key = key.ok_or_else(|| {
            CustodyError::new(
                codes::NOT_ASKED,
                format!("no {} was asked for with this key", usage.word()),
            )
        })?;
        let accepted = self.believed(&state, usage, &chain, now)?;
        let summary = certificate::summary(leaf)
            .map_err(|error| CustodyError::new(pki::MALFORMED, error.to_string()))?;
        let expected = if usage.for_vehicles() {
            self.0.config.secc_name.as_str()
        } else {
            self.0.config.station.as_str()
        };
        if summary.subject_cn != expected {
            return Err(CustodyError::new(
                pki::COMMON_NAME,
                format!("the certificate names {:?}, not {expected:?}", summary.subject_cn),
            ));
        }
        let credential = Credential::new(
            format!("{}/{}", usage.folder(), summary.serial_hex),
            accepted.path.clone(),
            key.signer(),
        );
        let held = Held::new(credential, Some(now))?;
        // Shown first in memory: a listener that refuses it must not find it on the disk after a restart.
        let mut shelf = state.shelves.get(&usage).cloned().unwrap_or_default();
        if shelf.len() >= MAX_HELD {
            return Err(CustodyError::new(
                codes::FULL,
                format!("{MAX_HELD} certificates of this use are held"),
            ));
        }
        shelf.add(held.clone());
        let before = state.shelves.insert(usage, shelf);
        let shown = match &state.server {
            Some(server) if usage.for_vehicles() => server
                .replace_credentials(&vehicle_credentials(&state, now))
                .map_err(|error| {
                    CustodyError::new(codes::REFUSED, format!("the listener refuses it: {error}"))
                }),
            _ => Ok(()),
        };
        let kept = shown.and_then(|()| self.0.disk.keep_pair(usage, &held, &key));
        if let Err(error) = kept {
            if let Some(before) = before {
                state.shelves.insert(usage, before);
            }
            if let Some(server) = state.server.clone() {
                // What was shown before was accepted before.
                let _ = server.replace_credentials(&vehicle_credentials(&state, now));
            }
            return Err(error);
        }
        state.pending.remove(&usage);
        self.0.disk.forget_pending(usage);
        Ok(Named {
            usage: usage.word(),
            serial: summary.serial_hex,
            issuer: summary.issuer_cn,
            valid_until: accepted.valid_until,
        })
    }

    /// The verdict a peer would give.
    fn believed(
        &self,
        state: &State,
        usage: CertificateUse,
        chain: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<verdict::Accepted, CustodyError> {
        let roots = all_roots(&self.0.config, state, usage.root());
        // A certificate may be delivered ahead of its time; then it is judged at its beginning.
        let begins = chain
            .first()
            .and_then(|leaf| certificate::summary(leaf).ok())
            .map_or(now, |summary| summary.not_before.max(now));
        let ahead = Timestamp(now.0 + time::Duration::days(MAX_AHEAD_DAYS));
        let at = if begins <= ahead { begins } else { now };
        verdict::check_with(chain, &roots, usage.profile(), at, &OpensslVerifier)
            .map_err(|rejected| CustodyError::new(rejected.code, rejected.message))
    }

    /// Installs a root (PEM). Only a self-signed CA that is valid now is one.
    ///
    /// # Errors
    /// It is no root, or cannot be kept.
    pub fn install_root(&self, usage: RootUse, pem: &str, now: Timestamp) -> Result<(), CustodyError> {
        let der = installed::root(usage, pem, now)?;
        let mut state = self.state();
        if all_roots(&self.0.config, &state, usage).contains(&der) {
            return Ok(());
        }
        let count = state.roots.iter().filter(|(one, _)| *one == usage).count();
        if count >= MAX_ROOTS {
            return Err(CustodyError::new(
                codes::FULL,
                format!("{MAX_ROOTS} roots of this use are installed; remove one first"),
            ));
        }
        self.0.disk.keep_root(usage, &der)?;
        state.roots.push((usage, der));
        Ok(())
    }

    /// What is installed, as OCPP's GetInstalledCertificateIds tells it.
    #[must_use]
    pub fn installed(&self, now: Timestamp) -> Vec<InstalledChain> {
        let state = self.state();
        let mut found = Vec::new();
        for usage in RootUse::ALL {
            for root in all_roots(&self.0.config, &state, usage) {
                found.extend(InstalledChain::root(usage, &root));
            }
        }
        let v2g = all_roots(&self.0.config, &state, RootUse::V2g);
        for credential in vehicle_credentials(&state, now) {
            found.extend(InstalledChain::leaf(&credential.chain, &v2g));
        }
        found
    }

    /// Removes an installed root by its hash data. What a station was delivered with stays.
    ///
    /// # Errors
    /// [`codes::UNKNOWN`] when nothing is installed under it; [`codes::IN_USE`] for a root that a
    /// certificate in use leads to or that was delivered; the disk refused.
    pub fn remove_root(
        &self,
        wanted: &certificate::OcspHashData,
        now: Timestamp,
    ) -> Result<RootUse, CustodyError> {
        let mut state = self.state();
        let place = state.roots.iter().position(|(_, der)| installed::is(der, wanted));
        let Some(place) = place else {
            let delivered = self
                .0
                .config
                .roots
                .iter()
                .any(|(_, der)| installed::is(der, wanted))
                || vehicle_credentials(&state, now)
                    .iter()
                    .flat_map(|credential| &credential.chain)
                    .any(|der| installed::same_serial(der, wanted));
            return Err(if delivered {
                CustodyError::new(
                    codes::IN_USE,
                    "what the station was delivered with, or shows, cannot be removed",
                )
            } else {
                CustodyError::new(codes::UNKNOWN, "nothing is installed under these hash data")
            });
        };
        let (usage, der) = state.roots[place].clone();
        let others: Vec<Vec<u8>> = all_roots(&self.0.config, &state, usage)
            .into_iter()
            .filter(|root| *root != der)
            .collect();
        let orphaned = CertificateUse::ALL
            .into_iter()
            .filter(|one| one.root() == usage)
            .any(|one| {
                let Some(shelf) = state.shelves.get(&one) else {
                    return false;
                };
                shelf.serving(now).iter().any(|credential| {
                    let judge = |roots: &[Vec<u8>]| {
                        verdict::check_with(&credential.chain, roots, one.profile(), now, &OpensslVerifier)
                            .is_ok()
                    };
                    judge(std::slice::from_ref(&der)) && !judge(&others)
                })
            });
        if orphaned {
            return Err(CustodyError::new(
                codes::IN_USE,
                "a certificate in use leads to this root; replace it first",
            ));
        }
        self.0.disk.forget_root(usage, &der)?;
        state.roots.remove(place);
        Ok(usage)
    }
}

/// How far ahead of its beginning a certificate may be delivered, in days.
const MAX_AHEAD_DAYS: i64 = 31;

impl CertificateUse {
    const fn root(self) -> RootUse {
        match self {
            Self::Platform => RootUse::Csms,
            Self::Vehicle | Self::Vehicle20 => RootUse::V2g,
        }
    }
}

fn all_roots(config: &CustodyConfig, state: &State, usage: RootUse) -> Vec<Vec<u8>> {
    config
        .roots
        .iter()
        .chain(&state.roots)
        .filter(|(one, _)| *one == usage)
        .map(|(_, der)| der.clone())
        .collect()
}

fn vehicle_credentials(state: &State, now: Timestamp) -> Vec<Credential> {
    // The newer generation first, as the station was set up.
    [CertificateUse::Vehicle20, CertificateUse::Vehicle]
        .iter()
        .filter_map(|usage| state.shelves.get(usage))
        .flat_map(|shelf| shelf.serving(now))
        .collect()
}

#[cfg(test)]
mod tests;
