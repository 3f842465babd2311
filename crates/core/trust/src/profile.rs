//! What each kind of certificate must look like: one row per kind, with its clause.
//!
//! The sources are Annex F of ISO 15118-2 (and what ISO 15118-20 changes of it) as cited by public
//! implementations, and OCPP 2.0.1 part A. `docs/trust.md` shows the same table.

use crate::{Generation, KeyAlgorithm};

/// A kind of certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is described by its row of the table")]
pub enum Kind {
    V2gRoot,
    CpoSub1,
    CpoSub2,
    SeccLeaf,
    CpsSub1,
    CpsSub2,
    CpsLeaf,
    OemRoot,
    OemSub1,
    OemSub2,
    OemProvisioning,
    VehicleLeaf,
    MoRoot,
    MoSub1,
    MoSub2,
    ContractLeaf,
    OcspSigner,
    CsmsRoot,
    CsmsSub,
    CsmsServer,
    StationClient,
    BillSigner,
}

/// A kind of certificate in one generation: what a chain is judged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Profile {
    /// The kind of the leaf (or of the CA to be issued).
    pub kind: Kind,
    /// Whose algorithms and limits apply. OCPP certificates follow ISO 15118-2's.
    pub generation: Generation,
}

impl Profile {
    /// A kind under the rules of ISO 15118-2.
    #[must_use]
    pub const fn iso2(kind: Kind) -> Self {
        Self {
            kind,
            generation: Generation::Iso2,
        }
    }

    /// A kind under the rules of ISO 15118-20.
    #[must_use]
    pub const fn iso20(kind: Kind) -> Self {
        Self {
            kind,
            generation: Generation::Iso20,
        }
    }

    /// The row of this kind.
    #[must_use]
    pub fn row(self) -> &'static Row {
        self.kind.row()
    }

    /// The key types the generation allows.
    #[must_use]
    pub const fn algorithms(self) -> &'static [KeyAlgorithm] {
        match self.generation {
            Generation::Iso2 => &[KeyAlgorithm::P256],
            Generation::Iso20 => &[KeyAlgorithm::P521, KeyAlgorithm::Ed448],
        }
    }

    /// The largest certificate in octets of DER: 800 by [V2G2-010], 1600 by ISO 15118-20 Amd 1. OCPP
    /// sets none beyond its 5500 characters of PEM; the same order of size is kept.
    #[must_use]
    pub fn max_octets(self) -> usize {
        match (self.row().world, self.generation) {
            (World::V2g, Generation::Iso2) => 800,
            (World::V2g, Generation::Iso20) | (World::Ocpp, _) => 1600,
        }
    }
}

impl core::fmt::Display for Profile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.row().world {
            World::V2g => write!(f, "{} of {}", self.row().name, self.generation),
            World::Ocpp => f.write_str(self.row().name),
        }
    }
}

/// Which standard a kind belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// ISO 15118.
    V2g,
    /// OCPP.
    Ocpp,
}

/// What a certificate may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// A CA; `path_len` is how many CAs may follow it, `None` for a root.
    Ca {
        /// `pathLenConstraint`.
        path_len: Option<u8>,
    },
    /// Not a CA.
    Leaf,
}

/// Bits of `keyUsage` as RFC 5280 numbers them, lowest first.
pub mod usage {
    #![allow(missing_docs, reason = "bits as RFC 5280 names them")]
    pub const DIGITAL_SIGNATURE: u16 = 1;
    pub const NON_REPUDIATION: u16 = 1 << 1;
    pub const KEY_ENCIPHERMENT: u16 = 1 << 2;
    pub const KEY_AGREEMENT: u16 = 1 << 4;
    pub const KEY_CERT_SIGN: u16 = 1 << 5;
    pub const CRL_SIGN: u16 = 1 << 6;
}

/// Purposes of `extKeyUsage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// id-kp-serverAuth.
    ServerAuth,
    /// id-kp-clientAuth.
    ClientAuth,
    /// id-kp-OCSPSigning; such a certificate also carries `ocsp-nocheck`.
    OcspSigning,
}

