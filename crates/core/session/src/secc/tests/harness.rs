//! A car made of raw messages, and an EVSE that does at once what it is told.

use std::time::Duration;

use gridlatch_vocab::{Amps, Code, MilliWattHours, Timestamp, Volts, Watts};
use iso15118::app_protocol::SupportedAppProtocolReq;
use iso15118::iso2::{self, BodyChoice as B, PhysicalValue, UnitSymbol as U};
use iso15118::iso20::common::{MessageHeader, Processing, RationalNumber};
use iso15118::iso20::{dc as d, messages as m};
use iso15118::message::Message;
use iso15118::session::{Connection, SessionId};
use iso15118::{Iso20Set, Protocol};

use crate::secc::common::v2;
use crate::secc::*;

pub(super) fn dc() -> SeccSessionConfig {
    SeccSessionConfig {
        evse_id: "DE*GLA*E000001".to_owned(),
        kind: Kind::Dc { bidirectional: true },
        iso2: true,
        iso20: true,
        tls: false,
        eim: true,
        pnc: true,
        control_modes: vec![ControlMode::Dynamic, ControlMode::Scheduled],
        limits: Limits {
            max_voltage: Volts(920.0),
            min_voltage: Volts(150.0),
            max_current: Amps(300.0),
            max_power: Watts(150_000.0),
            min_power: Watts(0.0),
            max_discharge_current: Amps(125.0),
            max_discharge_power: Watts(50_000.0),
            phases: 3,
        },
        meter_id: "GL-1".to_owned(),
        receipts: false,
        provisioning: true,
        contracts: None,
        entropy: Entropy {
            session_id: [1, 2, 3, 4, 5, 6, 7, 8],
            challenge: [9; 16],
        },
    }
}

pub(super) fn ac() -> SeccSessionConfig {
    SeccSessionConfig {
        kind: Kind::Ac,
        ..dc()
    }
}

pub(super) struct Car {
    pub(super) session: SeccSession,
    pub(super) evse: Evse,
    pub(super) verdict: Verdict,
    pub(super) was_closed: bool,
    /// How often the platform was asked.
    pub(super) asked: u32,
    pub(super) events: Vec<Notice>,
    pub(super) wall: Timestamp,
    conn: Connection,
    id: SessionId,
    now: Duration,
}

impl Car {
    pub(super) fn new(config: SeccSessionConfig) -> Self {
        let clock = Clock {
            monotonic: Duration::ZERO,
            wall: Timestamp::from_unix_millis(1_800_000_000_000),
        };
        Self {
            session: SeccSession::new(config, clock),
            evse: Evse {
                voltage: Volts(0.0),
                current: Amps(0.0),
                imported: MilliWattHours(0),
                exported: MilliWattHours(0),
                contactor_closed: false,
                isolation: Isolation::Unknown,
                setpoint: None,
                stop: false,
            },
            verdict: Verdict::Accepted { discharge: true },
            was_closed: false,
            asked: 0,
            events: Vec::new(),
            wall: clock.wall,
            conn: Connection::new(),
            id: SessionId::NONE,
            now: Duration::ZERO,
        }
    }

    fn clock(&self) -> Clock {
        Clock {
            monotonic: self.now,
            wall: self.wall,
        }
    }

    pub(super) fn saw(&self, code: Code) -> bool {
        self.events.iter().any(|event| event.code == code)
    }

