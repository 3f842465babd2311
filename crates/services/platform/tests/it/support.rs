//! A platform on a free port, and a station that says exactly what it is told to say.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use gridlatch_host::{Hub, HubConfig, Shutdown};
use gridlatch_platform::{BillSigner, Plaintext, Platform, PlatformConfig, PlatformHandle, StationAuthority};
use gridlatch_store::Store;
use gridlatch_vocab::{Code, Event, StationId};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) struct World {
    pub(crate) handle: PlatformHandle,
    pub(crate) hub: Hub,
    pub(crate) store: Store,
    pub(crate) shutdown: Shutdown,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(Store::open(":memory:").await.unwrap()).await
    }

    pub(crate) async fn on(store: Store) -> Self {
        Self::signing(store, None).await
    }

    pub(crate) async fn signing(store: Store, bill_signer: Option<BillSigner>) -> Self {
        Self::with(store, |config| PlatformConfig {
            bill_signer,
            ..config
        })
        .await
    }

    /// A platform with somebody who signs certificates for stations.
    pub(crate) async fn certifying(authority: Arc<dyn StationAuthority>) -> Self {
        Self::with(Store::open(":memory:").await.unwrap(), |config| PlatformConfig {
            authority: Some(authority),
            ..config
        })
        .await
    }

    /// A platform whose configuration was changed.
    pub(crate) async fn with(store: Store, change: impl FnOnce(PlatformConfig) -> PlatformConfig) -> Self {
        let hub = Hub::new(HubConfig::default(), None);
        let shutdown = Shutdown::new();
        let config = change(PlatformConfig {
            allow_plaintext: true,
            // Long enough for an answer on any machine; where silence is the subject it is shorter.
            command_timeout: Duration::from_secs(20),
            ..PlatformConfig::default()
        });
        let handle = Platform::start(config, Plaintext, store.clone(), hub.clone(), shutdown.clone())
            .await
            .unwrap();
        for station in ["CS-1", "CS-2"] {
            handle.state.register_station(&id(station)).await.unwrap();
        }
        Self {
            handle,
            hub,
            store,
            shutdown,
        }
    }

    pub(crate) async fn connect(&self, station: &str, protocol: &str) -> Result<Station, tungstenite::Error> {
        let url = format!("ws://{}/ocpp/{station}", self.handle.ocpp_addr);
        let mut request = url.into_client_request().unwrap();
        if !protocol.is_empty() {
            request
                .headers_mut()
                .insert("sec-websocket-protocol", HeaderValue::from_str(protocol).unwrap());
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        Ok(Station { socket, count: 0 })
    }

    pub(crate) async fn station(&self, station: &str) -> Station {
        self.connect(station, "ocpp2.1, ocpp2.0.1").await.unwrap()
    }

    /// Waits for an event of this code.
    pub(crate) async fn event(&self, code: Code) -> Event {
        for _ in 0..3000 {
            if let Some(event) = self.hub.recent(500).into_iter().find(|event| event.code == code) {
                return event;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no event {code}; there are: {:?}", self.codes());
    }

    /// Waits for this many events of this code.
    pub(crate) async fn events(&self, code: Code, number: usize) {
        for _ in 0..3000 {
            if self.count(code) >= number {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not {number} events {code}; there are: {:?}", self.codes());
    }

    pub(crate) fn count(&self, code: Code) -> usize {
        self.hub
            .recent(500)
            .iter()
            .filter(|event| event.code == code)
            .count()
    }

    pub(crate) fn codes(&self) -> Vec<String> {
        let events = self.hub.recent(500);
        events
            .iter()
            .rev()
            .map(|event| format!("{}: {}", event.code, event.message))
            .collect()
    }
}

pub(crate) fn id(station: &str) -> StationId {
    station.parse().unwrap()
}

pub(crate) struct Station {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    count: u32,
}

impl Station {
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        let text: String = text.into();
        self.socket.send(Message::Text(text.into())).await.unwrap();
    }

    /// The next text, as JSON; `None` when the connection ended.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(10), self.socket.next())
                .await
                .expect("an answer in time");
            match message {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(text.as_str()).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Calls and returns the whole answer frame.
    pub(crate) async fn call(&mut self, action: &str, payload: Value) -> Value {
        self.count += 1;
        let id = format!("id-{}", self.count);
        self.send(json!([2, id, action, payload]).to_string()).await;
        let answer = self.next().await.expect("an answer");
        assert_eq!(answer[1], id.as_str(), "{answer}");
        answer
    }

    /// Calls and returns the payload of the result.
    pub(crate) async fn ok(&mut self, action: &str, payload: Value) -> Value {
        let answer = self.call(action, payload).await;
        assert_eq!(answer[0], 3, "{answer}");
        answer[2].clone()
    }

    /// Calls and returns the code of the error.
    pub(crate) async fn error(&mut self, action: &str, payload: Value) -> String {
        let answer = self.call(action, payload).await;
        assert_eq!(answer[0], 4, "{answer}");
        answer[2].as_str().unwrap().to_owned()
    }

    pub(crate) async fn boot(&mut self) -> Value {
        let station = json!({"model": "Sim", "vendorName": "Gridlatch"});
        self.ok(
            "BootNotification",
            json!({"reason": "PowerUp", "chargingStation": station}),
        )
        .await
    }
}

/// A TransactionEvent with both registers, in Wh.
pub(crate) fn event(kind: &str, seq_no: u32, minute: u32, imported: &str, exported: &str) -> Value {
    let time = format!("2026-11-21T10:{minute:02}:00Z");
    let value = |measurand: &str, number: &str| -> Value {
        let number: Value = serde_json::from_str(number).unwrap();
        json!({"measurand": measurand, "value": number})
    };
    json!({
        "eventType": kind, "seqNo": seq_no, "timestamp": time, "triggerReason": "MeterValuePeriodic",
        "transactionInfo": {"transactionId": "tx-1", "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [{"timestamp": time, "sampledValue": [
            value("Energy.Active.Import.Register", imported),
            value("Energy.Active.Export.Register", exported),
            value("Power.Active.Import", "7000"),
        ]}],
    })
}
