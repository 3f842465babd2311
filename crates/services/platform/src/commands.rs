//! What the platform asks of stations: each command is an event with who asked, and ends with a clear code.

use gridlatch_host::now;
use gridlatch_ocpp::{Payload, Request, SchemaError};
use gridlatch_vocab::{Code, Event, EventSink as _, EvseId, StationId, TransactionId, Watts, catalogue};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

use crate::authority::StationCertificate;
use crate::registry::{Outbound, Reply};
use crate::state::PlatformState;
use crate::wire;

mod certificates;
mod reset;
mod setpoint;
mod start;
mod stop;
mod variables;

pub use certificates::{CertificateHash, InstalledCertificate};

/// A command to a station.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Start charging on a token (RequestStartTransaction); without a token one is made for this start.
    Start {
        /// The EVSE.
        evse: EvseId,
        /// The token and its OCPP type.
        token: Option<(gridlatch_vocab::Personal<String>, String)>,
    },
    /// Stop a transaction (RequestStopTransaction).
    Stop {
        /// The transaction.
        transaction: TransactionId,
    },
    /// Follow a power (SetChargingProfile), negative to discharge; `None` lifts it (ClearChargingProfile).
    Setpoint {
        /// The EVSE.
        evse: EvseId,
        /// The power.
        power: Option<Watts>,
    },
    /// Restart the station (Reset).
    Reset {
        /// Now, ending transactions; otherwise when none runs.
        immediate: bool,
    },
    /// Read variables of the device model (GetVariables).
    GetVariables(Vec<VariableGet>),
    /// Change variables of the device model (SetVariables).
    SetVariables(Vec<VariableSet>),
    /// Have the station ask for a new certificate (TriggerMessage SignV2GCertificate, ...).
    RenewCertificate(StationCertificate),
    /// Install a root (InstallCertificate).
    InstallRoot {
        /// OCPP's word for its use: `V2GRootCertificate`, `MORootCertificate`, `CSMSRootCertificate`, ...
        usage: String,
        /// The certificate as PEM.
        pem: String,
    },
    /// Remove a root (DeleteCertificate).
    RemoveRoot(CertificateHash),
}

/// A variable to read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VariableGet {
    /// The component, e.g. `OCPPCommCtrlr`.
    #[schema(max_length = 50)]
    pub component: String,
    /// The variable, e.g. `HeartbeatInterval`.
    #[schema(max_length = 50)]
    pub variable: String,
}

/// A variable to change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VariableSet {
    /// The component.
    #[schema(max_length = 50)]
    pub component: String,
    /// The variable.
    #[schema(max_length = 50)]
    pub variable: String,
    /// Its new value.
    #[schema(max_length = 1000)]
    pub value: String,
}

/// What a station said of one variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VariableResult {
    /// The component.
    pub component: String,
    /// The variable.
    pub variable: String,
    /// OCPP's status: `Accepted`, `UnknownVariable`, ...
    pub status: String,
    /// Its value, when it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// An accepted command.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct CommandOutcome {
    /// The station's word: `Accepted`, `Scheduled`, ...
    pub status: String,
    /// The transaction concerned, where the station names one.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionId>,
    /// The number of the remote start or of the charging profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// Variables read or changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<VariableResult>,
}

/// A command that did not take effect, or may not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct CommandError {
    /// The catalogue's code.
    pub code: Code,
    /// The particulars.
    pub message: String,
}

impl CommandError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The station said no.
    pub(crate) fn refused(
        action: &str,
        status: &str,
        reason: Option<gridlatch_ocpp::v21::StatusInfo>,
    ) -> Self {
        let reason = reason.map_or_else(String::new, |info| {
            let more = info.additional_info.unwrap_or_default();
            let more: String = more.chars().filter(|c| !c.is_control()).take(200).collect();
            format!(" ({} {more})", info.reason_code)
        });
        Self::new(
            catalogue::platform::COMMAND_REFUSED,
            format!("the station answered {action} with {status}{}", reason.trim_end()),
        )
    }
}

