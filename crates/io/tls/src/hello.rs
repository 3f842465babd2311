//! What a ClientHello says about what the client can verify and whom it trusts.
//!
//! Parsed here from the raw extension bodies because OpenSSL has no notion of `trusted_ca_keys`, and
//! because a refused client should be told from what it offered.

use gridlatch_trust::KeyAlgorithm;

/// How many authorities of one hello are looked at; [V2G2-878] allows ten roots per authority, and a
/// vehicle holds few authorities.
pub const MAX_AUTHORITIES: usize = 64;

/// One entry of `trusted_ca_keys` (RFC 6066, section 6) or of `certificate_authorities` (RFC 8446, section 4.2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// SHA-1 of the root's public key bits.
    KeySha1([u8; 20]),
    /// The root's subject in DER.
    Name(Vec<u8>),
    /// SHA-1 of the root certificate.
    CertificateSha1([u8; 20]),
}

/// The offer of one client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// Cipher suites by number.
    pub suites: Vec<u16>,
    /// Versions of `supported_versions`; empty for a client that predates TLS 1.3.
    pub versions: Vec<u16>,
    /// Groups by number.
    pub groups: Vec<u16>,
    /// Signature schemes by number.
    pub schemes: Vec<u16>,
    /// Roots the client says it trusts; empty when it does not say.
    pub authorities: Vec<Authority>,
}

/// The extension bodies an [`Offer`] is read from; `None` where the client sent none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extensions<'a> {
    /// 43.
    pub supported_versions: Option<&'a [u8]>,
    /// 10.
    pub supported_groups: Option<&'a [u8]>,
    /// 13.
    pub signature_algorithms: Option<&'a [u8]>,
    /// 3.
    pub trusted_ca_keys: Option<&'a [u8]>,
    /// 47.
    pub certificate_authorities: Option<&'a [u8]>,
}

impl Offer {
    /// Reads an offer.
    ///
    /// # Errors
    /// The name of the extension whose lengths contradict each other.
    pub fn parse(suites: &[u8], extensions: &Extensions<'_>) -> Result<Self, &'static str> {
        let list16 = |body: Option<&[u8]>, name| match body {
            Some(body) => vector16(body).and_then(numbers).ok_or(name),
            None => Ok(Vec::new()),
        };
        let mut authorities = match extensions.trusted_ca_keys {
            Some(body) => trusted_ca_keys(body).ok_or("trusted_ca_keys")?,
            None => Vec::new(),
        };
        if let Some(body) = extensions.certificate_authorities {
            authorities.extend(certificate_authorities(body).ok_or("certificate_authorities")?);
        }
        Ok(Self {
            suites: numbers(suites).ok_or("cipher_suites")?,
            versions: match extensions.supported_versions {
                Some(body) => vector8(body).and_then(numbers).ok_or("supported_versions")?,
                None => Vec::new(),
            },
            groups: list16(extensions.supported_groups, "supported_groups")?,
            schemes: list16(extensions.signature_algorithms, "signature_algorithms")?,
            authorities,
        })
    }

    /// Whether the client can verify a signature made by such a key. A TLS 1.2 client that sends no
    /// list is taken at P-256, which ISO 15118-2 demands.
    #[must_use]
    pub fn verifies(&self, algorithm: KeyAlgorithm) -> bool {
        match algorithm {
            KeyAlgorithm::P256 => self.schemes.is_empty() || self.schemes.contains(&0x0403),
            KeyAlgorithm::P521 => self.schemes.contains(&0x0603),
            KeyAlgorithm::Ed448 => self.schemes.contains(&0x0808),
        }
    }

    /// Whether the client lists the group that goes with such a key (X448 with Ed448).
    #[must_use]
    pub fn has_group_of(&self, algorithm: KeyAlgorithm) -> bool {
        self.groups.contains(&match algorithm {
            KeyAlgorithm::P256 => 23,
            KeyAlgorithm::P521 => 25,
            KeyAlgorithm::Ed448 => 30,
        })
    }

    /// Whether every real suite offered is static ECDH, as a -2 vehicle may that implements only
    /// `TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA256`.
    #[must_use]
    pub fn only_static_ecdh(&self) -> bool {
        let mut real = self
            .suites
            .iter()
            .filter(|suite| !is_signalling(**suite))
            .peekable();
        real.peek().is_some() && real.all(|suite| STATIC_ECDH.contains(suite))
    }

    /// The offer in one line, for a refusal.
    #[must_use]
    pub fn describe(&self) -> String {
        let hex = |numbers: &[u16]| {
            let mut shown: Vec<String> = numbers.iter().take(12).map(|n| format!("{n:04X}")).collect();
            if numbers.len() > 12 {
                shown.push(format!("and {} more", numbers.len() - 12));
            }
            if shown.is_empty() {
                "none".to_owned()
            } else {
                shown.join(" ")
            }
        };
        format!(
            "offered suites {}, groups {}, signature schemes {}",
            hex(&self.suites),
            hex(&self.groups),
            hex(&self.schemes)
        )
    }
}

fn is_signalling(suite: u16) -> bool {
    // Renegotiation info, fallback, and GREASE (RFC 8701).
    matches!(suite, 0x00FF | 0x5600) || suite & 0x0F0F == 0x0A0A && suite >> 8 == suite & 0xFF
}

/// ECDH_ECDSA and ECDH_RSA suites of RFC 8422 and RFC 5289.
const STATIC_ECDH: [u16; 16] = [
    0xC002, 0xC003, 0xC004, 0xC005, 0xC00C, 0xC00D, 0xC00E, 0xC00F, 0xC025, 0xC026, 0xC029, 0xC02A, 0xC02D,
    0xC02E, 0xC031, 0xC032,
];

fn trusted_ca_keys(body: &[u8]) -> Option<Vec<Authority>> {
    let mut rest = vector16(body)?;
    let mut found = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        let authority;
        (authority, rest) = match kind {
            // pre_agreed: no body, nothing to choose by.
            0 => (None, after),
            1 | 3 => {
                let (hash, after) = after.split_first_chunk::<20>()?;
                let authority = if *kind == 1 {
                    Authority::KeySha1(*hash)
                } else {
                    Authority::CertificateSha1(*hash)
                };
                (Some(authority), after)
            }
            2 => {
                let (name, after) = prefixed16(after)?;
                (Some(Authority::Name(name.to_vec())), after)
            }
            _ => return None,
        };
        if found.len() < MAX_AUTHORITIES {
            found.extend(authority);
        }
    }
    Some(found)
}

fn certificate_authorities(body: &[u8]) -> Option<Vec<Authority>> {
    let mut rest = vector16(body)?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (name, after) = prefixed16(rest)?;
        rest = after;
        if found.len() < MAX_AUTHORITIES {
            found.push(Authority::Name(name.to_vec()));
        }
    }
    Some(found)
}

/// A 16-bit length and that many octets, and what follows.
fn prefixed16(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// A 16-bit length and exactly that many octets.
fn vector16(body: &[u8]) -> Option<&[u8]> {
    prefixed16(body)
        .filter(|(_, rest)| rest.is_empty())
        .map(|(content, _)| content)
}

/// An 8-bit length and exactly that many octets.
fn vector8(body: &[u8]) -> Option<&[u8]> {
    let (length, rest) = body.split_first()?;
    (rest.len() == usize::from(*length)).then_some(rest)
}

fn numbers(body: &[u8]) -> Option<Vec<u16>> {
    let (pairs, rest) = body.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
}
