//! NotifyReport (B07): the device model of a station.

use gridlatch_host::now;
use gridlatch_ocpp::{CallError, v21};
use gridlatch_store::VariableRecord;

use crate::state::PlatformState;
use crate::wire::{self, Caller};

pub(crate) async fn handle(
    state: &PlatformState,
    caller: &Caller,
    request: v21::NotifyReportRequest,
) -> Result<v21::NotifyReportResponse, CallError> {
    let mut variables = Vec::new();
    for data in request.report_data.unwrap_or_default() {
        let component = named(data.component.name, data.component.instance);
        let name = named(data.variable.name, data.variable.instance);
        for attribute in data.variable_attribute {
            let kind = attribute.r#type.unwrap_or(v21::AttributeEnum::Actual);
            variables.push(VariableRecord {
                component: component.clone(),
                evse: data.component.evse.as_ref().map_or(0, |evse| evse.id),
                name: name.clone(),
                attribute: kind.as_str().to_owned(),
                value: attribute.value,
                at: now(),
            });
        }
    }
    if let Err(error) = state.store().variable_put(&caller.station, variables).await {
        state.store_failed(Some(&caller.station), "keep a report", &error);
        return Err(wire::internal("the report could not be kept"));
    }
    Ok(v21::NotifyReportResponse::new())
}

/// A name with its instance, as `Name[instance]`.
fn named(name: String, instance: Option<String>) -> String {
    match instance {
        Some(instance) => format!("{name}[{instance}]"),
        None => name,
    }
}
