//! MeterValues (J01): readings outside a transaction. Live pages may show them; bills never use them.

use gridlatch_ocpp::{CallError, v21};
use gridlatch_vocab::{EvseId, Telemetry, Watts};

use crate::meter;
use crate::state::PlatformState;
use crate::wire::Caller;

pub(crate) async fn handle(
    state: &PlatformState,
    caller: &Caller,
    request: v21::MeterValuesRequest,
) -> Result<v21::MeterValuesResponse, CallError> {
    let samples = meter::samples(&request.meter_value);
    if let Some(sample) = samples.last()
        && let (Ok(evse), Some(imported)) = (u16::try_from(request.evse_id), sample.imported)
    {
        state.hub().sample(Telemetry {
            at: sample.at,
            station: caller.station.clone(),
            evse: EvseId(evse),
            transaction: None,
            power: sample.power.unwrap_or(Watts::ZERO),
            imported,
            exported: sample.exported.unwrap_or_default(),
            soc: sample.soc,
            setpoint: sample.setpoint,
        });
    }
    Ok(v21::MeterValuesResponse::new())
}
