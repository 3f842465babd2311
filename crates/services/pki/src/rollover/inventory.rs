//! An inventory of trust stores as JSON, from whatever collected it: our own folders, another system's
//! report, or a station's answer to OCPP's `GetInstalledCertificateIds`, which names certificates by hash.

use std::collections::BTreeMap;

use gridlatch_trust::forecast::{Held, Holder, MAX_HELD, MAX_HOLDERS, Role};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, Profile, certificate};
use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::rollover;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An inventory in octets: 20,000 holders of some certificates each.
pub const MAX_OCTETS: usize = 256 * 1024 * 1024;
/// Certificates that hashes are resolved against.
pub const MAX_KNOWN: usize = 4096;

/// Roots by OCPP's three values: issuer name hash, issuer key hash, serial number.
type Known = BTreeMap<(String, String, String), Vec<u8>>;

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
    /// Which certificate.
    pub certificate_hash_data: HashData,
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

    /// Known roots by OCPP's three hashes.
    fn resolver(&self) -> Result<Known, InventoryError> {
        let mut certificates = Vec::new();
        let held = self.holders.iter().flat_map(|entry| entry.trusts.values());
        for text in std::iter::once(&self.known).chain(held) {
            if let Ok(more) = certificate::from_pem(text.as_bytes()) {
                certificates.extend(more);
            }
            certificates.sort_unstable();
            certificates.dedup();
            if certificates.len() > MAX_KNOWN {
                return Err(InventoryError::TooLarge(
                    "more known certificates than are looked at",
                ));
            }
        }
        Ok(certificates
            .into_iter()
            .filter_map(|der| {
                // Roots only: a root is its own issuer.
                let hashes = certificate::hash_data(&der, &der).ok()?;
                Some((
                    (
                        hashes.issuer_name_hash,
                        hashes.issuer_key_hash,
                        hashes.serial_number,
                    ),
                    der,
                ))
            })
            .collect())
    }
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
        let shows = self
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
            let Some(kind) = root_of(&installed.certificate_type) else {
                continue;
            };
            let hashes = &installed.certificate_hash_data;
            let serial = hashes.serial_number.trim_start_matches('0').to_ascii_lowercase();
            let key = (
                hashes.issuer_name_hash.to_ascii_lowercase(),
                hashes.issuer_key_hash.to_ascii_lowercase(),
                if serial.is_empty() { "0".to_owned() } else { serial },
            );
            match known.get(&key).filter(|_| hashes.hash_algorithm == "SHA256") {
                Some(der) => trusts.entry(kind).or_default().push(der.clone()),
                None => unresolved.push((self.name.clone(), installed.certificate_type.clone())),
            }
        }
        Ok(Holder {
            name: self.name.clone(),
            role,
            shows,
            trusts,
        })
    }
}

/// OCPP's names of roots. A chain (`V2GCertificateChain`) is not a root; what a station shows is in `shows`.
fn root_of(use_: &str) -> Option<Kind> {
    match use_ {
        "V2GRootCertificate" => Some(Kind::V2gRoot),
        "MORootCertificate" => Some(Kind::MoRoot),
        "OEMRootCertificate" => Some(Kind::OemRoot),
        "CSMSRootCertificate" => Some(Kind::CsmsRoot),
        _ => None,
    }
}
