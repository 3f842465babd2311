//! Moving the pools from one database into another: sealed fields are opened with the key of the one and
//! sealed again with the other's.

use super::{PoolContract, PoolVehicle, vehicle};
use crate::engine::params;
use crate::{Result, Store};

/// How many vehicles or contracts are moved in one go.
const PAGE: i64 = 128;

/// What was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolMoved {
    /// Roots of the root pool.
    pub roots: usize,
    /// Vehicles of the provisioning pool.
    pub vehicles: usize,
    /// Contracts of the contract pool.
    pub contracts: usize,
}

impl PoolMoved {
    /// Whether there was nothing to move.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.roots == 0 && self.vehicles == 0 && self.contracts == 0
    }
}

impl Store {
    /// Takes the roots, vehicles and contracts out of `old` and keeps them here. What is here already under the
    /// same id stays as it is. A row leaves `old` only once it is durable here, so that an interrupted move is
    /// finished by the next one. Clients and webhooks stay: their secrets are kept as HMACs under the key of
    /// `old` and cannot be read.
    ///
    /// # Errors
    /// One of the databases failed, or a sealed field of `old` does not open.
    pub async fn pool_take_over(&self, old: &Self) -> Result<PoolMoved> {
        let mut moved = PoolMoved::default();
        for root in old.pool_roots(None).await? {
            let id = root.id.clone();
            // A full pool keeps its own; the rest stays where it was.
            if self.pool_root_add(root).await?.is_some() {
                old.pool_root_remove(&id).await?;
                moved.roots += 1;
            }
        }
        loop {
            let rows = old
                .rows(
                    "SELECT generation, owner, fingerprint, document, at, lookup FROM pool_vehicle
                    ORDER BY lookup, generation LIMIT $1",
                    params![PAGE],
                )
                .await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let lookup = row.text(5)?;
                let found = old.read_vehicle(&lookup, row)?;
                let generation = found.generation.clone();
                self.keep_vehicle(found).await?;
                old.execute(
                    "DELETE FROM pool_vehicle WHERE lookup = $1 AND generation = $2",
                    params![lookup, generation],
                )
                .await?;
                moved.vehicles += 1;
            }
        }
        loop {
            let rows = old
                .rows(
                    "SELECT lookup, generation, cps_root, owner, priority, not_after, document, at
                    FROM pool_contract ORDER BY lookup, generation, cps_root LIMIT $1",
                    params![PAGE],
                )
                .await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let found = old.read_contract(row)?;
                let (generation, cps_root) = (found.generation.clone(), found.cps_root.clone());
                self.keep_contract(found).await?;
                old.execute(
                    "DELETE FROM pool_contract WHERE lookup = $1 AND generation = $2 AND cps_root = $3",
                    params![row.text(0)?, generation, cps_root],
                )
                .await?;
                moved.contracts += 1;
            }
        }
        Ok(moved)
    }

    async fn keep_vehicle(&self, found: PoolVehicle) -> Result<()> {
        let known = self
            .pool_vehicle(found.pcid.reveal(), Some(&found.generation))
            .await?;
        if known.is_none() {
            self.pool_vehicle_put(found).await?;
        }
        Ok(())
    }

    /// As [`Self::pool_contract_put`], at the place in the order that it had.
    async fn keep_contract(&self, found: PoolContract) -> Result<()> {
        let known = self
            .pool_contract(found.emaid.reveal(), Some(&found.generation))
            .await?;
        if known.iter().any(|one| one.cps_root == found.cps_root) {
            return Ok(());
        }
        let (pcid, place) = (found.pcid.clone(), found.priority);
        let (generation, lookup) = (
            found.generation.clone(),
            self.pseudonyms.lookup("pool-contract", found.emaid.reveal()),
        );
        self.pool_contract_put(found).await?;
        self.execute(
            "UPDATE pool_contract SET priority = $1 WHERE vehicle = $2 AND lookup = $3 AND generation = $4",
            params![
                place,
                vehicle::lookup(&self.pseudonyms, pcid.reveal()),
                lookup,
                generation
            ],
        )
        .await?;
        Ok(())
    }
}
