//! Keys in real tokens: SoftHSM2, a TPM through PKCS#11 and, with the feature `tpm`, a TPM directly. The same demands on
//! every one of them, and on files.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

mod conformance;
mod hostile;
mod softhsm;
#[cfg(feature = "tpm")]
mod tpm;
mod tpm2_pkcs11;
