//! How everybody in `up` judges revocation: by what the CA's own responder and lists say, fetched from there
//! and from nowhere else.

use core::fmt;
use core::str::FromStr;
use std::ffi::OsString;
use std::time::Duration;

use gridlatch_fetch::{Revocation, RevocationCheck, RevocationConfig};
use gridlatch_trust::verdict::{AllowedPlaces, Policy, Unknown};

/// The longest that unknown is accepted after an answer ran out, in hours: a year.
const MAX_HOURS: u32 = 8784;

/// How long an answer is used without asking again, and how often a connection that lasts is asked about:
/// the responder is on this very machine.
const KEEP: Duration = Duration::from_secs(5);

/// What to do where nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnknownPolicy {
    Accept,
    Refuse,
    Hours(u32),
}

impl FromStr for UnknownPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "accept" => Ok(Self::Accept),
            "refuse" => Ok(Self::Refuse),
            _ => text
                .strip_suffix('h')
                .and_then(|hours| hours.parse().ok())
                .filter(|hours| *hours <= MAX_HOURS)
                .map(Self::Hours)
                .ok_or_else(|| format!("accept, refuse, or hours like 12h (at most {MAX_HOURS}h)")),
        }
    }
}

impl fmt::Display for UnknownPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Refuse => f.write_str("refuse"),
            Self::Hours(hours) => write!(f, "{hours}h"),
        }
    }
}

impl From<UnknownPolicy> for Unknown {
    fn from(policy: UnknownPolicy) -> Self {
        match policy {
            UnknownPolicy::Accept => Self::Accept,
            UnknownPolicy::Refuse => Self::Refuse,
            UnknownPolicy::Hours(hours) => Self::AcceptWithin(time::Duration::hours(hours.into())),
        }
    }
}

/// Who is asked. A station's process is told by its arguments.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Asked {
    /// The OCSP responder, and the one of certificates that name none
    #[arg(long, value_name = "URL")]
    ocsp: String,
    /// Where revocation lists are
    #[arg(long, value_name = "URL")]
    crl: String,
    /// What to do where nothing is known
    #[arg(long, default_value = "accept")]
    unknown: UnknownPolicy,
}

impl Asked {
    pub(crate) fn at(ocsp: &str, crl: &str, unknown: UnknownPolicy) -> Self {
        Self {
            ocsp: ocsp.to_owned(),
            crl: crl.to_owned(),
            unknown,
        }
    }

    /// The arguments that make another process ask the same.
    pub(crate) fn arguments(&self) -> [OsString; 6] {
        let unknown = self.unknown.to_string();
        let words = ["--ocsp", &self.ocsp, "--crl", &self.crl, "--unknown", &unknown];
        words.map(OsString::from)
    }

    /// The judge of one process, with a memory of its own.
    pub(crate) fn check(&self) -> RevocationCheck {
        let places = [&self.ocsp, &self.crl]
            .into_iter()
            .filter_map(|url| url.strip_prefix("http://")?.split('/').next())
            .map(str::to_owned);
        let source = Revocation::new(RevocationConfig {
            // A vehicle's certificates were made by another process, which knew no addresses.
            default_responder: Some(self.ocsp.clone()),
            keep: KEEP,
            ..RevocationConfig::new(AllowedPlaces::new(places))
        });
        let policy = Policy {
            unknown: self.unknown.into(),
            ..Policy::default()
        };
        RevocationCheck {
            again: KEEP,
            ..RevocationCheck::new(source, policy)
        }
    }
}
