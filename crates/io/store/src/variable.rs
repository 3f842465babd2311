//! The device model as stations report it.

use gridlatch_vocab::{StationId, Timestamp};
use serde::Serialize;

use crate::engine::params;
use crate::{Result, Store};

/// How many variables are kept per station.
const PER_STATION: i64 = 5_000;

/// One attribute of one variable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariableRecord {
    /// The component.
    pub component: String,
    /// Its EVSE; 0 for the station itself.
    pub evse: i64,
    /// The variable.
    pub name: String,
    /// `Actual`, `Target`, `MinSet` or `MaxSet`.
    pub attribute: String,
    /// Its value, unless it is write-only.
    pub value: Option<String>,
    /// When it was reported.
    pub at: Timestamp,
}

impl Store {
    /// Keeps reported variables. Beyond 5,000 per station new names are dropped; how many were.
    pub async fn variable_put(&self, station: &StationId, variables: Vec<VariableRecord>) -> Result<usize> {
        let station = station.as_str().to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        "SELECT COUNT(*) FROM variable WHERE station = $1",
                        params![station.as_str()],
                    )
                    .await?;
                let mut count = row.map_or(Ok(0), |row| row.int(0))?;
                let mut dropped = 0;
                for variable in variables {
                    let updated = conn
                        .execute(
                            "UPDATE variable SET value = $6, at = $7 WHERE station = $1 AND component = $2
                            AND evse = $3 AND name = $4 AND attribute = $5",
                            params![
                                station.as_str(),
                                variable.component.as_str(),
                                variable.evse,
                                variable.name.as_str(),
                                variable.attribute.as_str(),
                                variable.value.as_deref(),
                                variable.at
                            ],
                        )
                        .await?;
                    if updated > 0 {
                        continue;
                    }
                    if count >= PER_STATION {
                        dropped += 1;
                        continue;
                    }
                    count += 1;
                    conn.execute(
                        "INSERT INTO variable (station, component, evse, name, attribute, value, at)
                        VALUES ($1, $2, $3, $4, $5, $6, $7)",
                        params![
                            station.as_str(),
                            variable.component,
                            variable.evse,
                            variable.name,
                            variable.attribute,
                            variable.value,
                            variable.at
                        ],
                    )
                    .await?;
                }
                Ok(dropped)
            })
        })
        .await
    }

    /// What a station reported, by component and name.
    pub async fn variable_list(&self, station: &StationId) -> Result<Vec<VariableRecord>> {
        let rows = self
            .rows(
                "SELECT component, evse, name, attribute, value, at FROM variable WHERE station = $1
                ORDER BY component, evse, name, attribute LIMIT 5000",
                params![station.as_str()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(VariableRecord {
                    component: row.text(0)?,
                    evse: row.int(1)?,
                    name: row.text(2)?,
                    attribute: row.text(3)?,
                    value: row.text_opt(4)?,
                    at: row.time(5)?,
                })
            })
            .collect()
    }
}
