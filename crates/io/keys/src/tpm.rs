//! Keys in a TPM 2.0, spoken to directly through the TSS: persistent objects, by their handle.
//!
//! A TPM does one thing at a time, so all keys of one TPM share one connection.

mod device;
mod held;
mod manage;

pub(crate) use held::TpmKey;
pub(crate) use manage::{generate, import, list, remove};
