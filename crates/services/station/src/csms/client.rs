//! The link across connections: what outlives them, and when to connect again.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use gridlatch_host::{Hub, Shutdown};
use gridlatch_ocpp::v201::BootReasonEnum;
use gridlatch_vocab::{ConnectorId, EvseId, Timestamp, Watts, catalogue};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant as Tick;

use super::certificates::Requests;
use super::dial::Dialler;
use super::link::{Link, Over};
use super::meter::MeterSigner;
use super::profiles::Profiles;
use super::report::Reporter;
use super::transactions::Transactions;
use super::variables::Variables;
use super::{CsmsConfig, CsmsError};
use crate::backend::{Authorization, ConnectorStatus, FromPlatform, ToPlatform};

/// Different reasons that are told of one outage.
const MAX_REASONS: usize = 8;

/// What outlives a connection.
pub(super) struct Client {
    pub(super) config: CsmsConfig,
    pub(super) charging: mpsc::Sender<FromPlatform>,
    pub(super) report: Reporter,
    pub(super) transactions: Transactions,
    pub(super) variables: Variables,
    pub(super) profiles: Profiles,
    /// The latest state of each connector, and which of them the platform has not been told.
    pub(super) connectors: BTreeMap<(EvseId, ConnectorId), (Timestamp, ConnectorStatus)>,
    pub(super) untold: BTreeSet<(EvseId, ConnectorId)>,
    pub(super) boot_reason: BootReasonEnum,
    /// Set-points last handed to the charging side, and when they change by themselves.
    pub(super) setpoints: BTreeMap<EvseId, Option<Watts>>,
    pub(super) setpoints_due: Tick,
    /// When the platform is asked for certificates.
    pub(super) requests: Requests,
    /// The charging side has hung up.
    pub(super) finished: bool,
}

impl Client {
    pub(super) async fn new(
        config: CsmsConfig,
        charging: mpsc::Sender<FromPlatform>,
        hub: Hub,
    ) -> Result<Self, CsmsError> {
        if config.evses.is_empty() {
            return Err(CsmsError::Config("a station has at least one outlet"));
        }
        let now = gridlatch_host::now();
        let report = Reporter::new(hub, config.station.clone());
        let meter = config
            .meter_key
            .as_ref()
            .map(|key| MeterSigner::new(Arc::clone(key), config.station.clone(), report.clone()));
        let transactions = Transactions::open(config.store.clone(), &config.station, meter, now).await?;
        let variables = Variables::new(config.sample_interval);
        Ok(Self {
            report,
            config,
            charging,
            transactions,
            variables,
            profiles: Profiles::default(),
            connectors: BTreeMap::new(),
            untold: BTreeSet::new(),
            boot_reason: BootReasonEnum::PowerUp,
            setpoints: BTreeMap::new(),
            setpoints_due: Tick::now() + Duration::from_secs(86_400),
            requests: Requests::new(),
            finished: false,
        })
    }

