//! A platform's memory as the tests want it: two stations, one session that runs, some that are billed.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "several test binaries share it, and none uses all of it"
)]

#[path = "trust.rs"]
pub mod trust;

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use gridlatch_console::{Commands, ConsoleState, Outcome, Refused, Trust, TrustPicture};
use gridlatch_host::{Hub, HubConfig, Shutdown};
use gridlatch_store::{BootInfo, EventKind, NewCdr, Sample, Store, TokenUse, TransactionRecord};
use gridlatch_vocab::catalogue::{cable, host, ocpp, platform, power};
use gridlatch_vocab::{
    ConnectorId, Event, EventSink as _, EvseId, MilliWattHours, Percent, Personal, StationId, Telemetry,
    Timestamp, TransactionId, Watts,
};
use rust_decimal::Decimal;
use serde_json::json;

/// Orders as they arrived; `refuse` makes each fail.
#[derive(Default)]
pub struct Recorder {
    pub orders: Mutex<Vec<String>>,
    pub refuse: Mutex<Option<Refused>>,
}

impl Recorder {
    fn note(&self, order: String) -> BoxFuture<'_, Outcome> {
        self.orders.lock().unwrap().push(order);
        let outcome = self.refuse.lock().unwrap().clone().map_or(Ok(()), Err);
        Box::pin(async move { outcome })
    }
}

impl Commands for Recorder {
    fn start(&self, station: StationId, evse: EvseId, token: Personal<String>) -> BoxFuture<'_, Outcome> {
        self.note(format!("start {station} {evse} {}", token.reveal()))
    }
    fn stop(&self, station: StationId, transaction: TransactionId) -> BoxFuture<'_, Outcome> {
        self.note(format!("stop {station} {transaction}"))
    }
    fn setpoint(&self, station: StationId, evse: EvseId, power: Watts) -> BoxFuture<'_, Outcome> {
        self.note(format!("setpoint {station} {evse} {power}"))
    }
    fn clear_setpoint(&self, station: StationId, evse: EvseId) -> BoxFuture<'_, Outcome> {
        self.note(format!("clear {station} {evse}"))
    }
    fn reset(&self, station: StationId, immediate: bool) -> BoxFuture<'_, Outcome> {
        self.note(format!("reset {station} {immediate}"))
    }
}

/// A picture that a test gives; `asked` counts the orders to ask everybody.
#[derive(Default)]
pub struct Drawn {
    pub picture: Mutex<Option<Arc<TrustPicture>>>,
    pub asked: Mutex<usize>,
}

impl Trust for Drawn {
    fn picture(&self) -> BoxFuture<'_, Result<Arc<TrustPicture>, String>> {
        let picture = self.picture.lock().unwrap().clone();
        Box::pin(async move { picture.ok_or_else(|| "What stations hold could not be read.".to_owned()) })
    }
    fn ask(&self) {
        *self.asked.lock().unwrap() += 1;
    }
}

/// A console over a store in memory.
pub struct World {
    pub store: Store,
    pub hub: Hub,
    pub commands: Arc<Recorder>,
    pub shutdown: Shutdown,
    pub now: Timestamp,
    pub trust: Arc<Drawn>,
}

pub fn station(id: &str) -> StationId {
    id.parse().unwrap()
}

pub fn transaction(id: &str) -> TransactionId {
    id.parse().unwrap()
}

impl World {
    pub async fn empty() -> Self {
        Self {
            store: Store::open(":memory:").await.unwrap(),
            hub: Hub::new(HubConfig::default(), None),
            commands: Arc::new(Recorder::default()),
            shutdown: Shutdown::new(),
            now: gridlatch_host::now(),
            trust: Arc::new(Drawn::default()),
        }
    }

    pub fn router(&self) -> axum::Router {
        self.router_with(Vec::new())
    }

