//! Published revocation lists and their numbers.

use gridlatch_vocab::Timestamp;

use crate::engine::{Row, params};
use crate::{Result, Store};

/// A signed revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlRow {
    /// CRL number (RFC 5280, 5.2.3): grows by one per list of an authority, full or delta.
    pub number: i64,
    /// The full list a delta adds to; `None` for a full list.
    pub base: Option<i64>,
    /// The latest revocation it covers: where the next delta begins.
    pub revocation: i64,
    /// When it was made.
    pub this_update: Timestamp,
    /// When the next one is due.
    pub next_update: Timestamp,
    /// The list.
    pub der: Vec<u8>,
}

/// How many lists of an authority are kept.
const KEPT: i64 = 64;

impl Store {
    /// The number that an authority's next list gets.
    pub async fn pki_next_crl_number(&self, authority: i64) -> Result<i64> {
        let row = self
            .row(
                "SELECT COALESCE(MAX(number), 0) + 1 FROM pki_crl WHERE authority = $1",
                params![authority],
            )
            .await?;
        row.map_or(Ok(1), |row| row.int(0))
    }

    /// Keeps a list; durable when it returns. `false` if its number has been used: two processes
    /// publish for one authority, and this one has to make its list again.
    pub async fn pki_crl_put(&self, authority: i64, crl: CrlRow) -> Result<bool> {
        self.write(move |conn| {
            Box::pin(async move {
                let new = conn
                    .execute(
                        "INSERT INTO pki_crl (authority, number, base, revocation, this_update, next_update, der) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                        params![
                            authority,
                            crl.number,
                            crl.base,
                            crl.revocation,
                            crl.this_update,
                            crl.next_update,
                            crl.der,
                        ],
                    )
                    .await?;
                // The latest full list always stays: deltas stand on it.
                conn.execute(
                    "DELETE FROM pki_crl WHERE authority = $1 AND number <= $2 - $3 AND number < \
                     (SELECT COALESCE(MAX(number), 0) FROM pki_crl WHERE authority = $1 AND base IS NULL)",
                    params![authority, crl.number, KEPT],
                )
                .await?;
                Ok(new == 1)
            })
        })
        .await
    }

    /// The latest list of an authority, full or delta.
    pub async fn pki_crl_latest(&self, authority: i64, delta: bool) -> Result<Option<CrlRow>> {
        self.row(
            "SELECT number, base, revocation, this_update, next_update, der FROM pki_crl \
             WHERE authority = $1 AND (base IS NOT NULL) = ($2 = 1) ORDER BY number DESC LIMIT 1",
            params![authority, delta],
        )
        .await?
        .map(|row| read(&row))
        .transpose()
    }
}

fn read(row: &Row) -> Result<CrlRow> {
    Ok(CrlRow {
        number: row.int(0)?,
        base: row.int_opt(1)?,
        revocation: row.int(2)?,
        this_update: row.time(3)?,
        next_update: row.time(4)?,
        der: row.octets(5)?,
    })
}
