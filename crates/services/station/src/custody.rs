//! The certificates a station holds: how it asks for new ones, proves them before it shows them, and
//! keeps the old ones until the change is over.
//!
//! A private key is made here, durable before anybody is asked for a certificate, and never leaves.
//! A certificate that arrives is judged as a vehicle or the platform would judge it; one that would be
//! refused is not installed, and what was in use stays in use. Old and new are both held for
//! [`CROSSOVER`], so that a peer which lacks the new chain's root can still be shown the old one.

mod config;
mod disk;
mod installed;
mod keys;
mod renewal;
mod retire;
mod roots;
mod shelf;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gridlatch_tls::{Credential, VehicleServer};
use gridlatch_vocab::Timestamp;

pub use config::{CertificateUse, CustodyConfig, CustodyError, SigningRequest};
pub use installed::{InstalledChain, Named, RootUse};
pub use keys::KeyStore;
pub use shelf::CROSSOVER;

use disk::Disk;
use keys::StationKey;
use roots::all_roots;
use shelf::{Held, Shelf};

/// How often the clock is looked at for certificates that begin, end or are superseded.
const TICK: Duration = Duration::from_secs(60);

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
    /// Fingerprints of delivered roots and chains that are not used any more.
    withdrawn: BTreeSet<String>,
    server: Option<Arc<VehicleServer>>,
}

impl Custody {
    /// Reads what is kept in the folder on top of what the station was delivered with.
    ///
    /// # Errors
    /// The folder cannot be used, or a pair in it is damaged.
    pub fn open(config: CustodyConfig, now: Timestamp) -> Result<Self, CustodyError> {
        let disk = Disk::open(&config.folder, config.keys.clone())?;
        let withdrawn = disk.withdrawn()?;
        let mut shelves = BTreeMap::new();
        for usage in CertificateUse::ALL {
            let mut shelf = Shelf::default();
            let delivered: Vec<&Credential> = if usage.for_vehicles() {
                config.vehicle.iter().collect()
            } else {
                config.platform.iter().collect()
            };
            for credential in delivered {
                let gone = credential
                    .chain
                    .first()
                    .is_some_and(|leaf| withdrawn.contains(&retire::print(leaf)));
                if credential.key.algorithm() == usage.algorithm() && !gone {
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
                withdrawn,
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
