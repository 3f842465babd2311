//! What the station says, in the part of OCPP that 2.0.1 and 2.1 share.
//!
//! Messages are built with the types of 2.0.1, the stricter of the two, so that a message that waits in the
//! outbox can be delivered to a platform of either version.

use base64::Engine as _;
use gridlatch_ocpp::{Answer, Payload as _, Request, Version, decode, v21, v201};
use gridlatch_session::evcc::Generation;
use gridlatch_session::provisioning::Action;
use gridlatch_vocab::{ConnectorId, EvseId, Timestamp, Watts};
use rust_decimal::Decimal;
use serde_json::Value;

use super::CsmsConfig;
use crate::backend::{ChargingState, ConnectorStatus, Identification, MeterReading, StopReason};

/// A message on its way: its action and its payload.
pub(super) type Outgoing = (&'static str, Value);

pub(super) fn outgoing<R: Request>(request: &R) -> Outgoing {
    (R::ACTION, Value::Object(request.write()))
}

pub(super) fn boot(config: &CsmsConfig, reason: v201::BootReasonEnum) -> Outgoing {
    let mut station = v201::ChargingStation::new(config.model.clone(), config.vendor.clone());
    station.serial_number = config.serial.clone();
    station.firmware_version = Some(env!("CARGO_PKG_VERSION").to_owned());
    outgoing(&v201::BootNotificationRequest::new(station, reason))
}

pub(super) fn heartbeat() -> Outgoing {
    outgoing(&v201::HeartbeatRequest::new())
}

pub(super) fn status(
    evse: EvseId,
    connector: ConnectorId,
    at: Timestamp,
    status: ConnectorStatus,
) -> Outgoing {
    let status = match status {
        ConnectorStatus::Available => v201::ConnectorStatusEnum::Available,
        ConnectorStatus::Occupied => v201::ConnectorStatusEnum::Occupied,
        ConnectorStatus::Faulted => v201::ConnectorStatusEnum::Faulted,
        ConnectorStatus::Unavailable => v201::ConnectorStatusEnum::Unavailable,
    };
    outgoing(&v201::StatusNotificationRequest::new(
        connector.0.into(),
        status,
        evse.0.into(),
        at,
    ))
}

/// Who it is, as a token. A type of 2.1 that 2.0.1 lacks becomes `Central`.
pub(super) fn id_token(identification: &Identification) -> v201::IdToken {
    match identification {
        Identification::Contract { emaid, .. } => {
            v201::IdToken::new(emaid.reveal().clone(), v201::IdTokenEnum::EMAID)
        }
        Identification::Token { token, kind } => v201::IdToken::new(
            token.reveal().clone(),
            v201::IdTokenEnum::from_word(kind).unwrap_or(v201::IdTokenEnum::Central),
        ),
    }
}

/// C07.FR.01: the contract chain as PEM, and what to ask OCSP about.
pub(super) fn authorize(identification: &Identification) -> Outgoing {
    let mut request = v201::AuthorizeRequest::new(id_token(identification));
    if let Identification::Contract { chain, .. } = identification {
        let pem: String = chain
            .iter()
            .map(|der| gridlatch_trust::certificate::to_pem(der))
            .collect();
        // 2.0.1 allows 5500 characters; a longer chain goes by its hashes alone.
        request.certificate = (pem.len() <= 5500).then_some(pem);
        let hashes: Vec<_> = chain
            .iter()
            .zip(chain.iter().skip(1))
            .filter_map(|(certificate, issuer)| {
                gridlatch_trust::certificate::hash_data(certificate, issuer).ok()
            })
            .map(|data| {
                v201::OCSPRequestData::new(
                    v201::HashAlgorithmEnum::SHA256,
                    data.issuer_key_hash,
                    data.issuer_name_hash,
                    data.responder_url.unwrap_or_default(),
                    data.serial_number,
                )
            })
            .take(4)
            .collect();
        request.iso15118_certificate_hash_data = (!hashes.is_empty()).then_some(hashes);
    }
    outgoing(&request)
}

/// M01, M02: a vehicle's request for a contract, as it came.
pub(super) fn provision(generation: Generation, action: Action, exi: &[u8]) -> Outgoing {
    let action = match action {
        Action::Install => v201::CertificateActionEnum::Install,
        Action::Update => v201::CertificateActionEnum::Update,
    };
    outgoing(&v201::Get15118EVCertificateRequest::new(
        action,
        base64::engine::general_purpose::STANDARD.encode(exi),
        generation.schema().to_owned(),
    ))
}

/// What the platform says to [`provision`]. A response in EXI is for the vehicle whatever the status is: a refusal
/// tells it why.
pub(super) fn provided(answer: Answer) -> Result<Vec<u8>, String> {
    let payload = answer.map_err(|error| format!("the platform answered with {error}"))?;
    let response = decode::<v21::Get15118EVCertificateResponse>(payload)
        .map_err(|error| error.to_string())?
        .payload;
    let exi = base64::engine::general_purpose::STANDARD
        .decode(response.exi_response.trim())
        .map_err(|error| format!("the platform's EXI is no base64: {error}"))?;
    if exi.is_empty() {
        let reason = response.status_info.and_then(|info| info.additional_info);
        return Err(reason.unwrap_or_else(|| "the platform provides no contract".to_owned()));
    }
    Ok(exi)
}

/// Both registers, power, current, tension, charge. Energy is exact; what is measured as a float has three decimals.
pub(super) fn meter_value(meter: &MeterReading, context: v201::ReadingContextEnum) -> v201::MeterValue {
    use v201::MeasurandEnum as M;
    let energy = |register: u64| Decimal::try_from_i128_with_scale(register.into(), 3).ok();
    let measured = |value: f64| Decimal::try_from(value).ok().map(|value| value.round_dp(3));
    let (power, current) = (meter.power.0, meter.current.0);
    let mut values = vec![
        (M::EnergyActiveImportRegister, energy(meter.imported.0), "Wh"),
        (M::EnergyActiveExportRegister, energy(meter.exported.0), "Wh"),
        (M::PowerActiveImport, measured(power.max(0.0)), "W"),
        (M::PowerActiveExport, measured((-power).max(0.0)), "W"),
        (M::CurrentImport, measured(current.max(0.0)), "A"),
        (M::CurrentExport, measured((-current).max(0.0)), "A"),
        (M::Voltage, measured(meter.voltage.0), "V"),
    ];
    if let Some(soc) = meter.soc {
        values.push((M::SoC, measured(soc.0), "Percent"));
    }
    let sampled = values.into_iter().filter_map(|(measurand, value, unit)| {
        let mut sample = v201::SampledValue::new(value?.normalize());
        sample.measurand = Some(measurand);
        sample.context = Some(context);
        sample.location = Some(if measurand == M::SoC {
            v201::LocationEnum::EV
        } else {
            v201::LocationEnum::Outlet
        });
        let mut unit_of_measure = v201::UnitOfMeasure::new();
        unit_of_measure.unit = Some(unit.to_owned());
        sample.unit_of_measure = Some(unit_of_measure);
        Some(sample)
    });
    v201::MeterValue::new(sampled.collect(), meter.at)
}

/// The measurand of the set-point in force; OCPP 2.1 has it, 2.0.1 has not.
const SETPOINT: &str = "Power.Active.Setpoint";

/// Adds the set-point in force to the meter values of a TransactionEvent that was written for both versions.
pub(super) fn add_setpoint(event: &mut Value, setpoint: Watts) {
    let watts = (setpoint.0 * 10.0).round() / 10.0;
    if !watts.is_finite() {
        return;
    }
    let sample = serde_json::json!({
        "value": watts, "measurand": SETPOINT, "unitOfMeasure": { "unit": "W" },
    });
    for values in sampled_values(event) {
        values.push(sample.clone());
    }
}

/// Adds the meter's signed record to the import register of the last meter value of a TransactionEvent.
pub(super) fn add_signed(event: &mut Value, signed: &v201::SignedMeterValue) {
    let register = sampled_values(event)
        .last()
        .and_then(|values| values.iter_mut().find(|sample| sample["measurand"] == IMPORT));
    if let Some(register) = register {
        register["signedMeterValue"] = Value::Object(signed.write());
    }
}

/// The measurand that carries the signed record.
const IMPORT: &str = "Energy.Active.Import.Register";

/// Takes out of a TransactionEvent what this version has no word for.
pub(super) fn speak(event: &mut Value, version: Version) {
    if version == Version::V201 {
        for values in sampled_values(event) {
            values.retain(|sample| sample["measurand"] != SETPOINT);
        }
    }
}

fn sampled_values(event: &mut Value) -> impl Iterator<Item = &mut Vec<Value>> {
    let meter_values = event.get_mut("meterValue").and_then(Value::as_array_mut);
    meter_values
        .into_iter()
        .flatten()
        .filter_map(|value| value.get_mut("sampledValue")?.as_array_mut())
}

pub(super) const fn charging_state(state: ChargingState) -> v201::ChargingStateEnum {
    match state {
        ChargingState::EvConnected => v201::ChargingStateEnum::EVConnected,
        ChargingState::Charging => v201::ChargingStateEnum::Charging,
        ChargingState::SuspendedEv => v201::ChargingStateEnum::SuspendedEV,
        ChargingState::SuspendedEvse => v201::ChargingStateEnum::SuspendedEVSE,
        ChargingState::Idle => v201::ChargingStateEnum::Idle,
    }
}

pub(super) const fn stop_reason(reason: StopReason) -> (v201::ReasonEnum, v201::TriggerReasonEnum) {
    use v201::{ReasonEnum as R, TriggerReasonEnum as T};
    match reason {
        StopReason::EvDisconnected => (R::EVDisconnected, T::EVDeparted),
        StopReason::StoppedByEv => (R::StoppedByEV, T::ChargingStateChanged),
        StopReason::Remote => (R::Remote, T::RemoteStop),
        StopReason::EmergencyStop => (R::EmergencyStop, T::AbnormalCondition),
        StopReason::Other => (R::Other, T::AbnormalCondition),
        StopReason::DeAuthorized => (R::DeAuthorized, T::Deauthorized),
        StopReason::ImmediateReset => (R::ImmediateReset, T::ResetCommand),
    }
}
