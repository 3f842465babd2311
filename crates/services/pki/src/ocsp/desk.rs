//! Who answers for which CA.

use std::collections::HashMap;

use gridlatch_trust::ocsp::{CertId, Hash};
use gridlatch_vocab::catalogue::enrolment;

use crate::ca::{Ca, OcspSigner};
use crate::http::Report;

/// One CA and its delegated signer.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) name: String,
    pub(crate) number: i64,
    signer: Option<OcspSigner>,
}

impl Desk {
    pub(crate) fn signer(&self) -> Option<OcspSigner> {
        self.signer.clone()
    }
}

/// Every CA, by the hashes that requests name it by.
#[derive(Debug, Default)]
pub(crate) struct Desks {
    desks: Vec<Desk>,
    by_hash: HashMap<(Vec<u8>, Vec<u8>), usize>,
}

impl Desks {
    /// The CAs as they are now. One that has no signer is reported once, and answered for with "try later".
    pub(crate) async fn open(ca: &Ca, report: &Report, before: &Self) -> Self {
        let mut this = Self::default();
        for authority in ca.authorities() {
            let signer = match ca.ocsp_signer(&authority.name).await {
                Ok(signer) => Some(signer),
                Err(error) => {
                    let known = before
                        .desks
                        .iter()
                        .any(|desk| desk.name == authority.name && desk.signer.is_none());
                    if !known {
                        report.happened(
                            enrolment::OCSP_UNAVAILABLE,
                            format!("{} has no OCSP signer: {error}", authority.name),
                        );
                    }
                    None
                }
            };
            for hash in [Hash::Sha1, Hash::Sha256] {
                if let Ok(id) = CertId::new(&authority.der, &[1], hash) {
                    let key = (id.issuer_name_hash, id.issuer_key_hash);
                    // The active one of two with the same name and key answers for both.
                    if authority.active || !this.by_hash.contains_key(&key) {
                        this.by_hash.insert(key, this.desks.len());
                    }
                }
            }
            this.desks.push(Desk {
                name: authority.name.clone(),
                number: authority.number(),
                signer,
            });
        }
        this
    }

    /// The CA a request means. Hashes of different lengths cannot be mistaken for each other.
    pub(crate) fn find(&self, id: &CertId) -> Option<&Desk> {
        let key = (id.issuer_name_hash.clone(), id.issuer_key_hash.clone());
        self.desks.get(*self.by_hash.get(&key)?)
    }

    /// Somebody who can sign.
    pub(crate) fn any(&self) -> Option<&Desk> {
        self.desks.iter().find(|desk| desk.signer.is_some())
    }
}
