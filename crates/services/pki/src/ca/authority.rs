//! One CA: its certificate, its place in the tree, its key when it is needed.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use gridlatch_keys::{KeyAlgorithm, Signer};
use gridlatch_store::pki::AuthorityRow;
use gridlatch_trust::build::IssuerFacts;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Profile, certificate};
use gridlatch_vocab::Timestamp;

use super::{Ca, CaError, KeyRing};
use crate::tree::World;

/// A CA as it is loaded.
pub struct Authority {
    /// Tree and name: `iso2/cpo-sub2`.
    pub name: String,
    /// What it is.
    pub profile: Profile,
    /// Its tree.
    pub world: World,
    /// Its certificate.
    pub der: Vec<u8>,
    /// The CA that signed it; `None` for a root.
    pub issuer: Option<String>,
    /// Where its key is.
    pub key_uri: String,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// Whether it issues; a retired one is kept for its certificates.
    pub active: bool,
    /// Its own serial number, as its issuer gave it.
    pub serial: Option<super::Serial>,
    pub(super) number: i64,
    pub(super) revoked: bool,
    pub(super) spki: Vec<u8>,
    /// What it gives to the certificates it signs.
    pub(super) facts: IssuerFacts,
    key: OnceLock<Arc<dyn Signer>>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("name", &self.name)
            .field("profile", &self.profile)
            .field("key_uri", &self.key_uri)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Whether it signed itself.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.issuer.is_none()
    }

    /// The number by which the store knows it.
    #[must_use]
    pub const fn number(&self) -> i64 {
        self.number
    }

    /// The type of its key.
    #[must_use]
    pub const fn algorithm(&self) -> KeyAlgorithm {
        self.world.algorithm()
    }

    /// Its key, opened on first use; it has to be the one of the certificate.
    pub(super) fn signer(&self, keys: &KeyRing) -> Result<Arc<dyn Signer>, CaError> {
        if let Some(key) = self.key.get() {
            return Ok(Arc::clone(key));
        }
        let key = keys.open(&self.key_uri)?;
        if key.public_key_der() != self.spki {
            return Err(CaError::Damaged {
                what: self.name.clone(),
                reason: "its key is not the one of its certificate",
            });
        }
        Ok(Arc::clone(self.key.get_or_init(|| key)))
    }

    /// Refuses a CA that may sign nothing at this time.
    pub(super) fn usable(&self, now: Timestamp) -> Result<(), CaError> {
        let reason = if !self.active {
            "it was retired"
        } else if self.revoked {
            "it was revoked"
        } else if now > self.not_after {
            "it has expired"
        } else if now < self.not_before {
            "it is not valid yet"
        } else {
            return Ok(());
        };
        Err(CaError::AuthorityUnusable {
            name: self.name.clone(),
            reason,
        })
    }
}

/// The generation's word in the store.
pub(super) const fn generation_word(profile: Profile) -> &'static str {
    match profile.generation {
        gridlatch_trust::Generation::Iso2 => "iso2",
        gridlatch_trust::Generation::Iso20 => "iso20",
    }
}

impl Ca {
    /// Every CA of the store. One whose issuer was revoked counts as revoked too.
    pub(super) async fn load_authorities(&self) -> Result<BTreeMap<String, Arc<Authority>>, CaError> {
        let rows = self.inner.store.pki_authorities().await?;
        let names: BTreeMap<i64, String> = rows.iter().map(|row| (row.number, row.name.clone())).collect();
        let mut revoked: BTreeMap<i64, bool> = BTreeMap::new();
        let mut authorities = BTreeMap::new();
        for row in rows {
            let mut authority = read(&row, &names)?;
            let own = match authority.serial {
                Some(serial) => {
                    let issuer = row.issuer.unwrap_or(row.number);
                    self.inner.store.pki_status(issuer, serial.stored()).await?
                }
                None => None,
            };
            let above = row
                .issuer
                .is_some_and(|issuer| revoked.get(&issuer) == Some(&true));
            authority.revoked = above || matches!(own, Some(Some(_)));
            revoked.insert(row.number, authority.revoked);
            authorities.insert(row.name, Arc::new(authority));
        }
        Ok(authorities)
    }
}

fn read(row: &AuthorityRow, names: &BTreeMap<i64, String>) -> Result<Authority, CaError> {
    let damaged = |reason| CaError::Damaged {
        what: row.name.clone(),
        reason,
    };
    let kind = Kind::from_slug(&row.kind).ok_or_else(|| damaged("its kind is not known"))?;
    let world = row
        .name
        .split_once('/')
        .and_then(|(folder, _)| World::from_folder(folder))
        .ok_or_else(|| damaged("its name names no tree"))?;
    let parsed = certificate::parse(&row.der).map_err(|_| damaged("its certificate cannot be read"))?;
    let summary = certificate::summary(&row.der).map_err(|_| damaged("its certificate cannot be read"))?;
    let issuer = match row.issuer {
        None => None,
        Some(number) => Some(
            names
                .get(&number)
                .cloned()
                .ok_or_else(|| damaged("its issuer is missing"))?,
        ),
    };
    Ok(Authority {
        name: row.name.clone(),
        profile: world.profile(kind),
        world,
        spki: certificate::public_key_der(&row.der).map_err(|_| damaged("its certificate cannot be read"))?,
        facts: IssuerFacts::read(&row.der).map_err(|_| damaged("its certificate cannot be read"))?,
        der: row.der.clone(),
        issuer,
        key_uri: row.key_uri.clone(),
        not_before: summary.not_before,
        not_after: summary.not_after,
        active: row.active,
        serial: super::Serial::from_octets(parsed.tbs_certificate.serial_number.as_bytes()),
        number: row.number,
        revoked: false,
        key: OnceLock::new(),
    })
}
