//! The one table of codes: what happened, who is to blame, likely causes, and what to do.
//!
//! A code is stable once released: its text may be improved, its spelling never changes. Each module
//! below is one area; `gridlatch explain CODE` prints a row, and the troubleshooting chapter of the
//! documentation is generated from [`all`].

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How urgent an event of this code is. Ordered: later is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Part of every healthy day.
    Info,
    /// Worth a line in the morning report.
    Notice,
    /// Something was refused or degraded; the system carried on.
    Warning,
    /// A session or a connection was lost, or a security rule was broken.
    Error,
    /// Wake somebody.
    Critical,
}

impl Severity {
    /// The lower-case word used in logs and on pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// Which side an event of this code points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// Nobody: this is how it should go.
    Nobody,
    /// The vehicle (EVCC).
    Vehicle,
    /// The charging station (SECC, EVSE).
    Station,
    /// The charging network platform (CSMS).
    Platform,
    /// Whoever issues or installs certificates.
    Pki,
    /// The person operating the system: configuration, command line, permissions.
    Operator,
    /// The wire between the parties.
    Network,
}

impl Blame {
    /// The lower-case word used in logs and on pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Vehicle => "vehicle",
            Self::Station => "station",
            Self::Platform => "platform",
            Self::Pki => "pki",
            Self::Operator => "operator",
            Self::Network => "network",
        }
    }
}

/// One row of the catalogue.
#[derive(Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Row {
    /// The stable code, `area.what_happened`.
    pub code: &'static str,
    /// How urgent it is.
    pub severity: Severity,
    /// Which side it points at.
    pub blame: Blame,
    /// What happened, in one sentence.
    pub what: &'static str,
    /// Likely causes, most likely first. Empty where nothing is wrong.
    pub causes: &'static [&'static str],
    /// What to do about it. "Nothing." where nothing is wrong.
    pub remedy: &'static str,
    /// Spellings other stacks, standards and papers use for the same thing (`tlsv1 alert unknown ca`).
    pub aliases: &'static [&'static str],
}

/// A handle to one row of the catalogue; compares and serialises by its code.
#[derive(Clone, Copy)]
pub struct Code(&'static Row);

impl Code {
    /// Wraps a row. Only the catalogue makes codes.
    pub(crate) const fn new(row: &'static Row) -> Self {
        Self(row)
    }

    /// The stable spelling, `area.what_happened`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0.code
    }

    /// The whole row.
    #[must_use]
    pub const fn row(self) -> &'static Row {
        self.0
    }

    /// How urgent it is.
    #[must_use]
    pub const fn severity(self) -> Severity {
        self.0.severity
    }

    /// Which side it points at.
    #[must_use]
    pub const fn blame(self) -> Blame {
        self.0.blame
    }

    /// Finds a code by its spelling or by one of its aliases; case does not matter.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        let text = text.trim();
        all()
            .find(|row| row.code.eq_ignore_ascii_case(text))
            .or_else(|| all().find(|row| row.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(text))))
            .map(Self)
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.0.code == other.0.code
    }
}

impl Eq for Code {}

impl core::hash::Hash for Code {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.0.code.hash(state);
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({})", self.0.code)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.code)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::find(&text).ok_or_else(|| serde::de::Error::custom(format!("unknown code {text:?}")))
    }
}

/// Declares the codes of one area: a constant per row, and `ROWS` for [`all`].
macro_rules! codes {
    ($( $name:ident = $code:literal, $severity:ident, $blame:ident, $what:literal,
        causes: [$($cause:literal),* $(,)?], remedy: $remedy:literal $(, aliases: [$($alias:literal),* $(,)?])? ; )*) => {
        $(
            #[doc = concat!("`", $code, "`: ", $what)]
            pub const $name: $crate::catalogue::Code = $crate::catalogue::Code::new(&$crate::catalogue::Row {
                code: $code,
                severity: $crate::catalogue::Severity::$severity,
                blame: $crate::catalogue::Blame::$blame,
                what: $what,
                causes: &[$($cause),*],
                remedy: $remedy,
                aliases: &[$($($alias),*)?],
            });
        )*
        /// Every code of this area, in the order it is printed.
        pub(crate) const ROWS: &[$crate::catalogue::Code] = &[$($name),*];
    };
}

pub mod bill;
pub mod ca;
pub mod cable;
pub mod custody;
pub mod enrolment;
pub mod host;
pub mod key;
pub mod ocpp;
pub mod pki;
pub mod platform;
pub mod pnc;
pub mod pools;
pub mod power;
pub mod provisioning;
pub mod revocation;
pub mod rollover;
pub mod session;
pub mod tls;
pub mod wire;

/// Every row of the catalogue, area by area.
pub fn all() -> impl Iterator<Item = &'static Row> {
    [
        cable::ROWS,
        wire::ROWS,
        tls::ROWS,
        session::ROWS,
        pnc::ROWS,
        pools::ROWS,
        power::ROWS,
        provisioning::ROWS,
        ocpp::ROWS,
        platform::ROWS,
        bill::ROWS,
        pki::ROWS,
        enrolment::ROWS,
        ca::ROWS,
        revocation::ROWS,
        rollover::ROWS,
        custody::ROWS,
        host::ROWS,
        key::ROWS,
    ]
    .into_iter()
    .flatten()
    .map(|code| code.row())
}

#[cfg(test)]
mod tests;
