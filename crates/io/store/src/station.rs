//! Charging stations, their EVSEs and connectors.

use gridlatch_vocab::{ConnectorId, EvseId, StationId, Timestamp};
use serde::Serialize;

use crate::engine::{Row, params};
use crate::{Result, Store};

/// A station as the platform knows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StationRecord {
    /// Its identity.
    pub id: StationId,
    /// Maker, from its last BootNotification.
    pub vendor: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Firmware version.
    pub firmware: Option<String>,
    /// OCPP version of the latest connection: `2.0.1` or `2.1`.
    pub ocpp_version: Option<String>,
    /// Whether it is connected now.
    pub connected: bool,
    /// When it last booted.
    pub booted_at: Option<Timestamp>,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// Its connectors, by EVSE and number.
    pub connectors: Vec<ConnectorRecord>,
}

/// A connector and its state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConnectorRecord {
    /// The EVSE.
    pub evse: EvseId,
    /// The connector.
    pub connector: ConnectorId,
    /// OCPP's word: `Available`, `Occupied`, `Reserved`, `Unavailable`, `Faulted`.
    pub status: String,
    /// Since when.
    pub at: Timestamp,
}

/// What a BootNotification tells about a station.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BootInfo {
    /// Maker.
    pub vendor: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: Option<String>,
    /// Firmware version.
    pub firmware: Option<String>,
    /// Why it booted.
    pub reason: String,
}

const SELECT: &str =
    "SELECT id, vendor, model, serial, firmware, ocpp_version, connected, booted_at, last_seen
    FROM station ORDER BY id LIMIT 10000";
const SELECT_ONE: &str =
    "SELECT id, vendor, model, serial, firmware, ocpp_version, connected, booted_at, last_seen
    FROM station WHERE id = $1";

impl Store {
    /// Allows a station to connect. Registering again changes nothing.
    pub async fn station_register(&self, station: &StationId, at: Timestamp) -> Result<()> {
        self.execute(
            "INSERT INTO station (id, registered_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
            params![station.as_str(), at],
        )
        .await
        .map(drop)
    }

    /// Whether a station may connect at all.
    pub async fn station_exists(&self, station: &StationId) -> Result<bool> {
        let row = self
            .row("SELECT 1 FROM station WHERE id = $1", params![station.as_str()])
            .await?;
        Ok(row.is_some())
    }

