//! The Plug & Charge contract, and the bridge from a signer that holds its key elsewhere.

use core::cell::RefCell;

use gridlatch_vocab::Personal;
use iso15118::pnc::{self, PncError, Suite};

/// The curve of a contract key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// secp256r1, with SHA-256.
    P256,
    /// secp521r1, with SHA-512; ISO 15118-20 only.
    P521,
}

impl Curve {
    pub(crate) const fn suite(self) -> Suite {
        match self {
            Self::P256 => Suite::EcdsaSha256,
            Self::P521 => Suite::EcdsaSha512,
        }
    }

    /// Length of one half of a raw signature, bytes.
    const fn coordinate(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P521 => 66,
        }
    }
}

/// Signs with a contract key that never enters this crate.
pub trait ContractSigner: Send + core::fmt::Debug {
    /// The key's curve.
    fn curve(&self) -> Curve;

    /// An ECDSA signature in DER over the digest that belongs to the curve. The error says why not.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String>;
}

/// A contract: who pays, the chain that says so, and the key that proves it.
#[derive(Debug)]
pub struct Contract {
    /// The contract id.
    pub emaid: Personal<String>,
    /// Leaf and sub-CAs in DER, leaf first, without the root. At most 1 + 4 certificates go on the wire.
    pub chain: Vec<Vec<u8>>,
    /// The key.
    pub signer: Box<dyn ContractSigner>,
}

/// Sub-certificates ISO 15118 allows next to the leaf (`SubCertificatesType`).
pub(crate) const MAX_SUB_CERTIFICATES: usize = 4;

impl Contract {
    /// The leaf, or an empty slice when the chain is empty.
    pub(crate) fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    /// The sub-CA certificates, the leaf's issuer first.
    pub(crate) fn sub_certificates(&self) -> Vec<Vec<u8>> {
        self.chain
            .iter()
            .skip(1)
            .take(MAX_SUB_CERTIFICATES)
            .cloned()
            .collect()
    }
}

/// `iso15118`'s signing trait over a [`ContractSigner`], keeping the signer's own words when it fails.
pub(crate) struct SignWith<'a> {
    signer: &'a dyn ContractSigner,
    reason: RefCell<Option<String>>,
}

impl<'a> SignWith<'a> {
    pub(crate) const fn new(signer: &'a dyn ContractSigner) -> Self {
        Self {
            signer,
            reason: RefCell::new(None),
        }
    }

    /// What went wrong, as one sentence.
    pub(crate) fn explain(&self, operation: &str, error: &PncError) -> String {
        match self.reason.borrow().as_deref() {
            Some(reason) => format!("{operation}: {reason}"),
            None => format!("{operation}: {error}"),
        }
    }
}

impl pnc::Sign for SignWith<'_> {
    fn sign(&self, suite: Suite, data: &[u8]) -> Result<Vec<u8>, PncError> {
        let curve = self.signer.curve();
        if suite != curve.suite() {
            return Err(PncError::UnsupportedAlgorithm(
                suite.signature_algorithm().to_owned(),
            ));
        }
        let der = self.signer.sign(data).map_err(|reason| {
            *self.reason.borrow_mut() = Some(reason);
            PncError::Backend("the contract key refused to sign")
        })?;
        raw_signature(&der, curve.coordinate())
            .ok_or(PncError::Backend("the contract key returned no ECDSA signature"))
    }
}

/// The fixed-length `r || s` that XML signatures carry (RFC 4051 section 2.3.6), from a DER
/// `SEQUENCE { r INTEGER, s INTEGER }`. `None` when the DER is malformed or a half does not fit.
#[must_use]
pub fn raw_signature(der: &[u8], coordinate: usize) -> Option<Vec<u8>> {
    let (body, rest) = element(der, 0x30)?;
    let (r, after) = element(body, 0x02)?;
    let (s, end) = element(after, 0x02)?;
    if !rest.is_empty() || !end.is_empty() {
        return None;
    }
    let mut raw = Vec::with_capacity(2 * coordinate);
    for half in [r, s] {
        let first = half.iter().position(|byte| *byte != 0).unwrap_or(half.len());
        let digits = half.get(first..)?;
        let padding = coordinate.checked_sub(digits.len())?;
        raw.resize(raw.len() + padding, 0);
        raw.extend_from_slice(digits);
    }
    Some(raw)
}

/// Splits one DER element with `tag` off the front: its content, and what follows.
fn element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = input.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        // P-521 signatures pass 127 bytes and need the one-byte long form; longer ones do not exist here.
        0x81 => {
            let (&long, rest) = rest.split_first()?;
            (usize::from(long), rest)
        }
        _ => return None,
    };
    (found == tag && rest.len() >= length).then(|| rest.split_at(length))
}
