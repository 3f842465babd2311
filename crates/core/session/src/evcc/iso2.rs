//! ISO 15118-2, the vehicle's decisions: one function per answer.

mod power;
mod requests;
mod setup;

use iso15118::iso2::{self, BodyChoice as B};
use iso15118::message::Message;

use super::config::Authorisation;
use super::output::StepName;
use super::policy::{Context, Next, StopCause};
use super::provision;
use requests::body_of;

/// Where an ISO 15118-2 session stands beyond what the order of messages says.
#[derive(Debug, Default)]
pub(crate) struct Iso2 {
    evse_id: String,
    mode: Option<iso2::EnergyTransferMode>,
    /// The signed authorisation, sent again while the station answers `Ongoing`.
    authorization: Option<Message>,
    schedule: Schedule,
    limits: Limits,
    present_voltage: f64,
    /// A contract was installed in this session.
    installed: bool,
    stopping: bool,
    powered: bool,
    welding_checks: u32,
    pub(crate) stop_cause: Option<StopCause>,
}

/// The schedule tuple the vehicle selected: power over time.
#[derive(Debug, Default)]
struct Schedule {
    tuple: u8,
    /// Start in seconds, power in watts.
    entries: Vec<(u32, f64)>,
}

/// What the station allows.
#[derive(Debug, Clone, Copy)]
struct Limits {
    current: f64,
    power: f64,
    voltage: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            current: f64::INFINITY,
            power: f64::INFINITY,
            voltage: f64::INFINITY,
        }
    }
}

impl Iso2 {
    /// The first request after the handshake.
    pub(crate) fn first(ctx: &Context<'_>) -> Message {
        requests::session_setup(*ctx.config.evcc_id.reveal())
    }

    /// `SessionStopReq`.
    pub(crate) fn stop_request() -> Message {
        requests::session_stop()
    }

    /// What to do with an answer that is not a refusal.
    pub(crate) fn next(&mut self, ctx: &mut Context<'_>, response: &Message) -> Next {
        let Some(body) = body_of(response) else {
            return ctx.give_up(
                gridlatch_vocab::catalogue::session::STATION_UNEXPECTED,
                format!("{} is not an ISO 15118-2 answer", response.name()),
            );
        };
        if let Some(reason) = power::stop_signal(body)
            && !self.stopping
        {
            if !self.powered {
                return ctx.give_up(
                    gridlatch_vocab::catalogue::session::STATION_STOPPED,
                    format!("the station asked to stop before energy flowed ({reason})"),
                );
            }
            self.stop_cause.get_or_insert(StopCause::Station(reason));
            ctx.course.stop();
        }
        match body {
            B::SessionSetupRes(res) => {
                self.evse_id.clone_from(&res.evse_id);
                Next::Send(requests::service_discovery())
            }
            B::ServiceDiscoveryRes(res) => self.on_services(ctx, res),
            B::PaymentServiceSelectionRes(_) => self.on_payment_selected(ctx),
            B::CertificateInstallationRes(_) | B::CertificateUpdateRes(_) => {
                match &ctx.config.authorisation {
                    Authorisation::Install(wish) => provision::take(ctx, wish, response),
                    _ => ctx.give_up(
                        gridlatch_vocab::catalogue::session::STATION_UNEXPECTED,
                        "a contract this vehicle did not ask for",
                    ),
                }
            }
            B::PaymentDetailsRes(res) => self.on_payment_details(ctx, res),
            B::AuthorizationRes(res) => self.on_authorization(ctx, res),
            B::ChargeParameterDiscoveryRes(res) => self.on_parameters(ctx, res),
            B::CableCheckRes(res) => self.on_cable_check(ctx, res),
            B::PreChargeRes(res) => self.on_pre_charge(ctx, res),
            B::PowerDeliveryRes(_) => self.on_power_delivery(ctx),
            B::CurrentDemandRes(res) => self.on_current_demand(ctx, res),
            B::ChargingStatusRes(res) => self.on_charging_status(ctx, res),
            B::MeteringReceiptRes(_) => self.charge_loop(ctx),
            B::WeldingDetectionRes(res) => self.on_welding(ctx, res),
            B::SessionStopRes(_) => Next::Finished,
            _ => ctx.give_up(
                gridlatch_vocab::catalogue::session::STATION_UNEXPECTED,
                format!("{} answers nothing this vehicle asks", response.name()),
            ),
        }
    }

    fn is_dc(&self, ctx: &Context<'_>) -> bool {
        ctx.config.energy.is_dc()
    }

    /// Identifies by the contract that was just installed.
    pub(crate) fn adopted(&mut self, ctx: &Context<'_>) -> Next {
        self.installed = true;
        match &ctx.config.authorisation {
            Authorisation::Contract(contract) => Next::Send(requests::payment_details(contract)),
            _ => ctx.give_up(
                gridlatch_vocab::catalogue::session::CONTRACT_UNUSABLE,
                "there is no contract to identify by",
            ),
        }
    }

    /// Ends the identification step and goes on to the authorisation.
    fn identified(&self, ctx: &mut Context<'_>, how: &str) {
        let detail = format!("EVSE {}, {how}", self.evse_id);
        let fields = vec![
            ("evse_id", self.evse_id.as_str().into()),
            ("session_id", hex(&ctx.session_id).into()),
        ];
        ctx.done(StepName::Authorisation, detail, fields);
    }
}

/// Upper-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02X}");
            text
        })
}
