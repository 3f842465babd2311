//! Measurements anyone can repeat: each figure beside a peer's from the same run.

mod josev;
pub(crate) mod keys;
pub(crate) mod node;
pub(crate) mod pki;
pub(crate) mod pnc;
mod process;
pub(crate) mod session;

use clap::ValueEnum;

/// What a measured session is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// ISO 15118-2, DC, external identification, TLS 1.2 (0xC023)
    Iso2DcEimTls,
    /// ISO 15118-20, DC, external identification, mutual TLS 1.3
    Iso20DcTls13,
}

impl Case {
    /// All cases, in the order they are run.
    pub(crate) const ALL: [Self; 2] = [Self::Iso2DcEimTls, Self::Iso20DcTls13];

    /// For the table.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Iso2DcEimTls => "ISO 15118-2 DC EIM, TLS 1.2",
            Self::Iso20DcTls13 => "ISO 15118-20 DC EIM, mutual TLS 1.3",
        }
    }

    /// For JSON and the command line of the children.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Iso2DcEimTls => "iso2-dc-eim-tls",
            Self::Iso20DcTls13 => "iso20-dc-tls13",
        }
    }

    /// Whether it is ISO 15118-20.
    pub(crate) const fn is_iso20(self) -> bool {
        matches!(self, Self::Iso20DcTls13)
    }
}

/// What one session took. Times count from the first discovery request.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Figures {
    /// Milliseconds until TLS is up.
    pub(crate) tls_ms: f64,
    /// Milliseconds until the first charge-loop answer.
    pub(crate) first_loop_ms: f64,
    /// Charge-loop round trips per second.
    pub(crate) loops_per_s: f64,
    /// CPU milliseconds of the car, per charge-loop round trip of the whole session.
    pub(crate) car_cpu_ms: f64,
    /// The same for the station.
    pub(crate) station_cpu_ms: f64,
    /// Peak memory of the car's processes, MiB.
    pub(crate) car_mib: f64,
    /// Peak memory of the station's processes, MiB.
    pub(crate) station_mib: f64,
}

impl Figures {
    /// The median of each figure on its own.
    pub(crate) fn median(runs: &[Self]) -> Option<Self> {
        let of = |pick: fn(&Self) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        Some(Self {
            tls_ms: of(|f| f.tls_ms)?,
            first_loop_ms: of(|f| f.first_loop_ms)?,
            loops_per_s: of(|f| f.loops_per_s)?,
            car_cpu_ms: of(|f| f.car_cpu_ms)?,
            station_cpu_ms: of(|f| f.station_cpu_ms)?,
            car_mib: of(|f| f.car_mib)?,
            station_mib: of(|f| f.station_mib)?,
        })
    }
}
