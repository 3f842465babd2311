//! Looking things up.

use der::Encode as _;
use gridlatch_keys::verify;
use gridlatch_store::pki::{CertificateRow, Listing};
use gridlatch_trust::certificate;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::{Personal, Timestamp};

use super::{Ca, CaError, Reason, Serial, reason};

/// A certificate as the CA remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Counts up in order of issue.
    pub number: i64,
    /// The CA that signed it.
    pub authority: String,
    /// Its serial number.
    pub serial: Serial,
    /// What it is; `None` for a kind of another release.
    pub kind: Option<Kind>,
    /// Its common name, masked where it stands for a person.
    pub label: String,
    /// The certificate.
    pub der: Vec<u8>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// Who asked, `role:id`.
    pub requester: String,
    /// When it was issued.
    pub at: Timestamp,
    /// When and why it was revoked.
    pub revoked: Option<(Timestamp, Reason)>,
}

impl Record {
    /// `good`, `revoked` or `expired`, as lists show it.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> &'static str {
        if self.revoked.is_some() {
            "revoked"
        } else if now > self.not_after {
            "expired"
        } else {
            "good"
        }
    }
}

/// What a list is asked for; see [`Ca::list`].
#[derive(Debug, Clone, Default)]
pub struct CertificateQuery {
    /// Of this CA only.
    pub authority: Option<String>,
    /// With this exact common name only.
    pub common_name: Option<Personal<String>>,
    /// Ending before this time only.
    pub ending_before: Option<Timestamp>,
    /// Revoked ones only, or the others only.
    pub revoked: Option<bool>,
    /// The next page begins below this number.
    pub before: Option<i64>,
    /// At most so many; at most 10,000.
    pub limit: u32,
}

/// The most certificates of one page.
const PAGE: u32 = 10_000;

impl Ca {
    /// A certificate by its serial number; `None` if this CA never issued it.
    ///
    /// # Errors
    /// The CA is unknown or the store fails.
    pub async fn find(&self, authority: &str, serial: Serial) -> Result<Option<Record>, CaError> {
        let number = self.authority(authority)?.number;
        let row = self.inner.store.pki_find(number, serial.stored()).await?;
        Ok(row.map(|row| self.record(row)))
    }

    /// Whether and why a certificate was revoked, without the certificate; the outer `None` if this CA
    /// never issued it.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn status(
        &self,
        authority: &str,
        serial: Serial,
    ) -> Result<Option<Option<(Timestamp, Reason)>>, CaError> {
        let number = self.authority(authority)?.number;
        let status = self.inner.store.pki_status(number, serial.stored()).await?;
        Ok(status.map(|revoked| revoked.map(|(at, code)| (at, reason::from_code(code)))))
    }

    /// Certificates, latest first.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn list(&self, query: &CertificateQuery) -> Result<Vec<Record>, CaError> {
        let authority = match &query.authority {
            Some(name) => Some(self.authority(name)?.number),
            None => None,
        };
        let rows = self
            .inner
            .store
            .pki_list(&Listing {
                authority,
                subject: query.common_name.clone(),
                ending_before: query.ending_before,
                revoked: query.revoked,
                before: query.before,
                limit: query.limit.min(PAGE),
            })
            .await?;
        Ok(rows.into_iter().map(|row| self.record(row)).collect())
    }

    /// Certificates that end between two times and are not revoked, first to end first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn ending(
        &self,
        from: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Record>, CaError> {
        let rows = self.inner.store.pki_ending(from, until, limit.min(PAGE)).await?;
        Ok(rows.into_iter().map(|row| self.record(row)).collect())
    }

    /// The CA that signed a certificate, found by name and signature, and its serial number.
    ///
    /// # Errors
    /// It cannot be read, or none of the CAs here signed it ([`CaError::UnknownAuthority`]).
    pub fn issuer_of(&self, der: &[u8]) -> Result<(String, Serial), CaError> {
        let unreadable = || CaError::Damaged {
            what: "the certificate".to_owned(),
            reason: "it cannot be read",
        };
        let parsed = certificate::parse(der).map_err(|_| unreadable())?;
        let tbs = &parsed.tbs_certificate;
        let signed = tbs.to_der().map_err(|_| unreadable())?;
        let signature = parsed.signature.raw_bytes();
        let authority = self.authorities().into_iter().find(|authority| {
            certificate::parse(&authority.der)
                .is_ok_and(|issuer| issuer.tbs_certificate.subject == tbs.issuer)
                && verify(authority.algorithm(), &authority.spki, &signed, signature).unwrap_or(false)
        });
        let name = certificate::names(&tbs.issuer).common_name.unwrap_or_default();
        let authority = authority.ok_or(CaError::UnknownAuthority(name))?;
        let serial = Serial::from_octets(tbs.serial_number.as_bytes()).ok_or_else(unreadable)?;
        Ok((authority.name.clone(), serial))
    }

    fn record(&self, row: CertificateRow) -> Record {
        let authority = self
            .authorities()
            .into_iter()
            .find(|authority| authority.number == row.authority)
            .map_or_else(
                || format!("#{}", row.authority),
                |authority| authority.name.clone(),
            );
        Record {
            number: row.number,
            authority,
            serial: Serial::from_stored(row.serial),
            kind: Kind::from_slug(&row.kind),
            label: row.label,
            der: row.der,
            not_before: row.not_before,
            not_after: row.not_after,
            requester: row.requester,
            at: row.at,
            revoked: row.revoked.map(|(at, code)| (at, reason::from_code(code))),
        }
    }
}
