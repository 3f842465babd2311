//! Link certificates of the root pool: one root's name and key, certified by another root's key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_vocab::Timestamp;

use super::POOL_LIST;
use crate::engine::params;
use crate::{Result, Store, StoreError};

/// The table of this area.
pub(crate) const STEP: &[&str] = &["CREATE TABLE pool_link (
        issuer TEXT NOT NULL, subject TEXT NOT NULL, der TEXT NOT NULL, added_by TEXT NOT NULL, at BIGINT NOT NULL,
        PRIMARY KEY (issuer, subject))"];

/// A link certificate between two roots of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolLink {
    /// SHA-256 of the root that signed it, lower-case hexadecimal.
    pub issuer: String,
    /// SHA-256 of the root whose name and key it carries.
    pub subject: String,
    /// DER.
    pub der: Vec<u8>,
    /// Who added it.
    pub added_by: String,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Keeps a link certificate; the one between the same two roots makes room. `false` when [`POOL_LIST`] of them
    /// are kept. Durable when it returns.
    pub async fn pool_link_put(&self, link: PoolLink) -> Result<bool> {
        self.write(move |conn| {
            Box::pin(async move {
                // A root that was taken out takes its links with it.
                conn.execute(
                    "DELETE FROM pool_link WHERE issuer NOT IN (SELECT fingerprint FROM pool_root)
                        OR subject NOT IN (SELECT fingerprint FROM pool_root)
                        OR (issuer = $1 AND subject = $2)",
                    params![link.issuer.as_str(), link.subject.as_str()],
                )
                .await?;
                let count = conn.row("SELECT COUNT(*) FROM pool_link", &[]).await?;
                if count.map(|row| row.int(0)).transpose()?.unwrap_or(0) >= POOL_LIST {
                    return Ok(false);
                }
                conn.execute(
                    "INSERT INTO pool_link (issuer, subject, der, added_by, at) VALUES ($1, $2, $3, $4, $5)",
                    params![
                        link.issuer,
                        link.subject,
                        STANDARD.encode(&link.der),
                        link.added_by,
                        link.at
                    ],
                )
                .await?;
                Ok(true)
            })
        })
        .await
    }

    /// The link certificates whose roots are both in the pool, oldest first; of one root (by fingerprint) if one is
    /// given.
    pub async fn pool_links(&self, of: Option<&str>) -> Result<Vec<PoolLink>> {
        let rows = self
            .rows(
                "SELECT issuer, subject, der, added_by, at FROM pool_link
                WHERE (issuer = $1 OR subject = $1 OR $1 = '')
                    AND issuer IN (SELECT fingerprint FROM pool_root)
                    AND subject IN (SELECT fingerprint FROM pool_root)
                ORDER BY at, issuer, subject LIMIT $2",
                params![of.unwrap_or(""), POOL_LIST],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(PoolLink {
                    issuer: row.text(0)?,
                    subject: row.text(1)?,
                    der: STANDARD
                        .decode(row.text(2)?)
                        .map_err(|_| StoreError::Corrupt("a link certificate"))?,
                    added_by: row.text(3)?,
                    at: row.time(4)?,
                })
            })
            .collect()
    }
}
