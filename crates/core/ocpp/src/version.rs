//! The OCPP versions we speak.

use core::fmt;

/// An OCPP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// OCPP 1.6.
    V16,
    /// OCPP 2.0.1.
    V201,
    /// OCPP 2.1.
    V21,
}

impl Version {
    /// The WebSocket subprotocol.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::V16 => "ocpp1.6",
            Self::V201 => "ocpp2.0.1",
            Self::V21 => "ocpp2.1",
        }
    }

    /// The version of a WebSocket subprotocol.
    #[must_use]
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        [Self::V16, Self::V201, Self::V21]
            .into_iter()
            .find(|v| v.subprotocol() == name)
    }

    /// Largest frame we read, in bytes: the longest real messages (certificate chains, reports, EXI)
    /// stay below a quarter of it.
    #[must_use]
    pub const fn max_frame(self) -> usize {
        match self {
            Self::V16 => 64 * 1024,
            Self::V201 | Self::V21 => 256 * 1024,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.subprotocol())
    }
}
