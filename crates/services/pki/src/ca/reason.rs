//! Why a certificate was revoked.

use core::fmt;
use core::str::FromStr;

macro_rules! reasons {
    ($($(#[$doc:meta])* $reason:ident $code:literal $word:literal;)*) => {
        /// A reason of RFC 5280, 5.3.1.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $reason,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$reason),*];

            /// The number in a list's entry.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$reason => $code,)* }
            }

            /// The name as RFC 5280 writes it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$reason => $word,)* }
            }
        }
    };
}
reasons! {
    /// None given.
    Unspecified 0 "unspecified";
    /// The subject's key is known to somebody else.
    KeyCompromise 1 "keyCompromise";
    /// The CA's key is known to somebody else.
    CaCompromise 2 "cACompromise";
    /// The subject's name changed.
    AffiliationChanged 3 "affiliationChanged";
    /// Another certificate replaced it.
    Superseded 4 "superseded";
    /// No longer needed: a contract ended, a station was taken down.
    CessationOfOperation 5 "cessationOfOperation";
    /// Suspended; the only reason that a later one may replace.
    CertificateHold 6 "certificateHold";
    /// A right was withdrawn.
    PrivilegeWithdrawn 9 "privilegeWithdrawn";
    /// An attribute authority's key is known to somebody else.
    AaCompromise 10 "aACompromise";
}

impl Reason {
    /// The reason of a number; [`Self::Unspecified`] for one that no CA may write.
    #[must_use]
    pub fn from_code(code: i64) -> Self {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| i64::from(reason.code()) == code)
            .unwrap_or(Self::Unspecified)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = ();

    /// The name of RFC 5280, in any case.
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str().eq_ignore_ascii_case(text))
            .ok_or(())
    }
}
