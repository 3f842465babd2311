//! The root certificate pool.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_vocab::Timestamp;

use super::POOL_LIST;
use crate::engine::{Row, params};
use crate::{Result, Store, StoreError};

/// A root certificate of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRoot {
    /// A UUID.
    pub id: String,
    /// `V2G`, `MO`, `OEM` or `PE`.
    pub kind: String,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub fingerprint: String,
    /// DER.
    pub der: Vec<u8>,
    /// Which client added it.
    pub added_by: String,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Adds a root; the one that stands under the same kind and fingerprint stays. Returns the id it stands
    /// under and whether it is new. At most [`POOL_LIST`] roots are kept; `None` when the pool is full.
    pub async fn pool_root_add(&self, root: PoolRoot) -> Result<Option<(String, bool)>> {
        self.write(move |conn| {
            Box::pin(async move {
                let known = conn
                    .row(
                        "SELECT id FROM pool_root WHERE kind = $1 AND fingerprint = $2",
                        params![root.kind.as_str(), root.fingerprint.as_str()],
                    )
                    .await?;
                if let Some(known) = known {
                    return Ok(Some((known.text(0)?, false)));
                }
                let count = conn.row("SELECT COUNT(*) FROM pool_root", &[]).await?;
                if count.map(|row| row.int(0)).transpose()?.unwrap_or(0) >= POOL_LIST {
                    return Ok(None);
                }
                conn.execute(
                    "INSERT INTO pool_root (id, kind, fingerprint, der, added_by, at) VALUES ($1, $2, $3, $4, $5, $6)",
                    params![
                        root.id.as_str(),
                        root.kind,
                        root.fingerprint,
                        STANDARD.encode(&root.der),
                        root.added_by,
                        root.at
                    ],
                )
                .await?;
                Ok(Some((root.id, true)))
            })
        })
        .await
    }

    /// The roots of one kind, or of all, oldest first.
    pub async fn pool_roots(&self, kind: Option<&str>) -> Result<Vec<PoolRoot>> {
        let rows = self
            .rows(
                "SELECT id, kind, fingerprint, der, added_by, at FROM pool_root
                WHERE kind = $1 OR $1 = '' ORDER BY at, id LIMIT $2",
                params![kind.unwrap_or(""), POOL_LIST],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    /// One root.
    pub async fn pool_root(&self, id: &str) -> Result<Option<PoolRoot>> {
        let row = self
            .row(
                "SELECT id, kind, fingerprint, der, added_by, at FROM pool_root WHERE id = $1",
                params![id],
            )
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Takes a root out; whether it was there.
    pub async fn pool_root_remove(&self, id: &str) -> Result<bool> {
        Ok(self
            .execute("DELETE FROM pool_root WHERE id = $1", params![id])
            .await?
            > 0)
    }
}

fn read(row: &Row) -> Result<PoolRoot> {
    Ok(PoolRoot {
        id: row.text(0)?,
        kind: row.text(1)?,
        fingerprint: row.text(2)?,
        der: STANDARD
            .decode(row.text(3)?)
            .map_err(|_| StoreError::Corrupt("a root certificate"))?,
        added_by: row.text(4)?,
        at: row.time(5)?,
    })
}
