//! Taking certificates back.

use gridlatch_vocab::Timestamp;

use crate::engine::{Conn, Row, params};
use crate::{Result, Store};

/// The reason code of a hold (RFC 5280, 5.3.1), the only one that a later one may replace or lift.
const HOLD: i64 = 6;
/// The reason code under which delta lists say that a hold was lifted.
const LIFTED: i64 = 8;

/// What became of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// Durable now.
    Revoked,
    /// It was revoked before, at this time and for this reason; nothing changed.
    Already(Timestamp, i64),
    /// This authority never issued it.
    Unknown,
}

/// What became of lifting a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// Durable now.
    Released,
    /// It is not on hold: it is good, or it was revoked for good.
    NotHeld,
    /// This authority never issued it.
    Unknown,
}

/// An entry of a revocation list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationRow {
    /// Counts up in the order of revoking: the cursor of a delta list.
    pub number: i64,
    /// Serial number.
    pub serial: i64,
    /// When.
    pub at: Timestamp,
    /// Why (RFC 5280, 5.3.1).
    pub reason: i64,
    /// When the certificate ends by itself.
    pub not_after: Timestamp,
}

/// When and why a certificate was revoked, and its end.
async fn standing(conn: &mut Conn, authority: i64, serial: i64) -> Result<Option<Row>> {
    conn.row(
        "SELECT revoked_at, reason, not_after FROM pki_certificate WHERE authority = $1 AND serial = $2",
        params![authority, serial],
    )
    .await
}

/// Takes the entry for lists away, to be entered anew under a higher number.
async fn forget(conn: &mut Conn, authority: i64, serial: i64) -> Result<()> {
    conn.execute(
        "DELETE FROM pki_revocation WHERE authority = $1 AND serial = $2",
        params![authority, serial],
    )
    .await
    .map(drop)
}

impl Store {
    /// Revokes a certificate; durable when it returns. A hold may be made final, nothing else changes twice.
    pub async fn pki_revoke(
        &self,
        authority: i64,
        serial: i64,
        reason: i64,
        at: Timestamp,
        by: &str,
    ) -> Result<RevokeOutcome> {
        let by = by.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let Some(found) = standing(conn, authority, serial).await? else {
                    return Ok(RevokeOutcome::Unknown);
                };
                let not_after = found.time(2)?;
                if let Some(before) = found.time_opt(0)? {
                    let old = found.int_opt(1)?.unwrap_or(0);
                    if old != HOLD || reason == HOLD {
                        return Ok(RevokeOutcome::Already(before, old));
                    }
                }
                // Entered anew, so that the change has a number after the last delta list; a hold that was
                // lifted has left an entry too.
                forget(conn, authority, serial).await?;
                conn.execute(
                    "UPDATE pki_certificate SET revoked_at = $3, reason = $4 WHERE authority = $1 AND serial = $2",
                    params![authority, serial, at, reason],
                )
                .await?;
                conn.execute(
                    "INSERT INTO pki_revocation (authority, serial, at, reason, not_after, asked_by) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                    params![authority, serial, at, reason, not_after, by],
                )
                .await?;
                Ok(RevokeOutcome::Revoked)
            })
        })
        .await
    }

    /// Lifts the hold on a certificate; durable when it returns. What is left is an entry for delta lists.
    pub async fn pki_release(
        &self,
        authority: i64,
        serial: i64,
        at: Timestamp,
        by: &str,
    ) -> Result<ReleaseOutcome> {
        let by = by.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let Some(found) = standing(conn, authority, serial).await? else {
                    return Ok(ReleaseOutcome::Unknown);
                };
                let not_after = found.time(2)?;
                if found.time_opt(0)?.is_none() || found.int_opt(1)? != Some(HOLD) {
                    return Ok(ReleaseOutcome::NotHeld);
                }
                forget(conn, authority, serial).await?;
                conn.execute(
                    "UPDATE pki_certificate SET revoked_at = NULL, reason = NULL \
                     WHERE authority = $1 AND serial = $2",
                    params![authority, serial],
                )
                .await?;
                conn.execute(
                    "INSERT INTO pki_revocation (authority, serial, at, reason, not_after, asked_by) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                    params![authority, serial, at, LIFTED, not_after, by],
                )
                .await?;
                Ok(ReleaseOutcome::Released)
            })
        })
        .await
    }

    /// Revocations of an authority after `number`, in order, of certificates that have not ended by `alive_at`.
    pub async fn pki_revocations(
        &self,
        authority: i64,
        number: i64,
        alive_at: Timestamp,
        limit: u32,
    ) -> Result<Vec<RevocationRow>> {
        let rows = self
            .rows(
                "SELECT number, serial, at, reason, not_after FROM pki_revocation \
                 WHERE authority = $1 AND number > $2 AND not_after >= $3 ORDER BY number LIMIT $4",
                params![authority, number, alive_at, i64::from(limit)],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    /// Revocations of any authority after `number`, in order: number, authority, serial number.
    pub async fn pki_revoked_after(&self, number: i64, limit: u32) -> Result<Vec<(i64, i64, i64)>> {
        let rows = self
            .rows(
                "SELECT number, authority, serial FROM pki_revocation WHERE number > $1 ORDER BY number LIMIT $2",
                params![number, i64::from(limit)],
            )
            .await?;
        rows.iter()
            .map(|row| Ok((row.int(0)?, row.int(1)?, row.int(2)?)))
            .collect()
    }

    /// The number of the latest revocation of any authority; 0 when there is none.
    pub async fn pki_last_revocation_of_any(&self) -> Result<i64> {
        let row = self
            .row("SELECT COALESCE(MAX(number), 0) FROM pki_revocation", &[])
            .await?;
        row.map_or(Ok(0), |row| row.int(0))
    }

    /// The number of an authority's latest revocation; 0 when there is none.
    pub async fn pki_last_revocation(&self, authority: i64) -> Result<i64> {
        let row = self
            .row(
                "SELECT COALESCE(MAX(number), 0) FROM pki_revocation WHERE authority = $1",
                params![authority],
            )
            .await?;
        row.map_or(Ok(0), |row| row.int(0))
    }
}

fn read(row: &Row) -> Result<RevocationRow> {
    Ok(RevocationRow {
        number: row.int(0)?,
        serial: row.int(1)?,
        at: row.time(2)?,
        reason: row.int(3)?,
        not_after: row.time(4)?,
    })
}
