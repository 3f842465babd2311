//! placeholder
pub mod backend;
pub mod csms;
