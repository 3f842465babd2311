//! The requests of ISO 15118-2 as this vehicle words them. The session id is stamped in by the engine.

use iso15118::iso2::{
    self, ACEVChargeParameter, AuthorizationReq, Body, BodyChoice, CableCheckReq,
    ChargeParameterDiscoveryReq, ChargeParameterDiscoveryReqChoice, ChargeProgress, ChargingProfile,
    ChargingSession, ChargingStatusReq, CurrentDemandReq, DCEVChargeParameter, DCEVErrorCode,
    DCEVPowerDeliveryParameter, DCEVStatus, EnergyTransferMode, MeteringReceiptReq, PaymentDetailsReq,
    PaymentOption, PaymentServiceSelectionReq, PowerDeliveryReq, PowerDeliveryReqChoice, PreChargeReq,
    ProfileEntry, SelectedService, SelectedServiceList, ServiceDiscoveryReq, SessionSetupReq, SessionStopReq,
    Signature, SubCertificates, UnitSymbol as U, WeldingDetectionReq,
};
use iso15118::message::Message;

use crate::evcc::config::VehicleState;
use crate::evcc::contract::Contract;
use crate::evcc::course::Course;
use crate::physical::iso2 as quantity;

/// Current asked for during pre-charge, amperes: enough to charge the filter, below the 2 A that
/// IEC 61851-23 allows.
const PRE_CHARGE_A: f64 = 1.0;

fn message(choice: BodyChoice, signature: Option<Signature>) -> Message {
    Message::Iso2(Box::new(iso2::Document::V2GMessage(iso2::V2GMessage {
        header: iso2::MessageHeader {
            session_id: Vec::new(),
            notification: None,
            signature,
        },
        body: Body { choice: Some(choice) },
    })))
}

