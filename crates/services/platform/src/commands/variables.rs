//! GetVariables and SetVariables (B05, B06).

use gridlatch_ocpp::v21::{
    Component, GetVariableData, GetVariablesRequest, SetVariableData, SetVariablesRequest, Variable,
};
use gridlatch_vocab::StationId;

use super::{CommandError, CommandOutcome, VariableGet, VariableResult, VariableSet};
use crate::state::PlatformState;

pub(super) async fn get(
    state: &PlatformState,
    station: &StationId,
    variables: Vec<VariableGet>,
) -> Result<CommandOutcome, CommandError> {
    let asked = variables
        .into_iter()
        .map(|asked| GetVariableData::new(Component::new(asked.component), Variable::new(asked.variable)))
        .collect();
    let response = state.ask(station, &GetVariablesRequest::new(asked)).await?;
    let variables = response
        .get_variable_result
        .into_iter()
        .map(|result| VariableResult {
            component: result.component.name,
            variable: result.variable.name,
            status: result.attribute_status.as_str().to_owned(),
            value: result.attribute_value,
        })
        .collect();
    Ok(answered(variables))
}

pub(super) async fn set(
    state: &PlatformState,
    station: &StationId,
    variables: Vec<VariableSet>,
) -> Result<CommandOutcome, CommandError> {
    let asked = variables
        .into_iter()
        .map(|asked| {
            SetVariableData::new(
                asked.value,
                Component::new(asked.component),
                Variable::new(asked.variable),
            )
        })
        .collect();
    let response = state.ask(station, &SetVariablesRequest::new(asked)).await?;
    let variables = response
        .set_variable_result
        .into_iter()
        .map(|result| VariableResult {
            component: result.component.name,
            variable: result.variable.name,
            status: result.attribute_status.as_str().to_owned(),
            value: None,
        })
        .collect();
    Ok(answered(variables))
}

fn answered(variables: Vec<VariableResult>) -> CommandOutcome {
    CommandOutcome {
        status: "Answered".to_owned(),
        variables,
        ..CommandOutcome::default()
    }
}
