//! The CAs, and the keys that answer for them.

use gridlatch_vocab::Timestamp;

use super::certificate::{Inserted, NewCertificate, insert};
use crate::engine::{Row, params};
use crate::{Result, Store, StoreError};

/// A CA to be recorded.
#[derive(Debug, Clone)]
pub struct NewAuthority {
    /// Tree and name, `iso2/cpo-sub2`.
    pub name: String,
    /// The kind's word.
    pub kind: String,
    /// `iso2` or `iso20`.
    pub generation: String,
    /// Where the key is: `file:...`, `pkcs11:...`, `tpm:...`.
    pub key_uri: String,
    /// Number of the CA that signed it; `None` for a root.
    pub issuer: Option<i64>,
}

/// A recorded CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityRow {
    /// Its number, by which certificates name their issuer.
    pub number: i64,
    /// Tree and name.
    pub name: String,
    /// The kind's word.
    pub kind: String,
    /// `iso2` or `iso20`.
    pub generation: String,
    /// Where the key is.
    pub key_uri: String,
    /// Number of the CA that signed it; `None` for a root.
    pub issuer: Option<i64>,
    /// Its certificate.
    pub der: Vec<u8>,
    /// Whether it issues; a retired one is kept for its certificates.
    pub active: bool,
    /// When it was recorded.
    pub at: Timestamp,
}

/// A delegated signer of a CA: a leaf whose key the CA itself uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerRow {
    /// Where the key is.
    pub key_uri: String,
    /// Serial number of its certificate.
    pub serial: i64,
}

impl Store {
    /// Records a CA together with its certificate: both or neither, durable when it returns. The
    /// certificate's authority is filled in for a root, which signs itself. `None` if the name, the
    /// serial number or the approval is taken.
    pub async fn pki_authority_add(
        &self,
        authority: NewAuthority,
        mut certificate: NewCertificate,
    ) -> Result<Option<i64>> {
        let der = certificate.der.clone();
        let at = certificate.at;
        let probe = self.clone();
        self.write(move |conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        "INSERT INTO pki_authority (name, kind, generation, key_uri, issuer, der, active, at) \
                         VALUES ($1, $2, $3, $4, $5, $6, 1, $7) ON CONFLICT DO NOTHING RETURNING number",
                        params![
                            authority.name,
                            authority.kind,
                            authority.generation,
                            authority.key_uri,
                            authority.issuer,
                            der,
                            at,
                        ],
                    )
                    .await?;
                let Some(number) = row.map(|row| row.int(0)).transpose()? else {
                    return Ok(None);
                };
                certificate.authority = authority.issuer.unwrap_or(number);
                match insert(conn, probe.prepared(certificate)).await? {
                    Inserted::Stored(_) => Ok(Some(number)),
                    // An error takes the first row back with it; the caller chooses another serial.
                    _ => Err(StoreError::Corrupt("a serial number given twice")),
                }
            })
        })
        .await
    }

    /// Gives a CA another certificate for the same key, recorded in the same commit.
    pub async fn pki_authority_renew(&self, number: i64, certificate: NewCertificate) -> Result<Inserted> {
        let der = certificate.der.clone();
        let prepared = self.prepared(certificate);
        self.write(move |conn| {
            Box::pin(async move {
                let inserted = insert(conn, prepared).await?;
                if matches!(inserted, Inserted::Stored(_)) {
                    conn.execute(
                        "UPDATE pki_authority SET der = $2 WHERE number = $1",
                        params![number, der],
                    )
                    .await?;
                }
                Ok(inserted)
            })
        })
        .await
    }

    /// Takes a CA out of service under another name, so that its name is free for a successor.
    pub async fn pki_authority_retire(&self, number: i64, new_name: &str) -> Result<()> {
        self.execute(
            "UPDATE pki_authority SET active = 0, name = $2 WHERE number = $1",
            params![number, new_name],
        )
        .await
        .map(drop)
    }

    /// Every CA, in the order they were recorded; at most 1000, far beyond any tree.
    pub async fn pki_authorities(&self) -> Result<Vec<AuthorityRow>> {
        let rows = self
            .rows(
                "SELECT number, name, kind, generation, key_uri, issuer, der, active, at FROM pki_authority \
                 ORDER BY number LIMIT 1000",
                &[],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    /// Names the key and the certificate that sign for a CA from now on; its certificate is recorded
    /// already.
    pub async fn pki_signer_put(
        &self,
        authority: i64,
        purpose: &str,
        signer: SignerRow,
        at: Timestamp,
    ) -> Result<()> {
        self.execute(
            "INSERT INTO pki_signer (authority, purpose, key_uri, serial, at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (authority, purpose) DO UPDATE SET key_uri = excluded.key_uri, \
             serial = excluded.serial, at = excluded.at",
            params![authority, purpose, signer.key_uri, signer.serial, at],
        )
        .await
        .map(drop)
    }

    /// The delegated signer of a CA.
    pub async fn pki_signer(&self, authority: i64, purpose: &str) -> Result<Option<SignerRow>> {
        let row = self
            .row(
                "SELECT key_uri, serial FROM pki_signer WHERE authority = $1 AND purpose = $2",
                params![authority, purpose],
            )
            .await?;
        row.map(|row| {
            Ok(SignerRow {
                key_uri: row.text(0)?,
                serial: row.int(1)?,
            })
        })
        .transpose()
    }
}

fn read(row: &Row) -> Result<AuthorityRow> {
    Ok(AuthorityRow {
        number: row.int(0)?,
        name: row.text(1)?,
        kind: row.text(2)?,
        generation: row.text(3)?,
        key_uri: row.text(4)?,
        issuer: row.int_opt(5)?,
        der: row.octets(6)?,
        active: row.flag(7)?,
        at: row.time(8)?,
    })
}