    pub(super) async fn run(
        mut self,
        mut to_platform: mpsc::Receiver<ToPlatform>,
        shutdown: Shutdown,
    ) -> Result<(), CsmsError> {
        // What cannot work at all is said at once.
        Dialler::new(&self.config, 0)?;
        let mut attempt = 0;
        let mut pause = self.config.first_pause;
        let mut said: BTreeSet<String> = BTreeSet::new();
        loop {
            // Certificates and roots may have changed since the last attempt; a certificate that does not
            // get through is followed by the next one held.
            let dialler = Dialler::new(&self.config, attempt)?;
            let dial = dialler.dial();
            tokio::pin!(dial);
            let dialled = loop {
                tokio::select! {
                    dialled = &mut dial => break dialled,
                    message = to_platform.recv(), if !self.finished => self.take_offline(message).await?,
                    () = tokio::time::sleep_until(self.setpoints_due) => self.follow_profiles(),
                    () = shutdown.cancelled() => return Ok(()),
                }
            };
            match dialled {
                Ok(dialled) => {
                    let what = format!("{} over {}", dialled.version, dialled.security);
                    self.report.event(
                        catalogue::ocpp::CONNECTED,
                        format!("Connected to the platform: {what}."),
                    );
                    said.clear();
                    attempt = 0;
                    self.profiles.offline_since(None);
                    self.follow_profiles();
                    let began = Instant::now();
                    let over = Link::new(&mut self, dialled)
                        .run(&mut to_platform, &shutdown)
                        .await?;
                    if let Over::Stopped = over {
                        return Ok(());
                    }
                    self.report.event(
                        catalogue::ocpp::DISCONNECTED,
                        "The connection to the platform ended.",
                    );
                    self.profiles.offline_since(Some(gridlatch_host::now()));
                    self.follow_profiles();
                    // The platform may have forgotten connector states; it is told again after the boot.
                    self.untold.extend(self.connectors.keys().copied());
                    if began.elapsed() > Duration::from_secs(10) {
                        pause = self.config.first_pause;
                    }
                }
                Err(reason) => {
                    // One event per outage and reason: retries say nothing new, until they do.
                    if said.len() < MAX_REASONS && !said.contains(&reason) {
                        let message = format!("Cannot connect to the platform: {reason}");
                        self.report.event(catalogue::ocpp::CONNECT_FAILED, message);
                        said.insert(reason);
                    }
                    attempt += 1;
                }
            }
            if self.finished && self.transactions.waiting().await? == 0 {
                return Ok(());
            }
            let wake = tokio::time::Instant::now() + jittered(pause);
            pause = (pause * 2).min(self.config.longest_pause);
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(wake) => break,
                    message = to_platform.recv(), if !self.finished => self.take_offline(message).await?,
                    () = tokio::time::sleep_until(self.setpoints_due) => self.follow_profiles(),
                    () = shutdown.cancelled() => return Ok(()),
                }
            }
        }
    }

    /// What the charging side says while there is no connection.
    async fn take_offline(&mut self, message: Option<ToPlatform>) -> Result<(), CsmsError> {
        match message {
            None => self.finished = true,
            Some(ToPlatform::Authorize { verdict, .. }) => {
                let _ = verdict.send(Authorization::Unreachable);
            }
            // Dropping the sender says that nobody can be reached.
            Some(ToPlatform::Provision { .. }) => {}
            Some(message) => self.keep(message, true).await?,
        }
        Ok(())
    }

    /// Keeps a connector's state or a transaction's update; the rest of [`ToPlatform`] needs a connection.
    pub(super) async fn keep(&mut self, message: ToPlatform, offline: bool) -> Result<(), CsmsError> {
        match message {
            ToPlatform::Authorize { verdict, .. } => {
                let _ = verdict.send(Authorization::Unreachable);
            }
            ToPlatform::Provision { .. } => {}
            ToPlatform::Status {
                at,
                evse,
                connector,
                status,
            } => {
                // Bounded by the station's own connectors.
                if self.config.evses.iter().any(|(own, _)| *own == evse) {
                    self.connectors.insert((evse, connector), (at, status));
                    self.untold.insert((evse, connector));
                }
            }
            ToPlatform::Transaction {
                evse,
                transaction,
                update,
                meter,
                durable,
            } => {
                let interval = self.variables.seconds("SampledDataCtrlr", "TxUpdatedInterval");
                self.transactions
                    .update((evse, &transaction, interval), &update, &meter, offline)
                    .await?;
                if matches!(update, crate::backend::TransactionUpdate::Ended { .. }) {
                    self.profiles.transaction_ended(transaction.as_str());
                    self.follow_profiles();
                }
                if let Some(durable) = durable {
                    let _ = durable.send(());
                }
            }
        }
        Ok(())
    }

    /// Tells the charging side every set-point that changed, and notes when the next one changes by itself.
    pub(super) fn follow_profiles(&mut self) {
        let now = gridlatch_host::now();
        let mut next = None;
        for (evse, _) in &self.config.evses {
            let (setpoint, until) = self.profiles.setpoint(*evse, now);
            next = [next, until].into_iter().flatten().min();
            if self.setpoints.get(evse).copied().flatten() != setpoint {
                // Nobody waits for this decision: it is the profile's own clock.
                let (accepted, _) = oneshot::channel();
                let message = FromPlatform::Setpoint {
                    evse: *evse,
                    setpoint,
                    accepted,
                };
                if self.charging.try_send(message).is_ok() {
                    self.setpoints.insert(*evse, setpoint);
                } else {
                    // The charging side is busy: soon again.
                    next = Some(Timestamp::from_unix_millis(now.unix_millis() + 100));
                }
            }
        }
        let millis = next.map_or(86_400_000, |at| {
            (at.unix_millis() - now.unix_millis()).clamp(10, 86_400_000)
        });
        self.setpoints_due = Tick::now() + Duration::from_millis(u64::try_from(millis).unwrap_or(1000));
    }
}

/// Plus or minus half, so that a fleet does not come back in step.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [128];
    // Without randomness the pause is merely not spread.
    let _ = getrandom::fill(&mut byte);
    pause.mul_f64(0.5 + f64::from(byte[0]) / 255.0)
}

/// A random message id (UUID version 4).
pub(super) fn new_id() -> String {
    let mut bytes = [0u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // No randomness: the clock is unique enough for one station.
        bytes = gridlatch_host::now().0.unix_timestamp_nanos().to_be_bytes();
    }
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