impl PlatformState {
    /// Sends a command and waits for the station's answer. `asked_by` names who wants it, for the record.
    ///
    /// # Errors
    /// The station is not connected, does not answer in time, or refuses.
    pub async fn command(
        &self,
        station: &StationId,
        command: Command,
        asked_by: &str,
    ) -> Result<CommandOutcome, CommandError> {
        let name = command.name();
        let event = |code: Code, message: String| {
            let event = Event::new(now(), code, crate::SOURCE, message).station(station);
            self.hub()
                .emit(event.with("command", name).with("asked_by", asked_by));
        };
        event(
            catalogue::platform::COMMAND_SENT,
            format!("{asked_by} asks {station}: {}", command.describe()),
        );
        let outcome = match command {
            Command::Start { evse, token } => start::run(self, station, evse, token).await,
            Command::Stop { transaction } => stop::run(self, station, &transaction).await,
            Command::Setpoint { evse, power } => setpoint::run(self, station, evse, power, asked_by).await,
            Command::Reset { immediate } => reset::run(self, station, immediate).await,
            Command::GetVariables(variables) => variables::get(self, station, variables).await,
            Command::SetVariables(variables) => variables::set(self, station, variables).await,
            Command::RenewCertificate(usage) => certificates::renew(self, station, usage).await,
            Command::InstallRoot { usage, pem } => certificates::install(self, station, &usage, pem).await,
            Command::RemoveRoot(hash) => certificates::remove(self, station, hash).await,
        };
        match &outcome {
            Ok(done) => event(
                catalogue::platform::COMMAND_ACCEPTED,
                format!("{station} answered {name} with {}", done.status),
            ),
            Err(error) => event(error.code, format!("{name} at {station}: {error}")),
        }
        outcome
    }

    /// One call to a station, and its typed answer.
    pub(crate) async fn ask<T: Request>(
        &self,
        station: &StationId,
        request: &T,
    ) -> Result<T::Response, CommandError> {
        let Some(link) = self.registry().find(station) else {
            return Err(CommandError::new(
                catalogue::platform::COMMAND_OFFLINE,
                format!("{station} is not connected"),
            ));
        };
        let unsupported = |error: SchemaError| {
            CommandError::new(
                catalogue::platform::COMMAND_UNSUPPORTED,
                format!("{} cannot express it: {error}", link.version),
            )
        };
        let payload = wire::ask(link.version, request).map_err(unsupported)?;
        let (reply, answer) = oneshot::channel();
        let outbound = Outbound {
            action: T::ACTION,
            payload,
            reply,
        };
        let busy = || {
            CommandError::new(
                catalogue::platform::COMMAND_BUSY,
                format!("too many commands wait for {station}"),
            )
        };
        match link.mailbox.try_send(outbound) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(busy()),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Err(CommandError::new(
                    catalogue::platform::COMMAND_OFFLINE,
                    format!("{station} has just disconnected"),
                ));
            }
        }
        match answer.await {
            Ok(Reply::Answer(value)) => read::<T::Response>(value),
            Ok(Reply::Error(error)) => Err(CommandError::new(
                catalogue::platform::COMMAND_REFUSED,
                format!("the station answered {} with the error {error}", T::ACTION),
            )),
            Ok(Reply::TimedOut) => Err(CommandError::new(
                catalogue::platform::COMMAND_TIMED_OUT,
                format!(
                    "{station} did not answer {} within {} s",
                    T::ACTION,
                    self.config().command_timeout.as_secs()
                ),
            )),
            Ok(Reply::Busy) => Err(busy()),
            Err(_) => Err(CommandError::new(
                catalogue::platform::COMMAND_TIMED_OUT,
                format!("{station} disconnected before it answered {}", T::ACTION),
            )),
        }
    }
}

fn read<T: Payload>(value: serde_json::Value) -> Result<T, CommandError> {
    wire::answered(value).map_err(|error| {
        CommandError::new(
            catalogue::platform::COMMAND_REFUSED,
            format!("the station's answer cannot be read: {error}"),
        )
    })
}

impl Command {
    /// Its OCPP action.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "RequestStartTransaction",
            Self::Stop { .. } => "RequestStopTransaction",
            Self::Setpoint { power: Some(_), .. } => "SetChargingProfile",
            Self::Setpoint { power: None, .. } => "ClearChargingProfile",
            Self::Reset { .. } => "Reset",
            Self::GetVariables(_) => "GetVariables",
            Self::SetVariables(_) => "SetVariables",
            Self::RenewCertificate(_) => "TriggerMessage",
            Self::InstallRoot { .. } => "InstallCertificate",
            Self::RemoveRoot(_) => "DeleteCertificate",
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Start { evse, .. } => format!("start charging at EVSE {evse}"),
            Self::Stop { transaction } => format!("stop {transaction}"),
            Self::Setpoint {
                evse,
                power: Some(power),
            } => format!("follow {power:.0} at EVSE {evse}"),
            Self::Setpoint { evse, power: None } => format!("lift the set-point at EVSE {evse}"),
            Self::Reset { immediate: true } => "restart now".to_owned(),
            Self::Reset { immediate: false } => "restart when no transaction runs".to_owned(),
            Self::GetVariables(variables) => format!("read {} variables", variables.len()),
            Self::SetVariables(variables) => format!("change {} variables", variables.len()),
            Self::RenewCertificate(usage) => format!("renew its {}", usage.word()),
            Self::InstallRoot { usage, .. } => format!("install a {usage}"),
            Self::RemoveRoot(hash) => format!("remove the root with serial number {}", hash.serial),
        }
    }
}
