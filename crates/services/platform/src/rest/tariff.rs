//! The tariff.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use gridlatch_host::now;
use gridlatch_tariff::{PriceComponent, Tariff, TariffDimension};
use gridlatch_vocab::{Event, EventSink as _, catalogue};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Problem;
use super::input::Body;
use crate::billing::{self, BillError};
use crate::state::PlatformState;

/// The prices that apply to transactions billed from now on. Decimals, exact to their last digit;
/// text is accepted as well.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    /// ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
    /// Per kWh into the vehicle, without tax.
    #[schema(value_type = f64, example = 0.40)]
    import_per_kwh: Decimal,
    /// Credit per kWh out of the vehicle, without tax.
    #[schema(value_type = f64, example = 0.25)]
    export_credit_per_kwh: Decimal,
    /// Per cent.
    #[schema(value_type = Option<f64>, example = 19)]
    vat_percent: Option<Decimal>,
}

/// Highest price or credit per kWh and highest tax that is believed.
const MAX_PRICE: Decimal = Decimal::ONE_THOUSAND;

fn find(tariff: &Tariff, dimension: TariffDimension) -> Option<&PriceComponent> {
    tariff
        .elements
        .iter()
        .flat_map(|element| &element.price_components)
        .find(|component| component.dimension == dimension)
}

fn shown(tariff: &Tariff) -> Prices {
    let import = find(tariff, TariffDimension::Energy);
    let export = find(tariff, TariffDimension::EnergyExport);
    Prices {
        currency: tariff.currency.clone(),
        import_per_kwh: import.map_or(Decimal::ZERO, |component| component.price),
        export_credit_per_kwh: export.map_or(Decimal::ZERO, |component| component.price),
        vat_percent: import.and_then(|component| component.vat),
    }
}

fn failed(state: &PlatformState, error: &BillError) -> Problem {
    match error {
        BillError::Store(error) => Problem::store(state, error),
        other => Problem::new(
            state,
            StatusCode::UNPROCESSABLE_ENTITY,
            other.code(),
            crate::describe(other),
        ),
    }
}

/// The tariff in force.
#[utoipa::path(get, path = "/tariff", tag = "bills", responses(
    (status = 200, body = Prices), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn current(State(state): State<PlatformState>) -> Result<Json<Prices>, Problem> {
    let tariff = billing::tariff(&state)
        .await
        .map_err(|error| failed(&state, &error))?;
    Ok(Json(shown(&tariff)))
}

/// Changes the tariff.
#[utoipa::path(put, path = "/tariff", tag = "bills", request_body = Prices, responses(
    (status = 200, body = Prices), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change(
    State(state): State<PlatformState>,
    Body(prices): Body<Prices>,
) -> Result<Json<Prices>, Problem> {
    let all = [
        Some(prices.import_per_kwh),
        Some(prices.export_credit_per_kwh),
        prices.vat_percent,
    ];
    if all
        .into_iter()
        .flatten()
        .any(|value| value.abs() > MAX_PRICE || value.scale() > 6)
    {
        return Err(Problem::bad(&state, "prices are at most 1000 with 6 decimals"));
    }
    if prices
        .vat_percent
        .is_some_and(|vat| vat.is_sign_negative() && !vat.is_zero())
    {
        return Err(Problem::bad(&state, "a tax cannot be negative"));
    }
    let mut tariff = Tariff::simple(
        "operator",
        &prices.currency,
        prices.import_per_kwh,
        prices.export_credit_per_kwh,
        prices.vat_percent,
    );
    tariff.country_code.clone_from(&state.config().country_code);
    tariff.party_id.clone_from(&state.config().party_id);
    tariff.last_updated = now();
    billing::set_tariff(&state, &tariff)
        .await
        .map_err(|error| failed(&state, &error))?;
    let message = format!(
        "{} {} per kWh in, {} credited per kWh out",
        prices.import_per_kwh, prices.currency, prices.export_credit_per_kwh
    );
    state.hub().emit(
        Event::new(now(), catalogue::platform::TARIFF_CHANGED, crate::SOURCE, message)
            .with("asked_by", "operator"),
    );
    Ok(Json(shown(&tariff)))
}
