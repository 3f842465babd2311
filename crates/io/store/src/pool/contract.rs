//! The contract certificate pool: signed contract data, ready to be handed to one vehicle.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_vocab::{Personal, Timestamp};
use serde::{Deserialize, Serialize};

use super::vehicle;
use crate::engine::{Row, params};
use crate::{Result, Store, StoreError, pseudonym, sealed};

/// How many contracts one vehicle may have waiting, per generation.
const MAX_PER_VEHICLE: i64 = 16;

/// Signed contract data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolContract {
    /// The contract id.
    pub emaid: Personal<String>,
    /// The vehicle it is encrypted for.
    pub pcid: Personal<String>,
    /// `iso2` or `iso20`.
    pub generation: String,
    /// SHA-256 of the V2G root above the signer, lower-case hexadecimal.
    pub cps_root: String,
    /// The mobility operator's client.
    pub owner: String,
    /// 1 is delivered first.
    pub priority: i64,
    /// When the contract certificate expires.
    pub not_after: Timestamp,
    /// The response to the vehicle in EXI, with an empty session id.
    pub message: Vec<u8>,
    /// When it was put in.
    pub at: Timestamp,
}

/// What became of contract data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContractStored {
    /// It is new.
    Added,
    /// It replaced the same contract's earlier data.
    Replaced,
    /// The contract id belongs to another vehicle.
    OtherVehicle,
    /// The contract id belongs to another operator.
    Foreign,
    /// The vehicle has too many contracts.
    Full,
}

#[derive(Serialize, Deserialize)]
struct Document {
    emaid: String,
    pcid: String,
    message: String,
}

impl Store {
    /// Keeps signed contract data. A contract id stays with one vehicle and one operator until it is removed.
    /// The first contract of a vehicle has priority 1, later ones come after it.
    pub async fn pool_contract_put(&self, contract: PoolContract) -> Result<ContractStored> {
        let lookup = self.pseudonyms.lookup("pool-contract", contract.emaid.reveal());
        let vehicle = vehicle::lookup(&self.pseudonyms, contract.pcid.reveal());
        let document = Document {
            emaid: contract.emaid.reveal().clone(),
            pcid: contract.pcid.reveal().clone(),
            message: STANDARD.encode(&contract.message),
        };
        let document = serde_json::to_vec(&document).map_err(|_| StoreError::Corrupt("a contract"))?;
        let document = sealed::seal(&self.pseudonyms, &place(&lookup), &document)?;
        let reference = pseudonym::reference()?;
        self.write(move |conn| {
            Box::pin(async move {
                let known = conn
                    .rows(
                        "SELECT vehicle, owner FROM pool_contract WHERE lookup = $1",
                        params![lookup.as_str()],
                    )
                    .await?;
                for row in &known {
                    if row.text(1)? != contract.owner {
                        return Ok(ContractStored::Foreign);
                    }
                    if row.text(0)? != vehicle {
                        return Ok(ContractStored::OtherVehicle);
                    }
                }
                let standing = conn
                    .row(
                        "SELECT COUNT(*), COALESCE(MAX(priority), 0) FROM pool_contract
                        WHERE vehicle = $1 AND generation = $2 AND lookup <> $3",
                        params![vehicle.as_str(), contract.generation.as_str(), lookup.as_str()],
                    )
                    .await?
                    .ok_or(StoreError::Corrupt("a count"))?;
                if standing.int(0)? >= MAX_PER_VEHICLE {
                    return Ok(ContractStored::Full);
                }
                conn.execute(
                    "INSERT INTO pool_contract (lookup, generation, cps_root, vehicle, owner, reference, priority,
                        not_after, document, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                    ON CONFLICT (lookup, generation, cps_root) DO UPDATE SET not_after = excluded.not_after,
                        document = excluded.document, at = excluded.at",
                    params![
                        lookup,
                        contract.generation,
                        contract.cps_root,
                        vehicle,
                        contract.owner,
                        reference,
                        standing.int(1)? + 1,
                        contract.not_after,
                        document,
                        contract.at
                    ],
                )
                .await?;
                Ok(if known.is_empty() {
                    ContractStored::Added
                } else {
                    ContractStored::Replaced
                })
            })
        })
        .await
    }

