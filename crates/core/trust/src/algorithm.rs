//! The key types the standards allow, and what follows from each.

use const_oid::ObjectIdentifier;

/// A public-key algorithm with its curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyAlgorithm {
    /// ECDSA on secp256r1 with SHA-256: ISO 15118-2 and OCPP.
    P256,
    /// ECDSA on secp521r1 with SHA-512: ISO 15118-20.
    P521,
    /// Ed448: the second choice of ISO 15118-20.
    Ed448,
}

impl KeyAlgorithm {
    /// Every algorithm, weakest first.
    pub const ALL: [Self; 3] = [Self::P256, Self::P521, Self::Ed448];

    /// The curve's name as standards write it: `secp256r1`, `secp521r1`, `Ed448`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "secp256r1",
            Self::P521 => "secp521r1",
            Self::Ed448 => "Ed448",
        }
    }

    /// The OID of the signature made with such a key.
    #[must_use]
    pub const fn signature_oid(self) -> ObjectIdentifier {
        match self {
            Self::P256 => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
            Self::P521 => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"),
            Self::Ed448 => ObjectIdentifier::new_unwrap("1.3.101.113"),
        }
    }

    /// The algorithm behind a signature OID.
    #[must_use]
    pub fn from_signature_oid(oid: &ObjectIdentifier) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.signature_oid() == *oid)
    }
}

impl core::fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which edition of ISO 15118 a key, a certificate or a connection serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generation {
    /// ISO 15118-2: TLS 1.2, P-256.
    Iso2,
    /// ISO 15118-20: mutual TLS 1.3, P-521 or Ed448.
    Iso20,
}

impl core::fmt::Display for Generation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Iso2 => "ISO 15118-2",
            Self::Iso20 => "ISO 15118-20",
        })
    }
}
