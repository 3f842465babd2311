//! Which credential a client is shown. Pure: from facts to a choice with its reason.

use gridlatch_trust::KeyAlgorithm;

use crate::hello::{Authority, Offer};

/// What the choice needs to know of one configured credential.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) algorithm: KeyAlgorithm,
    /// Subject of the root the chain leads to, in DER.
    pub(crate) root_name: Vec<u8>,
    /// Key identifier of that root as the chain names it.
    pub(crate) root_key_id: Option<Vec<u8>>,
    /// SHA-1 of the root certificate, where the root is known.
    pub(crate) root_sha1: Option<[u8; 20]>,
}

impl Facts {
    fn leads_to(&self, authority: &Authority) -> bool {
        match authority {
            Authority::Name(name) => *name == self.root_name,
            // Key identifiers of V2G certificates are the SHA-1 of the key bits (RFC 5280, 4.2.1.2 (1)).
            Authority::KeySha1(hash) => self.root_key_id.as_deref() == Some(hash),
            Authority::CertificateSha1(hash) => self.root_sha1.as_ref() == Some(hash),
        }
    }
}

/// Why a credential was chosen whose root the client trusts.
pub(crate) const NAMES_ITS_ROOT: &str = "the client names its root";

/// The index of the chosen credential and why it was chosen.
///
/// TLS 1.2 is ISO 15118-2, which knows only P-256. In TLS 1.3 a root the client names outweighs a
/// curve it names, which outweighs the standard's order (P-521, Ed448, then P-256 for vehicles whose
/// stack stopped at P-256); among equals the first configured wins.
pub(crate) fn choose(credentials: &[Facts], tls13: bool, offer: &Offer) -> Option<(usize, &'static str)> {
    let score = |facts: &Facts| {
        let root = offer
            .authorities
            .iter()
            .any(|authority| facts.leads_to(authority));
        let rank: u8 = match facts.algorithm {
            KeyAlgorithm::P521 => 3,
            KeyAlgorithm::Ed448 => 2,
            KeyAlgorithm::P256 => 1,
        };
        (root, offer.has_group_of(facts.algorithm), rank)
    };
    let (index, best) = credentials
        .iter()
        .enumerate()
        .filter(|(_, facts)| {
            offer.verifies(facts.algorithm) && (tls13 || facts.algorithm == KeyAlgorithm::P256)
        })
        // `max_by_key` keeps the last of equals; reversing makes that the first configured.
        .rev()
        .max_by_key(|(_, facts)| score(facts))?;
    let reason = match score(best) {
        (true, ..) => NAMES_ITS_ROOT,
        (false, ..) if !offer.authorities.is_empty() => "default: the client names only other roots",
        (false, true, _) => "the client supports its curve",
        (false, false, _) => "the client can verify its signature",
    };
    Some((index, reason))
}
