//! The names of the rows.

use clap::ValueEnum;
use gridlatch_tls::Generation;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Scenario 1: vehicle and station under one root
    #[value(name = "1")]
    SameRoot,
    /// Scenario 2: the vehicle trusts PKI-A, the station belongs to PKI-B
    #[value(name = "2")]
    DifferentRoots,
    /// ISO 15118-20: the station lacks the root of the vehicle's maker
    #[value(name = "2-oem")]
    OemUnknown,
    /// Solution A over PKI-B's root, met by a vehicle that keeps to three certificates
    #[value(name = "a-root")]
    CrossRoot,
    /// The same, met by a vehicle that bears with four
    #[value(name = "a-root-lenient")]
    CrossRootLenient,
    /// Solution A over PKI-B's sub-CA 1
    #[value(name = "a")]
    Cross,
    /// Scenario 1 with Ed448 keys, the other choice of ISO 15118-20
    #[value(name = "1-ed448")]
    SameRootEd448,
    /// Scenario 2 with Ed448 keys
    #[value(name = "2-ed448")]
    DifferentRootsEd448,
    /// Solution A over PKI-B's sub-CA 1 with Ed448 keys
    #[value(name = "a-ed448")]
    CrossEd448,
    /// Solution B: the station gets a second leaf from PKI-A
    #[value(name = "b")]
    SecondLeaf,
    /// Solution C: the vehicle gets PKI-B's root over the air
    #[value(name = "c")]
    OverTheAir,
    /// The station's certificate has expired
    Expired,
    /// The chain carries the expired certificate of a sub-CA that was renewed
    ExpiredSubCa,
    /// The station's certificate is revoked, and the answer it staples says so
    Revoked,
    /// ISO 15118-20: the vehicle's certificate is on the revocation list that the station fetched
    RevokedVehicle,
    /// The station's OCSP responder is down, and the vehicle goes on without an answer
    OcspDown,
    /// The same, and the vehicle insists on an answer
    OcspDownStrict,
    /// A contract is installed as the station's certificate
    WrongProfile,
    /// The station does not send its sub-CA 1
    MissingSubCa,
    /// The station has only the other edition's certificate
    WrongCurve,
    /// The vehicle's clock is two days behind
    ClockBehind,
    /// The vehicle's clock is four months ahead
    ClockAhead,
}

impl Scenario {
    /// Whether it makes sense for this edition.
    pub(super) fn applies(self, generation: Generation) -> bool {
        let only20 = matches!(self, Self::OemUnknown | Self::RevokedVehicle) || self.is_ed448();
        !only20 || generation == Generation::Iso20
    }

    /// Whether every key of vehicle, station and CAs is an Ed448 key.
    pub(super) const fn is_ed448(self) -> bool {
        matches!(
            self,
            Self::SameRootEd448 | Self::DifferentRootsEd448 | Self::CrossEd448
        )
    }

    /// For the command line and JSON.
    pub(super) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// For the table.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::SameRoot => "1   same root",
            Self::DifferentRoots => "2   different roots",
            Self::OemUnknown => "2   OEM root unknown to the station",
            Self::CrossRoot => "A   cross-sign the root, strict vehicle",
            Self::CrossRootLenient => "A   cross-sign the root, lenient vehicle",
            Self::Cross => "A'  cross-sign sub-CA 1",
            Self::SameRootEd448 => "1   same root, Ed448",
            Self::DifferentRootsEd448 => "2   different roots, Ed448",
            Self::CrossEd448 => "A'  cross-sign sub-CA 1, Ed448",
            Self::SecondLeaf => "B   second leaf from PKI-A",
            Self::OverTheAir => "C   root of PKI-B over the air",
            Self::Expired => "    expired leaf",
            Self::ExpiredSubCa => "    expired sub-CA in the chain",
            Self::Revoked => "    revoked, and stapled so",
            Self::RevokedVehicle => "    vehicle on the revocation list",
            Self::OcspDown => "    OCSP down, vehicle goes on",
            Self::OcspDownStrict => "    OCSP down, vehicle insists",
            Self::WrongProfile => "    contract instead of SECC certificate",
            Self::MissingSubCa => "    sub-CA 1 not sent",
            Self::WrongCurve => "    certificate of the other edition",
            Self::ClockBehind => "    vehicle's clock two days behind",
            Self::ClockAhead => "    vehicle's clock four months ahead",
        }
    }
}
