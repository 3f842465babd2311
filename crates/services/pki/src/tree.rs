//! The fixed part of the development PKI: its CAs, in the order they are made.

use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, KeyAlgorithm, Profile};

/// One CA of the tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    /// File name stem.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The CA that signs it; itself for a root.
    pub(crate) issuer: &'static str,
    pub(crate) common_name: &'static str,
    pub(crate) organization: &'static str,
}

/// Every CA of one generation of ISO 15118, issuers first.
#[rustfmt::skip]
pub(crate) const V2G: &[Node] = &[
    node("v2g-root", Kind::V2gRoot, "v2g-root", "Gridlatch Dev V2G Root", "Gridlatch Dev V2G"),
    node("cpo-sub1", Kind::CpoSub1, "v2g-root", "Gridlatch Dev CPO Sub1", "Gridlatch Dev CPO"),
    node("cpo-sub2", Kind::CpoSub2, "cpo-sub1", "Gridlatch Dev CPO Sub2", "Gridlatch Dev CPO"),
    node("cps-sub1", Kind::CpsSub1, "v2g-root", "Gridlatch Dev CPS Sub1", "Gridlatch Dev CPS"),
    node("cps-sub2", Kind::CpsSub2, "cps-sub1", "Gridlatch Dev CPS Sub2", "Gridlatch Dev CPS"),
    node("oem-root", Kind::OemRoot, "oem-root", "Gridlatch Dev OEM Root", "Gridlatch Dev OEM"),
    node("oem-sub1", Kind::OemSub1, "oem-root", "Gridlatch Dev OEM Sub1", "Gridlatch Dev OEM"),
    node("oem-sub2", Kind::OemSub2, "oem-sub1", "Gridlatch Dev OEM Sub2", "Gridlatch Dev OEM"),
    node("mo-root", Kind::MoRoot, "mo-root", "Gridlatch Dev MO Root", "Gridlatch Dev MO"),
    node("mo-sub1", Kind::MoSub1, "mo-root", "Gridlatch Dev MO Sub1", "Gridlatch Dev MO"),
    node("mo-sub2", Kind::MoSub2, "mo-sub1", "Gridlatch Dev MO Sub2", "Gridlatch Dev MO"),
];

/// The CAs behind OCPP connections.
#[rustfmt::skip]
pub(crate) const OCPP: &[Node] = &[
    node("csms-root", Kind::CsmsRoot, "csms-root", "Gridlatch Dev CSMS Root", "Gridlatch Dev CPO"),
    node("csms-sub", Kind::CsmsSub, "csms-root", "Gridlatch Dev CSMS Sub", "Gridlatch Dev CPO"),
];

const fn node(
    name: &'static str,
    kind: Kind,
    issuer: &'static str,
    common_name: &'static str,
    organization: &'static str,
) -> Node {
    Node {
        name,
        kind,
        issuer,
        common_name,
        organization,
    }
}

/// One tree of CAs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum World {
    /// ISO 15118-2: secp256r1.
    Iso2,
    /// ISO 15118-20 on secp521r1.
    Iso20,
    /// ISO 15118-20 on Ed448. Not part of the development PKI.
    Iso20Ed448,
    /// OCPP: secp256r1.
    Ocpp,
}

impl World {
    /// The trees of the development PKI.
    pub(crate) const ALL: [Self; 3] = [Self::Iso2, Self::Iso20, Self::Ocpp];

    /// Every tree.
    pub const EVERY: [Self; 4] = [Self::Iso2, Self::Iso20, Self::Iso20Ed448, Self::Ocpp];

    /// The tree of a folder name.
    #[must_use]
    pub fn from_folder(text: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|world| world.folder() == text)
    }

    pub(crate) const fn of(generation: Generation) -> Self {
        match generation {
            Generation::Iso2 => Self::Iso2,
            Generation::Iso20 => Self::Iso20,
        }
    }

    /// Its folder, and the first part of its CAs' names: `iso2`, `iso20`, `iso20-ed448`, `ocpp`.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Iso2 => "iso2",
            Self::Iso20 => "iso20",
            Self::Iso20Ed448 => "iso20-ed448",
            Self::Ocpp => "ocpp",
        }
    }

    /// The type of its keys.
    #[must_use]
    pub const fn algorithm(self) -> KeyAlgorithm {
        match self {
            Self::Iso2 | Self::Ocpp => KeyAlgorithm::P256,
            Self::Iso20 => KeyAlgorithm::P521,
            Self::Iso20Ed448 => KeyAlgorithm::Ed448,
        }
    }

    pub(crate) const fn nodes(self) -> &'static [Node] {
        match self {
            Self::Iso2 | Self::Iso20 | Self::Iso20Ed448 => V2G,
            Self::Ocpp => OCPP,
        }
    }

    /// A kind of certificate by this tree's rules.
    #[must_use]
    pub const fn profile(self, kind: Kind) -> Profile {
        match self {
            Self::Iso2 | Self::Ocpp => Profile::iso2(kind),
            Self::Iso20 | Self::Iso20Ed448 => Profile::iso20(kind),
        }
    }

    pub(crate) fn node(self, name: &str) -> Option<&'static Node> {
        self.nodes().iter().find(|node| node.name == name)
    }

    /// The CA's common name tells the generations apart, so that their roots never share a name.
    pub(crate) fn common_name(self, node: &Node) -> String {
        match self {
            Self::Iso20 => format!("{} 20", node.common_name),
            Self::Iso20Ed448 => format!("{} 20 Ed448", node.common_name),
            Self::Iso2 | Self::Ocpp => node.common_name.to_owned(),
        }
    }
}
