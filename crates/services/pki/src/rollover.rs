//! Certificates, roots and trust stores that change while everything runs: what each holder really has
//! ([`inventory`]), collected from a data folder ([`collect`]).
//!
//! What breaks on which date is foretold by `gridlatch_trust::forecast`.

pub mod collect;
pub mod inventory;