    /// Sends bytes and gives back what the station sends, carrying out all it wants in between.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        let clock = self.clock();
        self.session.receive(clock, &self.evse, bytes);
        for _ in 0..2_000 {
            while let Some(output) = self.session.poll() {
                self.carry_out(output);
            }
            self.now += Duration::from_millis(5);
            let clock = self.clock();
            let moved = self.session.advance(clock, &self.evse);
            let mut answer = Vec::new();
            self.session.take_transmit(&mut answer);
            while let Some(output) = self.session.poll() {
                self.carry_out(output);
            }
            if !answer.is_empty() || self.session.end().is_some() {
                return answer;
            }
            if !moved && self.session.held.is_none() {
                return Vec::new();
            }
        }
        panic!("the station never answered");
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Event(notice) => self.events.push(notice),
            Output::Authorize(_) => {
                self.asked += 1;
                self.session.authorized(self.verdict.clone());
            }
            Output::TestIsolation => self.evse.isolation = Isolation::Valid,
            Output::CloseContactor => {
                self.evse.contactor_closed = true;
                self.was_closed = true;
            }
            Output::OpenContactor(_) => {
                self.evse.contactor_closed = false;
                self.evse.current = Amps(0.0);
            }
            Output::Demand(Demand::Dc { volts, amps }) => {
                // The battery holds 400 V once connected.
                self.evse.voltage = if self.evse.contactor_closed {
                    Volts(400.0)
                } else {
                    volts
                };
                self.evse.current = if self.evse.contactor_closed {
                    amps
                } else {
                    Amps(0.0)
                };
            }
            _ => {}
        }
    }

    pub(super) fn ask(&mut self, mut request: Message) -> Message {
        request.set_session_id(self.id);
        self.conn.send(&request).unwrap();
        let bytes = self.conn.take_transmit();
        let answer = self.send(&bytes);
        assert!(
            !answer.is_empty(),
            "{} got no answer: {:?}",
            request.name(),
            self.events
        );
        self.conn.receive(&answer).unwrap();
        let answer = self.conn.next_message().unwrap().unwrap();
        if let Some(id) = answer.session_id() {
            self.id = id;
        }
        answer
    }

    /// Sends a request whatever becomes of it.
    pub(super) fn now_try(&mut self, mut request: Message) {
        request.set_session_id(self.id);
        self.conn.send(&request).unwrap();
        let bytes = self.conn.take_transmit();
        self.send(&bytes);
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn agree_iso2(&mut self) {
        self.ask(Message::AppProtocolReq(Box::new(
            SupportedAppProtocolReq::advertising([Protocol::Iso2]),
        )));
        self.conn.set_protocol(Protocol::Iso2);
    }

    pub(super) fn agree_iso20(&mut self) {
        let request = SupportedAppProtocolReq::advertising_with([Protocol::Iso20], &[Iso20Set::Dc]);
        self.ask(Message::AppProtocolReq(Box::new(request)));
        self.conn.set_protocol(Protocol::Iso20);
    }

    pub(super) fn start_bpt_dynamic(&mut self) {
        self.agree_iso20();
        for request in bpt_requests() {
            let answer = self.ask(request.clone());
            assert!(
                !answer.outcome().unwrap().is_failure(),
                "{}: {answer:?}",
                request.name()
            );
        }
    }
}

fn pv(value: i16, unit: U) -> PhysicalValue {
    PhysicalValue {
        multiplier: 0,
        unit,
        value,
    }
}

fn status() -> iso2::DCEVStatus {
    iso2::DCEVStatus {
        ev_ready: true,
        ev_error_code: iso2::DCEVErrorCode::NOERROR,
        ev_ress_soc: 40,
    }
}

fn power(progress: iso2::ChargeProgress) -> Message {
    v2(B::PowerDeliveryReq(iso2::PowerDeliveryReq {
        charge_progress: progress,
        sa_schedule_tuple_id: 1,
        charging_profile: None,
        choice: Some(iso2::PowerDeliveryReqChoice::DCEVPowerDeliveryParameter(
            iso2::DCEVPowerDeliveryParameter {
                dc_ev_status: status(),
                bulk_charging_complete: None,
                charging_complete: false,
            },
        )),
    }))
}