/// The grammar of a common name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommonName {
    /// 1 to 64 printable characters.
    Free,
    /// A SECCID or an EVSEID: letters, digits, `*` and `-`.
    Secc,
    /// An EMAID without separators: 14 or 15 letters and digits [V2G2-108].
    Emaid,
    /// A provisioning certificate id: WMI and 14 or 15 letters and digits [V2G2-933].
    Pcid,
    /// An OCPP charging station identity.
    Station,
}

impl CommonName {
    /// Whether `name` follows the grammar.
    #[must_use]
    pub fn accepts(self, name: &str) -> bool {
        let length = name.chars().count();
        match self {
            Self::Free => (1..=64).contains(&length) && !name.chars().any(char::is_control),
            Self::Secc => {
                (1..=64).contains(&length)
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'-'))
            }
            Self::Emaid => matches!(name.len(), 14 | 15) && name.parse::<gridlatch_vocab::Emaid>().is_ok(),
            Self::Pcid => matches!(name.len(), 17 | 18) && name.bytes().all(|b| b.is_ascii_alphanumeric()),
            Self::Station => name.parse::<gridlatch_vocab::StationId>().is_ok(),
        }
    }

    /// The rule in words.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Free => "1 to 64 printable characters",
            Self::Secc => "a SECCID or EVSEID: 1 to 64 letters, digits, * and -",
            Self::Emaid => "an EMAID: 14 or 15 letters and digits, country first",
            Self::Pcid => "a PCID: 17 or 18 letters and digits",
            Self::Station => "a charging station identity: 1 to 48 of letters, digits and * - _ = : + | @ .",
        }
    }
}

/// One kind's rules.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The kind.
    pub kind: Kind,
    /// What people call it.
    pub name: &'static str,
    /// Where the rules come from.
    pub clause: &'static str,
    /// Which standard it belongs to.
    pub world: World,
    /// CA or leaf.
    pub authority: Authority,
    /// `keyUsage` as issued here; critical.
    pub issued_usage: u16,
    /// The bits of it that a certificate from elsewhere must have to be accepted.
    pub required_usage: u16,
    /// `extKeyUsage`; empty for none.
    pub purposes: &'static [Purpose],
    /// The domain component as issued here.
    pub domain_component: Option<&'static str>,
    /// Whether a certificate without that domain component is invalid ([V2G2-925] for the SECC).
    pub domain_component_required: bool,
    /// The grammar of the common name.
    pub common_name: CommonName,
    /// Which kinds may sign it; a root signs itself.
    pub issuers: &'static [Kind],
    /// Lifetime as issued here, in days; never beyond the issuer's end.
    pub days: u32,
    /// The longest lifetime the profile allows, in days.
    pub max_days: u32,
}

impl Kind {
    /// The row of this kind.
    #[must_use]
    pub fn row(self) -> &'static Row {
        ROWS.iter()
            .find(|row| row.kind == self)
            .expect("every kind has a row; a test counts them")
    }

    /// Whether this is a self-signed root.
    #[must_use]
    pub fn is_root(self) -> bool {
        self.row().authority == Authority::Ca { path_len: None }
    }
}

const YEAR: u32 = 365;
const CA: u16 = usage::KEY_CERT_SIGN | usage::CRL_SIGN;
const SIGN: u16 = usage::DIGITAL_SIGNATURE;
const AGREE: u16 = usage::DIGITAL_SIGNATURE | usage::KEY_AGREEMENT;
const CONTRACT: u16 =
    usage::DIGITAL_SIGNATURE | usage::NON_REPUDIATION | usage::KEY_ENCIPHERMENT | usage::KEY_AGREEMENT;
/// Annex F lets the second MO sub-CA sign contract data as well.
const MO_SUB2: u16 = CA | usage::DIGITAL_SIGNATURE | usage::NON_REPUDIATION;

const ROOT: Authority = Authority::Ca { path_len: None };
const SUB1: Authority = Authority::Ca { path_len: Some(1) };
const SUB2: Authority = Authority::Ca { path_len: Some(0) };

