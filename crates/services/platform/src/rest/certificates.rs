//! Certificates of charging stations.

use axum::Json;
use axum::extract::State;
use gridlatch_vocab::StationId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Problem;
use super::commands::run;
use super::input::{Body, Place, known};
use crate::authority::StationCertificate;
use crate::commands::{CertificateHash, Command, CommandOutcome, InstalledCertificate};
use crate::state::PlatformState;

/// The largest root in PEM that OCPP 2.0.1 can carry, in characters.
const MAX_PEM: usize = 5500;

/// Which certificate to renew.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Renew {
    /// `ChargingStationCertificate`, `V2GCertificate` or `V2G20Certificate`.
    #[schema(example = "V2GCertificate")]
    usage: String,
}

/// A root to install.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Install {
    /// `V2GRootCertificate`, `MORootCertificate`, `CSMSRootCertificate`, ...
    #[schema(max_length = 50, example = "V2GRootCertificate")]
    usage: String,
    /// The certificate as PEM.
    #[schema(max_length = 5500)]
    certificate: String,
}

/// What a charging station holds (GetInstalledCertificateIds).
#[utoipa::path(get, path = "/stations/{station}/certificates", tag = "stations",
    params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = Vec<InstalledCertificate>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn installed(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
) -> Result<Json<Vec<InstalledCertificate>>, Problem> {
    known(&state, &station).await?;
    state
        .installed_certificates(&station)
        .await
        .map(Json)
        .map_err(Problem::command)
}

/// Have a charging station ask for a new certificate (TriggerMessage).
#[utoipa::path(post, path = "/stations/{station}/certificates/renew", tag = "stations", request_body = Renew,
    params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = CommandOutcome), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn renew(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
    Body(asked): Body<Renew>,
) -> Result<Json<CommandOutcome>, Problem> {
    let usage = StationCertificate::ALL
        .into_iter()
        .find(|usage| usage.word() == asked.usage)
        .ok_or_else(|| {
            let words = StationCertificate::ALL.map(StationCertificate::word).join(", ");
            Problem::bad(&state, format!("usage is one of {words}"))
        })?;
    run(&state, &station, Command::RenewCertificate(usage)).await
}

/// Install a root certificate at a charging station (InstallCertificate).
#[utoipa::path(post, path = "/stations/{station}/certificates/install", tag = "stations", request_body = Install,
    params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = CommandOutcome), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn install(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
    Body(asked): Body<Install>,
) -> Result<Json<CommandOutcome>, Problem> {
    if asked.certificate.len() > MAX_PEM || asked.usage.len() > 50 {
        return Err(Problem::bad(
            &state,
            format!("certificate is at most {MAX_PEM} characters of PEM, usage 50"),
        ));
    }
    let (usage, pem) = (asked.usage, asked.certificate);
    run(&state, &station, Command::InstallRoot { usage, pem }).await
}

/// Remove a root certificate from a charging station (DeleteCertificate).
#[utoipa::path(post, path = "/stations/{station}/certificates/remove", tag = "stations", request_body = CertificateHash,
    params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = CommandOutcome), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
    Body(asked): Body<CertificateHash>,
) -> Result<Json<CommandOutcome>, Problem> {
    let fields = [
        &asked.issuer_name,
        &asked.issuer_key,
        &asked.serial,
        &asked.algorithm,
    ];
    if fields.iter().any(|text| text.is_empty() || text.len() > 128) || asked.serial.len() > 40 {
        return Err(Problem::bad(
            &state,
            "the hash data of a certificate are hex, up to 128 characters each",
        ));
    }
    run(&state, &station, Command::RemoveRoot(asked)).await
}