/// A whole ISO 15118-2 DC session with external identification, in order.
pub(super) fn iso2_dc_requests() -> Vec<Message> {
    let current_demand = v2(B::CurrentDemandReq(iso2::CurrentDemandReq {
        dc_ev_status: status(),
        ev_target_current: pv(50, U::A),
        ev_maximum_voltage_limit: None,
        ev_maximum_current_limit: None,
        ev_maximum_power_limit: None,
        bulk_charging_complete: None,
        charging_complete: false,
        remaining_time_to_full_soc: None,
        remaining_time_to_bulk_soc: None,
        ev_target_voltage: pv(400, U::V),
    }));
    vec![
        v2(B::SessionSetupReq(iso2::SessionSetupReq {
            evcc_id: vec![2, 0, 0, 0, 0, 1],
        })),
        v2(B::ServiceDiscoveryReq(iso2::ServiceDiscoveryReq {
            service_scope: None,
            service_category: None,
        })),
        v2(B::PaymentServiceSelectionReq(iso2::PaymentServiceSelectionReq {
            selected_payment_option: iso2::PaymentOption::ExternalPayment,
            selected_service_list: iso2::SelectedServiceList {
                selected_service: vec![iso2::SelectedService {
                    service_id: 1,
                    parameter_set_id: None,
                }],
            },
        })),
        v2(B::AuthorizationReq(iso2::AuthorizationReq {
            id: None,
            gen_challenge: None,
        })),
        v2(B::ChargeParameterDiscoveryReq(
            iso2::ChargeParameterDiscoveryReq {
                max_entries_sa_schedule_tuple: None,
                requested_energy_transfer_mode: iso2::EnergyTransferMode::DCExtended,
                choice: iso2::ChargeParameterDiscoveryReqChoice::DCEVChargeParameter(
                    iso2::DCEVChargeParameter {
                        departure_time: None,
                        dc_ev_status: status(),
                        ev_maximum_current_limit: pv(200, U::A),
                        ev_maximum_power_limit: None,
                        ev_maximum_voltage_limit: pv(450, U::V),
                        ev_energy_capacity: None,
                        ev_energy_request: None,
                        full_soc: None,
                        bulk_soc: None,
                    },
                ),
            },
        )),
        v2(B::CableCheckReq(iso2::CableCheckReq {
            dc_ev_status: status(),
        })),
        v2(B::PreChargeReq(iso2::PreChargeReq {
            dc_ev_status: status(),
            ev_target_voltage: pv(400, U::V),
            ev_target_current: pv(1, U::A),
        })),
        power(iso2::ChargeProgress::Start),
        current_demand.clone(),
        current_demand,
        power(iso2::ChargeProgress::Stop),
        v2(B::WeldingDetectionReq(iso2::WeldingDetectionReq {
            dc_ev_status: status(),
        })),
        v2(B::SessionStopReq(iso2::SessionStopReq {
            charging_session: iso2::ChargingSession::Terminate,
        })),
    ]
}

pub(super) fn header() -> MessageHeader {
    MessageHeader {
        session_id: Vec::new(),
        time_stamp: 1_800_000_000,
        signature: None,
    }
}

fn rn(value: i16, exponent: i8) -> RationalNumber {
    RationalNumber { exponent, value }
}

pub(super) fn common(document: m::Document) -> Message {
    Message::Iso20(Box::new(document))
}

fn dc_message(document: d::Document) -> Message {
    Message::Iso20Dc(Box::new(document))
}

/// One turn of the loop: the car allows 80 kW in (200 A) and 40 kW out (100 A).
pub(super) fn bpt_loop() -> Message {
    dc_message(d::Document::DCChargeLoopReq(d::DCChargeLoopReq {
        header: header(),
        display_parameters: None,
        meter_info_requested: false,
        ev_present_voltage: rn(400, 0),
        choice: d::DCChargeLoopReqChoice::BPTDynamicDCCLReqControlMode(d::BPTDynamicDCCLReqControlMode {
            ev_maximum_charge_power: rn(80, 3),
            ev_maximum_charge_current: rn(200, 0),
            ev_maximum_voltage: rn(450, 0),
            ev_minimum_voltage: rn(300, 0),
            ev_maximum_discharge_power: rn(40, 3),
            ev_maximum_discharge_current: rn(100, 0),
            ..d::BPTDynamicDCCLReqControlMode::minimal()
        }),
    }))
}

