//! The station's device model: what GetVariables reads and SetVariables changes.

use std::time::Duration;

use gridlatch_ocpp::v21;

/// A variable's type and whether the platform may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Fixed,
    /// A whole number of seconds in a range.
    Seconds(i64, i64),
}

#[derive(Debug)]
struct Entry {
    component: &'static str,
    variable: &'static str,
    value: String,
    access: Access,
}

/// The device model.
#[derive(Debug)]
pub(super) struct Variables(Vec<Entry>);

impl Variables {
    /// `sampled`: how often a running transaction is reported.
    pub(super) fn new(sampled: Duration) -> Self {
        let sampled = i64::try_from(sampled.as_secs()).unwrap_or(3600).clamp(1, 3600);
        let fixed = |component, variable, value: &str| Entry {
            component,
            variable,
            value: value.to_owned(),
            access: Access::Fixed,
        };
        let seconds = |component, variable, value: i64, low, high| Entry {
            component,
            variable,
            value: value.to_string(),
            access: Access::Seconds(low, high),
        };
        let modes = "AC_single_phase,AC_three_phase,DC,AC_BPT,DC_BPT";
        Self(vec![
            fixed("ChargingStation", "AvailabilityState", "Available"),
            fixed("AuthCtrlr", "Enabled", "true"),
            fixed("ISO15118Ctrlr", "ContractValidationOffline", "false"),
            fixed("ISO15118Ctrlr", "Enabled", "true"),
            fixed("ISO15118Ctrlr", "PnCEnabled", "true"),
            fixed(
                "ISO15118Ctrlr",
                "ProtocolSupported",
                "urn:iso:15118:2:2013:MsgDef,urn:iso:std:iso:15118:-20:DC",
            ),
            seconds("OCPPCommCtrlr", "HeartbeatInterval", 60, 1, 86_400),
            fixed("OCPPCommCtrlr", "MessageTimeout", "30"),
            fixed("OCPPCommCtrlr", "NetworkConfigurationPriority", "0"),
            fixed("OCPPCommCtrlr", "OfflineThreshold", "60"),
            fixed("SampledDataCtrlr", "Enabled", "true"),
            fixed(
                "SampledDataCtrlr",
                "TxUpdatedMeasurands",
                "Energy.Active.Import.Register,Energy.Active.Export.Register,Power.Active.Import,Power.Active.Export,\
                 Current.Import,Current.Export,Voltage,SoC",
            ),
            seconds("SampledDataCtrlr", "TxUpdatedInterval", sampled, 1, 3600),
            fixed("SecurityCtrlr", "SecurityProfile", "3"),
            fixed("SmartChargingCtrlr", "Enabled", "true"),
            fixed("SmartChargingCtrlr", "RateUnit", "W"),
            fixed("V2XChargingCtrlr", "Available", "true"),
            fixed("V2XChargingCtrlr", "Enabled", "true"),
            fixed("V2XChargingCtrlr", "SupportedEnergyTransferModes", modes),
            fixed(
                "V2XChargingCtrlr",
                "SupportedOperationModes",
                "ChargingOnly,CentralSetpoint",
            ),
        ])
    }

    /// A variable of seconds.
    pub(super) fn seconds(&self, component: &str, variable: &str) -> i64 {
        self.find(component, variable)
            .and_then(|entry| entry.value.parse().ok())
            .unwrap_or(60)
    }

    pub(super) fn set_heartbeat(&mut self, seconds: i64) {
        if let Some(entry) = self.find_mut("OCPPCommCtrlr", "HeartbeatInterval") {
            entry.value = seconds.clamp(1, 86_400).to_string();
        }
    }

    /// GetVariables, B06.
    pub(super) fn get(&self, asked: v21::GetVariableData) -> v21::GetVariableResult {
        use v21::GetVariableStatusEnum as S;
        let entry = self.find(&asked.component.name, &asked.variable.name);
        let (status, value) = match entry {
            _ if asked
                .attribute_type
                .is_some_and(|kind| kind != v21::AttributeEnum::Actual) =>
            {
                (S::NotSupportedAttributeType, None)
            }
            Some(entry) => (S::Accepted, Some(entry.value.clone())),
            None if self.knows(&asked.component.name) => (S::UnknownVariable, None),
            None => (S::UnknownComponent, None),
        };
        let mut result = v21::GetVariableResult::new(status, asked.component, asked.variable);
        result.attribute_type = asked.attribute_type;
        result.attribute_value = value;
        result
    }

    /// SetVariables, B05.
    pub(super) fn set(&mut self, asked: v21::SetVariableData) -> v21::SetVariableResult {
        use v21::SetVariableStatusEnum as S;
        let known = self.knows(&asked.component.name);
        let status = match self.find_mut(&asked.component.name, &asked.variable.name) {
            _ if asked
                .attribute_type
                .is_some_and(|kind| kind != v21::AttributeEnum::Actual) =>
            {
                S::NotSupportedAttributeType
            }
            None if known => S::UnknownVariable,
            None => S::UnknownComponent,
            Some(entry) => {
                let fits = match entry.access {
                    Access::Fixed => false,
                    Access::Seconds(low, high) => asked
                        .attribute_value
                        .parse::<i64>()
                        .is_ok_and(|value| (low..=high).contains(&value)),
                };
                if fits {
                    entry.value.clone_from(&asked.attribute_value);
                }
                if fits { S::Accepted } else { S::Rejected }
            }
        };
        let mut result = v21::SetVariableResult::new(status, asked.component, asked.variable);
        result.attribute_type = asked.attribute_type;
        result
    }

    /// Everything, for NotifyReport; `writable` leaves out what cannot be changed.
    pub(super) fn report(&self, writable: bool) -> Vec<v21::ReportData> {
        let entries = self
            .0
            .iter()
            .filter(|entry| !writable || entry.access != Access::Fixed);
        let report = entries.map(|entry| {
            let mut attribute = v21::VariableAttribute::new();
            attribute.r#type = Some(v21::AttributeEnum::Actual);
            attribute.value = Some(entry.value.clone());
            attribute.mutability = Some(match entry.access {
                Access::Fixed => v21::MutabilityEnum::ReadOnly,
                Access::Seconds(..) => v21::MutabilityEnum::ReadWrite,
            });
            let data_type = match entry.access {
                Access::Fixed => v21::DataEnum::String,
                Access::Seconds(..) => v21::DataEnum::Integer,
            };
            let mut data = v21::ReportData::new(
                v21::Component::new(entry.component.to_owned()),
                v21::Variable::new(entry.variable.to_owned()),
                vec![attribute],
            );
            data.variable_characteristics = Some(v21::VariableCharacteristics::new(data_type, false));
            data
        });
        report.collect()
    }

    fn knows(&self, component: &str) -> bool {
        self.0
            .iter()
            .any(|entry| entry.component.eq_ignore_ascii_case(component))
    }

    fn find(&self, component: &str, variable: &str) -> Option<&Entry> {
        // Names in the device model compare without case (OCPP 2.0.1 part 1, 4.1.1).
        self.0.iter().find(|entry| entry.is(component, variable))
    }

    fn find_mut(&mut self, component: &str, variable: &str) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.is(component, variable))
    }
}

impl Entry {
    fn is(&self, component: &str, variable: &str) -> bool {
        self.component.eq_ignore_ascii_case(component) && self.variable.eq_ignore_ascii_case(variable)
    }
}
