//! Who may charge: id tokens and contracts, found by HMAC, never kept in clear.

use gridlatch_vocab::{Emaid, Personal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::engine::{Row, params};
use crate::{Result, Store, StoreError, pseudonym};

/// Whether a token or contract may charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenStatus {
    /// It may.
    Active,
    /// The operator blocked it.
    Blocked,
}

impl TokenStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Blocked => "blocked",
        }
    }
}

/// A token or contract, without the identifier itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenRecord {
    /// A random reference; bills and sessions carry it.
    pub reference: String,
    /// A masked form for lists: provider and the last two characters.
    pub label: String,
    /// OCPP's type of the token: `eMAID`, `ISO14443`, `Central`, ...
    pub kind: String,
    /// Whether it may charge.
    pub status: TokenStatus,
    /// Whether it may feed energy back.
    pub discharge: bool,
}

impl Store {
    /// Registers a contract or changes it; its reference stays.
    pub async fn contract_put(
        &self,
        emaid: &Personal<Emaid>,
        status: TokenStatus,
        discharge: bool,
        at: Timestamp,
    ) -> Result<()> {
        let emaid = emaid.reveal().as_str();
        self.execute(
            "INSERT INTO contract (lookup, reference, label, status, discharge, at) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (lookup) DO UPDATE SET status = excluded.status, discharge = excluded.discharge",
            params![
                self.pseudonyms.lookup("contract", emaid),
                pseudonym::reference()?,
                pseudonym::label(emaid),
                status.as_str(),
                discharge,
                at
            ],
        )
        .await
        .map(drop)
    }

    /// Finds a contract.
    pub async fn contract_find(&self, emaid: &Personal<Emaid>) -> Result<Option<TokenRecord>> {
        let lookup = self.pseudonyms.lookup("contract", emaid.reveal().as_str());
        let row = self
            .row(
                "SELECT reference, label, 'eMAID', status, discharge FROM contract WHERE lookup = $1",
                params![lookup],
            )
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Registers a token of an OCPP type or changes it; its reference stays. OCPP compares tokens without
    /// case (IdTokenType.idToken is case insensitive).
    pub async fn token_put(
        &self,
        token: &Personal<String>,
        kind: &str,
        status: TokenStatus,
        discharge: bool,
        at: Timestamp,
    ) -> Result<()> {
        let text = token.reveal().to_ascii_lowercase();
        self.execute(
            "INSERT INTO id_token (lookup, reference, label, kind, status, discharge, at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (lookup) DO UPDATE SET status = excluded.status, discharge = excluded.discharge",
            params![
                self.pseudonyms.lookup(kind, &text),
                pseudonym::reference()?,
                pseudonym::label(token.reveal()),
                kind,
                status.as_str(),
                discharge,
                at
            ],
        )
        .await
        .map(drop)
    }

    /// Finds a token of an OCPP type.
    pub async fn token_find(&self, token: &Personal<String>, kind: &str) -> Result<Option<TokenRecord>> {
        let lookup = self.pseudonyms.lookup(kind, &token.reveal().to_ascii_lowercase());
        let row = self
            .row(
                "SELECT reference, label, kind, status, discharge FROM id_token WHERE lookup = $1",
                params![lookup],
            )
            .await?;
        row.as_ref().map(read).transpose()
    }
}

fn read(row: &Row) -> Result<TokenRecord> {
    Ok(TokenRecord {
        reference: row.text(0)?,
        label: row.text(1)?,
        kind: row.text(2)?,
        status: match row.text(3)?.as_str() {
            "active" => TokenStatus::Active,
            "blocked" => TokenStatus::Blocked,
            _ => return Err(StoreError::Corrupt("token status")),
        },
        discharge: row.flag(4)?,
    })
}
