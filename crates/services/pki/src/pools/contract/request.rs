//! A vehicle's request for a contract, passed on by a charge point operator.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use gridlatch_session::provisioning::{Action, MAX_MESSAGE};
use serde::Deserialize;
use serde_json::json;

use super::super::access::{Caller, Role};
use super::super::answer::{Answer, Refused};
use super::super::{Dialect, Pools, input};
use super::root_id;
use crate::provisioning::ProvisioningError;

#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "certificateInstallationReq", alias = "certificateUpdateReq")]
    request: String,
    #[serde(rename = "xsdMsgDefNamespace")]
    namespace: Option<String>,
    /// `Install` or `Update`, as OCPP says it; OPCP knows installations only.
    action: Option<String>,
}

pub(in crate::pools) async fn install(
    caller: Caller,
    State(pools): State<Pools>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    answer(&pools, &caller, &headers, body, Dialect::Opcp).await
}

pub(in crate::pools) async fn install_opnc(
    caller: Caller,
    State(pools): State<Pools>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    answer(&pools, &caller, &headers, body, Dialect::Opnc).await
}

async fn answer(pools: &Pools, caller: &Caller, headers: &HeaderMap, body: Body, dialect: Dialect) -> Answer {
    let read = async {
        caller.must_be(&[Role::Cpo])?;
        let asked: Asked = input::json(body).await?;
        let generation = input::generation(asked.namespace.as_deref())?;
        let action = match asked.action.as_deref() {
            None | Some("Install") => Action::Install,
            Some("Update") => Action::Update,
            Some(_) => return Err(Refused::bad("action : is neither Install nor Update")),
        };
        let exi = input::base64(&asked.request, "certificateInstallationReq", MAX_MESSAGE)?;
        Ok((generation, action, exi))
    };
    let (generation, action, exi) = read.await.map_err(|refused: Refused| refused.told(pools))?;
    let installed = match pools.provisioner.install(generation, action, &exi).await {
        Ok(installed) => installed,
        Err(error) => return Ok(refused(error, headers)),
    };
    let message = input::text(&installed.exi);
    let emaid = installed.emaid.reveal().as_str();
    let root = root_id(pools, &installed.cps_root).await?;
    Ok(Json(match dialect {
        Dialect::Opcp => {
            let mut definition =
                json!({"certificateInstallationRes": message, "emaid": emaid, "metaData": ""});
            if let (Some(id), Some(fields)) = (root, definition.as_object_mut()) {
                fields.insert("cpsRootCertificateId".into(), id.into());
            }
            json!({
                "CCPResponse": {"emaidContent": [{"messageDef": definition}]},
                "xsdMsgDefNamespace": input::namespace(generation),
            })
        }
        Dialect::Opnc => json!({"signedContractDataCollection": [{
            "certificateInstallationRes": message,
            "emaid": emaid,
            "pcid": installed.pcid.reveal(),
            "xsdMsgDefNamespace": input::namespace(generation),
            "cpsV2GRootCertificateFingerprint": installed.cps_root,
        }]}),
    })
    .into_response())
}

/// A refusal: in EXI for the vehicle unless the caller does not want that.
fn refused(error: ProvisioningError, headers: &HeaderMap) -> Response {
    let exi_wanted = headers
        .get("alwaysReturnEXI")
        .and_then(|value| value.to_str().ok())
        .is_none_or(|value| !value.eq_ignore_ascii_case("false"));
    let exi = error.exi().map(input::text).filter(|_| exi_wanted);
    let refused = Refused::from(error);
    let Some(exi) = exi else {
        return refused.into_response();
    };
    let (status, code, message) = (refused.status, refused.code, refused.message);
    let body = json!({
        "CCPResponse": {"emaidContent": [{"messageDef": {"certificateInstallationRes": exi}}]},
        "errorMessages": [message],
    });
    (status, [("x-gridlatch-code", code.as_str())], Json(body)).into_response()
}
