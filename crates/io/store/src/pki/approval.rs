//! Operators, and requests that wait until two of them agree.

use gridlatch_vocab::Timestamp;

use crate::engine::{Row, params};
use crate::{Result, Store};

/// A request for something that takes two people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// Its number in the store.
    pub number: i64,
    /// Its name, random.
    pub id: String,
    /// What is to be done, as the CA wrote it.
    pub action: String,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub at: Timestamp,
    /// `open`, `executed` or `withdrawn`.
    pub state: String,
    /// When it was executed or withdrawn.
    pub closed_at: Option<Timestamp>,
}

/// One operator's consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Who.
    pub operator: String,
    /// The operator's signature over the request.
    pub signature: Vec<u8>,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Registers an operator's public key (DER SubjectPublicKeyInfo). `false` if the name is taken: a
    /// registered key is never replaced by this.
    pub async fn pki_operator_add(&self, name: &str, spki: &[u8], at: Timestamp) -> Result<bool> {
        let added = self
            .execute(
                "INSERT INTO pki_operator (name, spki, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                params![name, spki.to_vec(), at],
            )
            .await?;
        Ok(added == 1)
    }

    /// Takes an operator off the register; `false` if there was none of this name.
    pub async fn pki_operator_remove(&self, name: &str) -> Result<bool> {
        let removed = self
            .execute("DELETE FROM pki_operator WHERE name = $1", params![name])
            .await?;
        Ok(removed == 1)
    }

    /// Names and public keys of the operators; at most 100.
    pub async fn pki_operators(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let rows = self
            .rows("SELECT name, spki FROM pki_operator ORDER BY name LIMIT 100", &[])
            .await?;
        rows.iter()
            .map(|row| Ok((row.text(0)?, row.octets(1)?)))
            .collect()
    }

    /// Files a request; durable when it returns its number.
    pub async fn pki_request_add(&self, id: &str, action: &str, by: &str, at: Timestamp) -> Result<i64> {
        let (id, action, by) = (id.to_owned(), action.to_owned(), by.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        "INSERT INTO pki_request (id, action, asked_by, at, state) \
                         VALUES ($1, $2, $3, $4, 'open') RETURNING number",
                        params![id, action, by, at],
                    )
                    .await?;
                row.map_or(Ok(0), |row| row.int(0))
            })
        })
        .await
    }

    /// A request by its name.
    pub async fn pki_request(&self, id: &str) -> Result<Option<RequestRow>> {
        self.row(
            "SELECT number, id, action, asked_by, at, state, closed_at FROM pki_request WHERE id = $1",
            params![id],
        )
        .await?
        .map(|row| read(&row))
        .transpose()
    }

    /// The latest requests, latest first.
    pub async fn pki_requests(&self, limit: u32) -> Result<Vec<RequestRow>> {
        let rows = self
            .rows(
                "SELECT number, id, action, asked_by, at, state, closed_at FROM pki_request \
                 ORDER BY number DESC LIMIT $1",
                params![i64::from(limit)],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    /// Closes an open request; `false` if it was closed before.
    pub async fn pki_request_close(&self, number: i64, state: &'static str, at: Timestamp) -> Result<bool> {
        let closed = self
            .execute(
                "UPDATE pki_request SET state = $2, closed_at = $3 WHERE number = $1 AND state = 'open'",
                params![number, state, at],
            )
            .await?;
        Ok(closed == 1)
    }

    /// Adds an operator's consent; a second one of the same operator changes nothing.
    pub async fn pki_approve(&self, request: i64, approval: &Approval) -> Result<()> {
        self.execute(
            "INSERT INTO pki_approval (request, operator, signature, at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
            params![
                request,
                approval.operator.as_str(),
                approval.signature.clone(),
                approval.at
            ],
        )
        .await
        .map(drop)
    }

    /// Everybody's consent to a request; at most 100.
    pub async fn pki_approvals(&self, request: i64) -> Result<Vec<Approval>> {
        let rows = self
            .rows(
                "SELECT operator, signature, at FROM pki_approval WHERE request = $1 ORDER BY operator LIMIT 100",
                params![request],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Approval {
                    operator: row.text(0)?,
                    signature: row.octets(1)?,
                    at: row.time(2)?,
                })
            })
            .collect()
    }
}

fn read(row: &Row) -> Result<RequestRow> {
    Ok(RequestRow {
        number: row.int(0)?,
        id: row.text(1)?,
        action: row.text(2)?,
        asked_by: row.text(3)?,
        at: row.time(4)?,
        state: row.text(5)?,
        closed_at: row.time_opt(6)?,
    })
}
