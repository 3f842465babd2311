//! Why a session cannot be priced.

use gridlatch_vocab::{Code, Timestamp, catalogue};
use thiserror::Error;

/// Why a session cannot be priced. Nothing is billed then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TariffError {
    /// A meter register fell.
    #[error("price a session: the {register} register fell before {at}")]
    RegisterFell {
        /// `import` or `export`.
        register: &'static str,
        /// The reading that is lower than the one before.
        at: Timestamp,
    },
    /// Readings or periods are not in the order of time, or overlap.
    #[error("price a session: time runs backwards at {at}")]
    TimeRunsBackwards {
        /// Where.
        at: Timestamp,
    },
    /// Nothing to price.
    #[error("price a session: there are no periods")]
    Empty,
    /// More periods, or longer ones, than a session can have.
    #[error("price a session: {0}")]
    TooLarge(&'static str),
    /// The tariff cannot be priced.
    #[error("price a session: the tariff {tariff} {problem}")]
    Tariff {
        /// Its id.
        tariff: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A product left the range of decimals.
    #[error("price a session: an amount is out of range")]
    OutOfRange,
    /// A line of a bill does not follow from its volume and price.
    #[error("recompute a bill: {0} differs")]
    Recomputed(&'static str),
}

impl TariffError {
    /// The catalogue's code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::RegisterFell { .. } => catalogue::platform::METER_REGISTER_FELL,
            Self::TimeRunsBackwards { .. } => catalogue::platform::METER_TIME_BACKWARDS,
            Self::Tariff { .. } => catalogue::platform::TARIFF_INVALID,
            Self::Empty | Self::TooLarge(_) | Self::OutOfRange => catalogue::platform::BILL_REFUSED,
            Self::Recomputed(_) => catalogue::platform::BILL_MISMATCH,
        }
    }
}
