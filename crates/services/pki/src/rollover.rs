//! Certificates, roots and trust stores that change while everything runs: what each holder really has
//! ([`inventory`]), collected from a data folder ([`collect`]); a station that crosses over from one
//! certificate to the next ([`crossover`]); a root's rollover as a file ([`plan`]); a fleet's certificates
//! issued again ([`bulk`]).
//!
//! What breaks on which date, when a certificate is due, and what a stage of a rollover needs, is decided
//! by `gridlatch_trust`: `forecast`, `renewal`, `rollover`.

pub mod bulk;
pub mod collect;
pub mod crossover;
pub mod inventory;
pub mod plan;
