//! What stations, vehicles and back ends were last known to hold: their answers about installed
//! certificates with their dates, and the chains they were seen with.

use gridlatch_vocab::{StationId, Timestamp};

use crate::engine::{Row, params};
use crate::{Result, Store};

pub(crate) const STEP: &[&str] = &[
    "CREATE TABLE trust_answer (
        station TEXT NOT NULL PRIMARY KEY REFERENCES station (id), answered_at BIGINT, installed TEXT,
        asked_at BIGINT NOT NULL, failure TEXT)",
    "CREATE TABLE trust_chain (
        role TEXT NOT NULL, holder TEXT NOT NULL, kind TEXT NOT NULL, edition TEXT NOT NULL, fingerprint TEXT NOT NULL,
        chain TEXT NOT NULL, not_after BIGINT NOT NULL, at BIGINT NOT NULL,
        PRIMARY KEY (role, holder, kind, fingerprint))",
    "CREATE TABLE campaign (
        number NUMBER, id TEXT NOT NULL UNIQUE, action TEXT NOT NULL, usage TEXT NOT NULL, document TEXT NOT NULL,
        state TEXT NOT NULL, at_once BIGINT NOT NULL, stop_after BIGINT NOT NULL, asked_by TEXT NOT NULL,
        at BIGINT NOT NULL)",
    "CREATE TABLE campaign_station (
        campaign BIGINT NOT NULL REFERENCES campaign (number), station TEXT NOT NULL REFERENCES station (id),
        state TEXT NOT NULL, attempts BIGINT NOT NULL DEFAULT 0, code TEXT, message TEXT, at BIGINT,
        PRIMARY KEY (campaign, station))",
    "CREATE INDEX campaign_station_state ON campaign_station (campaign, state, station)",
];

/// Chains of one kind kept for one holder: the present ones and some before them.
const PER_HOLDER: i64 = 8;
/// Vehicles whose chains are kept; the one that was seen longest ago makes room.
const VEHICLES: i64 = 20_000;

/// A station and its last answer about installed certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnswer {
    /// The station.
    pub station: StationId,
    /// Whether it is connected.
    pub connected: bool,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// When it last answered; `None` if it never has.
    pub answered_at: Option<Timestamp>,
    /// That answer: `certificateHashDataChain` of OCPP, as JSON.
    pub installed: Option<String>,
    /// When it was last asked.
    pub asked_at: Option<Timestamp>,
    /// Why the latest question has no answer; `None` if it has.
    pub failure: Option<String>,
}

/// A chain that a holder was seen with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenChain {
    /// `station`, `vehicle` or `back-end`.
    pub role: String,
    /// Who; never a personal identifier.
    pub holder: String,
    /// The leaf's kind, `secc-leaf`.
    pub kind: String,
    /// `iso2` or `iso20`.
    pub edition: String,
    /// SHA-256 of the leaf, hex.
    pub fingerprint: String,
    /// PEM, leaf first, without the root; without the leaf where the leaf names a person.
    pub chain: String,
    /// The end of the leaf.
    pub not_after: Timestamp,
    /// When it was last seen.
    pub at: Timestamp,
}

impl Store {
    /// Keeps a station's answer; durable when it returns.
    pub async fn trust_answered(&self, station: &StationId, at: Timestamp, installed: &str) -> Result<()> {
        self.execute(
            "INSERT INTO trust_answer (station, answered_at, installed, asked_at, failure)
            VALUES ($1, $2, $3, $2, NULL)
            ON CONFLICT (station) DO UPDATE SET answered_at = excluded.answered_at,
                installed = excluded.installed, asked_at = excluded.asked_at, failure = NULL",
            params![station.as_str(), at, installed],
        )
        .await
        .map(drop)
    }

    /// Notes that a station did not answer; what it said before stays, with its date.
    pub async fn trust_unanswered(&self, station: &StationId, at: Timestamp, failure: &str) -> Result<()> {
        self.execute(
            "INSERT INTO trust_answer (station, asked_at, failure) VALUES ($1, $2, $3)
            ON CONFLICT (station) DO UPDATE SET asked_at = excluded.asked_at, failure = excluded.failure",
            params![station.as_str(), at, failure],
        )
        .await
        .map(drop)
    }

