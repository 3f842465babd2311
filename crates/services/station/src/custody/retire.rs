//! A root that goes: what led to it alone goes with it, if the station can still be believed without.
//!
//! What the station was delivered with comes back with every start. Withdrawn roots and chains are therefore
//! remembered by their fingerprints.

use std::collections::BTreeSet;

use gridlatch_keys::OpensslVerifier;
use gridlatch_trust::certificate::{self, OcspHashData};
use gridlatch_trust::verdict;
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::custody as codes;

use super::roots::all_roots;
use super::{CertificateUse, Custody, CustodyError, RootUse, installed, vehicle_credentials};

/// Fingerprints of what was withdrawn of a station's delivery.
const MAX_WITHDRAWN: usize = 256;

/// SHA-256 of a certificate, hex.
pub(super) fn print(der: &[u8]) -> String {
    certificate::summary(der).map_or_else(|_| String::new(), |summary| summary.fingerprint)
}

impl Custody {
    /// Removes an installed or delivered root (DeleteCertificate). Chains that lead to it alone are not shown
    /// any more; sessions that run keep theirs.
    ///
    /// # Errors
    /// There is none of these hash data; a certificate is named, not a root; for some use the latest certificate
    /// leads to this root alone; the change cannot be kept. Nothing is removed then.
    pub fn remove_root(&self, wanted: &OcspHashData, now: Timestamp) -> Result<RootUse, CustodyError> {
        let mut state = self.state();
        let found = RootUse::ALL.into_iter().find_map(|usage| {
            let roots = all_roots(&self.0.config, &state, usage);
            let der = roots.into_iter().find(|der| installed::is(der, wanted))?;
            Some((usage, der))
        });
        let Some((usage, der)) = found else {
            let shown = vehicle_credentials(&state, now)
                .iter()
                .flat_map(|credential| &credential.chain)
                .any(|der| installed::same_serial(der, wanted));
            return Err(if shown {
                CustodyError::new(
                    codes::IN_USE,
                    "what the station shows is no root and cannot be removed",
                )
            } else {
                CustodyError::new(codes::UNKNOWN, "nothing is installed under these hash data")
            });
        };
        let others: Vec<Vec<u8>> = all_roots(&self.0.config, &state, usage)
            .into_iter()
            .filter(|root| *root != der)
            .collect();
        let mut orphans = Vec::new();
        for one in CertificateUse::ALL.into_iter().filter(|one| one.root() == usage) {
            let Some(shelf) = state.shelves.get(&one) else {
                continue;
            };
            let judge = |chain: &[Vec<u8>], roots: &[Vec<u8>]| {
                verdict::check_with(chain, roots, one.profile(), now, &OpensslVerifier).is_ok()
            };
            let serving = shelf.serving(now);
            let lost: Vec<String> = serving
                .iter()
                .filter(|one| !judge(&one.chain, &others) && judge(&one.chain, std::slice::from_ref(&der)))
                .filter_map(|one| one.chain.first().map(|leaf| print(leaf)))
                .collect();
            // The latest one is what the station is meant to show: its root stays.
            let replaced = serving
                .first()
                .is_some_and(|latest| judge(&latest.chain, &others));
            if !replaced && !lost.is_empty() {
                return Err(CustodyError::new(
                    codes::IN_USE,
                    "a certificate in use leads to this root; replace it first",
                ));
            }
            orphans.extend(lost.into_iter().map(|fingerprint| (one, fingerprint)));
        }
        // On the disk first: a root that was removed must not come back with the next start.
        let mut withdrawn = state.withdrawn.clone();
        if self.0.config.roots.iter().any(|(_, own)| *own == der) {
            withdrawn.insert(print(&der));
        }
        withdrawn.extend(orphans.iter().map(|(_, fingerprint)| fingerprint.clone()));
        if withdrawn.len() > MAX_WITHDRAWN {
            return Err(CustodyError::new(
                codes::FULL,
                format!("{MAX_WITHDRAWN} certificates were withdrawn"),
            ));
        }
        self.0.disk.keep_withdrawn(&withdrawn)?;
        state.withdrawn = withdrawn;
        if state.roots.iter().any(|(_, root)| *root == der) {
            self.0.disk.forget_root(usage, &der)?;
        }
        state.roots.retain(|(_, root)| *root != der);
        for (one, fingerprint) in orphans {
            if let Some(shelf) = state.shelves.get_mut(&one) {
                shelf.remove(&fingerprint);
            }
            self.0.disk.forget(one, &fingerprint);
        }
        if let Some(server) = state.server.clone()
            && let Err(error) = server.replace_credentials(&vehicle_credentials(&state, now))
        {
            tracing::error!(%error, "the station's certificates could not be changed in the listener");
        }
        Ok(usage)
    }
}

/// The withdrawn fingerprints as text, one a line.
pub(super) fn written(withdrawn: &BTreeSet<String>) -> String {
    withdrawn.iter().map(|one| format!("{one}\n")).collect()
}

/// Reads them back; what is no fingerprint is passed over.
pub(super) fn read(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .take(MAX_WITHDRAWN)
        .map(str::to_owned)
        .collect()
}
