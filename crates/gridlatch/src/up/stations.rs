//! The simulated stations of `up`: their configuration, their certificates, their link to the platform.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gridlatch_host::{DataDir, Hub, Shutdown, TaskTracker};
use gridlatch_keys::Signer as _;
use gridlatch_pki::dev::DevPki;
use gridlatch_platform::PlatformHandle;
use gridlatch_session::secc::Kind;
use gridlatch_station::backend::ToPlatform;
use gridlatch_station::csms::{self, CsmsConfig};
use gridlatch_station::{
    CableMode, EimPolicy, EvseConfig, SdpMode, Station, StationConfig, StationHandle, TlsSetup,
};
use gridlatch_store::Store;
use gridlatch_vocab::{EvseId, MilliWattHours, Personal, StationId};
use tokio::sync::mpsc;

use super::{DEMO_TOKEN, DEMO_TOKEN_KIND, UpConfig};
use crate::run_file::{RunEvse, RunStation, Supply};

/// How often a running transaction is reported to the platform.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// How long the last words of sessions may take to reach the platform.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A laptop that compiles beside us is no real-time system, and behind these contactors is no power.
const PERMIT_LIFE: Duration = Duration::from_millis(500);

/// Messages under way between a station's charging side and its platform link.
const QUEUE: usize = 64;

/// The running stations.
#[derive(Debug)]
pub(crate) struct Stations {
    running: Vec<(StationId, StationHandle)>,
    links: TaskTracker,
    stop: Stop,
}

/// Stations stop in two steps: sessions first, then the links that carry their last words.
#[derive(Debug, Default)]
struct Stop {
    sessions: Shutdown,
    links: Shutdown,
}

impl Stations {
    /// What other commands need to know of them.
    pub(crate) fn describe(&self) -> Vec<RunStation> {
        self.running
            .iter()
            .map(|(id, handle)| RunStation {
                id: id.clone(),
                evses: handle
                    .evses
                    .iter()
                    .filter_map(|evse| {
                        Some(RunEvse {
                            evse: evse.evse,
                            kind: if matches!(evse.kind, Kind::Ac) {
                                Supply::Ac
                            } else {
                                Supply::Dc
                            },
                            sdp: evse.sdp,
                            cable: evse.cable_path.clone()?,
                        })
                    })
                    .collect(),
            })
            .collect()
    }

    /// Ends sessions in order, lets the platform hear of it, and stops. What the platform did not hear in
    /// time stays in the stations' stores for the next start.
    pub(crate) async fn stop(self) {
        self.stop.sessions.cancel();
        for (_, handle) in self.running {
            handle.stopped().await;
        }
        // The links end by themselves once everything is delivered.
        let delivered = tokio::time::timeout(LAST_WORDS, self.links.wait()).await.is_ok();
        if !delivered {
            self.stop.links.cancel();
            self.links.wait().await;
        }
    }
}

/// Starts one AC station and one bidirectional DC station.
pub(crate) async fn start(
    config: &UpConfig,
    data: &DataDir,
    pki: &DevPki,
    platform: &PlatformHandle,
    hub: &Hub,
) -> Result<Stations> {
    let links = TaskTracker::new();
    let stop = Stop::default();
    let mut running = Vec::new();
    for id in super::station_ids()? {
        platform.state.register_station(&id).await?;
        // In the field an operator copies the key from the meter's label.
        let meter = pki.meter_key(&id)?;
        platform
            .state
            .register_meter_key(&id, meter.public_key_der())
            .await?;
        let handle = start_one(config, data, pki, platform, hub, &stop, &links, &id)
            .await
            .with_context(|| format!("station {id} does not start"))?;
        running.push((id, handle));
    }
    links.close();
    Ok(Stations { running, links, stop })
}

