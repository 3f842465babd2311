//! The page of a session says who signed its bill, and checks it itself.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

mod seed;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use gridlatch_store::{EventKind, NewCdr};
use gridlatch_vocab::MilliWattHours;
use seed::{World, station, transaction};
use serde_json::Value;
use tower::ServiceExt as _;

/// A bill of `gridlatch up` as `GET /api/v1/cdrs/ID/signed` gave it; its root is beside it.
const BILL: &str = include_str!("seed/signed-bill.json");
const ROOT: &str = include_str!("seed/signed-bill-root.pem");

/// The page of a session whose bill is this one.
async fn page(document: Value, jws: Option<String>) -> String {
    let world = World::empty().await;
    let (id, tx) = (station("GL-DC-1"), transaction("tx-1"));
    world.store.station_register(&id, world.ago(100)).await.unwrap();
    for (seq_no, kind, ago) in [(0, EventKind::Started, 90), (1, EventKind::Ended, 80)] {
        world.record("GL-DC-1", "tx-1", seq_no, kind, ago, &[]).await;
    }
    let cdr = NewCdr {
        id: "B-1".to_owned(),
        station: id,
        transaction: tx,
        issued_at: world.ago(79),
        currency: "EUR".to_owned(),
        imported: MilliWattHours(99_520),
        exported: MilliWattHours(39_660),
        total_excl: "0.0299".parse().unwrap(),
        total_incl: "0.04".parse().unwrap(),
        document,
        jws,
    };
    assert!(world.store.cdr_issue(cdr).await.unwrap());
    let roots = gridlatch_trust::certificate::from_pem(ROOT.as_bytes()).unwrap();
    let router = world.router_with(roots);
    let request = Request::get("/sessions/GL-DC-1/tx-1")
        .body(Body::empty())
        .unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = to_bytes(response.into_body(), 4 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn bill() -> (Value, String) {
    let bill: Value = serde_json::from_str(BILL).unwrap();
    (bill["cdr"].clone(), bill["jws"].as_str().unwrap().to_owned())
}

fn times(html: &str, text: &str) -> usize {
    html.matches(text).count()
}

#[tokio::test]
async fn a_proven_bill_names_its_signers_and_offers_the_evidence() {
    let (document, jws) = bill();
    let html = page(document, Some(jws)).await;
    for expected in [
        "Signed by Gridlatch Dev Bills, under Gridlatch Dev CSMS Root.",
        "Signed by the meter GL-DC-1-1.",
        "Follows from the signed readings (0.100 kWh in, 0.040 kWh out) and the tariff.",
        "href=\"/api/v1/cdrs/B-1/signed\"",
        "href=\"/api/v1/cdrs/B-1/readings\"",
    ] {
        assert!(html.contains(expected), "missing {expected}");
    }
    assert_eq!(times(&html, ">verified<"), 3);
    assert_eq!(times(&html, ">not verified<"), 0);
}

#[tokio::test]
async fn a_bill_changed_in_the_database_is_shown_as_not_verified() {
    let (mut document, jws) = bill();
    document["x_gridlatch"]["payable"] = serde_json::json!(4);
    let html = page(document, Some(jws)).await;
    assert_eq!(
        (times(&html, ">verified<"), times(&html, ">not verified<")),
        (1, 2)
    );
    assert!(html.contains("/codes/bill.signature_invalid"));
    assert!(html.contains("/codes/bill.total_differs"));
}

#[tokio::test]
async fn a_bill_without_a_signature_says_so() {
    let (document, _) = bill();
    let html = page(document, None).await;
    assert!(html.contains("It was issued without a signature."));
    assert!(!html.contains("/signed\""));
    assert!(html.contains("/readings\""));
}
