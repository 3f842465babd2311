//! Charge detail records.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use gridlatch_receipt::bill::{SignedBill, record_of};
use gridlatch_store::CdrRecord;
use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;
use super::input::{Parameters, Place, page};
use super::sessions::Page;
use crate::state::PlatformState;

/// A charge detail record.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cdr {
    /// Counts up over all bills; the cursor of lists.
    number: i64,
    /// Its id.
    id: String,
    /// The station.
    station: String,
    /// The transaction.
    transaction: String,
    /// When it was issued, RFC 3339.
    #[schema(format = DateTime)]
    issued_at: String,
    /// ISO 4217.
    currency: String,
    /// Watt hours into the vehicle.
    imported_wh: f64,
    /// Watt hours out of the vehicle.
    exported_wh: f64,
    /// Total without tax, a decimal; negative when the driver is owed.
    total_excl: String,
    /// Total with tax, a decimal.
    total_incl: String,
    /// The whole record in the shape of OCPI 2.2.1 (module CDRs).
    #[schema(value_type = Object)]
    ocpi: serde_json::Value,
    /// The issuer's detached signature over `ocpi`: RFC 7515 with ES256 over the form of RFC 8785. Absent where the
    /// record was issued without one.
    jws: Option<String>,
    /// Whether the meter signed the readings: `verified`, `not_verified` or `unsigned`.
    readings: String,
}

impl From<CdrRecord> for Cdr {
    fn from(record: CdrRecord) -> Self {
        let proof = &record.document["x_gridlatch"]["meter_proof"]["state"];
        let readings = proof.as_str().unwrap_or("unsigned").to_owned();
        Self {
            jws: record.jws,
            readings,
            number: record.number,
            id: record.id,
            station: record.station.into(),
            transaction: record.transaction.into(),
            issued_at: record.issued_at.to_rfc3339(),
            currency: record.currency,
            imported_wh: record.imported.watt_hours(),
            exported_wh: record.exported.watt_hours(),
            total_excl: record.total_excl.to_string(),
            total_incl: record.total_incl.to_string(),
            ocpi: record.document,
        }
    }
}

/// Charge detail records, latest first.
#[utoipa::path(get, path = "/cdrs", tag = "bills", params(Page), responses(
    (status = 200, body = Vec<Cdr>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<PlatformState>,
    Parameters(wanted): Parameters<Page>,
) -> Result<Json<Vec<Cdr>>, Problem> {
    let limit = page(&state, wanted.limit)?;
    let cdrs = state.store().cdr_list(wanted.before, limit).await;
    let cdrs = cdrs.map_err(|error| Problem::store(&state, &error))?;
    Ok(Json(cdrs.into_iter().map(Cdr::from).collect()))
}

/// One charge detail record.
#[utoipa::path(get, path = "/cdrs/{id}", tag = "bills", params(("id" = String, Path, description = "Its id")), responses(
    (status = 200, body = Cdr), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn detail(
    State(state): State<PlatformState>,
    Place(id): Place<String>,
) -> Result<Json<Cdr>, Problem> {
    find(&state, &id).await.map(|cdr| Json(cdr.into()))
}

async fn find(state: &PlatformState, id: &str) -> Result<CdrRecord, Problem> {
    match state.store().cdr_find(id).await {
        Ok(Some(cdr)) => Ok(cdr),
        Ok(None) => Err(Problem::not_found(state, "charge detail record")),
        Err(error) => Err(Problem::store(state, &error)),
    }
}

/// The signed bill as a file: `gridlatch bill verify FILE` proves it without this platform.
#[utoipa::path(get, path = "/cdrs/{id}/signed", tag = "bills", params(("id" = String, Path, description = "Its id")), responses(
    (status = 200, body = Object, content_type = "application/json"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn signed(
    State(state): State<PlatformState>,
    Place(id): Place<String>,
) -> Result<Response, Problem> {
    let cdr = find(&state, &id).await?;
    let jws = cdr
        .jws
        .ok_or_else(|| Problem::not_found(&state, "signature of this charge detail record"))?;
    let bill = SignedBill::new(cdr.document, jws);
    // A record that came out of the store has a JSON form.
    let text = serde_json::to_string_pretty(&bill).unwrap_or_default();
    Ok(file("application/json", &format!("bill-{}.json", cdr.id), text))
}

/// What the meter signed, in the Open Charge Metering Format (OCMF).
#[utoipa::path(get, path = "/cdrs/{id}/readings", tag = "bills", params(("id" = String, Path, description = "Its id")), responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn readings(
    State(state): State<PlatformState>,
    Place(id): Place<String>,
) -> Result<Response, Problem> {
    let cdr = find(&state, &id).await?;
    let record = record_of(&cdr.document)
        .ok_or_else(|| Problem::not_found(&state, "signed reading for this charge detail record"))?;
    Ok(file(
        "text/plain; charset=utf-8",
        &format!("readings-{}.ocmf", cdr.id),
        record,
    ))
}

/// `name` is made of an id of ours: hexadecimal and hyphens.
fn file(kind: &'static str, name: &str, text: String) -> Response {
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, text).into_response()
}
