//! Hostile discovery.

use std::time::Duration;

use gridlatch_vocab::catalogue::{cable, tls};
use tokio::net::UdpSocket;

use crate::bench::{SAP, bench, discover, frame, say};

const TLS: [u8; 10] = [0x01, 0xFE, 0x90, 0x00, 0, 0, 0, 2, 0x00, 0x00];
const NO_TLS: [u8; 10] = [0x01, 0xFE, 0x90, 0x00, 0, 0, 0, 2, 0x10, 0x00];
/// How long an answer may take that nothing holds back: on a busy machine, much longer than on others.
const PATIENCE: Duration = Duration::from_secs(10);

fn port(answer: &[u8]) -> u16 {
    u16::from_be_bytes([answer[24], answer[25]])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_honest_request_is_dropped_counted_and_never_answered() {
    let bench = bench(1, true);
    let at = bench.evse(1).sdp;
    let mut bad: Vec<Vec<u8>> = (0..10).map(|length| TLS[..length].to_vec()).collect();
    for (at, value) in [
        (0, 0x02),
        (1, 0x01),
        (2, 0x80),
        (3, 0x01),
        (4, 0xFF),
        (7, 0x00),
        (7, 0x01),
        (7, 0x03),
        (8, 0x55),
        (9, 0x10),
    ] {
        let mut datagram = TLS.to_vec();
        datagram[at] = value;
        bad.push(datagram);
    }
    let mut lying = TLS.to_vec();
    lying[4..8].fill(0xFF);
    bad.push(lying);
    bad.push(vec![0x01; 1400]);
    bad.push([TLS.as_slice(), &[0; 54]].concat());
    let socket = UdpSocket::bind("[::1]:0").await.unwrap();
    for datagram in &bad {
        socket.send_to(datagram, at).await.unwrap();
    }
    // Answers come in order: the first one belongs to the honest request behind them all.
    socket.send_to(&TLS, at).await.unwrap();
    let mut buffer = [0; 128];
    let (length, _) = tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer))
        .await
        .expect("the honest request is answered")
        .unwrap();
    assert_eq!(length, 28);
    let more = tokio::time::timeout(Duration::from_millis(100), socket.recv_from(&mut buffer)).await;
    assert!(more.is_err(), "a hostile datagram was answered");
    assert!(bench.count(1, cable::SDP_MALFORMED) > 0);
    bench.serves(1, "hostile discovery").await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_fields_have_their_own_code() {
    let bench = bench(1, true);
    for (at, value) in [(8, 0x55), (9, 0x10)] {
        let before = bench.count(1, cable::SDP_BAD_FIELD);
        let mut datagram = TLS;
        datagram[at] = value;
        let answer = discover(bench.evse(1).sdp, &datagram, Duration::from_millis(100)).await;
        assert!(answer.is_none());
        bench.reports(1, cable::SDP_BAD_FIELD, before).await;
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_at_once_do_not_keep_an_honest_one_waiting() {
    let bench = bench(2, true);
    let at = bench.evse(1).sdp;
    let flood = UdpSocket::bind("[::1]:0").await.unwrap();
    for _ in 0..500 {
        flood.send_to(&TLS, at).await.unwrap();
    }
    // The flood comes from the same address, which is the worst case: one share for both.
    // Counted in requests: how long this machine takes for one says nothing about the flood.
    let mut answer = None;
    for _ in 0..5 {
        answer = discover(at, &TLS, Duration::from_millis(400)).await;
        if answer.is_some() {
            break;
        }
    }
    let answer = answer.expect("an honest vehicle is answered when it asks again");
    assert_eq!(port(&answer), bench.evse(1).tls.unwrap().port());
    assert!(bench.count(1, cable::SDP_RATE_LIMITED) >= 1);
    assert!(
        bench.codes(1).len() < 200,
        "a flood of datagrams is no flood of events"
    );
    // The other outlet never noticed.
    assert!(discover(bench.evse(2).sdp, &TLS, PATIENCE).await.is_some());
    bench.serves(2, "a flood at another outlet").await;
    bench.serves(1, "a flood").await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_without_tls_changes_nothing_for_the_vehicle_that_asked_with_it() {
    let bench = bench(1, false);
    let at = bench.evse(1).sdp;
    let victim = discover(at, &TLS, PATIENCE).await.unwrap();
    let attacker = discover(at, &NO_TLS, PATIENCE).await.unwrap();
    assert_eq!((victim[26], attacker[26]), (0x00, 0x00), "both are sent to TLS");
    assert_eq!(port(&victim), port(&attacker));
    assert!(bench.count(1, cable::SDP_NO_TLS_REFUSED) > 0);
    let port = bench.evse(1).tls.unwrap();
    assert_eq!(port.port(), self::port(&victim));
    let (_stream, heard) = say(&bench, 1, port, &frame(SAP), 64).await;
    assert!(
        !heard.starts_with(&[0x01, 0xFE]),
        "plaintext was answered: {heard:02X?}"
    );
    bench.reports(1, tls::NOT_TLS, 0).await;
    let car = bench.car(1).plain().charge().await;
    assert!(car.failure().is_some(), "a car that refuses TLS gets nothing");
    bench.serves(1, "plaintext at the TLS port").await;
    bench.stop().await;
}
