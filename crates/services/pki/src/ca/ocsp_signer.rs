//! Delegated OCSP signers: every CA has one, with a key of its own (RFC 6960, 4.2.2.2).

use std::sync::{Arc, PoisonError};

use gridlatch_keys::Signer;
use gridlatch_store::pki::SignerRow;
use gridlatch_trust::build::Subject;
use gridlatch_trust::certificate;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::catalogue::enrolment;

use super::issue::Grounds;
use super::{Action, Authority, Ca, CaError, Control, Issued, Order, Requester, Role, Serial};

/// What the store calls them.
const PURPOSE: &str = "ocsp";
/// Requests looked through for one that asks for the same already.
const REQUESTS: u32 = 100;

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
    /// root under dual control takes two operators: they are asked once, a warning is given each day, and
    /// the old one is used for as long as it is valid.
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
        if authority.is_root() && self.control() == Control::Dual {
            let left = current
                .as_ref()
                .and_then(life)
                .map_or(time::Duration::ZERO, |(left, _)| left);
            self.signer_due(&authority, left).await;
            return current
                .filter(|_| left > time::Duration::ZERO)
                .ok_or(CaError::ApprovalNeeded {
                    what: "an OCSP signer below a root",
                    needed: super::APPROVERS,
                });
        }
        match (
            self.new_signer(&authority, Grounds::default())
                .await
                .map(|(signer, _)| signer),
            current,
        ) {
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

    /// Carries out what two operators agreed to.
    pub(super) async fn approved_ocsp_signer(
        &self,
        authority: &str,
        request: i64,
    ) -> Result<Issued, CaError> {
        let authority = self.authority(authority)?;
        let grounds = Grounds {
            request_digest: None,
            approved: Some(request),
        };
        self.new_signer(&authority, grounds)
            .await
            .map(|(_, issued)| issued)
    }

    /// Once a day, as long as it lasts: two operators are asked, and somebody is told.
    async fn signer_due(&self, authority: &Authority, left: time::Duration) {
        let days = left.whole_days();
        let said = self
            .inner
            .signers_due
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(authority.name.clone(), days);
        if said == Some(days) {
            return;
        }
        let name = &authority.name;
        let when = if left > time::Duration::ZERO {
            format!("ends in {days} days")
        } else {
            "is missing or has ended".to_owned()
        };
        let (asked, request) = match self.signer_request(name).await {
            Ok(id) => (format!("request {id} waits for two operators"), id),
            Err(error) => (
                format!("two operators could not be asked: {error}"),
                String::new(),
            ),
        };
        self.emit(
            enrolment::OCSP_SIGNER_DUE,
            format!("the OCSP signer of {name} {when}; {asked}"),
            |event| {
                event
                    .with("authority", name.as_str())
                    .with("request", request)
                    .with("days", days)
            },
        );
    }

    /// The open request for a new signer, filed if there is none.
    async fn signer_request(&self, authority: &str) -> Result<String, CaError> {
        let action = Action::OcspSigner {
            authority: authority.to_owned(),
        };
        let open = self
            .inner
            .store
            .pki_requests(REQUESTS)
            .await?
            .into_iter()
            .find(|row| {
                row.state == "open"
                    && serde_json::from_str::<Action>(&row.action).is_ok_and(|one| one == action)
            });
        if let Some(row) = open {
            return Ok(row.id);
        }
        let by = Requester {
            role: Role::Ca,
            id: PURPOSE.to_owned(),
        };
        Ok(self.file(&action, &by).await?.id)
    }

    async fn new_signer(
        &self,
        authority: &Authority,
        grounds: Grounds,
    ) -> Result<(OcspSigner, Issued), CaError> {
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
        let order = Order {
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
        };
        let issued = self.issue_on(order, grounds).await?;
        let row = SignerRow {
            key_uri: uri,
            serial: issued.serial.stored(),
        };
        self.inner
            .store
            .pki_signer_put(authority.number, PURPOSE, row, self.now())
            .await?;
        let signer = OcspSigner {
            der: issued.der.clone(),
            serial: issued.serial,
            key,
        };
        Ok((signer, issued))
    }
}
