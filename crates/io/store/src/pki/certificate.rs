//! Certificates: taking a serial number, finding one, listing them.

use gridlatch_vocab::{Personal, Timestamp};

use super::intake::insert_each;
use crate::engine::{Conn, Param, Row, params};
use crate::{Result, Store, StoreError};

/// A signed certificate that is about to be handed out.
#[derive(Debug, Clone)]
pub struct NewCertificate {
    /// Number of the authority that signed it.
    pub authority: i64,
    /// Its serial number: positive, unique per authority.
    pub serial: i64,
    /// The kind's word, `secc-leaf`.
    pub kind: String,
    /// The common name; kept as a label and a lookup value.
    pub subject: Personal<String>,
    /// Whether the common name stands for a person and lists show it masked.
    pub personal: bool,
    /// The certificate.
    pub der: Vec<u8>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// Who asked, `role:id`.
    pub requester: String,
    /// When.
    pub at: Timestamp,
    /// SHA-256 of the certificate request, which may be used once; `None` where there was none.
    pub request_digest: Option<Vec<u8>>,
    /// The approved request this executes: it is closed in the same commit.
    pub approved: Option<i64>,
}

/// What became of a [`NewCertificate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// Durable; its number counts up in order of issue.
    Stored(i64),
    /// The authority has already given this serial number away: choose another.
    SerialTaken,
    /// This certificate request was used before.
    Replayed,
    /// The approval it relies on has been used or withdrawn.
    NotApproved,
}

/// One stored certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// Counts up in order of issue.
    pub number: i64,
    /// Who signed it.
    pub authority: i64,
    /// Its serial number.
    pub serial: i64,
    /// The kind's word.
    pub kind: String,
    /// The common name, masked where it stands for a person.
    pub label: String,
    /// The certificate.
    pub der: Vec<u8>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// Who asked for it.
    pub requester: String,
    /// When it was issued.
    pub at: Timestamp,
    /// When and why (RFC 5280, 5.3.1) it was revoked.
    pub revoked: Option<(Timestamp, i64)>,
}

/// What a list of certificates is asked for.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Of this authority only.
    pub authority: Option<i64>,
    /// With this exact common name only.
    pub subject: Option<Personal<String>>,
    /// Ending before this time only.
    pub ending_before: Option<Timestamp>,
    /// Revoked ones only (`true`) or the others only (`false`).
    pub revoked: Option<bool>,
    /// With a number below this only: the cursor of the next page.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT number, authority, serial, kind, label, der, not_before, not_after, requester, at, ",
            "revoked_at, reason FROM pki_certificate ",
            $rest
        )
    };
}

impl Store {
    /// Stores a certificate with its serial number; durable when it returns. Nothing is stored unless
    /// the answer is [`Inserted::Stored`], and only then may the certificate be handed out.
    pub async fn pki_insert(&self, certificate: NewCertificate) -> Result<Inserted> {
        let approved = certificate.approved.is_some();
        let prepared = self.prepared(certificate);
        if !approved {
            return self.intake.put(prepared).await;
        }
        self.write(move |conn| Box::pin(async move { insert(conn, prepared).await }))
            .await
    }

    /// As [`Self::pki_insert`] for many in one commit: all are stored or, at the first that cannot be,
    /// none of this call, and the error says so.
    pub async fn pki_insert_all(&self, certificates: Vec<NewCertificate>) -> Result<()> {
        let prepared: Vec<Prepared> = certificates
            .into_iter()
            .map(|certificate| self.prepared(certificate))
            .collect();
        self.write(move |conn| {
            Box::pin(async move {
                let stored = insert_each(conn, prepared).await?;
                if !stored.iter().all(|one| matches!(one, Inserted::Stored(_))) {
                    return Err(StoreError::Corrupt("a serial number given twice"));
                }
                Ok(())
            })
        })
        .await
    }

    /// The certificate with this serial number of this authority.
    pub async fn pki_find(&self, authority: i64, serial: i64) -> Result<Option<CertificateRow>> {
        self.row(
            select!("WHERE authority = $1 AND serial = $2"),
            params![authority, serial],
        )
        .await?
        .map(|row| read(&row))
        .transpose()
    }

    /// When and why a certificate was revoked, without the certificate: the outer `None` if this
    /// authority never issued it.
    pub async fn pki_status(&self, authority: i64, serial: i64) -> Result<Option<Option<(Timestamp, i64)>>> {
        let row = self
            .row(
                "SELECT revoked_at, reason FROM pki_certificate WHERE authority = $1 AND serial = $2",
                params![authority, serial],
            )
            .await?;
        row.map(|row| revoked(&row, 0)).transpose()
    }

    /// Certificates, latest first.
    pub async fn pki_list(&self, listing: &Listing) -> Result<Vec<CertificateRow>> {
        let lookup = listing
            .subject
            .as_ref()
            .map(|subject| self.subject_lookup(subject));
        let parameters = params![
            listing.before.unwrap_or(i64::MAX),
            listing.authority,
            listing.ending_before,
            listing.revoked.map(i64::from),
            i64::from(listing.limit),
            lookup,
        ];
        // By name there is an index for exactly that; everything else walks from the newest.
        let rows = if lookup.is_some() {
            self.rows(
                select!(
                    "WHERE lookup = $6 AND number < $1 AND (CAST($2 AS BIGINT) IS NULL OR authority = $2) \
                     AND (CAST($3 AS BIGINT) IS NULL OR not_after < $3) \
                     AND (CAST($4 AS BIGINT) IS NULL OR (revoked_at IS NOT NULL) = ($4 = 1)) \
                     ORDER BY number DESC LIMIT $5"
                ),
                parameters,
            )
            .await?
        } else {
            self.rows(
                select!(
                    "WHERE number < $1 AND (CAST($2 AS BIGINT) IS NULL OR authority = $2) \
                     AND (CAST($3 AS BIGINT) IS NULL OR not_after < $3) \
                     AND (CAST($4 AS BIGINT) IS NULL OR (revoked_at IS NOT NULL) = ($4 = 1)) \
                     AND CAST($6 AS BIGINT) IS NULL ORDER BY number DESC LIMIT $5"
                ),
                parameters,
            )
            .await?
        };
        rows.iter().map(read).collect()
    }