    /// With roots, the pages check signed bills.
    pub fn router_with(&self, bill_roots: Vec<Vec<u8>>) -> axum::Router {
        let state = ConsoleState::new(
            self.store.clone(),
            self.hub.clone(),
            self.commands.clone(),
            "/api/v1",
            self.shutdown.clone(),
        );
        gridlatch_console::router(state.bill_roots(bill_roots).trust(self.trust.clone()))
    }

    pub fn ago(&self, seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(self.now.unix_millis() - seconds * 1000)
    }

    /// Two stations; a session with both directions that runs on `GL-DC-1` as `live-1`; three finished ones.
    pub async fn seeded() -> Self {
        let world = Self::empty().await;
        for (id, model) in [("GL-AC-1", "AC 22"), ("GL-DC-1", "DC 50 BPT")] {
            let id = station(id);
            world
                .store
                .station_register(&id, world.ago(90_000))
                .await
                .unwrap();
            world
                .store
                .station_connected(&id, "2.1", world.ago(7_200))
                .await
                .unwrap();
            let boot = BootInfo {
                vendor: "Gridlatch".to_owned(),
                model: model.to_owned(),
                serial: Some(format!("{id}-0001")),
                firmware: Some("0.1.0".to_owned()),
                reason: "PowerUp".to_owned(),
            };
            world
                .store
                .station_booted(&id, boot, world.ago(7_199))
                .await
                .unwrap();
            world.store.station_seen(&id, world.ago(4)).await.unwrap();
        }
        world.connector("GL-AC-1", 1, "Available", 3_600).await;
        world.connector("GL-AC-1", 2, "Faulted", 1_200).await;
        world.connector("GL-DC-1", 1, "Occupied", 260).await;
        for (i, (at, imported, exported)) in [(9_000, 7_312, 0), (6_200, 21_640, 4_180), (3_000, 640, 8_204)]
            .into_iter()
            .enumerate()
        {
            let id = format!("done-{}", i + 1);
            let site = if i == 0 { "GL-AC-1" } else { "GL-DC-1" };
            world.finished(site, &id, at, imported, exported).await;
        }
        world.running("GL-DC-1", "live-1", 240).await;
        world.events().await;
        world
    }

    pub async fn connector(&self, id: &str, evse: u16, status: &str, ago: i64) {
        self.store
            .connector_status(&station(id), EvseId(evse), ConnectorId(1), status, self.ago(ago))
            .await
            .unwrap();
    }

    /// A session that started `ago` seconds ago and has one sample every two seconds since, both ways.
    pub async fn running(&self, id: &str, tx: &str, ago: i64) {
        let mut samples = Vec::new();
        let (mut imported, mut exported) = (1_204_388_000.0, 88_120_000.0);
        for second in (0..ago).step_by(2) {
            let power = shape(second as f64);
            imported += power.max(0.0) * 2.0 / 3.6;
            exported += (-power).max(0.0) * 2.0 / 3.6;
            samples.push(Sample {
                power: Some(Watts(power)),
                imported: Some(MilliWattHours(imported as u64)),
                exported: Some(MilliWattHours(exported as u64)),
                soc: Some(Percent(41.0 + second as f64 / 60.0)),
                setpoint: (second > 100).then_some(Watts(if second > 170 { 30_000.0 } else { -20_000.0 })),
                ..Sample::empty(self.ago(ago - second))
            });
        }
        self.record(id, tx, 0, EventKind::Started, ago, &samples[..1])
            .await;
        for (n, part) in samples[1..].chunks(50).enumerate() {
            self.record(id, tx, n as i64 + 1, EventKind::Updated, 0, part)
                .await;
        }
    }

    /// Ends a session with the registers given and bills it.
    pub async fn end(&self, id: &str, tx: &str, imported: MilliWattHours, exported: MilliWattHours) {
        let sample = Sample {
            power: Some(Watts(0.0)),
            imported: Some(imported),
            exported: Some(exported),
            ..Sample::empty(gridlatch_host::now())
        };
        self.record(id, tx, 1_000, EventKind::Ended, 0, &[sample]).await;
    }

