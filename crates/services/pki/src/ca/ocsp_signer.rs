//! Delegated OCSP signers: every CA has one, with a key of its own (RFC 6960, 4.2.2.2).

use std::sync::Arc;

use gridlatch_keys::Signer;
use gridlatch_store::pki::SignerRow;
use gridlatch_trust::build::Subject;
use gridlatch_trust::certificate;
use gridlatch_trust::profile::Kind;

use super::{Authority, Ca, CaError, Control, Order, Requester, Role, Serial};

/// What the store calls them.
const PURPOSE: &str = "ocsp";

/// A key that answers for a CA.
#[derive(Debug, Clone)]
pub struct OcspSigner {
    /// The signer's certificate, issued by the CA it answers for.
    pub der: Vec<u8>,
    /// Its serial number.
    pub serial: Serial,
    /// Its key.
    pub key: Arc<dyn Signer>,
}

impl Ca {
    /// The OCSP signer of a CA, issued when missing and again in the last third of its life. One below a
    /// root under dual control is not renewed by itself; the old one is used for as long as it is valid.
    ///
    /// # Errors
    /// The CA is unknown or unusable, its key is away, or the signer has ended and a root's approval is
    /// needed.
    pub async fn ocsp_signer(&self, authority: &str) -> Result<OcspSigner, CaError> {
        let authority = self.authority(authority)?;
        let current = self.current_signer(&authority).await?;
        let now = self.now();
        let life = |signer: &OcspSigner| {
            certificate::summary(&signer.der).ok().map(|summary| {
                let whole = summary.not_after.0 - summary.not_before.0;
                (summary.not_after.0 - now.0, whole)
            })
        };
        if let Some(signer) = &current
            && life(signer).is_some_and(|(left, whole)| left > whole / 3)
        {
            return Ok(signer.clone());
        }
        match (self.new_signer(&authority).await, current) {
            (Ok(signer), _) => Ok(signer),
            (Err(_), Some(old)) if life(&old).is_some_and(|(left, _)| left > time::Duration::ZERO) => Ok(old),
            (Err(error), _) => Err(error),
        }
    }

    /// Gives every CA in use its OCSP signer.
    ///
    /// # Errors
    /// As [`Self::ocsp_signer`].
    pub async fn ensure_ocsp_signers(&self) -> Result<(), CaError> {
        for authority in self.authorities() {
            if authority.usable(self.now()).is_ok() {
                self.ocsp_signer(&authority.name).await?;
            }
        }
        Ok(())
    }

    async fn current_signer(&self, authority: &Authority) -> Result<Option<OcspSigner>, CaError> {
        let store = &self.inner.store;
        let Some(row) = store.pki_signer(authority.number, PURPOSE).await? else {
            return Ok(None);
        };
        let Some(record) = store.pki_find(authority.number, row.serial).await? else {
            return Ok(None);
        };
        if record.revoked.is_some() {
            return Ok(None);
        }
        Ok(Some(OcspSigner {
            der: record.der,
            serial: Serial::from_stored(row.serial),
            key: self.inner.keys.open(&row.key_uri)?,
        }))
    }

    async fn new_signer(&self, authority: &Authority) -> Result<OcspSigner, CaError> {
        if authority.is_root() && self.control() == Control::Dual {
            return Err(CaError::ApprovalNeeded {
                what: "an OCSP signer below a root",
                needed: super::APPROVERS,
            });
        }
        let draw = Serial::random().ok_or(CaError::Entropy)?;
        let (world, name) = authority.name.split_once('/').unwrap_or(("", &authority.name));
        let uri = self
            .inner
            .keys
            .create(&format!("{world}/ocsp/{name}-{draw}"), authority.algorithm())?;
        let key = self.inner.keys.open(&uri)?;
        let about = certificate::summary(&authority.der).map_err(|_| CaError::Damaged {
            what: authority.name.clone(),
            reason: "its certificate cannot be read",
        })?;
        let subject: String = about.subject_cn.chars().take(59).collect();
        let issued = self
            .issue(Order {
                authority: authority.name.clone(),
                profile: authority.world.profile(Kind::OcspSigner),
                subject: Subject {
                    common_name: format!("{subject} OCSP"),
                    organization: about.subject_o,
                    country: None,
                },
                spki: key.public_key_der().to_vec(),
                alt_names: Vec::new(),
                not_before: None,
                not_after: None,
                requester: Requester {
                    role: Role::Ca,
                    id: PURPOSE.to_owned(),
                },
            })
            .await?;
        let row = SignerRow {
            key_uri: uri,
            serial: issued.serial.stored(),
        };
        self.inner
            .store
            .pki_signer_put(authority.number, PURPOSE, row, self.now())
            .await?;
        Ok(OcspSigner {
            der: issued.der,
            serial: issued.serial,
            key,
        })
    }
}
