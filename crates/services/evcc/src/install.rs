//! A contract that comes over the cable: judged, opened, kept, and only then used.

mod judge;

use std::path::PathBuf;
use std::sync::Arc;

use gridlatch_host::now;
use gridlatch_keys::delivery::{Kdf, Sealed, additional_data, open_p521};
use gridlatch_keys::{FileKey, KeyAlgorithm, write_atomically};
use gridlatch_session::evcc::{Contract, ContractAcceptance, ContractWish};
use gridlatch_session::provisioning::{Action, Delivery, RootId, SignedContract, agree_p256, open_iso2};
use gridlatch_trust::certificate;
use gridlatch_vocab::catalogue::{key as key_codes, pnc, provisioning};
use gridlatch_vocab::{Code, Event, EventSink, Personal};

pub use self::judge::WithoutMoRoot;
use crate::config::ContractCredential;
use crate::signer;

/// How a vehicle asks for a contract, and where it keeps it.
#[derive(Debug, Clone)]
pub struct InstallCredential {
    /// A first contract, or a new certificate for the one it holds (ISO 15118-2 only).
    pub action: Action,
    /// The provisioning certificate and its sub-CAs in DER, or the contract chain for an update; leaf first.
    pub chain: Vec<Vec<u8>>,
    /// The key of the leaf: it signs the request and opens the answer.
    pub key: Arc<FileKey>,
    /// The vehicle's name at its manufacturer (PCID).
    pub pcid: Personal<String>,
    /// The contract to be updated.
    pub emaid: Option<Personal<String>>,
    /// V2G roots (DER) that the signer of contracts must lead to.
    pub roots: Vec<Vec<u8>>,
    /// Roots of mobility operators (DER) that a contract must lead to, of either standard.
    pub mo_roots: Vec<Vec<u8>>,
    /// What to do where none of them is of the standard spoken.
    pub without_mo_root: WithoutMoRoot,
    /// Where the contract is kept; not at all, without one.
    pub keep: Option<ContractFolder>,
}

/// Where a vehicle keeps its contract: one file with its chain, one with its key.
#[derive(Debug, Clone)]
pub struct ContractFolder {
    /// The folder; it must exist.
    pub folder: PathBuf,
    /// The name of the two files, without an ending.
    pub name: String,
}

impl ContractFolder {
    fn chain(&self) -> PathBuf {
        self.folder.join(format!("{}.pem", self.name))
    }

    fn key(&self, fingerprint: &str) -> PathBuf {
        self.folder.join(format!("{}-{fingerprint}.key", self.name))
    }

