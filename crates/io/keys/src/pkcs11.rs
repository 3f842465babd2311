//! Keys behind a PKCS#11 module: SoftHSM, a network HSM, a smart card, a TPM through `libtpm2_pkcs11`.
//!
//! The module is loaded when a key is opened, so that nothing of it is needed to build. The key never
//! leaves its token: what is kept here is a handle.

mod held;
mod manage;
mod module;
mod token;

pub(crate) use held::Pkcs11Key;
#[cfg(feature = "tpm")]
pub(crate) use manage::no_ed448;
pub(crate) use manage::{generate, import, list, remove};

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::key;

/// What a module's error means to an operator.
fn judged(error: &Error) -> (Code, String) {
    match error {
        Error::Pkcs11(value, function) => (code(*value), said(*value, *function)),
        other => (key::UNAVAILABLE, other.to_string()),
    }
}

fn code(value: RvError) -> Code {
    use RvError as E;
    match value {
        E::PinIncorrect
        | E::PinInvalid
        | E::PinLenRange
        | E::PinExpired
        | E::PinLocked
        | E::UserPinNotInitialized
        | E::UserNotLoggedIn => key::PIN_REFUSED,
        E::CurveNotSupported
        | E::DomainParamsInvalid
        | E::MechanismInvalid
        | E::MechanismParamInvalid
        | E::KeyTypeInconsistent
        | E::KeyFunctionNotPermitted
        | E::FunctionNotSupported
        | E::AttributeValueInvalid
        | E::TemplateInconsistent => key::UNSUPPORTED,
        _ => key::UNAVAILABLE,
    }
}

fn said(value: RvError, function: Function) -> String {
    let hint = match value {
        RvError::PinIncorrect => "; it is not tried again",
        RvError::UserNotLoggedIn => "; the token needs a PIN and none is configured",
        _ => "",
    };
    format!("the module's C_{function:?} said {value:?}{hint}")
}

/// Whether trying again on a fresh session cannot help.
fn final_(error: &Error) -> bool {
    matches!(error, Error::Pkcs11(value, _) if code(*value) == key::UNSUPPORTED)
}
