//! An inventory of trust stores as JSON, from whatever collected it: our own folders, another system's
//! report, or a station's answer to OCPP's `GetInstalledCertificateIds`, which names certificates by hash.

use std::collections::BTreeMap;

use gridlatch_trust::forecast::{Held, Holder, MAX_HELD, MAX_HOLDERS, Role};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, Profile, certificate};
use gridlatch_vocab::catalogue::rollover;
use gridlatch_vocab::{Code, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::resolve::{Known, edition_of, root_of};

/// An inventory in octets: 20,000 holders of some certificates each.
pub const MAX_OCTETS: usize = 256 * 1024 * 1024;
/// An inventory cannot be used.
#[derive(Debug, Error)]
pub enum InventoryError {
    /// Not JSON of this form.
    #[error("not an inventory in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// More than is looked at.
    #[error("the inventory has {0}")]
    TooLarge(&'static str),
    /// One holder's entry makes no sense.
    #[error("holder {holder:?}: {reason}")]
    Holder {
        /// Which one.
        holder: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl InventoryError {
    /// The row of the catalogue.
    #[must_use]
    pub const fn code(&self) -> Code {
        rollover::INVENTORY_UNREADABLE
    }
}

/// The file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Every station, vehicle and back end.
    pub holders: Vec<Entry>,
    /// PEM of certificates that are referred to by hash.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub known: String,
}

/// One holder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// A name for reports, unique.
    pub name: String,
    /// `station`, `vehicle` or `back-end`.
    pub role: String,
    /// What it shows to others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shows: Vec<Shown>,
    /// PEM of the roots it trusts, by kind of root: `v2g-root`, `oem-root`, `mo-root`, `csms-root`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trusts: BTreeMap<String, String>,
    /// `certificateHashDataChain` of OCPP's `GetInstalledCertificateIdsResponse`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub installed: Vec<Installed>,
    /// What it holds that is known by its date alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<DatedEnd>,
    /// When it last said or showed what it holds; `None` where it was read from its own files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// Whether it is connected to the platform that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// Why it did not answer when it was last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What it refused when roots and certificates were distributed, and has not taken since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

/// A change that a station refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The campaign in which it did.
    pub campaign: String,
    /// What it was told: `install`, `renew` or `remove`.
    pub action: String,
    /// OCPP's word for the root's or certificate's use.
    pub usage: String,
    /// The root that it was about: its common name.
    pub root: String,
    /// SHA-256 of that root, hex.
    pub fingerprint: String,
    /// The code of the refusal.
    pub code: String,
    /// Its particulars.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// A certificate known by its date alone: its name stands for a person, and nobody keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatedEnd {
    /// The kind, as in [`Shown::kind`].
    #[serde(rename = "as")]
    pub kind: String,
    /// Who signed it.
    pub issuer: String,
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// A chain a holder shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// As what: `secc-leaf`, `vehicle-leaf`, `contract-leaf`, `oem-provisioning`, `cps-leaf`, `csms-server`,
    /// `station-client`.
    #[serde(rename = "as")]
    pub kind: String,
    /// `iso2` (also for OCPP) or `iso20`.
    pub edition: String,
    /// PEM, leaf first, without the root.
    pub chain: String,
}

/// One entry of `certificateHashDataChain`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    /// OCPP's `GetCertificateIdUseEnumType`.
    pub certificate_type: String,
    /// Which certificate: a root, or the leaf of a chain.
    pub certificate_hash_data: HashData,
    /// The certificates above a leaf.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub child_certificate_hash_data: Vec<HashData>,
}

/// OCPP's `CertificateHashDataType`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HashData {
    /// Only `SHA256` is resolved.
    pub hash_algorithm: String,
    /// Hex, either case.
    pub issuer_name_hash: String,
    /// Hex, either case.
    pub issuer_key_hash: String,
    /// Hex, leading zeros allowed.
    pub serial_number: String,
}

/// An inventory, read.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// What the forecast works on.
    pub holders: Vec<Holder>,
    /// Hashes that no known certificate has: holder and OCPP's certificate type.
    pub unresolved: Vec<(String, String)>,
}

impl Inventory {
    /// Reads the JSON.
    ///
    /// # Errors
    /// Too large, or not of this form.
    pub fn from_json(text: &[u8]) -> Result<Self, InventoryError> {
        if text.len() > MAX_OCTETS {
            return Err(InventoryError::TooLarge("more octets than are read"));
        }
        Ok(serde_json::from_slice(text)?)
    }

    /// Adds another inventory's holders.
    pub fn extend(&mut self, other: Self) {
        self.holders.extend(other.holders);
        self.known.push_str(&other.known);
    }

