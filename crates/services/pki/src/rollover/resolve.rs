//! Certificates found by the three hashes that OCPP names them with.

use std::collections::{BTreeMap, BTreeSet};

use gridlatch_trust::certificate;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, KeyAlgorithm};

use super::inventory::HashData;

/// Certificates that hashes are resolved against.
pub const MAX_KNOWN: usize = 100_000;
/// Certificates of one name that an issuer is looked for among: renewed ones, and cross-certified ones.
const MAX_NAMESAKES: usize = 16;

type Key = (String, String, String);

/// Known certificates by issuer name hash, issuer key hash and serial number.
#[derive(Debug, Clone, Default)]
pub struct Known(BTreeMap<Key, Vec<u8>>);

impl Known {
    /// Indexes certificates; `None` beyond [`MAX_KNOWN`].
    #[must_use]
    pub fn of(certificates: impl Iterator<Item = Vec<u8>>) -> Option<Self> {
        let mut all = BTreeSet::new();
        for der in certificates {
            all.insert(der);
            if all.len() > MAX_KNOWN {
                return None;
            }
        }
        let mut by_name: BTreeMap<Vec<u8>, Vec<&Vec<u8>>> = BTreeMap::new();
        for der in &all {
            // Only what has signed something can be somebody's issuer; a leaf is in nobody's way here.
            if let Ok(name) = certificate::subject_der(der) {
                let namesakes = by_name.entry(name).or_default();
                if namesakes.len() < MAX_NAMESAKES {
                    namesakes.push(der);
                }
            }
        }
        let mut index = BTreeMap::new();
        for der in &all {
            let Ok(issuer) = certificate::issuer_der(der) else {
                continue;
            };
            for issuer in by_name.get(&issuer).into_iter().flatten() {
                if let Ok(hashes) = certificate::hash_data(der, issuer) {
                    index.insert(
                        (
                            hashes.issuer_name_hash,
                            hashes.issuer_key_hash,
                            serial(&hashes.serial_number),
                        ),
                        der.clone(),
                    );
                }
            }
        }
        Some(Self(index))
    }

    /// The certificate with these hashes. SHA-256 alone is resolved.
    #[must_use]
    pub fn find(&self, hashes: &HashData) -> Option<&Vec<u8>> {
        if hashes.hash_algorithm != "SHA256" {
            return None;
        }
        self.0.get(&(
            hashes.issuer_name_hash.to_ascii_lowercase(),
            hashes.issuer_key_hash.to_ascii_lowercase(),
            serial(&hashes.serial_number),
        ))
    }
}

/// Serial numbers come with and without leading zeros, in either case.
fn serial(text: &str) -> String {
    let text = text.trim_start_matches('0').to_ascii_lowercase();
    if text.is_empty() { "0".to_owned() } else { text }
}

/// OCPP's names of roots.
#[must_use]
pub fn root_of(usage: &str) -> Option<Kind> {
    match usage {
        "V2GRootCertificate" => Some(Kind::V2gRoot),
        "MORootCertificate" => Some(Kind::MoRoot),
        "OEMRootCertificate" => Some(Kind::OemRoot),
        "CSMSRootCertificate" => Some(Kind::CsmsRoot),
        _ => None,
    }
}

/// The edition of ISO 15118 that a leaf's key belongs to.
#[must_use]
pub fn edition_of(der: &[u8]) -> Option<Generation> {
    let spki = certificate::public_key_der(der).ok()?;
    Some(match certificate::spki_algorithm(&spki)? {
        KeyAlgorithm::P256 => Generation::Iso2,
        KeyAlgorithm::P521 | KeyAlgorithm::Ed448 => Generation::Iso20,
    })
}
