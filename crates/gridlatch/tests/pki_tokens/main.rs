//! A certification authority whose keys are in a token or a TPM, run by the commands a person types and judged by
//! OpenSSL and curl.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

mod bench;
mod softhsm;
mod tpm;