    /// Every registered station with its last answer, by id, from after `after` on.
    pub async fn trust_answers(&self, after: &str, limit: u32) -> Result<Vec<TrustAnswer>> {
        let rows = self
            .rows(
                "SELECT s.id, s.connected, s.last_seen, a.answered_at, a.installed, a.asked_at, a.failure
                FROM station s LEFT JOIN trust_answer a ON a.station = s.id
                WHERE s.id > $1 ORDER BY s.id LIMIT $2",
                params![after, i64::from(limit)],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(TrustAnswer {
                    station: row.parsed(0, "station")?,
                    connected: row.flag(1)?,
                    last_seen: row.time_opt(2)?,
                    answered_at: row.time_opt(3)?,
                    installed: row.text_opt(4)?,
                    asked_at: row.time_opt(5)?,
                    failure: row.text_opt(6)?,
                })
            })
            .collect()
    }

    /// Keeps a chain that was seen; of one holder and kind the latest eight stay.
    pub async fn trust_chain_seen(&self, seen: SeenChain) -> Result<()> {
        self.write(move |conn| {
            Box::pin(async move {
                conn.execute(
                    "INSERT INTO trust_chain (role, holder, kind, edition, fingerprint, chain, not_after, at)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                    ON CONFLICT (role, holder, kind, fingerprint)
                    DO UPDATE SET chain = excluded.chain, at = excluded.at",
                    params![
                        seen.role.as_str(),
                        seen.holder.as_str(),
                        seen.kind.as_str(),
                        seen.edition,
                        seen.fingerprint,
                        seen.chain,
                        seen.not_after,
                        seen.at
                    ],
                )
                .await?;
                conn.execute(
                    "DELETE FROM trust_chain WHERE role = $1 AND holder = $2 AND kind = $3 AND fingerprint NOT IN (
                        SELECT fingerprint FROM trust_chain WHERE role = $1 AND holder = $2 AND kind = $3
                        ORDER BY at DESC, fingerprint LIMIT $4)",
                    params![seen.role.as_str(), seen.holder, seen.kind, PER_HOLDER],
                )
                .await?;
                if seen.role == "vehicle" {
                    conn.execute(
                        "DELETE FROM trust_chain WHERE role = 'vehicle' AND at < (
                            SELECT at FROM trust_chain WHERE role = 'vehicle' ORDER BY at DESC LIMIT 1 OFFSET $1)",
                        params![VEHICLES],
                    )
                    .await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Chains of a role's holders with names after `after`, up to and including `last`, latest first.
    pub async fn trust_chains(
        &self,
        role: &str,
        after: &str,
        last: &str,
        limit: u32,
    ) -> Result<Vec<SeenChain>> {
        let rows = self
            .rows(
                "SELECT role, holder, kind, edition, fingerprint, chain, not_after, at FROM trust_chain
                WHERE role = $1 AND holder > $2 AND holder <= $3 ORDER BY holder, kind, at DESC, fingerprint LIMIT $4",
                params![role, after, last, i64::from(limit)],
            )
            .await?;
        rows.iter().map(read_chain).collect()
    }

    /// Names of a role's holders that were seen with a chain, from after `after` on.
    pub async fn trust_holders(&self, role: &str, after: &str, limit: u32) -> Result<Vec<String>> {
        let rows = self
            .rows(
                "SELECT DISTINCT holder FROM trust_chain WHERE role = $1 AND holder > $2 ORDER BY holder LIMIT $3",
                params![role, after, i64::from(limit)],
            )
            .await?;
        rows.iter().map(|row| row.text(0)).collect()
    }
}

fn read_chain(row: &Row) -> Result<SeenChain> {
    Ok(SeenChain {
        role: row.text(0)?,
        holder: row.text(1)?,
        kind: row.text(2)?,
        edition: row.text(3)?,
        fingerprint: row.text(4)?,
        chain: row.text(5)?,
        not_after: row.time(6)?,
        at: row.time(7)?,
    })
}
