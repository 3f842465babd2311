//! Wrappers for what must not reach a log: personal data and secrets.

use core::fmt;

/// Personal data (an EMAID, a vehicle id, a token). Its text form is redacted; reading it takes an
/// explicit [`Personal::reveal`], which a reviewer can search for.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Personal<T>(T);

impl<T> Personal<T> {
    /// Wraps a value where it is born.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value in clear: for the protocol, the bill and the store; never for a log.
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<personal>")
    }
}

impl<T> fmt::Display for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<personal>")
    }
}

/// A secret (a token, a pass phrase). Never shown, never serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a secret where it is read or made.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The secret in clear.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}
