//! Refuses combinations that cannot work, before anything is plugged in, and says what would.

use std::path::PathBuf;

use super::args::{AuthKind, ChargeArgs, ControlKind, EnergyKind, Protocol};
use crate::run_file::{RunEvse, RunFile, Supply};
use gridlatch_vocab::StationId;

/// A command that cannot work as given.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(crate) enum Usage {
    #[error("Plug & Charge needs TLS: leave out --no-tls, or identify with --auth eim")]
    PncWithoutTls,
    #[error("ISO 15118-20 needs TLS: leave out --no-tls, or speak --protocol iso15118-2")]
    Iso20WithoutTls,
    #[error(
        "ISO 15118-2 cannot give energy back: use --protocol iso15118-20 for --energy dc-bpt and --discharge"
    )]
    BptInIso2,
    #[error("--control is a choice of ISO 15118-20 only: leave it out, or use --protocol iso15118-20")]
    ControlInIso2,
    #[error("--discharge needs --energy dc-bpt")]
    DischargeWithoutBpt,
    #[error("--{0} must be a number from {1} to {2}")]
    Range(&'static str, f64, f64),
    #[error("there is no station {wanted}; running are {known}")]
    NoStation { wanted: String, known: String },
    #[error("station {station} has no EVSE {wanted}; it has {known}")]
    NoEvse {
        station: String,
        wanted: u16,
        known: String,
    },
    #[error("{station} EVSE {evse} delivers {has}; use {instead}")]
    WrongSupply {
        station: String,
        evse: u16,
        has: &'static str,
        instead: String,
    },
    #[error("no running station delivers {0}; start one with `gridlatch up`")]
    NobodyDelivers(&'static str),
    #[error(
        "the data folder {0} has no development PKI (roots, vehicle certificate, contract); `gridlatch up --data {0}` makes one"
    )]
    NoPki(PathBuf),
}

/// Checks flags against each other.
pub(crate) fn combination(args: &ChargeArgs) -> Result<(), Usage> {
    let energy = args.energy_kind();
    if args.no_tls && args.protocol == Protocol::Iso20 && args.interface.is_none() {
        return Err(Usage::Iso20WithoutTls);
    }
    if args.no_tls && args.auth == AuthKind::Pnc {
        return Err(Usage::PncWithoutTls);
    }
    if args.protocol == Protocol::Iso2 && (energy == EnergyKind::DcBpt || args.discharge.is_some()) {
        return Err(Usage::BptInIso2);
    }
    if args.protocol == Protocol::Iso2 && matches!(args.control, Some(ControlKind::Dynamic)) {
        return Err(Usage::ControlInIso2);
    }
    if args.discharge.is_some() && energy != EnergyKind::DcBpt {
        return Err(Usage::DischargeWithoutBpt);
    }
    range("soc", Some(args.soc), 0.0, 100.0)?;
    range("target-soc", args.target_soc, 0.0, 100.0)?;
    range("target-kwh", args.target_kwh, 0.001, 1000.0)
}

fn range(name: &'static str, value: Option<f64>, from: f64, to: f64) -> Result<(), Usage> {
    match value {
        Some(value) if !(from..=to).contains(&value) => Err(Usage::Range(name, from, to)),
        _ => Ok(()),
    }
}

/// Finds the outlet to plug into.
pub(crate) fn outlet<'r>(args: &ChargeArgs, run: &'r RunFile) -> Result<(StationId, &'r RunEvse), Usage> {
    let energy = args.energy_kind();
    let fits = |evse: &&RunEvse| delivers(evse.kind, energy);
    let stations: Vec<_> = match &args.station {
        None => run.stations.iter().collect(),
        Some(wanted) => {
            let found = run.stations.iter().find(|station| station.id.as_str() == wanted);
            vec![found.ok_or_else(|| Usage::NoStation {
                wanted: wanted.clone(),
                known: list(run.stations.iter().map(|station| station.id.to_string())),
            })?]
        }
    };
    for station in &stations {
        let evse = match args.evse {
            None => station.evses.iter().find(fits),
            Some(number) => {
                let evse = station.evses.iter().find(|evse| evse.evse.0 == number);
                if args.station.is_some() && evse.is_none() {
                    return Err(Usage::NoEvse {
                        station: station.id.to_string(),
                        wanted: number,
                        known: list(station.evses.iter().map(|evse| evse.evse.to_string())),
                    });
                }
                evse.filter(fits)
            }
        };
        if let Some(evse) = evse {
            return Ok((station.id.clone(), evse));
        }
    }
    match (
        &args.station,
        stations.first().and_then(|station| station.evses.first()),
    ) {
        (Some(station), Some(evse)) => {
            let elsewhere = run
                .stations
                .iter()
                .find(|other| other.evses.iter().any(|evse| delivers(evse.kind, energy)))
                .map(|other| format!(", or --station {}", other.id));
            let (has, energy) = match evse.kind {
                Supply::Ac => ("AC only", "--energy ac"),
                Supply::Dc => ("DC only", "--energy dc or --energy dc-bpt"),
            };
            Err(Usage::WrongSupply {
                station: station.clone(),
                evse: evse.evse.0,
                has,
                instead: format!("{energy}{}", elsewhere.unwrap_or_default()),
            })
        }
        _ => Err(Usage::NobodyDelivers(match energy {
            EnergyKind::Ac => "AC",
            EnergyKind::Dc | EnergyKind::DcBpt => "DC",
        })),
    }
}

fn delivers(supply: Supply, energy: EnergyKind) -> bool {
    (supply == Supply::Ac) == (energy == EnergyKind::Ac)
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(", ")
    }
}