#[rustfmt::skip]
macro_rules! rows {
    ($($kind:ident $name:literal, $clause:literal, $world:ident, $authority:expr, usage $issued:expr, needs $needed:expr, for [$($purpose:ident),*],
       dc $dc:expr, must $must:literal, cn $cn:ident, by [$($issuer:ident),*], days $days:expr, max $max:expr;)*) => {
        /// Every kind, roots first within each tree.
        pub const ROWS: &[Row] = &[$(Row {
            kind: Kind::$kind, name: $name, clause: $clause, world: World::$world, authority: $authority,
            issued_usage: $issued, required_usage: $needed, purposes: &[$(Purpose::$purpose),*],
            domain_component: $dc, domain_component_required: $must, common_name: CommonName::$cn,
            issuers: &[$(Kind::$issuer),*], days: $days, max_days: $max,
        }),*];
    };
}

#[rustfmt::skip]
rows! {
    V2gRoot "V2G root", "ISO 15118-2 Table F.1, [V2G2-011]", V2g, ROOT, usage CA, needs usage::KEY_CERT_SIGN, for [], dc Some("V2G"), must false, cn Free, by [V2gRoot], days 40 * YEAR, max 40 * YEAR + 10;
    CpoSub1 "CPO sub-CA 1", "ISO 15118-2 Table F.2", V2g, SUB1, usage CA, needs usage::KEY_CERT_SIGN, for [], dc Some("V2G"), must false, cn Free, by [V2gRoot], days 4 * YEAR, max 4 * YEAR + 1;
    CpoSub2 "CPO sub-CA 2", "ISO 15118-2 Table F.2", V2g, SUB2, usage CA, needs usage::KEY_CERT_SIGN, for [], dc Some("V2G"), must false, cn Free, by [CpoSub1], days 2 * YEAR, max 2 * YEAR;
    SeccLeaf "SECC certificate", "ISO 15118-2 Table F.2, [V2G2-925]", V2g, Authority::Leaf, usage AGREE, needs SIGN, for [], dc Some("CPO"), must true, cn Secc, by [CpoSub1, CpoSub2], days 90, max 93;
    CpsSub1 "CPS sub-CA 1", "ISO 15118-2 Table F.3", V2g, SUB1, usage CA, needs usage::KEY_CERT_SIGN, for [], dc Some("CPS"), must false, cn Free, by [V2gRoot], days 4 * YEAR, max 4 * YEAR + 1;
    CpsSub2 "CPS sub-CA 2", "ISO 15118-2 Table F.3", V2g, SUB2, usage CA, needs usage::KEY_CERT_SIGN, for [], dc Some("CPS"), must false, cn Free, by [CpsSub1], days 2 * YEAR, max 2 * YEAR;
    CpsLeaf "CPS signer", "ISO 15118-2 Table F.3", V2g, Authority::Leaf, usage SIGN, needs SIGN, for [], dc Some("CPS"), must false, cn Free, by [CpsSub1, CpsSub2], days 90, max 93;
    OemRoot "OEM root", "ISO 15118-2 Table F.5", V2g, ROOT, usage CA, needs usage::KEY_CERT_SIGN, for [], dc Some("OEM"), must false, cn Free, by [OemRoot], days 40 * YEAR, max 40 * YEAR + 10;
    OemSub1 "OEM sub-CA 1", "ISO 15118-2 Table F.5", V2g, SUB1, usage CA, needs usage::KEY_CERT_SIGN, for [], dc Some("OEM"), must false, cn Free, by [OemRoot], days 20 * YEAR, max 40 * YEAR + 10;
    OemSub2 "OEM sub-CA 2", "ISO 15118-2 Table F.5", V2g, SUB2, usage CA, needs usage::KEY_CERT_SIGN, for [], dc Some("OEM"), must false, cn Free, by [OemSub1], days 15 * YEAR, max 40 * YEAR + 10;
    OemProvisioning "OEM provisioning certificate", "ISO 15118-2 Table F.5, [V2G2-933]", V2g, Authority::Leaf, usage AGREE, needs SIGN, for [], dc Some("OEM"), must false, cn Pcid, by [OemSub1, OemSub2], days 4 * YEAR, max 40 * YEAR + 10;
    VehicleLeaf "vehicle certificate", "ISO 15118-20 Annex B", V2g, Authority::Leaf, usage AGREE, needs SIGN, for [], dc Some("OEM"), must false, cn Pcid, by [OemSub1, OemSub2], days 4 * YEAR, max 40 * YEAR + 10;
    MoRoot "MO root", "ISO 15118-2 Table F.4", V2g, ROOT, usage CA, needs usage::KEY_CERT_SIGN, for [], dc Some("MO"), must false, cn Free, by [MoRoot], days 40 * YEAR, max 40 * YEAR + 10;
    MoSub1 "MO sub-CA 1", "ISO 15118-2 Table F.4", V2g, SUB1, usage CA, needs usage::KEY_CERT_SIGN, for [], dc Some("MO"), must false, cn Free, by [MoRoot, V2gRoot], days 8 * YEAR, max 40 * YEAR + 10;
    MoSub2 "MO sub-CA 2", "ISO 15118-2 Table F.4", V2g, SUB2, usage MO_SUB2, needs usage::KEY_CERT_SIGN, for [], dc Some("MO"), must false, cn Free, by [MoSub1], days 4 * YEAR, max 40 * YEAR + 10;
    ContractLeaf "contract certificate", "ISO 15118-2 Table F.4, [V2G2-108]", V2g, Authority::Leaf, usage CONTRACT, needs usage::DIGITAL_SIGNATURE | usage::NON_REPUDIATION, for [], dc Some("MO"), must false, cn Emaid, by [MoSub1, MoSub2], days 2 * YEAR, max 2 * YEAR + 1;
    OcspSigner "OCSP signer", "ISO 15118-2 Table F.2, RFC 6960 section 4.2.2.2", V2g, Authority::Leaf, usage SIGN, needs SIGN, for [OcspSigning], dc Some("V2G"), must false, cn Free, by [V2gRoot, CpoSub1, CpoSub2, OemRoot, OemSub1, OemSub2, MoRoot, MoSub1, MoSub2, CpsSub1, CpsSub2, CsmsRoot, CsmsSub], days 90, max 93;
    CsmsRoot "CSMS root", "OCPP 2.0.1 part A section 4", Ocpp, ROOT, usage CA, needs usage::KEY_CERT_SIGN, for [], dc None, must false, cn Free, by [CsmsRoot], days 20 * YEAR, max 40 * YEAR + 10;
    CsmsSub "CSMS sub-CA", "OCPP 2.0.1 part A section 4", Ocpp, SUB2, usage CA, needs usage::KEY_CERT_SIGN, for [], dc None, must false, cn Free, by [CsmsRoot], days 10 * YEAR, max 20 * YEAR + 5;
    CsmsServer "CSMS certificate", "OCPP 2.0.1 A00.FR.507", Ocpp, Authority::Leaf, usage AGREE, needs SIGN, for [ServerAuth], dc None, must false, cn Free, by [CsmsRoot, CsmsSub], days YEAR, max 2 * YEAR;
    StationClient "charging station certificate", "OCPP 2.0.1 A00.FR.405, A00.FR.406", Ocpp, Authority::Leaf, usage AGREE, needs SIGN, for [ClientAuth], dc None, must false, cn Station, by [CsmsRoot, CsmsSub], days YEAR, max 2 * YEAR;
    BillSigner "bill signer", "RFC 7515 section 4.1.6, RFC 5280 section 4.2.1.3", Ocpp, Authority::Leaf, usage SIGN | usage::NON_REPUDIATION, needs SIGN | usage::NON_REPUDIATION, for [], dc None, must false, cn Free, by [CsmsRoot, CsmsSub], days YEAR, max 2 * YEAR;
}
