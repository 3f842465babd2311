//! Charge detail records.

use axum::Json;
use axum::extract::State;
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
}

impl From<CdrRecord> for Cdr {
    fn from(record: CdrRecord) -> Self {
        Self {
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
    match state.store().cdr_find(&id).await {
        Ok(Some(cdr)) => Ok(Json(cdr.into())),
        Ok(None) => Err(Problem::not_found(&state, "charge detail record")),
        Err(error) => Err(Problem::store(&state, &error)),
    }
}