    async fn finished(&self, id: &str, tx: &str, ago: i64, imported: u64, exported: u64) {
        let samples: Vec<Sample> = (0..=120_u64)
            .map(|n| Sample {
                power: Some(Watts(shape(n as f64 * 2.0))),
                imported: Some(MilliWattHours(1_000_000_000 + imported * 1000 * n / 120)),
                exported: Some(MilliWattHours(50_000_000 + exported * 1000 * n / 120)),
                soc: Some(Percent(30.0 + n as f64 / 4.0)),
                ..Sample::empty(self.ago(ago - n as i64 * 15))
            })
            .collect();
        self.record(id, tx, 0, EventKind::Started, ago, &samples[..1])
            .await;
        self.record(id, tx, 1, EventKind::Updated, ago - 900, &samples[1..60])
            .await;
        self.record(id, tx, 2, EventKind::Ended, ago - 1_800, &samples[60..])
            .await;
        self.bill(id, tx, imported, exported, self.ago(ago - 1_801)).await;
    }

    pub async fn bill(&self, id: &str, tx: &str, imported: u64, exported: u64, at: Timestamp) {
        let money = |watt_hours: u64, cents: i64| {
            (Decimal::new(watt_hours as i64, 3) * Decimal::new(cents, 2)).round_dp(4)
        };
        let vat = |amount: Decimal| (amount * Decimal::new(19, 2)).round_dp(4);
        let (bought, credit) = (money(imported, 39), -money(exported, 28));
        let net = bought + credit;
        let tax = vat(bought) + vat(credit);
        let line = |dimension: &str, watt_hours: u64, price: &str, cost: Decimal| {
            json!({"start": at, "dimension": dimension, "kind": "usage", "volume": watt_hours * 1000, "unit_price": price,
                "vat": "19", "cost": cost.to_string(), "tax": vat(cost).to_string()})
        };
        self.store
            .cdr_issue(NewCdr {
                id: format!("CDR-{tx}"),
                station: station(id),
                transaction: transaction(tx),
                issued_at: at,
                currency: "EUR".to_owned(),
                imported: MilliWattHours(imported * 1000),
                exported: MilliWattHours(exported * 1000),
                total_excl: net,
                total_incl: net + tax,
                document: json!({
                    "id": format!("CDR-{tx}"),
                    "x_gridlatch": {
                        "payable": (net + tax).round_dp(2).to_string(),
                        "lines": [line("ENERGY", imported, "0.39", bought), line("ENERGY_EXPORT", exported, "0.28", credit)],
                    },
                }),
                jws: None,
            })
            .await
            .unwrap();
    }

    pub async fn record(
        &self,
        id: &str,
        tx: &str,
        seq_no: i64,
        kind: EventKind,
        ago: i64,
        samples: &[Sample],
    ) {
        let ended = kind == EventKind::Ended;
        self.store
            .transaction_record(TransactionRecord {
                station: station(id),
                transaction: transaction(tx),
                seq_no,
                kind,
                trigger: "MeterValuePeriodic".to_owned(),
                at: self.ago(ago),
                received_at: self.ago(ago),
                offline: false,
                evse: Some(EvseId(1)),
                connector: Some(ConnectorId(1)),
                charging_state: Some(if ended { "Idle" } else { "Charging" }.to_owned()),
                stop_reason: ended.then(|| "StoppedByEV".to_owned()),
                token: Some(TokenUse {
                    kind: "eMAID".to_owned(),
                    reference: "5f0c2a".to_owned(),
                    label: "DEGRL\u{2026}71".to_owned(),
                }),
                remote_start_id: None,
                samples: samples.to_vec(),
                signed: Vec::new(),
                digest: format!("{tx}-{seq_no}"),
            })
            .await
            .unwrap();
    }

