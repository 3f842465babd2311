//! Campaigns: one change of trust stores or certificates at many stations, each station's result durable.

use gridlatch_vocab::{StationId, Timestamp};

use crate::engine::{Row, params};
use crate::{Result, Store};

/// Attempts at one station before it counts as failed.
pub const CAMPAIGN_ATTEMPTS: i64 = 3;

/// A campaign to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCampaign {
    /// Its name.
    pub id: String,
    /// `install`, `renew` or `remove`.
    pub action: String,
    /// OCPP's word for the root's or certificate's use.
    pub usage: String,
    /// What it needs besides, as its owner writes it.
    pub document: String,
    /// Stations at a time.
    pub at_once: u32,
    /// It stops at so many failures.
    pub stop_after: u32,
    /// Who wants it.
    pub asked_by: String,
    /// When.
    pub at: Timestamp,
}

/// How many stations are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CampaignCounts {
    /// Not reached yet.
    pub waiting: u64,
    /// Told, without a result that is known.
    pub sent: u64,
    /// Changed by this campaign.
    pub done: u64,
    /// Nothing had to be changed.
    pub already: u64,
    /// The station said no, or must not be changed.
    pub refused: u64,
    /// It did not answer, or its answer is not true.
    pub failed: u64,
    /// Of the waiting and the told ones: not connected.
    pub offline: u64,
}

/// A campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignRow {
    /// Counts up.
    pub number: i64,
    /// What it is.
    pub campaign: NewCampaign,
    /// `running`, `stopped` or `done`.
    pub state: String,
    /// Its stations.
    pub counts: CampaignCounts,
}

/// One station of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignStation {
    /// The station.
    pub station: StationId,
    /// `waiting`, `sent`, `done`, `already`, `refused` or `failed`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// The code of the result.
    pub code: Option<String>,
    /// Its particulars.
    pub message: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
    /// Whether it is connected.
    pub connected: bool,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
}

/// A station's result in one campaign, by the campaign's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignResult {
    /// Of which campaign.
    pub number: i64,
    /// Which station, and its result: `refused`, `done` or `already`.
    pub result: CampaignStation,
}

const SELECT: &str =
    "SELECT number, id, action, usage, document, state, at_once, stop_after, asked_by, at FROM campaign
    WHERE $1 = '' OR id = $1 ORDER BY number DESC LIMIT 100";

