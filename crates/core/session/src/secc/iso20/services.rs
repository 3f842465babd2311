//! ISO 15118-20: which services an EVSE has and with which parameters.

use gridlatch_vocab::catalogue::session as codes;
use iso15118::iso20::common::{MessageHeader, ResponseCode as R};
use iso15118::iso20::messages as m;

use super::super::policy::Policy;
use super::super::types::{ControlMode, Kind, Step};

/// Service numbers of ISO 15118-20 table 204.
pub(super) const AC: u16 = 1;
pub(super) const DC: u16 = 2;
pub(super) const DC_BPT: u16 = 6;

impl Policy {
    fn services_iso20(&self) -> Vec<u16> {
        match self.config.kind {
            Kind::Ac => vec![AC],
            Kind::Dc { bidirectional: false } => vec![DC],
            Kind::Dc { bidirectional: true } => vec![DC_BPT, DC],
        }
    }

    pub(super) fn service_discovery(&self, header: MessageHeader) -> m::ServiceDiscoveryRes {
        m::ServiceDiscoveryRes {
            header,
            response_code: R::OK,
            service_renegotiation_supported: false,
            energy_transfer_service_list: m::ServiceList {
                service: self
                    .services_iso20()
                    .into_iter()
                    .map(|service_id| m::Service {
                        service_id,
                        free_service: false,
                    })
                    .collect(),
            },
            vas_list: None,
        }
    }

    /// One parameter set per control mode, numbered from 1 in the order of preference.
    pub(super) fn service_detail(
        &mut self,
        header: MessageHeader,
        service: u16,
    ) -> Option<m::ServiceDetailRes> {
        if !self.services_iso20().contains(&service) {
            self.reject(
                R::FAILEDServiceIDInvalid as u8,
                codes::REQUEST_REFUSED,
                "ServiceDetailReq",
                "the vehicle asks for a service this EVSE does not have",
            );
            return None;
        }
        let parameter_set = self
            .config
            .control_modes
            .iter()
            .zip(1..)
            .map(|(mode, parameter_set_id)| m::ParameterSet {
                parameter_set_id,
                parameter: self.parameters(service, *mode),
            })
            .collect();
        Some(m::ServiceDetailRes {
            header,
            response_code: R::OK,
            service_id: service,
            service_parameter_list: m::ServiceParameterList { parameter_set },
        })
    }

    fn parameters(&self, service: u16, mode: ControlMode) -> Vec<m::Parameter> {
        let int = |name: &str, value: i32| m::Parameter {
            name: name.to_owned(),
            choice: m::ParameterChoice::IntValue(value),
        };
        // DC: 2 = Extended; AC: 1 = single phase, 2 = three phase.
        let connector = if service == AC && self.config.limits.phases < 3 {
            1
        } else {
            2
        };
        let mut parameters = vec![int("Connector", connector)];
        parameters.push(int(
            "ControlMode",
            match mode {
                ControlMode::Scheduled => 1,
                ControlMode::Dynamic => 2,
            },
        ));
        if service == AC {
            let volts = self.config.limits.max_voltage.0.round();
            parameters.push(int(
                "EVSENominalVoltage",
                if volts.is_finite() { volts as i32 } else { 0 },
            ));
        }
        // The vehicle names its mobility needs; the station makes no prices.
        parameters.push(int("MobilityNeedsMode", 1));
        parameters.push(int("Pricing", 0));
        if service == DC_BPT {
            // Unified channel, grid following.
            parameters.push(int("BPTChannel", 1));
            parameters.push(int("GeneratorMode", 1));
        }
        parameters
    }

    pub(super) fn select_service(&mut self, request: &m::ServiceSelectionReq) {
        let selected = &request.selected_energy_transfer_service;
        let mode = usize::from(selected.parameter_set_id)
            .checked_sub(1)
            .and_then(|index| self.config.control_modes.get(index).copied());
        let known = self.services_iso20().contains(&selected.service_id);
        let (Some(mode), true, true) = (mode, known, request.selected_vas_list.is_none()) else {
            self.reject(
                R::FAILEDServiceSelectionInvalid as u8,
                codes::REQUEST_REFUSED,
                "ServiceSelectionReq",
                "the vehicle selected a service or parameters this EVSE did not offer",
            );
            return;
        };
        self.control = mode;
        self.discharge = selected.service_id == DC_BPT;
        self.iso20.service = Some(selected.service_id);
        let service = self.service_name();
        self.step(Step::Service {
            service,
            control: Some(mode),
        });
    }
}
