//! The kinds as policies, commands and the store spell them.

use crate::profile::{Kind, ROWS};

impl Kind {
    /// The kind in one word, stable: `secc-leaf`, `cpo-sub2`.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::V2gRoot => "v2g-root",
            Self::CpoSub1 => "cpo-sub1",
            Self::CpoSub2 => "cpo-sub2",
            Self::SeccLeaf => "secc-leaf",
            Self::CpsSub1 => "cps-sub1",
            Self::CpsSub2 => "cps-sub2",
            Self::CpsLeaf => "cps-leaf",
            Self::OemRoot => "oem-root",
            Self::OemSub1 => "oem-sub1",
            Self::OemSub2 => "oem-sub2",
            Self::OemProvisioning => "oem-provisioning",
            Self::VehicleLeaf => "vehicle-leaf",
            Self::MoRoot => "mo-root",
            Self::MoSub1 => "mo-sub1",
            Self::MoSub2 => "mo-sub2",
            Self::ContractLeaf => "contract-leaf",
            Self::OcspSigner => "ocsp-signer",
            Self::CsmsRoot => "csms-root",
            Self::CsmsSub => "csms-sub",
            Self::CsmsServer => "csms-server",
            Self::StationClient => "station-client",
            Self::BillSigner => "bill-signer",
        }
    }

    /// The kind of such a word.
    #[must_use]
    pub fn from_slug(text: &str) -> Option<Self> {
        ROWS.iter().map(|row| row.kind).find(|kind| kind.slug() == text)
    }

    /// Whether the common name of such a certificate stands for a person: a contract or a vehicle.
    #[must_use]
    pub const fn is_personal(self) -> bool {
        matches!(
            self,
            Self::ContractLeaf | Self::OemProvisioning | Self::VehicleLeaf
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_own_word_alone() {
        for row in ROWS {
            assert_eq!(Kind::from_slug(row.kind.slug()), Some(row.kind));
        }
        for text in ["", "SeccLeaf", "secc", "secc-leaf "] {
            assert_eq!(Kind::from_slug(text), None);
        }
    }
}
