//! Who may use the pools, and the tokens they hold. Secrets and tokens are kept as HMACs only.

use gridlatch_vocab::{Secret, Timestamp};
use serde_json::Value;

use crate::engine::params;
use crate::{Result, Store, StoreError};

/// How many tokens of one client are valid at once; the oldest goes first.
const TOKENS_PER_CLIENT: i64 = 32;

/// A client of the pools.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolClient {
    /// Its name.
    pub id: String,
    /// What it may do, as the service wrote it.
    pub document: Value,
}

/// A valid token.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolToken {
    /// Whose it is.
    pub client: PoolClient,
    /// Until when.
    pub expires_at: Timestamp,
}

impl Store {
    /// Creates a client or changes it; its tokens end with its old secret.
    pub async fn pool_client_put(
        &self,
        client: PoolClient,
        secret: &Secret<String>,
        at: Timestamp,
    ) -> Result<()> {
        let secret = self.pseudonyms.lookup("pool-secret", secret.expose());
        self.write(move |conn| {
            Box::pin(async move {
                conn.execute(
                    "INSERT INTO pool_client (id, secret, document, at) VALUES ($1, $2, $3, $4)
                    ON CONFLICT (id) DO UPDATE SET secret = excluded.secret, document = excluded.document",
                    params![client.id.as_str(), secret, client.document.to_string(), at],
                )
                .await?;
                conn.execute("DELETE FROM pool_token WHERE client = $1", params![client.id])
                    .await
                    .map(drop)
            })
        })
        .await
    }

    /// The client with this id and secret.
    pub async fn pool_client(&self, id: &str, secret: &Secret<String>) -> Result<Option<PoolClient>> {
        let secret = self.pseudonyms.lookup("pool-secret", secret.expose());
        let row = self
            .row(
                "SELECT id, document FROM pool_client WHERE id = $1 AND secret = $2",
                params![id, secret],
            )
            .await?;
        row.map(|row| {
            Ok(PoolClient {
                id: row.text(0)?,
                document: serde_json::from_str(&row.text(1)?)
                    .map_err(|_| StoreError::Corrupt("a pool client"))?,
            })
        })
        .transpose()
    }

    /// Remembers a token of a client.
    pub async fn pool_token_put(
        &self,
        token: &Secret<String>,
        client: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<()> {
        let digest = self.pseudonyms.lookup("pool-token", token.expose());
        let client = client.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                conn.execute("DELETE FROM pool_token WHERE expires_at <= $1", params![now])
                    .await?;
                conn.execute(
                    "DELETE FROM pool_token WHERE client = $1 AND digest NOT IN (SELECT digest FROM pool_token
                        WHERE client = $1 ORDER BY expires_at DESC LIMIT $2)",
                    params![client.as_str(), TOKENS_PER_CLIENT - 1],
                )
                .await?;
                conn.execute(
                    "INSERT INTO pool_token (digest, client, expires_at) VALUES ($1, $2, $3)",
                    params![digest, client, expires_at],
                )
                .await
                .map(drop)
            })
        })
        .await
    }

    /// The token with its client, while it is valid.
    pub async fn pool_token(&self, token: &Secret<String>, now: Timestamp) -> Result<Option<PoolToken>> {
        let digest = self.pseudonyms.lookup("pool-token", token.expose());
        let row = self
            .row(
                "SELECT c.id, c.document, t.expires_at FROM pool_token t JOIN pool_client c ON c.id = t.client
                WHERE t.digest = $1 AND t.expires_at > $2",
                params![digest, now],
            )
            .await?;
        row.map(|row| {
            Ok(PoolToken {
                client: PoolClient {
                    id: row.text(0)?,
                    document: serde_json::from_str(&row.text(1)?)
                        .map_err(|_| StoreError::Corrupt("a pool client"))?,
                },
                expires_at: row.time(2)?,
            })
        })
        .transpose()
    }
}
