//! Updates that were answered: an update makes a new certificate, so the same request must not make two.

use gridlatch_vocab::Timestamp;

use crate::engine::params;
use crate::{Result, Store, sealed};

/// The table of this area.
pub(crate) const STEP: &[&str] = &[
    "CREATE TABLE pool_update (
        digest TEXT NOT NULL PRIMARY KEY, document TEXT NOT NULL, at BIGINT NOT NULL, until BIGINT NOT NULL)",
    "CREATE INDEX pool_update_end ON pool_update (until)",
];

/// An update that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolUpdate {
    /// The answer, as the pool keeps messages.
    pub message: Vec<u8>,
    /// When it was answered first.
    pub at: Timestamp,
}

impl Store {
    /// The answer to the request with this SHA-256 digest (lower-case hexadecimal), if there was one.
    pub async fn pool_update(&self, digest: &str) -> Result<Option<PoolUpdate>> {
        let row = self
            .row(
                "SELECT document, at FROM pool_update WHERE digest = $1",
                params![digest],
            )
            .await?;
        row.map(|row| {
            Ok(PoolUpdate {
                message: sealed::open(&self.pseudonyms, &place(digest), &row.text(0)?)?,
                at: row.time(1)?,
            })
        })
        .transpose()
    }

    /// Keeps an answer until the certificate that the request was signed with has expired, after which the request
    /// is refused anyway. Returns `false`, and keeps the earlier answer, when there is one for the same request.
    pub async fn pool_update_put(
        &self,
        digest: &str,
        message: &[u8],
        at: Timestamp,
        until: Timestamp,
    ) -> Result<bool> {
        let document = sealed::seal(&self.pseudonyms, &place(digest), message)?;
        let digest = digest.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                conn.execute("DELETE FROM pool_update WHERE until <= $1", params![at])
                    .await?;
                let kept = conn
                    .execute(
                        "INSERT INTO pool_update (digest, document, at, until) VALUES ($1, $2, $3, $4)
                        ON CONFLICT (digest) DO NOTHING",
                        params![digest, document, at, until],
                    )
                    .await?;
                Ok(kept > 0)
            })
        })
        .await
    }
}

fn place(digest: &str) -> String {
    format!("pool_update/{digest}")
}