    async fn events(&self) {
        let (ac, dc) = (station("GL-AC-1"), station("GL-DC-1"));
        let tx = transaction("live-1");
        let connected = |id: &StationId| {
            Event::new(
                self.ago(7_200),
                ocpp::CONNECTED,
                "platform",
                format!("{id} connected with OCPP 2.1 and proved its identity."),
            )
            .station(id)
            .with("certificate_subject", format!("CN={id}, O=Gridlatch Dev CPO"))
            .with("certificate_serial", "4b:1f:09:aa:72:13:5d:01")
            .with("valid_until", "2027-02-19T00:00:00Z")
            .with("tls", "TLSv1.3 TLS_AES_256_GCM_SHA384")
        };
        let events = vec![
            Event::new(self.ago(7_260), host::STARTED, "host", "The platform is up."),
            connected(&ac),
            connected(&dc),
            Event::new(
                self.ago(1_200),
                ocpp::CALLERROR_SECURITY,
                "platform",
                "A station presented the certificate of GL-AC-1 and asked to be GL-AC-9.",
            )
            .station(&ac),
            Event::new(
                self.ago(1_100),
                power::PERMIT_LAPSED,
                "station",
                "The permit of EVSE 2 was not renewed for 130 ms; the contactor opened.",
            )
            .station(&ac)
            .evse(EvseId(2))
            .with("silence_ms", 130),
            Event::new(
                self.ago(250),
                cable::SLAC_MATCHED,
                "station",
                "The vehicle is matched to this outlet in 1.9 s.",
            )
            .station(&dc)
            .evse(EvseId(1)),
            Event::new(
                self.ago(240),
                power::CONTACTOR_CLOSED,
                "station",
                "The contactor closed under a valid permit.",
            )
            .station(&dc)
            .evse(EvseId(1))
            .transaction(&tx),
            Event::new(
                self.ago(1_199),
                platform::BILL_ISSUED,
                "platform",
                "done-3 is billed.",
            )
            .station(&dc)
            .transaction(&transaction("done-3")),
        ];
        self.store.event_append(events).await.unwrap();
    }

    /// Emits one live sample `second` seconds into the live session.
    pub fn sample(&self, second: f64, power: f64, imported: u64, exported: u64) {
        self.hub.sample(Telemetry {
            at: gridlatch_host::now(),
            station: station("GL-DC-1"),
            evse: EvseId(1),
            transaction: Some(transaction("live-1")),
            power: Watts(power),
            imported: MilliWattHours(imported),
            exported: MilliWattHours(exported),
            soc: Some(Percent(45.0 + second / 60.0)),
            setpoint: Some(Watts(30_000.0)),
        });
    }

    /// What the platform does when a session ends: the last event, the bill, and the news of it.
    pub async fn finish_live(&self) {
        self.end(
            "GL-DC-1",
            "live-1",
            MilliWattHours(1_206_400_000),
            MilliWattHours(88_600_000),
        )
        .await;
        self.bill("GL-DC-1", "live-1", 2_012, 480, gridlatch_host::now())
            .await;
        self.hub.emit(
            Event::new(
                gridlatch_host::now(),
                platform::BILL_ISSUED,
                "platform",
                "live-1 is billed: 0.77 EUR.",
            )
            .station(&station("GL-DC-1"))
            .transaction(&transaction("live-1")),
        );
    }
}

/// A believable curve: ramps up, holds, turns around and feeds back, returns.
pub fn shape(second: f64) -> f64 {
    let base = match second as i64 {
        0..8 => second / 8.0 * 42_000.0,
        8..90 => 42_000.0,
        90..104 => 42_000.0 - (second - 90.0) / 14.0 * 62_000.0,
        104..170 => -20_000.0,
        170..182 => -20_000.0 + (second - 170.0) / 12.0 * 50_000.0,
        _ => 30_000.0,
    };
    base + (second * 1.7).sin() * 350.0
}