    /// Turns names and PEM into what the forecast works on.
    ///
    /// # Errors
    /// A word is unknown, a PEM text cannot be read, a name occurs twice, or there is too much.
    pub fn read(&self) -> Result<Read, InventoryError> {
        if self.holders.len() > MAX_HOLDERS {
            return Err(InventoryError::TooLarge("more holders than are looked at"));
        }
        let known = self.resolver()?;
        let mut names = std::collections::BTreeSet::new();
        let mut read = Read::default();
        for entry in &self.holders {
            if !names.insert(entry.name.as_str()) {
                return Err(entry.wrong("its name occurs twice"));
            }
            read.holders.push(entry.read(&known, &mut read.unresolved)?);
        }
        Ok(read)
    }

    /// Everything the file holds, by OCPP's three hashes.
    fn resolver(&self) -> Result<Known, InventoryError> {
        let texts = self.holders.iter().flat_map(|entry| {
            let shown = entry.shows.iter().map(|shown| &shown.chain);
            entry.trusts.values().chain(shown)
        });
        let held = texts.flat_map(|text| certificate::from_pem(text.as_bytes()).unwrap_or_default());
        Known::of(certificates(&self.known).chain(held)).ok_or(InventoryError::TooLarge(
            "more known certificates than are looked at",
        ))
    }
}

/// Every certificate of a long PEM text, one block at a time; what is none is passed over.
fn certificates(text: &str) -> impl Iterator<Item = Vec<u8>> {
    const END: &str = "-----END CERTIFICATE-----";
    text.split_inclusive(END)
        .flat_map(|block| certificate::from_pem(block.as_bytes()).unwrap_or_default())
}

impl Entry {
    fn wrong(&self, reason: &'static str) -> InventoryError {
        InventoryError::Holder {
            holder: self.name.chars().take(80).collect(),
            reason,
        }
    }

    fn read(&self, known: &Known, unresolved: &mut Vec<(String, String)>) -> Result<Holder, InventoryError> {
        let role = [Role::Station, Role::Vehicle, Role::BackEnd]
            .into_iter()
            .find(|role| role.as_str() == self.role)
            .ok_or_else(|| self.wrong("its role is none of station, vehicle, back-end"))?;
        if self.shows.len() > MAX_HELD || self.installed.len() > MAX_HELD {
            return Err(self.wrong("it has more certificates than are looked at"));
        }
        let pem = |text: &str| {
            certificate::from_pem(text.as_bytes())
                .ok()
                .filter(|certificates| !certificates.is_empty() && certificates.len() <= MAX_HELD)
                .ok_or_else(|| self.wrong("a certificate of it is not PEM"))
        };
        let mut shows: Vec<Held> = self
            .shows
            .iter()
            .map(|shown| {
                let kind = Kind::from_slug(&shown.kind)
                    .ok_or_else(|| self.wrong("it shows a chain as an unknown kind"))?;
                let generation = match shown.edition.as_str() {
                    "iso2" => Generation::Iso2,
                    "iso20" => Generation::Iso20,
                    _ => return Err(self.wrong("an edition is neither iso2 nor iso20")),
                };
                Ok(Held {
                    profile: Profile { kind, generation },
                    chain: pem(&shown.chain)?,
                })
            })
            .collect::<Result<_, _>>()?;
        let mut trusts: BTreeMap<Kind, Vec<Vec<u8>>> = BTreeMap::new();
        for (word, text) in &self.trusts {
            let kind = Kind::from_slug(word)
                .filter(|kind| kind.is_root())
                .ok_or_else(|| self.wrong("it trusts an unknown kind of root"))?;
            trusts.entry(kind).or_default().extend(pem(text)?);
        }
        for installed in &self.installed {
            if installed.child_certificate_hash_data.len() > MAX_HELD {
                return Err(self.wrong("it has more certificates than are looked at"));
            }
            let resolved = self.resolve(installed, known, &mut shows, &mut trusts);
            if resolved.is_none() {
                unresolved.push((self.name.clone(), installed.certificate_type.clone()));
            }
        }
        Ok(Holder {
            name: self.name.clone(),
            role,
            shows,
            trusts,
        })
    }

    /// What one entry of OCPP's answer stands for; `None` if one of its hashes is unknown.
    fn resolve(
        &self,
        installed: &Installed,
        known: &Known,
        shows: &mut Vec<Held>,
        trusts: &mut BTreeMap<Kind, Vec<Vec<u8>>>,
    ) -> Option<()> {
        let own = known.find(&installed.certificate_hash_data);
        if let Some(kind) = root_of(&installed.certificate_type) {
            // A kind that is held and unknown is held all the same: its holder is not without roots.
            let roots = trusts.entry(kind).or_default();
            let own = own?;
            if !roots.contains(own) {
                roots.push(own.clone());
            }
            return Some(());
        }
        if installed.certificate_type != "V2GCertificateChain" {
            return Some(());
        }
        let mut chain = vec![own?.clone()];
        for hashes in &installed.child_certificate_hash_data {
            chain.push(known.find(hashes)?.clone());
        }
        let profile = Profile {
            kind: Kind::SeccLeaf,
            generation: edition_of(chain.first()?)?,
        };
        let held = Held { profile, chain };
        if !shows.contains(&held) {
            shows.push(held);
        }
        Some(())
    }
}
