//! Which keys are believed to be a station's meters'.

use axum::Json;
use axum::extract::State;
use gridlatch_vocab::StationId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Problem;
use super::input::{Body, Place, known};
use crate::meter_key;
use crate::state::PlatformState;

/// A key of a meter.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MeterKey {
    /// SHA-256 of the key (DER SubjectPublicKeyInfo), lower-case hexadecimal.
    fingerprint: String,
    /// DER SubjectPublicKeyInfo in lower-case hexadecimal, as it is printed on meters.
    public_key: String,
    /// When it was registered, RFC 3339.
    #[schema(format = DateTime)]
    at: String,
}

/// A key to believe.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMeterKey {
    /// A P-256 public key: PEM, or its DER in hexadecimal or base64.
    public_key: String,
}

/// The keys that are believed to be the meters' of a charging station, latest first.
#[utoipa::path(get, path = "/stations/{station}/meter-keys", tag = "stations",
    params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = Vec<MeterKey>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
) -> Result<Json<Vec<MeterKey>>, Problem> {
    known(&state, &station).await?;
    let keys = state.store().meter_key_list(&station).await;
    let keys = keys.map_err(|error| Problem::store(&state, &error))?;
    let shown = keys.into_iter().map(|key| MeterKey {
        fingerprint: key.fingerprint,
        public_key: hex::encode(&key.spki),
        at: key.at.to_rfc3339(),
    });
    Ok(Json(shown.collect()))
}

/// Believes a key: readings of this charging station that are signed with it count as the meter's from now on.
#[utoipa::path(post, path = "/stations/{station}/meter-keys", tag = "stations", request_body = NewMeterKey,
    params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = Vec<MeterKey>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn register(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
    Body(new): Body<NewMeterKey>,
) -> Result<Json<Vec<MeterKey>>, Problem> {
    known(&state, &station).await?;
    let Some(spki) = meter_key::read(&new.public_key) else {
        return Err(Problem::bad(
            &state,
            "public_key is no P-256 public key in PEM, hexadecimal or base64",
        ));
    };
    state
        .register_meter_key(&station, &spki)
        .await
        .map_err(|error| Problem::store(&state, &error))?;
    list(State(state), Place(station)).await
}