/// The body of an ISO 15118-2 message; a bare element outside `V2G_Message` has none.
pub(super) fn body_of(message: &Message) -> Option<&BodyChoice> {
    match message {
        Message::Iso2(document) => match &**document {
            iso2::Document::V2GMessage(message) => message.body.choice.as_ref(),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn session_setup(evcc_id: [u8; 6]) -> Message {
    let request = SessionSetupReq {
        evcc_id: evcc_id.to_vec(),
    };
    message(BodyChoice::SessionSetupReq(request), None)
}

pub(super) fn session_stop() -> Message {
    let request = SessionStopReq {
        charging_session: ChargingSession::Terminate,
    };
    message(BodyChoice::SessionStopReq(request), None)
}

pub(super) fn service_discovery() -> Message {
    let request = ServiceDiscoveryReq {
        service_scope: None,
        service_category: None,
    };
    message(BodyChoice::ServiceDiscoveryReq(request), None)
}

/// `services`: id, and the parameter set where one is chosen.
pub(super) fn payment_selection(option: PaymentOption, services: &[(u16, Option<i16>)]) -> Message {
    let request = PaymentServiceSelectionReq {
        selected_payment_option: option,
        selected_service_list: SelectedServiceList {
            selected_service: services
                .iter()
                .map(|(service_id, parameter_set_id)| SelectedService {
                    service_id: *service_id,
                    parameter_set_id: *parameter_set_id,
                })
                .collect(),
        },
    };
    message(BodyChoice::PaymentServiceSelectionReq(request), None)
}

pub(super) fn payment_details(contract: &Contract) -> Message {
    let subs = contract.sub_certificates();
    let request = PaymentDetailsReq {
        e_maid: contract.emaid.reveal().clone(),
        contract_signature_cert_chain: iso2::CertificateChain {
            id: None,
            certificate: contract.leaf().to_vec(),
            sub_certificates: (!subs.is_empty()).then_some(SubCertificates { certificate: subs }),
        },
    };
    message(BodyChoice::PaymentDetailsReq(request), None)
}

pub(super) fn authorization_eim() -> Message {
    let request = AuthorizationReq {
        id: None,
        gen_challenge: None,
    };
    message(BodyChoice::AuthorizationReq(request), None)
}

pub(super) fn authorization_signed(request: AuthorizationReq, signature: Signature) -> Message {
    message(BodyChoice::AuthorizationReq(request), Some(signature))
}

pub(super) fn metering_receipt(receipt: MeteringReceiptReq, signature: Signature) -> Message {
    message(BodyChoice::MeteringReceiptReq(receipt), Some(signature))
}

fn status(vehicle: &VehicleState) -> DCEVStatus {
    DCEVStatus {
        ev_ready: true,
        ev_error_code: DCEVErrorCode::NOERROR,
        ev_ress_soc: vehicle.soc_percent(),
    }
}

pub(super) fn parameters(vehicle: &VehicleState, course: &Course, mode: EnergyTransferMode) -> Message {
    let dc = !matches!(
        mode,
        EnergyTransferMode::ACSinglePhaseCore | EnergyTransferMode::ACThreePhaseCore
    );
    let choice = if dc {
        ChargeParameterDiscoveryReqChoice::DCEVChargeParameter(DCEVChargeParameter {
            departure_time: course.departure(),
            dc_ev_status: status(vehicle),
            ev_maximum_current_limit: quantity(vehicle.maximum_current, U::A),
            ev_maximum_power_limit: Some(quantity(vehicle.charge_limit, U::W)),
            ev_maximum_voltage_limit: quantity(vehicle.maximum_voltage, U::V),
            ev_energy_capacity: Some(quantity(vehicle.capacity_wh, U::Wh)),
            ev_energy_request: Some(quantity(course.charge_request_wh(vehicle), U::Wh)),
            full_soc: Some(100),
            bulk_soc: Some(80),
        })
    } else {
        ChargeParameterDiscoveryReqChoice::ACEVChargeParameter(ACEVChargeParameter {
            departure_time: course.departure(),
            e_amount: quantity(course.charge_request_wh(vehicle), U::Wh),
            ev_max_voltage: quantity(400.0, U::V),
            ev_max_current: quantity(vehicle.ac_current, U::A),
            ev_min_current: quantity(6.0, U::A),
        })
    };
    let request = ChargeParameterDiscoveryReq {
        max_entries_sa_schedule_tuple: None,
        requested_energy_transfer_mode: mode,
        choice,
    };
    message(BodyChoice::ChargeParameterDiscoveryReq(request), None)
}

pub(super) fn cable_check(vehicle: &VehicleState) -> Message {
    let request = CableCheckReq {
        dc_ev_status: status(vehicle),
    };
    message(BodyChoice::CableCheckReq(request), None)
}

pub(super) fn pre_charge(vehicle: &VehicleState) -> Message {
    let request = PreChargeReq {
        dc_ev_status: status(vehicle),
        ev_target_voltage: quantity(vehicle.battery_voltage, U::V),
        ev_target_current: quantity(PRE_CHARGE_A, U::A),
    };
    message(BodyChoice::PreChargeReq(request), None)
}

/// A `PowerDeliveryReq`; `profile` is start second and watts, and goes with a start.
pub(super) fn power_delivery(
    vehicle: &VehicleState,
    start: bool,
    tuple: u8,
    dc: bool,
    phases: Option<u8>,
    profile: &[(u32, f64)],
) -> Message {
    let profile: Vec<ProfileEntry> = profile
        .iter()
        .map(|(at, watts)| ProfileEntry {
            charging_profile_entry_start: *at,
            charging_profile_entry_max_power: quantity(*watts, U::W),
            charging_profile_entry_max_number_of_phases_in_use: phases,
        })
        .collect();
    let request = PowerDeliveryReq {
        charge_progress: if start {
            ChargeProgress::Start
        } else {
            ChargeProgress::Stop
        },
        sa_schedule_tuple_id: tuple,
        charging_profile: (start && !profile.is_empty()).then_some(ChargingProfile {
            profile_entry: profile,
        }),
        choice: dc.then(|| {
            PowerDeliveryReqChoice::DCEVPowerDeliveryParameter(DCEVPowerDeliveryParameter {
                dc_ev_status: status(vehicle),
                bulk_charging_complete: None,
                charging_complete: !start,
            })
        }),
    };
    message(BodyChoice::PowerDeliveryReq(request), None)
}

pub(super) fn current_demand(vehicle: &VehicleState, amps: f64, volts: f64) -> Message {
    let request = CurrentDemandReq {
        dc_ev_status: status(vehicle),
        ev_target_current: quantity(amps, U::A),
        ev_maximum_voltage_limit: Some(quantity(vehicle.maximum_voltage, U::V)),
        ev_maximum_current_limit: Some(quantity(vehicle.maximum_current, U::A)),
        ev_maximum_power_limit: Some(quantity(vehicle.charge_limit, U::W)),
        bulk_charging_complete: Some(vehicle.soc >= 80.0),
        charging_complete: false,
        remaining_time_to_full_soc: None,
        remaining_time_to_bulk_soc: None,
        ev_target_voltage: quantity(volts, U::V),
    };
    message(BodyChoice::CurrentDemandReq(request), None)
}

pub(super) fn charging_status() -> Message {
    message(BodyChoice::ChargingStatusReq(ChargingStatusReq), None)
}

pub(super) fn welding_detection(vehicle: &VehicleState) -> Message {
    let request = WeldingDetectionReq {
        dc_ev_status: status(vehicle),
    };
    message(BodyChoice::WeldingDetectionReq(request), None)
}