/// A `DC_BPT` session in dynamic control, up to the first loop.
pub(super) fn bpt_requests() -> Vec<Message> {
    use m::Document as D;
    vec![
        common(D::SessionSetupReq(m::SessionSetupReq {
            header: header(),
            evcc_id: "GLTEST".to_owned(),
        })),
        common(D::AuthorizationSetupReq(m::AuthorizationSetupReq {
            header: header(),
        })),
        common(D::AuthorizationReq(m::AuthorizationReq {
            header: header(),
            selected_authorization_service: m::Authorization::EIM,
            choice: m::AuthorizationReqChoice::EIMAReqAuthorizationMode(m::EIMAReqAuthorizationMode),
        })),
        common(D::ServiceDiscoveryReq(m::ServiceDiscoveryReq {
            header: header(),
            supported_service_i_ds: None,
        })),
        common(D::ServiceDetailReq(m::ServiceDetailReq {
            header: header(),
            service_id: 6,
        })),
        common(D::ServiceSelectionReq(m::ServiceSelectionReq {
            header: header(),
            selected_energy_transfer_service: m::SelectedService {
                service_id: 6,
                parameter_set_id: 1,
            },
            selected_vas_list: None,
        })),
        dc_message(d::Document::DCChargeParameterDiscoveryReq(
            d::DCChargeParameterDiscoveryReq {
                header: header(),
                choice: d::DCChargeParameterDiscoveryReqChoice::BPTDCCPDReqEnergyTransferMode(
                    d::BPTDCCPDReqEnergyTransferMode {
                        ev_maximum_charge_power: rn(80, 3),
                        ev_maximum_charge_current: rn(200, 0),
                        ev_maximum_voltage: rn(450, 0),
                        ..d::BPTDCCPDReqEnergyTransferMode::minimal()
                    },
                ),
            },
        )),
        common(D::ScheduleExchangeReq(m::ScheduleExchangeReq {
            header: header(),
            maximum_supporting_points: 12,
            choice: m::ScheduleExchangeReqChoice::DynamicSEReqControlMode(m::DynamicSEReqControlMode {
                departure_time: 3600,
                minimum_soc: None,
                target_soc: None,
                ev_target_energy_request: rn(10, 3),
                ev_maximum_energy_request: rn(20, 3),
                ev_minimum_energy_request: rn(0, 0),
                ev_maximum_v2_x_energy_request: None,
                ev_minimum_v2_x_energy_request: None,
            }),
        })),
        dc_message(d::Document::DCCableCheckReq(d::DCCableCheckReq {
            header: header(),
        })),
        dc_message(d::Document::DCPreChargeReq(d::DCPreChargeReq {
            header: header(),
            ev_processing: Processing::Finished,
            ev_present_voltage: rn(0, 0),
            ev_target_voltage: rn(400, 0),
        })),
        common(D::PowerDeliveryReq(m::PowerDeliveryReq {
            header: header(),
            ev_processing: Processing::Finished,
            charge_progress: m::ChargeProgress::Start,
            ev_power_profile: Some(m::EVPowerProfile {
                time_anchor: 0,
                choice: m::EVPowerProfileChoice::DynamicEVPPTControlMode(m::DynamicEVPPTControlMode),
                ev_power_profile_entries: m::EVPowerProfileEntryList {
                    ev_power_profile_entry: vec![m::PowerScheduleEntry {
                        duration: 3600,
                        power: rn(10, 3),
                        power_l2: None,
                        power_l3: None,
                    }],
                },
            }),
            bpt_channel_selection: Some(m::ChannelSelection::Charge),
        })),
    ]
}
