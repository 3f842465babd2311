//! Certificates, roots and trust stores that change while everything runs: what each holder really has
//! ([`inventory`]), collected from a data folder ([`collect`]); a root's rollover as a file ([`plan`]); a fleet's certificates
//! issued again ([`bulk`]).
//!
//! What breaks on which date, and what a stage of a rollover needs, is decided
//! by `gridlatch_trust`: `forecast`, `rollover`.

pub mod bulk;
pub mod collect;
pub mod inventory;
pub mod plan;
