//! Set-points in force: what the platform asked a station to follow, and who asked.

use gridlatch_vocab::{EvseId, StationId, Timestamp, TransactionId, Watts};
use serde::Serialize;

use crate::engine::params;
use crate::{Result, Store, StoreError};

/// A set-point a station accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSetpoint {
    /// The station.
    pub station: StationId,
    /// The number of the charging profile.
    pub profile_id: i64,
    /// The EVSE.
    pub evse: EvseId,
    /// The transaction it belongs to.
    pub transaction: Option<TransactionId>,
    /// The power to follow; negative discharges.
    pub setpoint: Watts,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub at: Timestamp,
}

/// A set-point in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetpointRecord {
    /// The number of the charging profile.
    pub profile_id: i64,
    /// The EVSE.
    pub evse: EvseId,
    /// The transaction it belongs to.
    pub transaction: Option<TransactionId>,
    /// The power to follow; negative discharges.
    pub setpoint: Watts,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Keeps a set-point; it replaces any other at the same EVSE.
    pub async fn setpoint_put(&self, new: NewSetpoint) -> Result<()> {
        self.write(move |conn| {
            Box::pin(async move {
                let station = new.station.as_str();
                conn.execute(
                    "DELETE FROM charging_profile WHERE station = $1 AND (evse = $2 OR profile_id = $3)",
                    params![station, new.evse.0, new.profile_id],
                )
                .await?;
                conn.execute(
                    "INSERT INTO charging_profile (station, profile_id, evse, transaction_id, setpoint, asked_by, at)
                    VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    params![
                        station,
                        new.profile_id,
                        new.evse.0,
                        new.transaction.as_ref().map(TransactionId::as_str),
                        new.setpoint.0,
                        new.asked_by.as_str(),
                        new.at,
                    ],
                )
                .await
                .map(drop)
            })
        })
        .await
    }

    /// Forgets the set-point of an EVSE.
    pub async fn setpoint_clear(&self, station: &StationId, evse: EvseId) -> Result<()> {
        self.execute(
            "DELETE FROM charging_profile WHERE station = $1 AND evse = $2",
            params![station.as_str(), evse.0],
        )
        .await
        .map(drop)
    }

    /// Set-points in force at a station, by EVSE.
    pub async fn setpoint_list(&self, station: &StationId) -> Result<Vec<SetpointRecord>> {
        let rows = self
            .rows(
                "SELECT profile_id, evse, transaction_id, setpoint, asked_by, at FROM charging_profile
                WHERE station = $1 ORDER BY evse LIMIT 1000",
                params![station.as_str()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(SetpointRecord {
                    profile_id: row.int(0)?,
                    evse: EvseId(row.number_u16(1, "evse")?),
                    transaction: match row.text_opt(2)? {
                        Some(text) => Some(text.parse().map_err(|_| StoreError::Corrupt("transaction"))?),
                        None => None,
                    },
                    setpoint: Watts(row.real_opt(3)?.unwrap_or_default()),
                    asked_by: row.text(4)?,
                    at: row.time(5)?,
                })
            })
            .collect()
    }

    /// The highest profile number used at a station, so that a restarted platform goes on from there.
    pub async fn setpoint_last_id(&self) -> Result<i64> {
        let row = self
            .row("SELECT MAX(profile_id) FROM charging_profile", &[])
            .await?;
        Ok(row.map(|row| row.int_opt(0)).transpose()?.flatten().unwrap_or(0))
    }
}
