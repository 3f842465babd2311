//! What the vehicle is, has and wants: the inputs of its policy.

use gridlatch_vocab::Personal;

use super::contract::Contract;
use super::provision::ContractWish;

/// The protocol generation a session speaks. A session offers exactly the one it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// ISO 15118-2.
    Iso2,
    /// ISO 15118-20.
    Iso20,
}

impl Generation {
    /// The name of the standard.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Iso2 => "ISO 15118-2",
            Self::Iso20 => "ISO 15118-20",
        }
    }

    /// The namespace of the messages that both energy transfers share, as OCPP names the schema.
    #[must_use]
    pub const fn schema(self) -> &'static str {
        match self {
            Self::Iso2 => "urn:iso:15118:2:2013:MsgDef",
            Self::Iso20 => "urn:iso:std:iso:15118:-20:CommonMessages",
        }
    }

    /// The generation whose [`Self::schema`] this is.
    #[must_use]
    pub fn of_schema(schema: &str) -> Option<Self> {
        [Self::Iso2, Self::Iso20]
            .into_iter()
            .find(|generation| generation.schema() == schema)
    }
}

/// The energy transfer a session asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Energy {
    /// AC through the on-board charger.
    Ac,
    /// DC into the vehicle.
    Dc,
    /// DC in both directions; ISO 15118-20 only.
    DcBpt,
}

impl Energy {
    /// The word used on the command line and in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ac => "ac",
            Self::Dc => "dc",
            Self::DcBpt => "dc-bpt",
        }
    }

    /// Whether the DC-only steps (cable check, pre-charge, welding detection) run.
    #[must_use]
    pub const fn is_dc(self) -> bool {
        matches!(self, Self::Dc | Self::DcBpt)
    }
}

/// Who decides the power in an ISO 15118-20 session. ISO 15118-2 knows only [`Control::Scheduled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// The vehicle decides within the station's schedule.
    Scheduled,
    /// The station decides within the vehicle's limits.
    Dynamic,
}

impl Control {
    /// The word used on the command line and in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Dynamic => "dynamic",
        }
    }

    /// The value of the `ControlMode` service parameter (ISO 15118-20 Table 205).
    pub(crate) const fn parameter(self) -> i32 {
        match self {
            Self::Scheduled => 1,
            Self::Dynamic => 2,
        }
    }
}

/// How the vehicle identifies itself to be allowed to charge.
#[derive(Debug)]
pub enum Authorisation {
    /// External identification: somebody or something else tells the station.
    Eim,
    /// Plug & Charge with this contract.
    Contract(Contract),
    /// Plug & Charge with a contract that the vehicle asks for first.
    Install(ContractWish),
}

/// When one direction of energy flow has gone on long enough: the first of its conditions ends it.
/// An empty goal never ends by itself; battery limits still do.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Goal {
    /// Watt hours moved in this direction during the session.
    pub energy_wh: Option<f64>,
    /// Milliseconds since energy first flowed in this direction.
    pub duration_ms: Option<u64>,
    /// State of charge reached, percent: from below while charging, from above while discharging.
    pub soc: Option<f64>,
}

/// What the driver wants of the session.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Wish {
    /// Until when to charge.
    pub charge: Goal,
    /// Whether to give energy back afterwards, and until when.
    pub discharge: Option<Goal>,
    /// Seconds until the vehicle wants to leave; 0 when it does not say.
    pub departure_s: u32,
}

/// Everything a session needs to know before it starts.
#[derive(Debug)]
pub struct EvccConfig {
    /// The one protocol generation to offer.
    pub generation: Generation,
    /// The energy transfer to ask for.
    pub energy: Energy,
    /// Who shall decide the power; `None` takes what the station offers first. ISO 15118-20 only.
    pub control: Option<Control>,
    /// How to identify.
    pub authorisation: Authorisation,
    /// Whether the transport underneath is TLS. Plug & Charge without it is refused [V2G2-635].
    pub secured: bool,
    /// The vehicle's MAC, the EVCCID of ISO 15118-2 (and, as text, of ISO 15118-20).
    pub evcc_id: Personal<[u8; 6]>,
    /// What the driver wants.
    pub wish: Wish,
    /// Pause between charge-loop requests in milliseconds; 0 sends the next one as soon as the answer is in.
    pub pace_ms: u64,
    /// Pause before a request is repeated because the station answered `Ongoing`, in milliseconds.
    pub repeat_ms: u64,
    /// Stretches every timer of this side, for benches with slow peers; 1 keeps the standard's values.
    pub patience: u32,
}

impl EvccConfig {
    /// The EVCCID of ISO 15118-20, which is text.
    pub(crate) fn evcc_id_text(&self) -> String {
        use core::fmt::Write as _;
        self.evcc_id
            .reveal()
            .iter()
            .fold(String::with_capacity(12), |mut text, byte| {
                let _ = write!(text, "{byte:02X}");
                text
            })
    }
}

/// The vehicle as its battery and charger are right now. The shell hands it in before each input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VehicleState {
    /// Battery voltage with no current, volts.
    pub battery_voltage: f64,
    /// Voltage the battery must never exceed, volts.
    pub maximum_voltage: f64,
    /// Voltage below which the battery takes and gives nothing, volts.
    pub minimum_voltage: f64,
    /// Largest DC current in either direction, amperes.
    pub maximum_current: f64,
    /// Usable capacity, watt hours.
    pub capacity_wh: f64,
    /// State of charge, percent.
    pub soc: f64,
    /// State of charge below which the battery gives nothing, percent.
    pub floor_soc: f64,
    /// DC charge power the battery accepts now (tapered), watts.
    pub charge_limit: f64,
    /// DC discharge power the battery can give now, watts; 0 at its floor.
    pub discharge_limit: f64,
    /// Current of the on-board charger per phase, amperes.
    pub ac_current: f64,
    /// Phases the on-board charger uses, 1 or 3.
    pub ac_phases: u8,
    /// Energy taken in this session, watt hours.
    pub taken_wh: f64,
    /// Energy given back in this session, watt hours.
    pub given_wh: f64,
}

impl VehicleState {
    /// State of charge as the messages carry it, 0..=100.
    pub(crate) fn soc_percent(&self) -> u8 {
        self.soc.clamp(0.0, 100.0).round() as u8
    }

    /// Power the on-board charger can take at most, watts, at 230 V.
    pub(crate) fn ac_limit(&self) -> f64 {
        let charger = self.ac_current * f64::from(self.ac_phases) * 230.0;
        charger.min(self.charge_limit)
    }

    /// Energy the battery can still take, watt hours.
    pub(crate) fn room_wh(&self) -> f64 {
        (self.capacity_wh * (100.0 - self.soc) / 100.0).max(0.0)
    }

    /// Energy the battery can still give down to its floor, watt hours.
    pub(crate) fn reserve_wh(&self) -> f64 {
        (self.capacity_wh * (self.soc - self.floor_soc) / 100.0).max(0.0)
    }
}

/// The two clocks a session is told: it has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// A monotonic clock in milliseconds, from any origin.
    pub mono_ms: u64,
    /// Seconds since the Unix epoch, for the message headers of ISO 15118-20.
    pub unix_s: u64,
}
