//! The pools of the Plug & Charge ecosystem: root, provisioning and contract certificates, who may use them,
//! and what is still to be told to whom.
//!
//! PCIDs and contract ids identify people: rows are found by HMAC and the documents are sealed. Deliberately
//! absent: certificates' meaning and the rules of the pools, which are the service's (`services/pki`).

mod client;
mod contract;
pub(crate) mod link;
mod root;
mod takeover;
pub(crate) mod update;
mod vehicle;
mod webhook;

pub use client::{PoolClient, PoolToken};
pub use contract::{ContractStored, PoolContract};
pub use link::PoolLink;
pub use root::PoolRoot;
pub use takeover::PoolMoved;
pub use update::PoolUpdate;
pub use vehicle::{PoolVehicle, VehicleStored};
pub use webhook::{PoolDelivery, PoolWebhook};

/// How many rows a listing of a pool returns at most.
pub const POOL_LIST: i64 = 512;

/// The tables of this area.
pub(crate) const STEP: &[&str] = &[
    "CREATE TABLE pool_root (
        id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, fingerprint TEXT NOT NULL, der TEXT NOT NULL,
        added_by TEXT NOT NULL, at BIGINT NOT NULL, UNIQUE (kind, fingerprint))",
    "CREATE TABLE pool_vehicle (
        lookup TEXT NOT NULL, generation TEXT NOT NULL, owner TEXT NOT NULL, reference TEXT NOT NULL,
        fingerprint TEXT NOT NULL, document TEXT NOT NULL, at BIGINT NOT NULL,
        PRIMARY KEY (lookup, generation))",
    "CREATE TABLE pool_contract (
        lookup TEXT NOT NULL, generation TEXT NOT NULL, cps_root TEXT NOT NULL, vehicle TEXT NOT NULL,
        owner TEXT NOT NULL, reference TEXT NOT NULL, priority BIGINT NOT NULL, not_after BIGINT NOT NULL,
        document TEXT NOT NULL, at BIGINT NOT NULL,
        PRIMARY KEY (lookup, generation, cps_root))",
    "CREATE INDEX pool_contract_vehicle ON pool_contract (vehicle, generation, priority, at)",
    "CREATE TABLE pool_client (
        id TEXT NOT NULL PRIMARY KEY, secret TEXT NOT NULL, document TEXT NOT NULL, at BIGINT NOT NULL)",
    "CREATE TABLE pool_token (
        digest TEXT NOT NULL PRIMARY KEY, client TEXT NOT NULL, expires_at BIGINT NOT NULL)",
    "CREATE INDEX pool_token_client ON pool_token (client, expires_at)",
    "CREATE TABLE pool_webhook (
        id TEXT NOT NULL PRIMARY KEY, client TEXT NOT NULL, document TEXT NOT NULL, at BIGINT NOT NULL)",
    "CREATE INDEX pool_webhook_client ON pool_webhook (client, id)",
    "CREATE TABLE pool_delivery (
        number NUMBER, webhook TEXT NOT NULL, document TEXT NOT NULL, attempts BIGINT NOT NULL,
        due_at BIGINT NOT NULL, at BIGINT NOT NULL)",
    "CREATE INDEX pool_delivery_due ON pool_delivery (due_at, number)",
];