    /// The contract in it, if there is one.
    ///
    /// # Errors
    /// What is there is no contract, or its key is missing or exposed to others.
    pub fn read(&self) -> Result<Option<(ContractCredential, Arc<FileKey>)>, String> {
        let path = self.chain();
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let chain = certificate::from_pem(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let leaf = chain.first().map_or(&[][..], Vec::as_slice);
        let summary = certificate::summary(leaf).map_err(|error| format!("{}: {error}", path.display()))?;
        let emaid = certificate::emaid_of(leaf).map_err(|error| format!("{}: {error}", path.display()))?;
        let key = FileKey::load(&self.key(&summary.fingerprint)).map_err(|error| error.to_string())?;
        let key = Arc::new(key);
        let credential = ContractCredential {
            emaid: Personal::new(emaid.reveal().as_str().to_owned()),
            chain,
            key: Arc::clone(&key) as _,
        };
        Ok(Some((credential, key)))
    }

    /// Keeps a contract in place of what was there. The key goes first, under the name of its certificate: whenever
    /// the power fails, what the chain's file names is complete.
    fn write(&self, chain: &[Vec<u8>], key: &FileKey) -> Result<(), String> {
        let leaf = chain.first().map_or(&[][..], Vec::as_slice);
        let fingerprint = certificate::summary(leaf)
            .map_err(|error| error.to_string())?
            .fingerprint;
        let before = self
            .read()
            .ok()
            .flatten()
            .and_then(|(old, _)| certificate::summary(old.chain.first()?).ok())
            .map(|summary| summary.fingerprint);
        key.save(&self.key(&fingerprint))
            .map_err(|error| error.to_string())?;
        let text: String = chain.iter().map(|der| certificate::to_pem(der)).collect();
        let path = self.chain();
        write_atomically(&path, text.as_bytes(), 0o600)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        if let Some(before) = before.filter(|before| *before != fingerprint) {
            // The old key is of no use any more; one that stays is no harm either.
            let _ = std::fs::remove_file(self.key(&before));
        }
        Ok(())
    }
}

/// The wish as the session takes it; `Err` names what it cannot use.
pub(crate) fn wish(
    credential: &InstallCredential,
    events: Arc<dyn EventSink>,
) -> Result<ContractWish, String> {
    let roots = credential
        .roots
        .iter()
        .map(|root| {
            let summary = certificate::summary(root).map_err(|error| error.to_string())?;
            // EXI carries 64 bits of a serial number here; a root with a longer one cannot be named.
            Ok(i64::from_str_radix(&summary.serial_hex, 16)
                .ok()
                .map(|serial| RootId {
                    issuer: format!("CN={}", summary.issuer_cn),
                    serial,
                }))
        })
        .filter_map(Result::transpose)
        .collect::<Result<Vec<RootId>, String>>()?;
    if roots.is_empty() {
        return Err("none of this vehicle's V2G roots can be named in a request for a contract".to_owned());
    }
    let identity = signer::contract(&ContractCredential {
        emaid: Personal::new(String::new()),
        chain: credential.chain.clone(),
        key: Arc::clone(&credential.key) as _,
    })?;
    Ok(ContractWish {
        action: credential.action,
        chain: credential.chain.clone(),
        signer: identity.signer,
        roots,
        emaids: credential.emaid.iter().cloned().collect(),
        acceptance: Box::new(Acceptance {
            credential: credential.clone(),
            events,
        }),
    })
}

struct Acceptance {
    credential: InstallCredential,
    events: Arc<dyn EventSink>,
}

impl core::fmt::Debug for Acceptance {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Acceptance")
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

impl ContractAcceptance for Acceptance {
    fn accept(&self, offered: &SignedContract) -> Result<Contract, (Code, String)> {
        let contract = offered.contract();
        let basis = judge::judge(&self.credential, offered, now())?;
        let key = Arc::new(self.open(offered)?);
        let usable = signer::contract(&ContractCredential {
            emaid: contract.emaid.clone(),
            chain: contract.chain.clone(),
            key: Arc::clone(&key) as _,
        })
        .map_err(|why| (provisioning::KEY_MISMATCH, why))?;
        // Last: what is refused leaves nothing behind.
        if let Some(keep) = &self.credential.keep {
            keep.write(&contract.chain, &key).map_err(|why| {
                (
                    key_codes::UNAVAILABLE,
                    format!("the contract cannot be kept: {why}"),
                )
            })?;
        }
        self.events.emit(Event::new(
            now(),
            pnc::CONTRACT_INSTALLED,
            crate::SOURCE,
            format!("a contract was installed; {}", basis.text()),
        ));
        Ok(usable)
    }
}

impl Acceptance {
    /// The contract key; that it is the certificate's is checked on the way.
    fn open(&self, offered: &SignedContract) -> Result<FileKey, (Code, String)> {
        let contract = offered.contract();
        let leaf = contract.chain.first().map_or(&[][..], Vec::as_slice);
        let mismatch = |why: String| (provisioning::KEY_MISMATCH, why);
        match contract.delivery {
            Delivery::P256 => {
                let own = self
                    .credential
                    .key
                    .scalar()
                    .map_err(|error| mismatch(error.to_string()))?;
                let scalar = open_iso2(&contract.encrypted_key, &contract.dh_public_key, leaf, &|peer| {
                    agree_p256(&own, peer).ok()
                })
                .map_err(|fault| (fault.code(), fault.to_string()))?;
                FileKey::from_scalar(KeyAlgorithm::P256, &scalar).map_err(|error| mismatch(error.to_string()))
            }
            Delivery::P521 => {
                let sealed = Sealed {
                    encrypted_key: contract.encrypted_key.clone(),
                    public_key: contract.dh_public_key.clone(),
                };
                let public =
                    certificate::public_key_der(leaf).map_err(|error| mismatch(error.to_string()))?;
                let id = certificate::subject_key_id(leaf);
                let aad = additional_data(self.credential.pcid.reveal(), &id);
                open_p521(&sealed, &self.credential.key, &public, &aad, &Kdf::default())
                    .map_err(|error| mismatch(error.to_string()))
            }
            Delivery::X448 | Delivery::Tpm => Err(mismatch(
                "the contract key comes in a form this vehicle cannot open (X448 or TPM 2.0)".to_owned(),
            )),
        }
    }
}