    /// Certificates in order of issue, from after `number` on: for those who go through all of them.
    pub async fn pki_after(&self, number: i64, limit: u32) -> Result<Vec<CertificateRow>> {
        let rows = self
            .rows(
                select!("WHERE number > $1 ORDER BY number LIMIT $2"),
                params![number, i64::from(limit)],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    /// Not revoked and ending between two times, first to end first: what has to be renewed.
    pub async fn pki_ending(
        &self,
        from: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<CertificateRow>> {
        let rows = self
            .rows(
                select!(
                    "WHERE not_after >= $1 AND not_after < $2 AND revoked_at IS NULL ORDER BY not_after LIMIT $3"
                ),
                params![from, until, i64::from(limit)],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    /// How many certificates were ever issued.
    pub async fn pki_count(&self) -> Result<i64> {
        // Rows are never removed, so the last number is the count, without walking a million rows.
        let row = self
            .row("SELECT COALESCE(MAX(number), 0) FROM pki_certificate", &[])
            .await?;
        row.map_or(Ok(0), |row| row.int(0))
    }

    pub(super) fn prepared(&self, new: NewCertificate) -> Prepared {
        let subject = new.subject.reveal();
        let label = if new.personal {
            crate::pseudonym::label(subject)
        } else {
            subject.clone()
        };
        let lookup = self.subject_lookup(&new.subject);
        Prepared { new, label, lookup }
    }

    /// 63 bits are enough to find a name among millions, and keep the index small.
    fn subject_lookup(&self, subject: &Personal<String>) -> i64 {
        let text = self.pseudonyms.lookup("certificate", subject.reveal());
        text.get(..16)
            .and_then(|head| u64::from_str_radix(head, 16).ok())
            .map_or(0, |value| (value >> 1).cast_signed())
    }
}

/// A certificate with what lists show of its subject.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    new: NewCertificate,
    label: String,
    lookup: i64,
}

impl Prepared {
    /// What no two rows share.
    pub(super) const fn pair(&self) -> (i64, i64) {
        (self.new.authority, self.new.serial)
    }
}

/// A row's values in the order of its columns.
pub(super) fn row_params(prepared: &Prepared) -> [Param; 11] {
    let Prepared { new, label, lookup } = prepared;
    [
        new.authority.into(),
        new.serial.into(),
        new.kind.as_str().into(),
        label.as_str().into(),
        (*lookup).into(),
        new.der.clone().into(),
        new.not_before.into(),
        new.not_after.into(),
        new.requester.as_str().into(),
        new.at.into(),
        new.request_digest.clone().into(),
    ]
}

/// Takes the serial number and stores the certificate, on the writer's connection.
pub(super) async fn insert(conn: &mut Conn, prepared: Prepared) -> Result<Inserted> {
    let new = &prepared.new;
    if let Some(request) = new.approved {
        let closed = conn
            .execute(
                "UPDATE pki_request SET state = 'executed', closed_at = $2 WHERE number = $1 AND state = 'open'",
                params![request, new.at],
            )
            .await?;
        if closed == 0 {
            return Ok(Inserted::NotApproved);
        }
    }
    let row = conn
        .row(
            "INSERT INTO pki_certificate (authority, serial, kind, label, lookup, der, not_before, not_after, \
             requester, at, request_digest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             ON CONFLICT DO NOTHING RETURNING number",
            &row_params(&prepared),
        )
        .await?;
    if let Some(row) = row {
        return Ok(Inserted::Stored(row.int(0)?));
    }
    if let Some(request) = new.approved {
        // Nothing was issued: the approval stays usable for the next serial number.
        conn.execute(
            "UPDATE pki_request SET state = 'open', closed_at = NULL WHERE number = $1",
            params![request],
        )
        .await?;
    }
    replayed(conn, &prepared).await
}

/// Why a row was not stored: its request was used before, or else its serial number is taken.
pub(super) async fn replayed(conn: &mut Conn, prepared: &Prepared) -> Result<Inserted> {
    let used = match &prepared.new.request_digest {
        Some(digest) => conn
            .row(
                "SELECT 1 FROM pki_certificate WHERE request_digest = $1",
                params![digest.clone()],
            )
            .await?
            .is_some(),
        None => false,
    };
    Ok(if used {
        Inserted::Replayed
    } else {
        Inserted::SerialTaken
    })
}

fn read(row: &Row) -> Result<CertificateRow> {
    Ok(CertificateRow {
        number: row.int(0)?,
        authority: row.int(1)?,
        serial: row.int(2)?,
        kind: row.text(3)?,
        label: row.text(4)?,
        der: row.octets(5)?,
        not_before: row.time(6)?,
        not_after: row.time(7)?,
        requester: row.text(8)?,
        at: row.time(9)?,
        revoked: revoked(row, 10)?,
    })
}

fn revoked(row: &Row, first: usize) -> Result<Option<(Timestamp, i64)>> {
    Ok(match row.time_opt(first)? {
        Some(at) => Some((at, row.int_opt(first + 1)?.unwrap_or(0))),
        None => None,
    })
}
