//! Where a station stands and what its outlets are: what a charge detail record says of the location.

use gridlatch_store::StoreError;
use gridlatch_tariff::{CdrLocation, GeoLocation};
use gridlatch_vocab::{ConnectorId, EvseId, StationId};
use serde::{Deserialize, Serialize};

use crate::state::PlatformState;

/// Where a station stands, and its outlets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationPlace {
    /// Street and number.
    pub address: String,
    /// City.
    pub city: String,
    /// ISO 3166 alpha-3.
    pub country: String,
    /// Decimal degrees as text, such as `52.516667`.
    pub latitude: String,
    /// Decimal degrees as text.
    pub longitude: String,
    /// Its outlets.
    pub outlets: Vec<OutletPlace>,
}

/// One outlet in OCPI's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutletPlace {
    /// Its number.
    pub evse: EvseId,
    /// Its id for people and roaming (eMI3), such as `DE*GDL*E000001*1`.
    pub evse_id: String,
    /// `IEC_62196_T2`, `IEC_62196_T2_COMBO`, ...
    pub standard: String,
    /// `CABLE` or `SOCKET`.
    pub format: String,
    /// `AC_1_PHASE`, `AC_3_PHASE`, `DC`, ...
    pub power_type: String,
}

fn setting(station: &StationId) -> String {
    format!("platform.place.{station}")
}

impl PlatformState {
    /// Notes where a station stands; bills of later sessions say it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn place_station(&self, station: &StationId, place: &StationPlace) -> Result<(), StoreError> {
        // Texts and numbers always have a JSON form.
        let text = serde_json::to_string(place).unwrap_or_default();
        self.store().setting_put(&setting(station), &text).await
    }
}

/// What a record says of the location. A station that was never placed is at a place unknown, and its connector is
/// taken for the commonest of high power.
pub(super) async fn location(
    state: &PlatformState,
    station: &StationId,
    evse: EvseId,
    connector: Option<ConnectorId>,
) -> Result<CdrLocation, StoreError> {
    let config = state.config();
    let kept = state.store().setting_find(&setting(station)).await?;
    let place: Option<StationPlace> = kept.and_then(|text| serde_json::from_str(&text).ok());
    let outlet = place
        .as_ref()
        .and_then(|place| place.outlets.iter().find(|outlet| outlet.evse == evse));
    let known = |text: fn(&StationPlace) -> &String, otherwise: &str| {
        place
            .as_ref()
            .map_or_else(|| otherwise.to_owned(), |place| text(place).clone())
    };
    let of_outlet = |text: fn(&OutletPlace) -> &String, otherwise: &str| {
        outlet.map_or_else(|| otherwise.to_owned(), |outlet| text(outlet).clone())
    };
    let evse_id = format!("{}*{}*E{station}*{evse}", config.country_code, config.party_id);
    Ok(CdrLocation {
        id: station.as_str().to_owned(),
        address: known(|place| &place.address, "unknown"),
        city: known(|place| &place.city, "unknown"),
        country: known(|place| &place.country, "DEU"),
        coordinates: GeoLocation {
            latitude: known(|place| &place.latitude, "0.000000"),
            longitude: known(|place| &place.longitude, "0.000000"),
        },
        evse_uid: format!("{station}-{evse}"),
        evse_id: of_outlet(|outlet| &outlet.evse_id, &evse_id),
        connector_id: connector.map_or_else(|| "1".to_owned(), |id| id.to_string()),
        connector_standard: of_outlet(|outlet| &outlet.standard, "IEC_62196_T2_COMBO"),
        connector_format: of_outlet(|outlet| &outlet.format, "CABLE"),
        connector_power_type: of_outlet(|outlet| &outlet.power_type, "DC"),
    })
}
