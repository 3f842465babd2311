//! A small platform in the test, and a station that talks to it over plain TCP.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use gridlatch_host::{Hub, HubConfig, Shutdown};
use gridlatch_ocpp::{Version, find, violations};
use gridlatch_station::backend::{
    ChargingState, FromPlatform, Identification, MeterReading, StopReason, ToPlatform, TransactionUpdate,
};
use gridlatch_station::csms::{CsmsConfig, run};
use gridlatch_station::custody::Custody;
use gridlatch_store::Store;
use gridlatch_vocab::{Amps, EvseId, MilliWattHours, Percent, Personal, Timestamp, Volts, Watts};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One connection of the station, seen from the platform.
pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) version: Version,
    pub(crate) next: u32,
}

impl Peer {
    #[allow(clippy::result_large_err, reason = "the closure's type is the library's")]
    pub(crate) async fn accept(listener: &TcpListener, version: Version) -> Self {
        let (tcp, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        let choose = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            assert_eq!(request.uri().path(), "/ocpp/GL-1");
            assert_eq!(request.headers()["Sec-WebSocket-Protocol"], "ocpp2.1, ocpp2.0.1");
            let name = HeaderValue::from_static(version.subprotocol());
            response.headers_mut().insert("Sec-WebSocket-Protocol", name);
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(tcp, choose).await.unwrap();
        Self {
            socket,
            version,
            next: 0,
        }
    }

    pub(crate) async fn frame(&mut self) -> Vec<Value> {
        loop {
            let message = timeout(PATIENCE, self.socket.next())
                .await
                .expect("the station says nothing");
            if let Message::Text(text) = message.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next call of the station, checked against the schema to the letter.
    pub(crate) async fn called(&mut self) -> (String, String, Value) {
        let frame = self.frame().await;
        assert_eq!(frame[0], 2, "{frame:?}");
        let action = frame[2].as_str().unwrap().to_owned();
        let schema = find(self.version, &action).unwrap().request;
        assert_eq!(violations(schema, &frame[3]), [], "{frame:?}");
        (frame[1].as_str().unwrap().to_owned(), action, frame[3].clone())
    }

    pub(crate) async fn answer(&mut self, id: &str, payload: Value) {
        self.send(json!([3, id, payload])).await;
    }

    /// Expects an action and answers it.
    pub(crate) async fn expect(&mut self, action: &str, answer: Value) -> Value {
        let (id, asked, payload) = self.called().await;
        assert_eq!(asked, action, "{payload}");
        self.answer(&id, answer).await;
        payload
    }

    pub(crate) async fn boot(&mut self) {
        let now = gridlatch_host::now().to_rfc3339();
        let boot = json!({ "currentTime": now, "interval": 600, "status": "Accepted" });
        self.expect("BootNotification", boot).await;
    }

    /// Calls the station; its answer must satisfy the schema.
    pub(crate) async fn call(&mut self, action: &str, payload: Value) -> Vec<Value> {
        self.next += 1;
        self.send(json!([2, format!("c{}", self.next), action, payload]))
            .await;
        let frame = self.frame().await;
        assert_eq!(frame[1], format!("c{}", self.next), "{frame:?}");
        if frame[0] == 3 {
            assert_eq!(
                violations(find(self.version, action).unwrap().response, &frame[2]),
                [],
                "{frame:?}"
            );
        }
        frame
    }
}

pub(crate) struct Station {
    pub(crate) to: mpsc::Sender<ToPlatform>,
    pub(crate) from: mpsc::Receiver<FromPlatform>,
    pub(crate) hub: Hub,
    pub(crate) stop: Shutdown,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

pub(crate) fn start(listener: &TcpListener, store: Store) -> Station {
    start_with(listener, store, None)
}

pub(crate) fn start_with(listener: &TcpListener, store: Store, custody: Option<Custody>) -> Station {
    let url = format!("ws://{}/ocpp", listener.local_addr().unwrap());
    let mut config = CsmsConfig::new(url, "GL-1".parse().unwrap(), store);
    config.custody = custody;
    config.first_pause = Duration::from_millis(50);
    let (to, to_platform) = mpsc::channel(16);
    let (from_platform, from) = mpsc::channel(16);
    let (hub, stop) = (Hub::new(HubConfig::default(), None), Shutdown::new());
    let link = run(config, to_platform, from_platform, hub.clone(), stop.clone());
    let task = tokio::spawn(async move { link.await.unwrap() });
    Station {
        to,
        from,
        hub,
        stop,
        task,
    }
}

pub(crate) fn meter(seconds: i64, imported: u64, exported: u64, power: f64) -> MeterReading {
    MeterReading {
        at: Timestamp::from_unix_millis((1_795_176_000 + seconds) * 1000),
        imported: MilliWattHours(imported),
        exported: MilliWattHours(exported),
        power: Watts(power),
        voltage: Volts(400.0),
        current: Amps(power / 400.0),
        soc: Some(Percent(50.0)),
        setpoint: None,
    }
}

pub(crate) fn token() -> Identification {
    Identification::Token {
        token: Personal::new("T1".to_owned()),
        kind: "Central".to_owned(),
    }
}

impl Station {
    pub(crate) async fn transaction(&self, update: TransactionUpdate, meter: MeterReading) {
        let (durable, done) = oneshot::channel();
        let transaction = "tx-1".parse().unwrap();
        let update = ToPlatform::Transaction {
            evse: EvseId(1),
            transaction,
            update,
            meter,
            durable: Some(durable),
        };
        self.to.send(update).await.unwrap();
        timeout(PATIENCE, done).await.unwrap().unwrap();
    }

    pub(crate) async fn started(&self) {
        let update = TransactionUpdate::Started {
            identification: token(),
            remote_start_id: None,
        };
        self.transaction(update, meter(0, 1000, 0, 0.0)).await;
    }

    pub(crate) async fn sampled(&self, seconds: i64, power: f64) {
        let update = TransactionUpdate::Sample {
            state: ChargingState::Charging,
        };
        self.transaction(update, meter(seconds, 2500, 500, power)).await;
    }

    pub(crate) async fn ended(&self) {
        self.transaction(
            TransactionUpdate::Ended {
                reason: StopReason::StoppedByEv,
            },
            meter(99, 3000, 700, 0.0),
        )
        .await;
    }

    pub(crate) async fn finish(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }

    /// Waits until each of these events has been emitted.
    pub(crate) async fn hears(&self, codes: &[&str]) {
        for code in codes {
            let heard = async {
                while !self
                    .hub
                    .recent(100)
                    .iter()
                    .any(|event| event.code.as_str() == *code)
                {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(PATIENCE, heard)
                .await
                .unwrap_or_else(|_| panic!("{code} was not emitted"));
        }
    }
}

pub(crate) fn sample(event: &Value, measurand: &str) -> String {
    let samples = event["meterValue"][0]["sampledValue"].as_array().unwrap();
    samples.iter().find(|s| s["measurand"] == measurand).unwrap()["value"].to_string()
}