#[allow(clippy::too_many_arguments, reason = "each is one thing a station stands on")]
async fn start_one(
    config: &UpConfig,
    data: &DataDir,
    pki: &DevPki,
    platform: &PlatformHandle,
    hub: &Hub,
    stop: &Stop,
    links: &TaskTracker,
    id: &StationId,
) -> Result<StationHandle> {
    let folder = data.dir(&format!("stations/{id}"))?;
    let store = super::open_store(data, &format!("stations/{id}/station.db")).await?;
    let cable = CableMode::Socket(folder.join("evse-1.cable"));
    let mut evse = if id.as_str().contains("-AC-") {
        EvseConfig::ac(EvseId(1), "DE*GDL*E000001*1", cable)
    } else {
        EvseConfig::dc(EvseId(1), "DE*GDL*E000002*1", cable)
    };
    evse.registers = registers(&store).await?;
    let station = StationConfig {
        station: id.clone(),
        evses: vec![evse],
        tls: Some(TlsSetup {
            credentials: pki.station_credentials(id)?,
            vehicle_roots: pki.oem_roots(),
            contract_roots: pki.mo_roots(),
            allow_legacy_cbc: true,
            key_log: config.key_log.clone(),
        }),
        allow_plaintext_eim: config.allow_plaintext,
        sdp: SdpMode::Loopback,
        eim: EimPolicy::Assume {
            token: Personal::new(DEMO_TOKEN.to_owned()),
            kind: DEMO_TOKEN_KIND.to_owned(),
        },
        sample_interval: SAMPLE_INTERVAL,
        permit_life: PERMIT_LIFE,
    };
    let (to_platform, from_station) = mpsc::channel(QUEUE);
    let (to_link, link) = mpsc::channel(QUEUE);
    let (to_station, from_platform) = mpsc::channel(QUEUE);
    links.spawn(remember_registers(store.clone(), from_station, to_link));
    let mut csms = CsmsConfig::new(format!("wss://{}/ocpp", platform.ocpp_addr), id.clone(), store);
    csms.identity = Some(pki.station_client(id)?);
    csms.platform_roots = pki.csms_roots();
    csms.meter_key = Some(pki.meter_key(id)?);
    csms.model = "Simulated station".to_owned();
    csms.longest_pause = Duration::from_secs(10);
    csms.sample_interval = SAMPLE_INTERVAL;
    // The link has a stop of its own: a session's last words leave after the charging side has ended.
    let link = csms::run(csms, link, to_station, hub.clone(), stop.links.clone());
    links.spawn(async move {
        if let Err(error) = link.await {
            tracing::error!(%error, "the link of a station to its platform cannot run");
        }
    });
    Ok(Station::start(
        station,
        Arc::new(hub.clone()),
        to_platform,
        from_platform,
        stop.sessions.clone(),
    )?)
}

const IMPORTED: &str = "meter.1.imported";
const EXPORTED: &str = "meter.1.exported";

/// A meter's registers survive a restart: where they stood when last reported.
async fn registers(store: &Store) -> Result<(MilliWattHours, MilliWattHours)> {
    let read = async |name| -> Result<MilliWattHours> {
        let text = store.setting_find(name).await?;
        Ok(MilliWattHours(
            text.and_then(|text| text.parse().ok()).unwrap_or(0),
        ))
    };
    Ok((read(IMPORTED).await?, read(EXPORTED).await?))
}

/// Passes messages on and notes the registers on the way, before anybody can rely on them: a meter
/// that restarted below what it has reported would look like one that was tampered with.
async fn remember_registers(
    store: Store,
    mut from: mpsc::Receiver<ToPlatform>,
    to: mpsc::Sender<ToPlatform>,
) {
    while let Some(message) = from.recv().await {
        if let ToPlatform::Transaction { meter, .. } = &message {
            let (imported, exported) = (meter.imported.0.to_string(), meter.exported.0.to_string());
            let (imported, exported) = tokio::join!(
                store.setting_put(IMPORTED, &imported),
                store.setting_put(EXPORTED, &exported)
            );
            if let Err(error) = imported.and(exported) {
                tracing::error!(%error, "the meter's registers could not be noted");
            }
        }
        if to.send(message).await.is_err() {
            return;
        }
    }
}