    /// The contracts waiting for a vehicle, of one generation or of both, in the order of delivery.
    pub async fn pool_contracts_of(&self, pcid: &str, generation: Option<&str>) -> Result<Vec<PoolContract>> {
        let rows = self
            .rows(
                "SELECT lookup, generation, cps_root, owner, priority, not_after, document, at FROM pool_contract
                WHERE vehicle = $1 AND (generation = $2 OR $2 = '') ORDER BY priority, at, lookup LIMIT 64",
                params![vehicle::lookup(&self.pseudonyms, pcid), generation.unwrap_or("")],
            )
            .await?;
        rows.iter().map(|row| self.read_contract(row)).collect()
    }

    /// The data of one contract, of one generation or of both, latest first.
    pub async fn pool_contract(&self, emaid: &str, generation: Option<&str>) -> Result<Vec<PoolContract>> {
        let rows = self
            .rows(
                "SELECT lookup, generation, cps_root, owner, priority, not_after, document, at FROM pool_contract
                WHERE lookup = $1 AND (generation = $2 OR $2 = '') ORDER BY at DESC, cps_root LIMIT 64",
                params![
                    self.pseudonyms.lookup("pool-contract", emaid),
                    generation.unwrap_or("")
                ],
            )
            .await?;
        rows.iter().map(|row| self.read_contract(row)).collect()
    }

    /// Takes a contract out; whether it was there.
    pub async fn pool_contract_remove(&self, emaid: &str) -> Result<bool> {
        let lookup = self.pseudonyms.lookup("pool-contract", emaid);
        Ok(self
            .execute("DELETE FROM pool_contract WHERE lookup = $1", params![lookup])
            .await?
            > 0)
    }

    /// Moves a contract to a place in the order of its vehicle's contracts, 1 first; the others close up.
    /// Whether the vehicle has that contract.
    pub async fn pool_contract_prioritise(&self, pcid: &str, emaid: &str, place: i64) -> Result<bool> {
        let vehicle = vehicle::lookup(&self.pseudonyms, pcid);
        let lookup = self.pseudonyms.lookup("pool-contract", emaid);
        self.write(move |conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        "SELECT DISTINCT lookup, priority FROM pool_contract WHERE vehicle = $1
                        ORDER BY priority, lookup",
                        params![vehicle.as_str()],
                    )
                    .await?;
                let mut order = Vec::with_capacity(rows.len());
                for row in &rows {
                    let text = row.text(0)?;
                    if !order.contains(&text) {
                        order.push(text);
                    }
                }
                let Some(from) = order.iter().position(|one| *one == lookup) else {
                    return Ok(false);
                };
                let moved = order.remove(from);
                let to = usize::try_from(place.max(1) - 1).unwrap_or(0).min(order.len());
                order.insert(to, moved);
                for (priority, lookup) in (1_i64..).zip(order) {
                    conn.execute(
                        "UPDATE pool_contract SET priority = $1 WHERE vehicle = $2 AND lookup = $3",
                        params![priority, vehicle.as_str(), lookup],
                    )
                    .await?;
                }
                Ok(true)
            })
        })
        .await
    }

    pub(super) fn read_contract(&self, row: &Row) -> Result<PoolContract> {
        let corrupt = || StoreError::Corrupt("a contract");
        let document = sealed::open(&self.pseudonyms, &place(&row.text(0)?), &row.text(6)?)?;
        let document: Document = serde_json::from_slice(&document).map_err(|_| corrupt())?;
        Ok(PoolContract {
            emaid: Personal::new(document.emaid),
            pcid: Personal::new(document.pcid),
            generation: row.text(1)?,
            cps_root: row.text(2)?,
            owner: row.text(3)?,
            priority: row.int(4)?,
            not_after: row.time(5)?,
            message: STANDARD.decode(document.message).map_err(|_| corrupt())?,
            at: row.time(7)?,
        })
    }
}

fn place(lookup: &str) -> String {
    format!("pool_contract/{lookup}")
}
