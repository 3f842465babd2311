//! The provisioning certificate pool.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_vocab::{Personal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::engine::{Row, params};
use crate::{Result, Store, StoreError, pseudonym, sealed};

/// A vehicle's provisioning certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolVehicle {
    /// Its id: the certificate's common name.
    pub pcid: Personal<String>,
    /// `iso2` or `iso20`.
    pub generation: String,
    /// The client that published it.
    pub owner: String,
    /// SHA-256 of the leaf, lower-case hexadecimal.
    pub fingerprint: String,
    /// DER, leaf first, without the root.
    pub chain: Vec<Vec<u8>>,
    /// Key identifiers of the V2G roots that the vehicle holds, `ab:cd:..`.
    pub roots: Vec<String>,
    /// The id it had before.
    pub previous: Option<Personal<String>>,
    /// When it was published.
    pub at: Timestamp,
}

/// What became of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VehicleStored {
    /// It is the first for its PCID.
    Added,
    /// It replaced the owner's earlier one.
    Replaced,
    /// The PCID belongs to another client.
    Foreign,
}

#[derive(Serialize, Deserialize)]
struct Document {
    pcid: String,
    chain: Vec<String>,
    roots: Vec<String>,
    previous: Option<String>,
}

/// PCIDs are compared in capitals [V2G20-2492].
pub(super) fn lookup(pseudonyms: &pseudonym::Pseudonyms, pcid: &str) -> String {
    pseudonyms.lookup("pcid", &pcid.to_ascii_uppercase())
}

impl Store {
    /// Publishes a provisioning certificate; a PCID stays with the client that published it first.
    pub async fn pool_vehicle_put(&self, vehicle: PoolVehicle) -> Result<VehicleStored> {
        let lookup = lookup(&self.pseudonyms, vehicle.pcid.reveal());
        let document = Document {
            pcid: vehicle.pcid.reveal().clone(),
            chain: vehicle.chain.iter().map(|der| STANDARD.encode(der)).collect(),
            roots: vehicle.roots,
            previous: vehicle.previous.map(|pcid| pcid.reveal().clone()),
        };
        let document = serde_json::to_vec(&document).map_err(|_| StoreError::Corrupt("a vehicle"))?;
        let document = sealed::seal(&self.pseudonyms, &place(&lookup), &document)?;
        let reference = pseudonym::reference()?;
        self.write(move |conn| {
            Box::pin(async move {
                let owner = conn
                    .row("SELECT owner FROM pool_vehicle WHERE lookup = $1", params![lookup.as_str()])
                    .await?
                    .map(|row| row.text(0))
                    .transpose()?;
                if owner.as_ref().is_some_and(|owner| *owner != vehicle.owner) {
                    return Ok(VehicleStored::Foreign);
                }
                conn.execute(
                    "INSERT INTO pool_vehicle (lookup, generation, owner, reference, fingerprint, document, at)
                    VALUES ($1, $2, $3, $4, $5, $6, $7)
                    ON CONFLICT (lookup, generation) DO UPDATE SET fingerprint = excluded.fingerprint,
                        document = excluded.document, at = excluded.at",
                    params![
                        lookup,
                        vehicle.generation,
                        vehicle.owner,
                        reference,
                        vehicle.fingerprint,
                        document,
                        vehicle.at
                    ],
                )
                .await?;
                Ok(if owner.is_some() {
                    VehicleStored::Replaced
                } else {
                    VehicleStored::Added
                })
            })
        })
        .await
    }

    /// The certificate of a PCID for one generation, or whichever there is.
    pub async fn pool_vehicle(&self, pcid: &str, generation: Option<&str>) -> Result<Option<PoolVehicle>> {
        let lookup = lookup(&self.pseudonyms, pcid);
        let row = self
            .row(
                "SELECT generation, owner, fingerprint, document, at FROM pool_vehicle
                WHERE lookup = $1 AND (generation = $2 OR $2 = '') ORDER BY generation LIMIT 1",
                params![lookup.as_str(), generation.unwrap_or("")],
            )
            .await?;
        row.as_ref()
            .map(|row| self.read_vehicle(&lookup, row))
            .transpose()
    }

    /// Takes a PCID out, with the contracts made for it; `None` when it was not there, else the contract ids
    /// that went with it.
    pub async fn pool_vehicle_remove(&self, pcid: &str) -> Result<Option<Vec<Personal<String>>>> {
        let lookup = lookup(&self.pseudonyms, pcid);
        let contracts = self.pool_contracts_of(pcid, None).await?;
        let removed = self
            .write(move |conn| {
                Box::pin(async move {
                    let removed = conn
                        .execute(
                            "DELETE FROM pool_vehicle WHERE lookup = $1",
                            params![lookup.as_str()],
                        )
                        .await?;
                    conn.execute("DELETE FROM pool_contract WHERE vehicle = $1", params![lookup])
                        .await?;
                    Ok(removed)
                })
            })
            .await?;
        let mut emaids: Vec<Personal<String>> =
            contracts.into_iter().map(|contract| contract.emaid).collect();
        emaids.dedup_by(|a, b| a.reveal() == b.reveal());
        Ok((removed > 0).then_some(emaids))
    }

    pub(super) fn read_vehicle(&self, lookup: &str, row: &Row) -> Result<PoolVehicle> {
        let corrupt = || StoreError::Corrupt("a vehicle");
        let document = sealed::open(&self.pseudonyms, &place(lookup), &row.text(3)?)?;
        let document: Document = serde_json::from_slice(&document).map_err(|_| corrupt())?;
        Ok(PoolVehicle {
            pcid: Personal::new(document.pcid),
            generation: row.text(0)?,
            owner: row.text(1)?,
            fingerprint: row.text(2)?,
            chain: document
                .chain
                .iter()
                .map(|der| STANDARD.decode(der).map_err(|_| corrupt()))
                .collect::<Result<_>>()?,
            roots: document.roots,
            previous: document.previous.map(Personal::new),
            at: row.time(4)?,
        })
    }
}

fn place(lookup: &str) -> String {
    format!("pool_vehicle/{lookup}")
}
