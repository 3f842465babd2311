//! The flags of `ev charge`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gridlatch_evcc::{Control, Goal, Wish};

/// Protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// ISO 15118-2
    #[value(name = "iso15118-2")]
    Iso2,
    /// ISO 15118-20
    #[value(name = "iso15118-20")]
    Iso20,
}

/// Energy transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EnergyKind {
    /// Through the on-board charger
    Ac,
    /// Into the battery
    Dc,
    /// Into the battery and out of it
    DcBpt,
}

/// Ways to identify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuthKind {
    /// Plug & Charge with the vehicle's contract
    Pnc,
    /// External identification at the station
    Eim,
}

/// What to ask for where a contract is to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InstallKind {
    /// A first contract, by the vehicle's provisioning certificate
    Install,
    /// A new certificate for the contract it holds (ISO 15118-2)
    Update,
}

/// Who decides the power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ControlKind {
    /// The car, within the station's schedule
    Scheduled,
    /// The station, within the car's limits
    Dynamic,
}

impl ControlKind {
    pub(crate) const fn control(self) -> Control {
        match self {
            Self::Scheduled => Control::Scheduled,
            Self::Dynamic => Control::Dynamic,
        }
    }
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// One JSON object per line: a step each, then the session, then the bill
    Json,
}

/// Arguments of `gridlatch ev charge`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ChargeArgs {
    /// Data folder of the running `gridlatch up`
    #[arg(long, value_name = "DIR", env = "GRIDLATCH_DATA", default_value_os_t = gridlatch_host::DataDir::default_root())]
    pub(crate) data: PathBuf,
    /// Which station; the first that delivers the wanted energy unless told
    #[arg(long, value_name = "ID")]
    pub(crate) station: Option<String>,
    /// Which EVSE of the station
    #[arg(long, value_name = "N")]
    pub(crate) evse: Option<u16>,
    /// Protocol to speak
    #[arg(long, value_enum, default_value = "iso15118-20")]
    pub(crate) protocol: Protocol,
    /// Energy to ask for; dc-bpt with --discharge, dc otherwise
    #[arg(long, value_enum)]
    pub(crate) energy: Option<EnergyKind>,
    /// How to identify; pnc unless --no-tls
    #[arg(
        long,
        value_enum,
        default_value = "pnc",
        default_value_if("no_tls", "true", "eim")
    )]
    pub(crate) auth: AuthKind,
    /// Ask for a contract at the station first, and keep it; `update` asks for a new certificate of the one kept
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, default_missing_value = "install", conflicts_with = "no_tls")]
    pub(crate) get_contract: Option<InstallKind>,
    /// Roots of mobility operators (PEM) that a contract from the station must lead to, instead of the development
    /// PKI's; with an empty file the provisioning service's word is enough
    #[arg(long, value_name = "FILE", requires = "get_contract", hide_short_help = true)]
    pub(crate) mo_roots: Option<PathBuf>,
    /// Connect without TLS (ISO 15118-2 with eim only, and only if the station's policy allows it)
    #[arg(long)]
    pub(crate) no_tls: bool,
    /// Charge only where the station's issuer vouches for its certificate (a stapled OCSP answer that says "good"); none
    /// is insisted on for the sub-CAs above it, though one that comes is judged. Otherwise only what was revoked is refused
    #[arg(long)]
    pub(crate) require_ocsp: bool,
    /// Charge this much energy
    #[arg(long, value_name = "KWH")]
    pub(crate) target_kwh: Option<f64>,
    /// Charge until this state of charge
    #[arg(long, value_name = "PERCENT")]
    pub(crate) target_soc: Option<f64>,
    /// Charge for this long; 10 seconds when no target is given
    #[arg(long = "for", value_name = "SECONDS")]
    pub(crate) seconds: Option<u32>,
    /// Give energy back afterwards: this much, or for as long as was charged
    #[arg(long, value_name = "KWH", num_args = 0..=1, default_missing_value = "")]
    pub(crate) discharge: Option<Amount>,
    /// Who decides the power (ISO 15118-20); scheduled with --discharge, the station's first offer otherwise
    #[arg(long, value_enum)]
    pub(crate) control: Option<ControlKind>,
    /// State of charge at the start
    #[arg(long, value_name = "PERCENT", default_value_t = 40.0)]
    pub(crate) soc: f64,
    /// Trust these V2G roots (PEM) instead of those of the data folder: an old car, or a new one
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) v2g_root: Vec<PathBuf>,
    /// Which vehicle of the development PKI
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub(crate) vehicle: String,
    /// Charge at whatever station answers on this network interface, without a simulated cable
    #[arg(long, value_name = "IFACE", conflicts_with_all = ["station", "evse"])]
    pub(crate) interface: Option<String>,
    /// Charge-loop requests per second; 0 for as fast as the station answers
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) pace: u32,
    /// Stretch the car's timers by this factor, for slow stations on a bench
    #[arg(long, value_name = "FACTOR", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100), hide_short_help = true)]
    pub(crate) patience: u32,
    /// Append TLS session keys to this file, for `gridlatch decode`
    #[arg(long, value_name = "FILE")]
    pub(crate) key_log: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

/// Energy to give back: a figure, or as long as was charged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Amount(pub(crate) Option<f64>);

impl std::str::FromStr for Amount {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        match text.parse::<f64>() {
            Ok(kwh) if kwh > 0.0 && kwh.is_finite() => Ok(Self(Some(kwh))),
            _ => Err("expected a number of kilowatt hours above 0".to_owned()),
        }
    }
}

/// How long to charge when no target is given.
const DEFAULT_SECONDS: u32 = 10;

impl ChargeArgs {
    /// The energy asked for.
    pub(crate) fn energy_kind(&self) -> EnergyKind {
        self.energy.unwrap_or(match self.discharge {
            Some(_) => EnergyKind::DcBpt,
            None => EnergyKind::Dc,
        })
    }

    /// Who decides the power. A car told to give energy back has to decide that itself, unless told to leave
    /// it to the station.
    pub(crate) fn control_kind(&self) -> Option<ControlKind> {
        self.control
            .or_else(|| self.discharge.map(|_| ControlKind::Scheduled))
    }

    /// What the driver wants.
    pub(crate) fn wish(&self) -> Wish {
        let open = self.target_kwh.is_none() && self.target_soc.is_none();
        let seconds = self.seconds.or_else(|| open.then_some(DEFAULT_SECONDS));
        let duration_ms = seconds.map(|seconds| u64::from(seconds) * 1000);
        Wish {
            charge: Goal {
                energy_wh: self.target_kwh.map(|kwh| kwh * 1000.0),
                duration_ms,
                soc: self.target_soc,
            },
            discharge: self.discharge.map(|Amount(kwh)| match kwh {
                Some(kwh) => Goal {
                    energy_wh: Some(kwh * 1000.0),
                    ..Goal::default()
                },
                None => Goal {
                    duration_ms: Some(duration_ms.unwrap_or_else(|| u64::from(DEFAULT_SECONDS) * 1000)),
                    ..Goal::default()
                },
            }),
            departure_s: 0,
        }
    }
}
