use gridlatch_vocab::{EvseId, catalogue};

use super::*;
use crate::{EventKind, Sample, TransactionRecord};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(seconds * 1000)
}

async fn record(store: &Store, seq_no: i64, kind: EventKind, seconds: i64, imported: u64, exported: u64) {
    let sample = Sample {
        imported: Some(MilliWattHours(imported)),
        exported: Some(MilliWattHours(exported)),
        ..Sample::empty(at(seconds))
    };
    store
        .transaction_record(TransactionRecord {
            station: "S".parse().unwrap(),
            transaction: "T".parse().unwrap(),
            seq_no,
            kind,
            trigger: "MeterValuePeriodic".to_owned(),
            at: at(seconds),
            received_at: at(seconds),
            offline: false,
            evse: Some(EvseId(1)),
            connector: None,
            charging_state: None,
            stop_reason: None,
            token: None,
            remote_start_id: None,
            samples: vec![sample],
            signed: Vec::new(),
            digest: seq_no.to_string(),
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn energy_of_a_day_leaves_out_what_flowed_before() {
    let store = Store::open(":memory:").await.unwrap();
    store
        .station_register(&"S".parse().unwrap(), at(0))
        .await
        .unwrap();
    record(&store, 0, EventKind::Started, 100, 1_000, 50).await;
    record(&store, 1, EventKind::Updated, 200, 5_000, 50).await;
    record(&store, 2, EventKind::Ended, 300, 9_000, 350).await;
    let all = store.energy_since(at(0)).await.unwrap();
    assert_eq!(all, (MilliWattHours(8_000), MilliWattHours(300)));
    let late = store.energy_since(at(250)).await.unwrap();
    assert_eq!(late, (MilliWattHours(4_000), MilliWattHours(300)));
    assert_eq!(
        store.energy_since(at(301)).await.unwrap(),
        (MilliWattHours(0), MilliWattHours(0))
    );
    let span = store
        .session_registers(&"S".parse().unwrap(), &"T".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(span.import_first, Some((at(100), MilliWattHours(1_000))));
    assert_eq!(span.export_last, Some((at(300), MilliWattHours(350))));
}

#[tokio::test]
async fn events_are_found_by_severity_code_and_time_over_many_rows() {
    let store = Store::open(":memory:").await.unwrap();
    let mut events: Vec<Event> = (0..1200)
        .map(|n| Event::new(at(n), catalogue::host::STARTED, "host", n.to_string()))
        .collect();
    events[3] = Event::new(at(3), catalogue::host::LOG_WRITE_FAILED, "host", "full");
    store.event_append(events).await.unwrap();
    let severe = EventQuery {
        severity: Some(Severity::Error),
        ..EventQuery::default()
    };
    let found = store.event_search(&severe, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1.message, "full");
    let span = EventQuery {
        code: Some(catalogue::host::STARTED),
        since: Some(at(10)),
        until: Some(at(12)),
        ..EventQuery::default()
    };
    let found = store.event_search(&span, 10).await.unwrap();
    let messages: Vec<&str> = found.iter().map(|(_, event)| event.message.as_str()).collect();
    assert_eq!(messages, ["12", "11", "10"]);
}
