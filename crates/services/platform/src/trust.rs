//! What stations, vehicles and the platform itself really hold: stations are asked over OCPP, chains are
//! kept as they were seen, and all of it is told with its date.

use std::collections::BTreeMap;

use gridlatch_host::now;
use gridlatch_ocpp::v21::{CertificateHashDataChain, GetInstalledCertificateIdsRequest};
use gridlatch_store::SeenChain;
use gridlatch_trust::{KeyAlgorithm, certificate};
use gridlatch_vocab::{StationId, catalogue};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::commands::{CertificateHash, CommandError};
use crate::state::PlatformState;

mod asking;
mod page;
pub(crate) mod refused;

pub use asking::AskProgress;
pub(crate) use asking::Asking;
pub use page::{DatedEnd, HeldBy, Shown, TrustPage};
pub use refused::RefusedChange;

/// Entries of one station's answer that are kept.
const MAX_INSTALLED: usize = 256;

/// What the platform itself holds: told to whoever asks for the inventory.
#[derive(Debug, Clone, Default)]
pub struct OwnTrust {
    /// The chain it shows to stations, DER, leaf first, without the root.
    pub server: Vec<Vec<u8>>,
    /// Roots above stations' certificates.
    pub csms_roots: Vec<Vec<u8>>,
    /// Further certificates that stations may name by hash: the roots of vehicles, say.
    pub known: Vec<Vec<u8>>,
}

/// One entry of a station's answer, in OCPP's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstalledEntry {
    pub(crate) certificate_type: String,
    pub(crate) certificate_hash_data: HashData,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) child_certificate_hash_data: Vec<HashData>,
}

/// OCPP's `CertificateHashDataType`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HashData {
    pub(crate) hash_algorithm: String,
    pub(crate) issuer_name_hash: String,
    pub(crate) issuer_key_hash: String,
    pub(crate) serial_number: String,
}

impl HashData {
    fn of(data: &gridlatch_ocpp::v21::CertificateHashData) -> Self {
        let short = |text: &str| text.chars().take(128).collect::<String>();
        Self {
            hash_algorithm: data.hash_algorithm.as_str().to_owned(),
            issuer_name_hash: short(&data.issuer_name_hash),
            issuer_key_hash: short(&data.issuer_key_hash),
            serial_number: short(&data.serial_number),
        }
    }

    /// Whether these are the hashes of `der`, issued by `issuer`.
    pub(crate) fn names(&self, der: &[u8], issuer: &[u8]) -> bool {
        let bare = |text: &str| text.trim_start_matches('0').to_ascii_lowercase();
        self.hash_algorithm == "SHA256"
            && certificate::hash_data(der, issuer).is_ok_and(|own| {
                own.issuer_name_hash.eq_ignore_ascii_case(&self.issuer_name_hash)
                    && own.issuer_key_hash.eq_ignore_ascii_case(&self.issuer_key_hash)
                    && bare(&own.serial_number) == bare(&self.serial_number)
            })
    }

    /// As commands name it.
    pub(crate) fn command(&self) -> CertificateHash {
        CertificateHash {
            algorithm: self.hash_algorithm.clone(),
            issuer_name: self.issuer_name_hash.clone(),
            issuer_key: self.issuer_key_hash.clone(),
            serial: self.serial_number.clone(),
        }
    }
}

impl InstalledEntry {
    fn of(chain: &CertificateHashDataChain) -> Self {
        Self {
            certificate_type: chain.certificate_type.as_str().to_owned(),
            certificate_hash_data: HashData::of(&chain.certificate_hash_data),
            child_certificate_hash_data: chain
                .child_certificate_hash_data
                .iter()
                .flatten()
                .take(8)
                .map(HashData::of)
                .collect(),
        }
    }
}

