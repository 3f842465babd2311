//! From a path to a kind of certificate, and from the request's key to the CA that issues it.

use gridlatch_trust::profile::Kind;
use gridlatch_trust::{KeyAlgorithm, Profile};

use crate::ca::World;

/// What a path asks for: a kind, and the tree if the path names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) kind: Kind,
    pub(super) world: Option<World>,
}

/// Who issues what in one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Desk {
    pub(super) authority: String,
    pub(super) profile: Profile,
}

/// Words of a path, the kind, and the CA within the tree. The first word of a kind is our own, `cpo`, `mo`,
/// `oem`, `veh` and `cps` are those of the Open Plug & Charge Protocol.
const KINDS: &[(&[&str], Kind, &str)] = &[
    (&["secc", "cpo"], Kind::SeccLeaf, "cpo-sub2"),
    (&["contract", "mo"], Kind::ContractLeaf, "mo-sub2"),
    (&["provisioning", "oem"], Kind::OemProvisioning, "oem-sub2"),
    (&["vehicle", "veh"], Kind::VehicleLeaf, "oem-sub2"),
    (&["cps"], Kind::CpsLeaf, "cps-sub2"),
    (&["station"], Kind::StationClient, "csms-sub"),
    (&["csms"], Kind::CsmsServer, "csms-sub"),
];

/// The words by which the Open Plug & Charge Protocol names its CAs.
pub(super) const OPCP: [&str; 5] = ["mo", "cps", "oem", "cpo", "veh"];

impl Wanted {
    /// Without a label: a station's certificate for vehicles.
    pub(super) const DEFAULT: Self = Self {
        kind: Kind::SeccLeaf,
        world: None,
    };

    /// `secc`, `contract-iso20`, `cpo`.
    pub(super) fn from_label(label: &str) -> Option<Self> {
        let (word, world) = match label.split_once('-') {
            Some((word, folder)) => (word, Some(World::from_folder(folder)?)),
            None => (label, None),
        };
        let (_, kind, _) = KINDS.iter().find(|(words, ..)| words.contains(&word))?;
        let fits = world.is_none_or(|world| worlds(*kind).contains(&world));
        fits.then_some(Self { kind: *kind, world })
    }

    /// A word with the version of ISO 15118, and for CA certificates the curve, as the Open Plug & Charge
    /// Protocol spells them.
    pub(super) fn from_opcp(word: &str, iso: Option<&str>, curve: Option<&str>) -> Option<Vec<Self>> {
        let Self { kind, .. } = Self::from_label(word)?;
        let of_iso: &[World] = match iso {
            None => return Some(vec![Self { kind, world: None }]),
            Some("ISO15118-2") => &[World::Iso2],
            Some("ISO15118-20") => &[World::Iso20, World::Iso20Ed448],
            Some(_) => return None,
        };
        let algorithm = match curve {
            None => None,
            Some("secp256r1") => Some(KeyAlgorithm::P256),
            Some("secp521r1") => Some(KeyAlgorithm::P521),
            Some("ed448") => Some(KeyAlgorithm::Ed448),
            Some(_) => return None,
        };
        let wanted: Vec<Self> = of_iso
            .iter()
            .filter(|world| algorithm.is_none_or(|algorithm| world.algorithm() == algorithm))
            .filter(|world| worlds(kind).contains(world))
            .map(|world| Self {
                kind,
                world: Some(*world),
            })
            .collect();
        (!wanted.is_empty()).then_some(wanted)
    }

    /// Every desk this could mean.
    pub(super) fn desks(self) -> Vec<Desk> {
        worlds(self.kind)
            .iter()
            .filter(|world| self.world.is_none_or(|wanted| wanted == **world))
            .map(|world| desk(self.kind, *world))
            .collect()
    }

    /// The desk for a key of this type, if there is one.
    pub(super) fn desk_for(self, algorithm: KeyAlgorithm) -> Option<Desk> {
        worlds(self.kind)
            .iter()
            .filter(|world| self.world.is_none_or(|wanted| wanted == **world))
            .find(|world| world.algorithm() == algorithm)
            .map(|world| desk(self.kind, *world))
    }

    /// Key types a request may have.
    pub(super) fn algorithms(self) -> Vec<KeyAlgorithm> {
        worlds(self.kind)
            .iter()
            .filter(|world| self.world.is_none_or(|wanted| wanted == **world))
            .map(|world| world.algorithm())
            .collect()
    }
}

fn desk(kind: Kind, world: World) -> Desk {
    let name = KINDS
        .iter()
        .find(|(_, other, _)| *other == kind)
        .map_or("", |(.., name)| name);
    Desk {
        authority: format!("{}/{name}", world.folder()),
        profile: world.profile(kind),
    }
}

const fn worlds(kind: Kind) -> &'static [World] {
    match kind {
        Kind::StationClient | Kind::CsmsServer => &[World::Ocpp],
        // Only ISO 15118-20 has vehicles show a certificate.
        Kind::VehicleLeaf => &[World::Iso20, World::Iso20Ed448],
        _ => &[World::Iso2, World::Iso20, World::Iso20Ed448],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_keys_lead_to_the_ca_that_issues() {
        let desk = |label: &str, algorithm| {
            Wanted::from_label(label)
                .and_then(|wanted| wanted.desk_for(algorithm))
                .map(|desk| desk.authority)
        };
        use KeyAlgorithm::{Ed448, P256, P521};
        for (label, algorithm, authority) in [
            ("secc", P256, Some("iso2/cpo-sub2")),
            ("cpo", P521, Some("iso20/cpo-sub2")),
            ("secc-iso20-ed448", Ed448, Some("iso20-ed448/cpo-sub2")),
            ("secc-iso2", P521, None),
            ("contract-iso20", P521, Some("iso20/mo-sub2")),
            ("mo", P256, Some("iso2/mo-sub2")),
            ("vehicle", P256, None),
            ("veh", P521, Some("iso20/oem-sub2")),
            ("oem", P256, Some("iso2/oem-sub2")),
            ("cps-iso2", P256, Some("iso2/cps-sub2")),
            ("station", P256, Some("ocpp/csms-sub")),
            ("station-iso2", P256, None),
            ("vehicle-iso2", P521, None),
            ("root", P256, None),
            ("", P256, None),
        ] {
            assert_eq!(
                desk(label, algorithm).as_deref(),
                authority,
                "{label} {algorithm}"
            );
        }
    }

    #[test]
    fn versions_and_curves_that_do_not_belong_together_are_nothing() {
        let count = |iso, curve| Wanted::from_opcp("cpo", iso, curve).map(|wanted| wanted.len());
        assert_eq!(count(None, None), Some(1));
        assert_eq!(count(Some("ISO15118-2"), None), Some(1));
        assert_eq!(count(Some("ISO15118-20"), None), Some(2));
        assert_eq!(count(Some("ISO15118-20"), Some("ed448")), Some(1));
        assert_eq!(count(Some("ISO15118-2"), Some("secp256r1")), Some(1));
        assert_eq!(count(Some("ISO15118-2"), Some("secp521r1")), None);
        assert_eq!(count(Some("ISO15118-20"), Some("secp256r1")), None);
        assert_eq!(count(Some("ISO15118-3"), None), None);
        assert_eq!(count(Some("ISO15118-2"), Some("sect571")), None);
        assert_eq!(Wanted::from_opcp("veh", Some("ISO15118-2"), None), None);
    }
}
