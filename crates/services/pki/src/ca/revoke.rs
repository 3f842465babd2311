//! Taking certificates back, and what revocation lists are made of.

use std::sync::atomic::Ordering;

use gridlatch_store::pki::{ReleaseOutcome, RevokeOutcome};
use gridlatch_trust::profile::{Authority as Role, Kind};
use gridlatch_vocab::{Timestamp, catalogue::ca};

use super::{APPROVERS, Ca, CaError, Control, Reason, Requester, Serial, reason};

/// An entry of a revocation list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Counts up in the order of revoking: where a delta list begins.
    pub number: i64,
    /// The certificate.
    pub serial: Serial,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

impl Ca {
    /// Revokes a certificate of `authority`; durable when it returns. `by` is who asked.
    ///
    /// # Errors
    /// The CA never issued it, it was revoked before, it belongs to a CA and two operators have to agree
    /// ([`CaError::ApprovalNeeded`]), or the store fails.
    pub async fn revoke(
        &self,
        authority: &str,
        serial: Serial,
        reason: Reason,
        at: Timestamp,
        by: &Requester,
    ) -> Result<(), CaError> {
        self.revoke_on(authority, serial, reason, at, by, false).await
    }

    pub(super) async fn revoke_on(
        &self,
        authority: &str,
        serial: Serial,
        reason: Reason,
        at: Timestamp,
        by: &Requester,
        approved: bool,
    ) -> Result<(), CaError> {
        let result = self.try_revoke(authority, serial, reason, at, by, approved).await;
        let (code, message) = match &result {
            Ok(()) => (
                ca::REVOKED,
                format!("serial number {serial} of {authority}: {reason}"),
            ),
            Err(error) => (error.code(), error.to_string()),
        };
        self.emit(code, message, |event| {
            event
                .with("authority", authority)
                .with("serial", serial.to_string())
                .with("reason", reason.as_str())
                .with("requester", by.label())
        });
        result
    }

    async fn try_revoke(
        &self,
        authority: &str,
        serial: Serial,
        why: Reason,
        at: Timestamp,
        by: &Requester,
        approved: bool,
    ) -> Result<(), CaError> {
        if why == Reason::RemoveFromCrl {
            return Err(CaError::Plan(
                "removeFromCRL is written into delta lists, it revokes nothing",
            ));
        }
        let number = self.authority(authority)?.number;
        let unknown = || CaError::UnknownCertificate {
            authority: authority.to_owned(),
            serial,
        };
        let found = self
            .inner
            .store
            .pki_find(number, serial.stored())
            .await?
            .ok_or_else(unknown)?;
        let is_ca = Kind::from_slug(&found.kind).is_none_or(|kind| kind.row().authority != Role::Leaf);
        if is_ca && !approved && self.control() == Control::Dual {
            return Err(CaError::ApprovalNeeded {
                what: "revoking a CA",
                needed: APPROVERS,
            });
        }
        if is_ca && why == Reason::CertificateHold {
            return Err(CaError::Plan(
                "a CA is not suspended: nobody could say what its certificates of meanwhile are worth; revoke it",
            ));
        }
        let outcome = self
            .inner
            .store
            .pki_revoke(number, serial.stored(), reason::code(why), at, &by.label())
            .await?;
        if matches!(outcome, RevokeOutcome::Revoked) {
            // Durable before it is counted: whoever sees the count finds the revocation.
            self.inner.revocations.fetch_add(1, Ordering::AcqRel);
        }
        match outcome {
            RevokeOutcome::Revoked if is_ca => self.reload().await,
            RevokeOutcome::Revoked => Ok(()),
            RevokeOutcome::Already(at, _) => Err(CaError::AlreadyRevoked {
                authority: authority.to_owned(),
                serial,
                at,
            }),
            RevokeOutcome::Unknown => Err(unknown()),
        }
    }

    /// Lifts the hold (`certificateHold`) on a certificate of `authority`; durable when it returns. The next
    /// full list does not name it any more, the next delta says `removeFromCRL` (RFC 5280, 5.3.1), and OCSP
    /// answers `good` at once.
    ///
    /// # Errors
    /// The CA never issued it, it is not on hold, or the store fails.
    pub async fn release(&self, authority: &str, serial: Serial, by: &Requester) -> Result<(), CaError> {
        let result = self.try_release(authority, serial, by).await;
        let (code, message) = match &result {
            Ok(()) => (ca::RELEASED, format!("serial number {serial} of {authority}")),
            Err(error) => (error.code(), error.to_string()),
        };
        self.emit(code, message, |event| {
            event
                .with("authority", authority)
                .with("serial", serial.to_string())
                .with("requester", by.label())
        });
        result
    }

    async fn try_release(&self, authority: &str, serial: Serial, by: &Requester) -> Result<(), CaError> {
        let number = self.authority(authority)?.number;
        let store = &self.inner.store;
        let outcome = store
            .pki_release(number, serial.stored(), self.now(), &by.label())
            .await?;
        let authority = authority.to_owned();
        match outcome {
            ReleaseOutcome::Released => {
                // Durable before it is counted: whoever sees the count finds the release.
                self.inner.revocations.fetch_add(1, Ordering::AcqRel);
                Ok(())
            }
            ReleaseOutcome::NotHeld => Err(CaError::NotHeld { authority, serial }),
            ReleaseOutcome::Unknown => Err(CaError::UnknownCertificate { authority, serial }),
        }
    }

    /// Revocations of a CA after `number` (0 for all), in order, of certificates that have not ended by
    /// `alive_at`; at most `limit`.
    ///
    /// # Errors
    /// The CA is unknown or the store fails.
    pub async fn revoked_since(
        &self,
        authority: &str,
        number: i64,
        alive_at: Timestamp,
        limit: u32,
    ) -> Result<Vec<Revocation>, CaError> {
        let authority = self.authority(authority)?.number;
        let rows = self
            .inner
            .store
            .pki_revocations(authority, number, alive_at, limit)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| Revocation {
                number: row.number,
                serial: Serial::from_stored(row.serial),
                at: row.at,
                reason: reason::from_code(row.reason),
            })
            .collect())
    }
}
