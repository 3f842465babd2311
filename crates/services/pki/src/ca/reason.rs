//! Reasons of revocation as the store numbers them (RFC 5280, 5.3.1).

use gridlatch_trust::revocation::Reason;

/// The number of a reason.
pub(super) const fn code(reason: Reason) -> i64 {
    match reason {
        Reason::Unspecified => 0,
        Reason::KeyCompromise => 1,
        Reason::CaCompromise => 2,
        Reason::AffiliationChanged => 3,
        Reason::Superseded => 4,
        Reason::CessationOfOperation => 5,
        Reason::CertificateHold => 6,
        Reason::RemoveFromCrl => 8,
        Reason::PrivilegeWithdrawn => 9,
        Reason::AaCompromise => 10,
    }
}

/// The reason of a number; unspecified for one that no CA may write.
pub(super) fn from_code(number: i64) -> Reason {
    Reason::ALL
        .into_iter()
        .find(|reason| code(*reason) == number)
        .unwrap_or(Reason::Unspecified)
}
