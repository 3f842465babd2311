//! Roots: installed, listed, removed.

use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::custody as codes;

use super::installed::{self, InstalledChain, RootUse};
use super::{Custody, CustodyConfig, CustodyError, State, vehicle_credentials};

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
}

pub(super) fn all_roots(config: &CustodyConfig, state: &State, usage: RootUse) -> Vec<Vec<u8>> {
    config
        .roots
        .iter()
        .filter(|(_, der)| !state.withdrawn.contains(&super::retire::print(der)))
        .chain(&state.roots)
        .filter(|(one, _)| *one == usage)
        .map(|(_, der)| der.clone())
        .collect()
}
