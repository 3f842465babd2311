//! SetChargingProfile and ClearChargingProfile (K01, K10, Q03): the power an EVSE follows.
//!
//! On 2.1 a set-point is a dynamic profile in operation mode `CentralSetpoint`, negative to discharge. On
//! 2.0.1 it can only be a limit, so a negative one is refused.

use gridlatch_host::now;
use gridlatch_ocpp::Version;
use gridlatch_ocpp::v21::{
    ChargingProfile, ChargingProfileKindEnum, ChargingProfilePurposeEnum, ChargingProfileStatusEnum,
    ChargingRateUnitEnum, ChargingSchedule, ChargingSchedulePeriod, ClearChargingProfile,
    ClearChargingProfileRequest, OperationModeEnum, SetChargingProfileRequest,
};
use gridlatch_store::NewSetpoint;
use gridlatch_vocab::{EvseId, StationId, TransactionId, Watts, catalogue};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive as _;

use super::{CommandError, CommandOutcome};
use crate::state::PlatformState;

/// A central set-point overrules any default of the station.
const STACK_LEVEL: i64 = 1;

pub(super) async fn run(
    state: &PlatformState,
    station: &StationId,
    evse: EvseId,
    power: Option<Watts>,
    asked_by: &str,
) -> Result<CommandOutcome, CommandError> {
    match power {
        Some(power) => set(state, station, evse, power, asked_by).await,
        None => clear(state, station, evse).await,
    }
}

async fn set(
    state: &PlatformState,
    station: &StationId,
    evse: EvseId,
    power: Watts,
    asked_by: &str,
) -> Result<CommandOutcome, CommandError> {
    let failed = |error: gridlatch_store::StoreError| {
        state.store_failed(Some(station), "keep a set-point", &error);
        CommandError::new(
            catalogue::platform::STORE_FAILED,
            "the set-point could not be kept",
        )
    };
    let transaction = state
        .store()
        .session_at(station, evse)
        .await
        .map_err(failed)?
        .map(|session| session.transaction);
    let version = state
        .registry()
        .find(station)
        .map_or(Version::V21, |link| link.version);
    let number = state.next_number();
    let profile = profile(version, number, power, transaction.as_ref())?;
    let request = SetChargingProfileRequest::new(profile, i64::from(evse.0));
    let response = state.ask(station, &request).await?;
    if response.status != ChargingProfileStatusEnum::Accepted {
        return Err(CommandError::refused(
            "SetChargingProfile",
            response.status.as_str(),
            response.status_info,
        ));
    }
    state
        .store()
        .setpoint_put(NewSetpoint {
            station: station.clone(),
            profile_id: number,
            evse,
            transaction: transaction.clone(),
            setpoint: power,
            asked_by: asked_by.to_owned(),
            at: now(),
        })
        .await
        .map_err(failed)?;
    Ok(CommandOutcome {
        status: response.status.as_str().to_owned(),
        transaction,
        number: Some(number),
        ..CommandOutcome::default()
    })
}

/// The profile of a set-point: for the running transaction, else for the next ones.
fn profile(
    version: Version,
    number: i64,
    power: Watts,
    transaction: Option<&TransactionId>,
) -> Result<ChargingProfile, CommandError> {
    let amount = Decimal::from_f64(power.0)
        .map(|amount| amount.round_dp(1).normalize())
        .ok_or_else(|| {
            CommandError::new(catalogue::platform::REST_BAD_REQUEST, "the power is not a number")
        })?;
    let mut period = ChargingSchedulePeriod::new(0);
    let dynamic = version == Version::V21;
    if dynamic {
        period.operation_mode = Some(OperationModeEnum::CentralSetpoint);
        period.setpoint = Some(amount);
    } else if amount.is_sign_negative() && !amount.is_zero() {
        return Err(CommandError::new(
            catalogue::platform::COMMAND_UNSUPPORTED,
            format!("{version} cannot express a negative set-point"),
        ));
    } else {
        period.limit = Some(amount);
    }
    let schedule = ChargingSchedule::new(ChargingRateUnitEnum::W, vec![period], number);
    let purpose = match transaction {
        Some(_) => ChargingProfilePurposeEnum::TxProfile,
        None => ChargingProfilePurposeEnum::TxDefaultProfile,
    };
    let kind = if dynamic {
        ChargingProfileKindEnum::Dynamic
    } else {
        ChargingProfileKindEnum::Absolute
    };
    let mut schedule = schedule;
    if !dynamic {
        schedule.start_schedule = Some(now());
    }
    let mut profile = ChargingProfile::new(kind, purpose, vec![schedule], number, STACK_LEVEL);
    profile.transaction_id = transaction.map(|id| id.as_str().to_owned());
    Ok(profile)
}

async fn clear(
    state: &PlatformState,
    station: &StationId,
    evse: EvseId,
) -> Result<CommandOutcome, CommandError> {
    let mut criteria = ClearChargingProfile::new();
    criteria.evse_id = Some(i64::from(evse.0));
    criteria.stack_level = Some(STACK_LEVEL);
    let mut request = ClearChargingProfileRequest::new();
    request.charging_profile_criteria = Some(criteria);
    let response = state.ask(station, &request).await?;
    // `Unknown` means there was none: what was asked for is the case either way.
    state
        .store()
        .setpoint_clear(station, evse)
        .await
        .map_err(|error| {
            state.store_failed(Some(station), "forget a set-point", &error);
            CommandError::new(
                catalogue::platform::STORE_FAILED,
                "the set-point could not be forgotten",
            )
        })?;
    Ok(CommandOutcome {
        status: response.status.as_str().to_owned(),
        ..CommandOutcome::default()
    })
}
