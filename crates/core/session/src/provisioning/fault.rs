//! What can be wrong with a provisioning message.

use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::provisioning as codes;
use iso15118::exi::ExiError;
use iso15118::pnc::PncError;
use thiserror::Error;

/// A provisioning message that is not believed or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProvisioningFault {
    /// More bytes than any such message has.
    #[error("the message has {0} bytes, at most {max} are looked at", max = super::MAX_MESSAGE)]
    TooLarge(usize),
    /// Not EXI of this message set.
    #[error("the message is not EXI of its standard: {0}")]
    Exi(String),
    /// Another message than expected.
    #[error("expected {expected}, got another message")]
    OtherMessage {
        /// Its name.
        expected: &'static str,
    },
    /// There is no signature in the header.
    #[error("the message is not signed")]
    Unsigned,
    /// The signature does not verify.
    #[error("the signature of {who} does not verify: {why}")]
    Signature {
        /// Whose it should be.
        who: &'static str,
        /// What failed.
        why: String,
    },
    /// A certificate cannot be read.
    #[error("{what} cannot be read: {why}")]
    Certificate {
        /// Which one.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The encrypted key cannot be opened, or is not the certificate's [V2G2-823].
    #[error("the contract key: {0}")]
    Key(String),
    /// A value does not fit the message.
    #[error("the message cannot be made: {0}")]
    Unmakeable(&'static str),
    /// The signing key refused.
    #[error("signing the contract data: {0}")]
    Signer(String),
}

impl ProvisioningFault {
    /// The row of the catalogue.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::TooLarge(_) | Self::Exi(_) | Self::OtherMessage { .. } | Self::Certificate { .. } => {
                codes::REQUEST_MALFORMED
            }
            Self::Unsigned | Self::Signature { .. } => codes::SIGNATURE_INVALID,
            Self::Key(_) => codes::KEY_MISMATCH,
            Self::Unmakeable(_) => codes::UNMAKEABLE,
            Self::Signer(_) => codes::SIGNER_UNAVAILABLE,
        }
    }

    pub(super) fn exi(error: &ExiError) -> Self {
        Self::Exi(error.to_string())
    }

    pub(super) fn signature(who: &'static str) -> impl Fn(PncError) -> Self {
        move |error| Self::Signature {
            who,
            why: error.to_string(),
        }
    }
}
