//! What meters signed, and which keys are theirs.

use gridlatch_vocab::{StationId, Timestamp, TransactionId};

use crate::engine::{Row, params};
use crate::{Result, Store, StoreError};

/// A signed meter value as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedReading {
    /// The time of the meter value it came with.
    pub at: Timestamp,
    /// `OCMF` or another format's name.
    pub encoding: String,
    /// The record, as text.
    pub data: String,
    /// The public key the station says it is signed with, DER in lower-case hexadecimal: a claim.
    pub public_key: Option<String>,
    /// The meter's count of records, where it could be read.
    pub page: Option<i64>,
}

/// A meter's public key, believed for a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterKey {
    /// SHA-256 of the key, lower-case hexadecimal.
    pub fingerprint: String,
    /// DER SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// When it was registered.
    pub at: Timestamp,
}

/// Keys of one station: its meters, and those that were replaced.
const KEYS: i64 = 64;
/// Signed records of one transaction that are looked at.
const RECORDS: i64 = 64;

impl Store {
    /// Believes a key for a station from now on; `false` when it was believed already.
    pub async fn meter_key_put(&self, station: &StationId, key: MeterKey) -> Result<bool> {
        let inserted = self
            .execute(
                "INSERT INTO meter_key (station, fingerprint, spki, at) VALUES ($1, $2, $3, $4)
                ON CONFLICT (station, fingerprint) DO NOTHING",
                params![station.as_str(), key.fingerprint, hex::encode(&key.spki), key.at],
            )
            .await?;
        Ok(inserted == 1)
    }

    /// The keys believed for a station, latest first; at most 64.
    pub async fn meter_key_list(&self, station: &StationId) -> Result<Vec<MeterKey>> {
        let rows = self
            .rows(
                "SELECT fingerprint, spki, at FROM meter_key WHERE station = $1 ORDER BY at DESC, fingerprint LIMIT $2",
                params![station.as_str(), KEYS],
            )
            .await?;
        rows.iter().map(read_key).collect()
    }

    /// The signed readings of a transaction, latest event first; at most 64.
    pub async fn signed_reading_list(
        &self,
        station: &StationId,
        transaction: &TransactionId,
    ) -> Result<Vec<SignedReading>> {
        let rows = self
            .rows(
                "SELECT at, encoding, data, public_key, page FROM signed_reading
                WHERE station = $1 AND transaction_id = $2 ORDER BY seq_no DESC, part LIMIT $3",
                params![station.as_str(), transaction.as_str(), RECORDS],
            )
            .await?;
        rows.iter().map(read_reading).collect()
    }

    /// Another transaction of the station that showed a record with this page number first.
    pub async fn signed_page_shown(
        &self,
        station: &StationId,
        transaction: &TransactionId,
        page: i64,
    ) -> Result<Option<TransactionId>> {
        let row = self
            .row(
                "SELECT s.transaction_id FROM signed_reading s
                JOIN transactions t ON t.station = s.station AND t.transaction_id = s.transaction_id
                WHERE s.station = $1 AND s.page = $2 AND s.transaction_id <> $3
                    AND t.number < (SELECT number FROM transactions WHERE station = $1 AND transaction_id = $3)
                ORDER BY t.number LIMIT 1",
                params![station.as_str(), page, transaction.as_str()],
            )
            .await?;
        row.map(|row| row.parsed(0, "transaction")).transpose()
    }
}

fn read_key(row: &Row) -> Result<MeterKey> {
    Ok(MeterKey {
        fingerprint: row.text(0)?,
        spki: hex::decode(row.text(1)?).map_err(|_| StoreError::Corrupt("meter_key"))?,
        at: row.time(2)?,
    })
}

fn read_reading(row: &Row) -> Result<SignedReading> {
    Ok(SignedReading {
        at: row.time(0)?,
        encoding: row.text(1)?,
        data: row.text(2)?,
        public_key: row.text_opt(3)?,
        page: row.int_opt(4)?,
    })
}
