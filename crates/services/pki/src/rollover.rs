//! Certificates, roots and trust stores that change while everything runs: what each holder really has
//! ([`inventory`]), collected from a data folder ([`collect`]) or named by hash ([`resolve`]); a root's
//! rollover as a file ([`plan`]); a fleet's certificates issued again ([`bulk`]); when everything of a CA's
//! database and everything published ends ([`ends`]).
//!
//! What breaks on which date, and what a stage of a rollover needs, is decided by `gridlatch_trust`:
//! `forecast`, `rollover`.

pub mod bulk;
pub mod collect;
pub mod ends;
pub mod inventory;
pub mod plan;
pub mod resolve;
