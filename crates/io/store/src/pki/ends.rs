//! When things end, for those who foretell it: read page by page, without the certificates themselves.

use gridlatch_vocab::Timestamp;

use crate::engine::params;
use crate::{Result, Store};

/// The end of one unrevoked certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndRow {
    /// Counts up in order of issue: the cursor.
    pub number: i64,
    /// Who signed it.
    pub authority: i64,
    /// The kind's word.
    pub kind: String,
    /// The common name, masked where it stands for a person.
    pub label: String,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Whether its authority issued another for the same name that begins before this one ends and ends later.
    pub succeeded: bool,
}

impl Store {
    /// Unrevoked certificates that have not ended at `now`, in order of issue, from after `number` on.
    pub async fn pki_ends_after(&self, number: i64, now: Timestamp, limit: u32) -> Result<Vec<EndRow>> {
        let rows = self
            .rows(
                "SELECT c.number, c.authority, c.kind, c.label, c.not_after, EXISTS (
                    SELECT 1 FROM pki_certificate n WHERE n.lookup = c.lookup AND n.authority = c.authority
                    AND n.kind = c.kind AND n.revoked_at IS NULL AND n.not_after > c.not_after
                    AND n.not_before <= c.not_after)
                FROM pki_certificate c
                WHERE c.number > $1 AND c.revoked_at IS NULL AND c.not_after >= $2 ORDER BY c.number LIMIT $3",
                params![number, now, i64::from(limit)],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(EndRow {
                    number: row.int(0)?,
                    authority: row.int(1)?,
                    kind: row.text(2)?,
                    label: row.text(3)?,
                    not_after: row.time(4)?,
                    succeeded: row.flag(5)?,
                })
            })
            .collect()
    }
}
