//! Answers: JSON, or a refusal in the form of OPCP with the code in a header.

use axum::Json;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use gridlatch_session::provisioning::ProvisioningFault;
use gridlatch_store::StoreError;
use gridlatch_vocab::catalogue::{pki, platform, pools, provisioning};
use gridlatch_vocab::{Code, Severity};
use serde_json::json;

use crate::provisioning::ProvisioningError;
use crate::provisioning::trust::uuid;

use super::Pools;

/// Carries the row of the catalogue.
const CODE: HeaderName = HeaderName::from_static("x-gridlatch-code");

/// A request that was not served: status, code and a sentence without personal data.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) code: Code,
    pub(super) message: String,
}

/// What a handler returns.
pub(super) type Answer = Result<Response, Refused>;

impl Refused {
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, pools::BAD_REQUEST, message)
    }

    pub(super) fn absent(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, pools::NOT_FOUND, message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, pools::FORBIDDEN, message)
    }

    /// Makes an event of it, where somebody should look.
    pub(super) fn told(self, pools: &Pools) -> Self {
        if self.code.severity() >= Severity::Warning {
            pools.provisioner.emit(self.code, self.message.clone());
        }
        self
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({
            "errorMessages": [self.message],
            "traceId": uuid().unwrap_or_default(),
        });
        (self.status, [(CODE, self.code.as_str())], Json(body)).into_response()
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        // What the database says stays here; the caller learns that it should try again.
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            platform::STORE_FAILED,
            format!("the pool could not be read or written: {error}"),
        )
    }
}

impl From<ProvisioningError> for Refused {
    fn from(error: ProvisioningError) -> Self {
        let code = error.code();
        let status = if code == provisioning::VEHICLE_UNKNOWN || code == provisioning::NO_CONTRACT {
            StatusCode::NOT_FOUND
        } else if code == pools::FOREIGN {
            StatusCode::FORBIDDEN
        } else if code == pools::FULL {
            StatusCode::INSUFFICIENT_STORAGE
        } else if code == provisioning::SIGNER_UNAVAILABLE
            || code == platform::STORE_FAILED
            || code == pki::KEY_UNAVAILABLE
            || code.as_str().starts_with("key.")
            || code == pki::STORE_DAMAGED
        {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::BAD_REQUEST
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<ProvisioningFault> for Refused {
    fn from(fault: ProvisioningFault) -> Self {
        ProvisioningError::from(fault).into()
    }
}