impl PlatformState {
    /// Asks a station what it holds, and keeps the answer, or that there was none.
    pub(crate) async fn ask_installed(
        &self,
        station: &StationId,
    ) -> Result<Vec<InstalledEntry>, CommandError> {
        let request = GetInstalledCertificateIdsRequest::new();
        let answer = self.ask(station, &request).await;
        let kept = match &answer {
            Ok(response) => {
                let chains = response
                    .certificate_hash_data_chain
                    .as_deref()
                    .unwrap_or_default();
                let entries: Vec<InstalledEntry> = chains
                    .iter()
                    .take(MAX_INSTALLED)
                    .map(InstalledEntry::of)
                    .collect();
                let text = serde_json::to_string(&entries).unwrap_or_else(|_| "[]".to_owned());
                let kept = self.store().trust_answered(station, now(), &text).await;
                self.learn_chains(station, &entries).await;
                kept.map(|()| entries)
            }
            Err(error) => {
                let failure = format!("{}: {error}", error.code);
                let kept = self.store().trust_unanswered(station, now(), &failure).await;
                kept.map(|()| Vec::new())
            }
        };
        let entries = match kept {
            Ok(entries) => entries,
            Err(error) => {
                self.store_failed(Some(station), "keep what a station holds", &error);
                return Err(CommandError::new(
                    catalogue::platform::STORE_FAILED,
                    "what the station answered could not be kept",
                ));
            }
        };
        answer.map(|_| entries)
    }

    /// A station names its chains by hash. Those that were not handed out by this platform are looked for
    /// at the authority, which signed them.
    async fn learn_chains(&self, station: &StationId, entries: &[InstalledEntry]) {
        let Some(authority) = self.config().authority.clone() else {
            return;
        };
        for entry in entries
            .iter()
            .filter(|entry| entry.certificate_type == "V2GCertificateChain")
        {
            let hashes = &entry.certificate_hash_data;
            let found = authority.signed(&hashes.serial_number).await;
            let chain = found
                .into_iter()
                .find(|chain| matches!(chain.as_slice(), [leaf, issuer, ..] if hashes.names(leaf, issuer)));
            if let Some(chain) = chain {
                self.saw_chain("station", station.as_str(), "secc-leaf", &chain)
                    .await;
            }
        }
    }

    /// Keeps a chain that somebody was seen with or was given.
    pub(crate) async fn saw_chain(&self, role: &str, holder: &str, kind: &str, chain: &[Vec<u8>]) {
        let Some(leaf) = chain.first() else { return };
        let Ok(summary) = certificate::summary(leaf) else {
            return;
        };
        // The name of a contract stands for a person: its CAs and its end are kept, the leaf is not.
        let personal = kind == "contract-leaf";
        let shown = chain.iter().skip(usize::from(personal));
        let seen = SeenChain {
            role: role.to_owned(),
            holder: holder.to_owned(),
            kind: kind.to_owned(),
            edition: match summary.key {
                Some(KeyAlgorithm::P256) | None => "iso2",
                Some(KeyAlgorithm::P521 | KeyAlgorithm::Ed448) => "iso20",
            }
            .to_owned(),
            fingerprint: hex::encode(Sha256::digest(leaf)),
            chain: shown.map(|der| certificate::to_pem(der)).collect(),
            not_after: summary.not_after,
            at: now(),
        };
        if let Err(error) = self.store().trust_chain_seen(seen).await {
            self.store_failed(None, "keep a chain that was seen", &error);
        }
    }

    /// Keeps roots that stations were given: they name them by hash from now on.
    pub(crate) async fn saw_roots(&self, roots: &[Vec<u8>]) {
        for root in roots.iter().take(8) {
            let name = hex::encode(Sha256::digest(root));
            self.saw_chain("known", &name, "v2g-root", core::slice::from_ref(root))
                .await;
        }
    }

    /// The page of the inventory after `after`, the cursor of the page before.
    ///
    /// # Errors
    /// The store fails.
    pub async fn trust_page(&self, after: &str, limit: u32) -> gridlatch_store::Result<TrustPage> {
        page::read(self, after, limit).await
    }
}

/// PEM of roots by their kind.
pub(crate) type Trusts = BTreeMap<String, String>;