impl Store {
    /// Starts a campaign at these stations, or at every registered one; durable when it returns. `false`
    /// if its name is taken.
    pub async fn campaign_add(&self, new: NewCampaign, stations: Option<Vec<StationId>>) -> Result<bool> {
        self.write(move |conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        "INSERT INTO campaign (id, action, usage, document, state, at_once, stop_after, asked_by, at)
                        VALUES ($1, $2, $3, $4, 'running', $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING number",
                        params![
                            new.id,
                            new.action,
                            new.usage,
                            new.document,
                            i64::from(new.at_once),
                            i64::from(new.stop_after),
                            new.asked_by,
                            new.at
                        ],
                    )
                    .await?;
                let Some(row) = row else { return Ok(false) };
                let number = row.int(0)?;
                match stations {
                    None => {
                        conn.execute(
                            "INSERT INTO campaign_station (campaign, station, state)
                            SELECT CAST($1 AS BIGINT), id, 'waiting' FROM station",
                            params![number],
                        )
                        .await?;
                    }
                    Some(stations) => {
                        for station in stations {
                            conn.execute(
                                "INSERT INTO campaign_station (campaign, station, state) VALUES ($1, $2, 'waiting')
                                ON CONFLICT DO NOTHING",
                                params![number, station.as_str()],
                            )
                            .await?;
                        }
                    }
                }
                Ok(true)
            })
        })
        .await
    }

    /// Campaigns, latest first, at most a hundred.
    pub async fn campaign_list(&self) -> Result<Vec<CampaignRow>> {
        self.campaigns("").await
    }

    /// One campaign.
    pub async fn campaign_find(&self, id: &str) -> Result<Option<CampaignRow>> {
        Ok(self.campaigns(id).await?.pop())
    }

    async fn campaigns(&self, id: &str) -> Result<Vec<CampaignRow>> {
        let rows = self.rows(SELECT, params![id]).await?;
        let mut campaigns = Vec::with_capacity(rows.len());
        for row in &rows {
            let number = row.int(0)?;
            campaigns.push(CampaignRow {
                number,
                campaign: NewCampaign {
                    id: row.text(1)?,
                    action: row.text(2)?,
                    usage: row.text(3)?,
                    document: row.text(4)?,
                    at_once: small(row.int(6)?),
                    stop_after: small(row.int(7)?),
                    asked_by: row.text(8)?,
                    at: row.time(9)?,
                },
                state: row.text(5)?,
                counts: self.campaign_counts(number).await?,
            });
        }
        Ok(campaigns)
    }

    async fn campaign_counts(&self, number: i64) -> Result<CampaignCounts> {
        let rows = self
            .rows(
                "SELECT c.state, s.connected, COUNT(*) FROM campaign_station c JOIN station s ON s.id = c.station
                WHERE c.campaign = $1 GROUP BY c.state, s.connected",
                params![number],
            )
            .await?;
        let mut counts = CampaignCounts::default();
        for row in &rows {
            let count = u64::try_from(row.int(2)?).unwrap_or(0);
            let state = row.text(0)?;
            if !row.flag(1)? && matches!(state.as_str(), "waiting" | "sent") {
                counts.offline += count;
            }
            match state.as_str() {
                "waiting" => counts.waiting += count,
                "sent" => counts.sent += count,
                "done" => counts.done += count,
                "already" => counts.already += count,
                "refused" => counts.refused += count,
                _ => counts.failed += count,
            }
        }
        Ok(counts)
    }

    /// Sets a campaign's state, and the number of failures it stops at.
    pub async fn campaign_state(&self, number: i64, state: &str, stop_after: Option<u32>) -> Result<()> {
        self.execute(
            "UPDATE campaign SET state = $2, stop_after = COALESCE(CAST($3 AS BIGINT), stop_after) WHERE number = $1",
            params![number, state, stop_after.map(i64::from)],
        )
        .await
        .map(drop)
    }

    /// Puts refused and failed stations back to wait.
    pub async fn campaign_retry(&self, number: i64) -> Result<u64> {
        self.execute(
            "UPDATE campaign_station SET state = 'waiting', attempts = 0
            WHERE campaign = $1 AND state IN ('refused', 'failed')",
            params![number],
        )
        .await
    }

    /// Connected stations that have no result yet, from after `after` on.
    pub async fn campaign_due(&self, number: i64, after: &str, limit: u32) -> Result<Vec<CampaignStation>> {
        let rows = self
            .rows(
                "SELECT c.station, c.state, c.attempts, c.code, c.message, c.at, s.connected, s.last_seen
                FROM campaign_station c JOIN station s ON s.id = c.station
                WHERE c.campaign = $1 AND c.state IN ('waiting', 'sent') AND s.connected <> 0 AND c.station > $2
                ORDER BY c.station LIMIT $3",
                params![number, after, i64::from(limit)],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    /// Stations of a campaign, in one state or in any (`""`), from after `after` on.
    pub async fn campaign_stations(
        &self,
        number: i64,
        state: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<CampaignStation>> {
        let rows = self
            .rows(
                "SELECT c.station, c.state, c.attempts, c.code, c.message, c.at, s.connected, s.last_seen
                FROM campaign_station c JOIN station s ON s.id = c.station
                WHERE c.campaign = $1 AND ($2 = '' OR c.state = $2) AND c.station > $3 ORDER BY c.station LIMIT $4",
                params![number, state, after, i64::from(limit)],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    /// Results of stations that refused something in one of the latest hundred campaigns, `first` to `last` by id:
    /// what each refused, and what it did take, latest campaign first. At most `limit`.
    pub async fn campaign_refusals(
        &self,
        first: &str,
        last: &str,
        limit: u32,
    ) -> Result<Vec<CampaignResult>> {
        let rows = self
            .rows(
                "SELECT c.station, c.state, c.attempts, c.code, c.message, c.at, s.connected, s.last_seen, c.campaign
                FROM campaign_station c JOIN station s ON s.id = c.station
                WHERE c.campaign IN (SELECT number FROM campaign ORDER BY number DESC LIMIT 100)
                    AND c.state IN ('refused', 'done', 'already') AND c.station >= $1 AND c.station <= $2
                    AND EXISTS (SELECT 1 FROM campaign_station r
                        WHERE r.campaign IN (SELECT number FROM campaign ORDER BY number DESC LIMIT 100)
                            AND r.state = 'refused' AND r.station = c.station)
                ORDER BY c.station, c.campaign DESC LIMIT $3",
                params![first, last, i64::from(limit)],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(CampaignResult {
                    number: row.int(8)?,
                    result: read(row)?,
                })
            })
            .collect()
    }

    /// Notes a station's state; durable when it returns. A result that is known is never replaced.
    pub async fn campaign_mark(
        &self,
        number: i64,
        station: &StationId,
        state: &str,
        result: Option<(&str, &str)>,
        at: Timestamp,
    ) -> Result<bool> {
        let (code, message) = result.unzip();
        let changed = self
            .execute(
                "UPDATE campaign_station SET state = $3, code = $4, message = $5, at = $6,
                    attempts = attempts + CASE WHEN $3 IN ('waiting', 'sent') THEN 1 ELSE 0 END
                WHERE campaign = $1 AND station = $2 AND state IN ('waiting', 'sent')",
                params![number, station.as_str(), state, code, message, at],
            )
            .await?;
        Ok(changed == 1)
    }
}

fn small(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn read(row: &Row) -> Result<CampaignStation> {
    Ok(CampaignStation {
        station: row.parsed(0, "station")?,
        state: row.text(1)?,
        attempts: row.int(2)?,
        code: row.text_opt(3)?,
        message: row.text_opt(4)?,
        at: row.time_opt(5)?,
        connected: row.flag(6)?,
        last_seen: row.time_opt(7)?,
    })
}
