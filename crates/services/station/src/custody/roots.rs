//! Roots: installed, listed, removed.

use gridlatch_keys::OpensslVerifier;
use gridlatch_trust::{certificate, verdict};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::custody as codes;

use super::installed::{self, InstalledChain, RootUse};
use super::{CertificateUse, Custody, CustodyConfig, CustodyError, State, vehicle_credentials};

/// Roots of one use that may be installed: ten per authority [V2G2-878] and some authorities.
const MAX_ROOTS: usize = 32;

impl Custody {
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

pub(super) fn all_roots(config: &CustodyConfig, state: &State, usage: RootUse) -> Vec<Vec<u8>> {
    config
        .roots
        .iter()
        .chain(&state.roots)
        .filter(|(one, _)| *one == usage)
        .map(|(_, der)| der.clone())
        .collect()
}
