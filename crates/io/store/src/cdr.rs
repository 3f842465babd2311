//! Charge detail records: one per transaction, written once.

use gridlatch_vocab::{MilliWattHours, StationId, Timestamp, TransactionId};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::engine::{Row, params};
use crate::{Result, Store, StoreError};

/// A bill ready to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCdr {
    /// Its id.
    pub id: String,
    /// The station.
    pub station: StationId,
    /// The transaction.
    pub transaction: TransactionId,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// ISO 4217.
    pub currency: String,
    /// Energy into the vehicle.
    pub imported: MilliWattHours,
    /// Energy out of the vehicle.
    pub exported: MilliWattHours,
    /// Total without tax.
    pub total_excl: Decimal,
    /// Total with tax.
    pub total_incl: Decimal,
    /// The whole record in OCPI 2.2.1 shape.
    pub document: serde_json::Value,
    /// The issuer's detached signature over it; `None` for one that was not signed.
    pub jws: Option<String>,
}

/// A kept bill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CdrRecord {
    /// Counts up over all bills; the cursor of lists.
    pub number: i64,
    /// Its id.
    pub id: String,
    /// The station.
    pub station: StationId,
    /// The transaction.
    pub transaction: TransactionId,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// ISO 4217.
    pub currency: String,
    /// Energy into the vehicle.
    pub imported: MilliWattHours,
    /// Energy out of the vehicle.
    pub exported: MilliWattHours,
    /// Total without tax.
    pub total_excl: Decimal,
    /// Total with tax.
    pub total_incl: Decimal,
    /// The whole record in OCPI 2.2.1 shape.
    pub document: serde_json::Value,
    /// The issuer's detached signature over it; `None` for one that was not signed.
    pub jws: Option<String>,
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT number, id, station, transaction_id, issued_at, currency, imported, exported, total_excl, ",
            "total_incl, document, jws FROM cdr ",
            $tail
        )
    };
}

impl Store {
    /// Keeps a bill; `false` when the transaction has one already, which then stands.
    pub async fn cdr_issue(&self, cdr: NewCdr) -> Result<bool> {
        let inserted = self
            .execute(
                "INSERT INTO cdr (id, station, transaction_id, issued_at, currency, imported, exported, total_excl,
                    total_incl, document, jws) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                ON CONFLICT (station, transaction_id) DO NOTHING",
                params![
                    cdr.id,
                    cdr.station.as_str(),
                    cdr.transaction.as_str(),
                    cdr.issued_at,
                    cdr.currency,
                    cdr.imported,
                    cdr.exported,
                    cdr.total_excl.to_string(),
                    cdr.total_incl.to_string(),
                    cdr.document.to_string(),
                    cdr.jws,
                ],
            )
            .await?;
        Ok(inserted == 1)
    }

    /// Bills, latest first; those with a number below `before`.
    pub async fn cdr_list(&self, before: Option<i64>, limit: u32) -> Result<Vec<CdrRecord>> {
        let rows = self
            .rows(
                select!("WHERE number < $1 ORDER BY number DESC LIMIT $2"),
                params![before.unwrap_or(i64::MAX), i64::from(limit)],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    /// One bill by its id.
    pub async fn cdr_find(&self, id: &str) -> Result<Option<CdrRecord>> {
        let row = self.row(select!("WHERE id = $1"), params![id]).await?;
        row.as_ref().map(read).transpose()
    }

    /// The bill of a transaction.
    pub async fn cdr_of(
        &self,
        station: &StationId,
        transaction: &TransactionId,
    ) -> Result<Option<CdrRecord>> {
        let row = self
            .row(
                select!("WHERE station = $1 AND transaction_id = $2"),
                params![station.as_str(), transaction.as_str()],
            )
            .await?;
        row.as_ref().map(read).transpose()
    }
}

fn read(row: &Row) -> Result<CdrRecord> {
    Ok(CdrRecord {
        number: row.int(0)?,
        id: row.text(1)?,
        station: row.parsed(2, "station")?,
        transaction: row.parsed(3, "transaction")?,
        issued_at: row.time(4)?,
        currency: row.text(5)?,
        imported: row.energy_opt(6)?.unwrap_or_default(),
        exported: row.energy_opt(7)?.unwrap_or_default(),
        total_excl: row.parsed(8, "total_excl")?,
        total_incl: row.parsed(9, "total_incl")?,
        document: serde_json::from_str(&row.text(10)?).map_err(|_| StoreError::Corrupt("cdr"))?,
        jws: row.text_opt(11)?,
    })
}