    /// Notes a new connection and returns its generation: a number that only grows, so that whatever an
    /// older connection still does can be told apart and refused.
    pub async fn station_connected(&self, station: &StationId, version: &str, at: Timestamp) -> Result<i64> {
        let (id, version) = (station.as_str().to_owned(), version.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                conn.execute(
                    "UPDATE station SET connected = 1, generation = generation + 1, ocpp_version = $2,
                        last_seen = $3 WHERE id = $1",
                    params![id.as_str(), version, at],
                )
                .await?;
                let row = conn
                    .row("SELECT generation FROM station WHERE id = $1", params![id])
                    .await?;
                row.map_or(Ok(0), |row| row.int(0))
            })
        })
        .await
    }

    /// Notes the end of the connection with this generation; an older one changes nothing.
    pub async fn station_disconnected(
        &self,
        station: &StationId,
        generation: i64,
        at: Timestamp,
    ) -> Result<()> {
        self.execute(
            "UPDATE station SET connected = 0, last_seen = $3 WHERE id = $1 AND generation = $2",
            params![station.as_str(), generation, at],
        )
        .await
        .map(drop)
    }

    /// Marks every station as not connected: what a starting platform knows.
    pub async fn station_disconnect_all(&self) -> Result<()> {
        self.execute("UPDATE station SET connected = 0 WHERE connected <> 0", &[])
            .await
            .map(drop)
    }

    /// Keeps what a BootNotification says.
    pub async fn station_booted(&self, station: &StationId, boot: BootInfo, at: Timestamp) -> Result<()> {
        self.execute(
            "UPDATE station SET vendor = $2, model = $3, serial = $4, firmware = $5, boot_reason = $6,
                booted_at = $7, last_seen = $7 WHERE id = $1",
            params![
                station.as_str(),
                boot.vendor,
                boot.model,
                boot.serial,
                boot.firmware,
                boot.reason,
                at
            ],
        )
        .await
        .map(drop)
    }

    /// Notes that a station was heard of.
    pub async fn station_seen(&self, station: &StationId, at: Timestamp) -> Result<()> {
        self.execute(
            "UPDATE station SET last_seen = $2 WHERE id = $1",
            params![station.as_str(), at],
        )
        .await
        .map(drop)
    }

    /// Keeps a connector's state; an older report does not replace a newer one.
    pub async fn connector_status(
        &self,
        station: &StationId,
        evse: EvseId,
        connector: ConnectorId,
        status: &str,
        at: Timestamp,
    ) -> Result<()> {
        let (id, status) = (station.as_str().to_owned(), status.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                conn.execute(
                    "INSERT INTO evse (station, evse) VALUES ($1, $2) ON CONFLICT (station, evse) DO NOTHING",
                    params![id.as_str(), evse.0],
                )
                .await?;
                conn.execute(
                    "INSERT INTO connector (station, evse, connector, status, at) VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT (station, evse, connector) DO UPDATE SET status = excluded.status, at = excluded.at
                    WHERE connector.at <= excluded.at",
                    params![id, evse.0, connector.0, status, at],
                )
                .await
                .map(drop)
            })
        })
        .await
    }

    /// How many EVSEs a station has reported, the bound for [`Store::connector_status`] callers.
    pub async fn connector_count(&self, station: &StationId) -> Result<i64> {
        let row = self
            .row(
                "SELECT COUNT(*) FROM connector WHERE station = $1",
                params![station.as_str()],
            )
            .await?;
        row.map_or(Ok(0), |row| row.int(0))
    }

    /// All stations with their connectors, by id.
    pub async fn station_list(&self) -> Result<Vec<StationRecord>> {
        let rows = self.rows(SELECT, &[]).await?;
        let mut stations = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        let rows = self
            .rows(
                "SELECT station, evse, connector, status, at FROM connector
                ORDER BY station, evse, connector LIMIT 100000",
                &[],
            )
            .await?;
        for row in &rows {
            let station: StationId = row.parsed(0, "station")?;
            if let Ok(index) = stations.binary_search_by(|known| known.id.cmp(&station)) {
                stations[index].connectors.push(read_connector(row)?);
            }
        }
        Ok(stations)
    }

    /// One station with its connectors.
    pub async fn station_find(&self, station: &StationId) -> Result<Option<StationRecord>> {
        let Some(row) = self.row(SELECT_ONE, params![station.as_str()]).await? else {
            return Ok(None);
        };
        let mut record = read(&row)?;
        let rows = self
            .rows(
                "SELECT station, evse, connector, status, at FROM connector WHERE station = $1
                ORDER BY evse, connector LIMIT 1000",
                params![station.as_str()],
            )
            .await?;
        record.connectors = rows.iter().map(read_connector).collect::<Result<_>>()?;
        Ok(Some(record))
    }
}

fn read(row: &Row) -> Result<StationRecord> {
    Ok(StationRecord {
        id: row.parsed(0, "station")?,
        vendor: row.text_opt(1)?,
        model: row.text_opt(2)?,
        serial: row.text_opt(3)?,
        firmware: row.text_opt(4)?,
        ocpp_version: row.text_opt(5)?,
        connected: row.flag(6)?,
        booted_at: row.time_opt(7)?,
        last_seen: row.time_opt(8)?,
        connectors: Vec::new(),
    })
}

fn read_connector(row: &Row) -> Result<ConnectorRecord> {
    Ok(ConnectorRecord {
        evse: EvseId(row.number_u16(1, "evse")?),
        connector: ConnectorId(row.number_u16(2, "connector")?),
        status: row.text(3)?,
        at: row.time(4)?,
    })
}
