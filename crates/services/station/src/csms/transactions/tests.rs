//! A station that is cut off at any write still ends its transaction, and signs what it last reported.

use std::sync::Arc;

use base64::Engine as _;
use gridlatch_host::{Hub, HubConfig};
use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_receipt::ocmf::Ocmf;
use gridlatch_trust::RustCrypto;
use gridlatch_vocab::{Amps, MilliWattHours, Personal, Volts, Watts};

use super::super::report::Reporter;
use super::*;
use crate::backend::{Identification, StopReason};

fn station() -> StationId {
    "CS-1".parse().unwrap()
}

fn meter(seconds: i64, imported: u64, exported: u64) -> MeterReading {
    MeterReading {
        at: Timestamp::from_unix_millis(1_795_255_200_000 + seconds * 1000),
        imported: MilliWattHours(imported),
        exported: MilliWattHours(exported),
        power: Watts(1.0),
        voltage: Volts(400.0),
        current: Amps(1.0),
        soc: None,
        setpoint: None,
    }
}

struct Scene {
    store: Store,
    key: Arc<FileKey>,
}

impl Scene {
    async fn new() -> Self {
        Self {
            store: Store::open(":memory:").await.unwrap(),
            key: Arc::new(FileKey::generate(KeyAlgorithm::P256).unwrap()),
        }
    }

    async fn open(&self) -> Transactions {
        let report = Reporter::new(Hub::new(HubConfig::default(), None), station());
        let signer = MeterSigner::new(self.key.clone(), station(), report);
        Transactions::open(self.store.clone(), &station(), Some(signer), meter(900, 0, 0).at)
            .await
            .unwrap()
    }

    async fn kept(&self) -> Option<String> {
        self.store
            .setting_find("station.CS-1.transactions")
            .await
            .unwrap()
    }

    async fn parcels(&self) -> Vec<Value> {
        let items = self.store.outbox_peek("station.CS-1", 100).await.unwrap();
        items.iter().map(|item| parcel(item).unwrap().payload).collect()
    }

    /// The signed record of a message.
    fn record(&self, payload: &Value) -> Ocmf {
        let signed = payload["meterValue"][0]["sampledValue"]
            .as_array()
            .unwrap()
            .iter()
            .find_map(|sample| sample["signedMeterValue"]["signedMeterData"].as_str())
            .expect("a signed value");
        let text = base64::engine::general_purpose::STANDARD.decode(signed).unwrap();
        let record = Ocmf::parse(core::str::from_utf8(&text).unwrap()).unwrap();
        record.verify(self.key.public_key_der(), &RustCrypto).unwrap();
        record
    }
}

async fn tell(transactions: &mut Transactions, id: &str, update: TransactionUpdate, meter: MeterReading) {
    let id: TransactionId = id.parse().unwrap();
    let kept = transactions
        .update((EvseId(1), &id, 0), &update, &meter, false)
        .await
        .unwrap();
    assert!(kept);
}

fn started() -> TransactionUpdate {
    TransactionUpdate::Started {
        identification: Identification::Token {
            token: Personal::new("CARD-1".to_owned()),
            kind: "ISO14443".to_owned(),
        },
        remote_start_id: None,
    }
}

const SAMPLE: TransactionUpdate = TransactionUpdate::Sample {
    state: ChargingState::Charging,
};

#[tokio::test]
async fn each_end_is_signed_under_a_page_of_its_own_and_names_nobody() {
    let scene = Scene::new().await;
    let mut transactions = scene.open().await;
    for (page, id) in [(1, "tx-1"), (2, "tx-2")] {
        let from = page * 1000;
        tell(&mut transactions, id, started(), meter(0, from, 5)).await;
        tell(&mut transactions, id, SAMPLE, meter(5, from + 400, 5)).await;
        let ended = TransactionUpdate::Ended {
            reason: StopReason::Remote,
        };
        tell(&mut transactions, id, ended, meter(9, from + 700, 105)).await;
        let last = scene.parcels().await.pop().unwrap();
        let record = scene.record(&last);
        assert_eq!(record.page, Some(page));
        assert_eq!(record.transaction.as_deref(), Some(id));
        assert_eq!(
            record.energy().unwrap(),
            (MilliWattHours(700), MilliWattHours(100))
        );
        assert!(record.payload().contains(r#""TX":"R""#) && !record.payload().contains("CARD-1"));
    }
    let told = scene.parcels().await;
    let signed = told.iter().filter(|payload| payload.to_string().contains("OCMF"));
    assert_eq!(signed.count(), 2, "only ends are signed");
}

#[tokio::test]
async fn a_station_cut_off_between_two_writes_signs_what_it_reported_last() {
    let scene = Scene::new().await;
    let mut transactions = scene.open().await;
    tell(&mut transactions, "tx-1", started(), meter(0, 1000, 5)).await;
    let before = scene.kept().await.unwrap();
    tell(&mut transactions, "tx-1", SAMPLE, meter(5, 1400, 25)).await;
    // The message was written, what is kept beside it was not.
    scene
        .store
        .setting_put("station.CS-1.transactions", &before)
        .await
        .unwrap();
    drop(transactions);
    scene.open().await;
    let told = scene.parcels().await;
    let last = told.last().unwrap();
    assert_eq!(
        (
            &last["eventType"],
            &last["seqNo"],
            &last["transactionInfo"]["stoppedReason"]
        ),
        (&"Ended".into(), &2.into(), &"PowerLoss".into())
    );
    let record = scene.record(last);
    assert_eq!(
        record.energy().unwrap(),
        (MilliWattHours(400), MilliWattHours(20))
    );
    assert!(record.payload().contains(r#""TX":"P""#));
    // Once: the next start has nothing to end.
    scene.open().await;
    assert_eq!(scene.parcels().await.len(), told.len());
}

#[tokio::test]
async fn a_transaction_cut_off_in_its_first_or_last_write_ends_once() {
    let scene = Scene::new().await;
    let mut transactions = scene.open().await;
    tell(&mut transactions, "tx-1", started(), meter(0, 1000, 5)).await;
    scene
        .store
        .setting_put("station.CS-1.transactions", "{}")
        .await
        .unwrap();
    scene.open().await;
    let last = scene.parcels().await.pop().unwrap();
    assert_eq!((&last["eventType"], &last["seqNo"]), (&"Ended".into(), &1.into()));
    assert_eq!(scene.record(&last).energy().unwrap().0, MilliWattHours(0));

    let scene = Scene::new().await;
    let mut transactions = scene.open().await;
    tell(&mut transactions, "tx-2", started(), meter(0, 1000, 5)).await;
    let before = scene.kept().await.unwrap();
    let ended = TransactionUpdate::Ended {
        reason: StopReason::StoppedByEv,
    };
    tell(&mut transactions, "tx-2", ended, meter(5, 1400, 5)).await;
    let told = scene.parcels().await.len();
    scene
        .store
        .setting_put("station.CS-1.transactions", &before)
        .await
        .unwrap();
    scene.open().await;
    assert_eq!(scene.parcels().await.len(), told, "it had ended already");
}
