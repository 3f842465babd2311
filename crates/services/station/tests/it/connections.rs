//! Connections that come at the wrong time, say nothing, or say nonsense.

use std::time::{Duration, Instant};

use gridlatch_vocab::catalogue::{cable, power, session, tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bench::{SAP, bench, eventually, frame, hear, say};

#[tokio::test(flavor = "multi_thread")]
async fn second_connections_are_refused_while_the_loop_goes_on() {
    let bench = bench(1, true);
    let (secure, plain) = (bench.evse(1).tls.unwrap(), bench.evse(1).plain.unwrap());
    let car = bench.car(1).millis(2_500);
    let figures = car.watch();
    let charging = car.start();
    assert!(
        eventually(|| figures.borrow().loops > 5).await,
        "{:#?}",
        bench.codes(1)
    );
    let before = figures.borrow().loops;
    let mut slowest = Duration::ZERO;
    for n in 0..40 {
        let port = if n % 2 == 0 { secure } else { plain };
        let start = Instant::now();
        // The reset may be here before the connection is.
        if let Ok(mut second) = TcpStream::connect(port).await {
            let _ = second.write_all(&frame(SAP)).await;
            let heard = hear(&mut second, 1).await;
            assert!(heard.is_empty(), "a second connection was answered: {heard:02X?}");
        }
        slowest = slowest.max(start.elapsed());
    }
    // At once, whatever that is on this machine: nothing it could wait for is over sooner.
    assert!(slowest < Duration::from_secs(4), "a refusal took {slowest:?}");
    assert!(bench.is_closed(1), "the contactor opened: {:#?}", bench.codes(1));
    let loops = figures.borrow().loops;
    assert!(eventually(|| figures.borrow().loops > loops.max(before) + 5).await);
    let outcome = charging.outcome().await;
    assert!(outcome.failure().is_none(), "{outcome:?}");
    assert_eq!(bench.count(1, cable::SECOND_CONNECTION_REFUSED), 40);
    assert_eq!(bench.count(1, power::CONTACTOR_CLOSED), 1);
    bench.serves(1, "second connections").await;
    bench.stop().await;
}

/// Reads until the station closes; how long that took.
async fn closes(mut stream: TcpStream) -> Duration {
    let start = Instant::now();
    let mut buffer = [0; 64];
    while matches!(stream.read(&mut buffer).await, Ok(length) if length > 0) {}
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_too_little_is_closed_by_the_setup_deadline_and_others_are_served() {
    let bench = bench(5, true);
    let limit = Duration::from_secs(30);
    let silent = TcpStream::connect(bench.evse(1).plain.unwrap()).await.unwrap();
    let silent_tls = TcpStream::connect(bench.evse(2).tls.unwrap()).await.unwrap();
    // A byte a second: never silent, never done.
    let slow = TcpStream::connect(bench.evse(3).plain.unwrap()).await.unwrap();
    let (slow, mut drip) = slow.into_split();
    let dripping = tokio::spawn(async move {
        for byte in frame(SAP) {
            if drip.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let slow_closes = async move {
        let start = Instant::now();
        let mut slow = slow;
        let mut buffer = [0; 64];
        while matches!(slow.read(&mut buffer).await, Ok(length) if length > 0) {}
        start.elapsed()
    };
    let mut half_hello = TcpStream::connect(bench.evse(4).tls.unwrap()).await.unwrap();
    half_hello
        .write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01])
        .await
        .unwrap();
    let others = async {
        bench.serves(5, "silence elsewhere").await;
        bench.serves(5, "silence elsewhere, again").await;
    };
    let all = async {
        tokio::join!(
            closes(silent),
            closes(silent_tls),
            slow_closes,
            closes(half_hello),
            others
        )
    };
    let (silent, silent_tls, slow, half_hello, ()) = tokio::time::timeout(limit, all)
        .await
        .expect("every silent peer is closed");
    // 18 s to the first request, and a peer that is not gone by then is waited for up to 6 s.
    for (what, took, most) in [
        ("silent", silent, 25),
        ("silent at the TLS port", silent_tls, 12),
        ("a byte a second", slow, 25),
        ("half a ClientHello", half_hello, 12),
    ] {
        assert!(took < Duration::from_secs(most), "{what}: {took:?}");
    }
    dripping.abort();
    for (evse, code) in [
        (1, session::TIMEOUT),
        (2, tls::HANDSHAKE_TIMEOUT),
        (3, session::TIMEOUT),
        (4, tls::HANDSHAKE_TIMEOUT),
    ] {
        bench.reports(evse, code, 0).await;
        assert_eq!(
            bench.count(evse, code),
            1,
            "EVSE {evse}: {:#?}",
            bench.codes(evse)
        );
        bench.serves(evse, "silence").await;
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_at_the_tls_port_ends_the_handshake_and_nothing_else() {
    let bench = bench(1, true);
    let port = bench.evse(1).tls.unwrap();
    let mut garbage = vec![0x16, 0x03, 0x01, 0x00, 0x40, 0x01, 0x00, 0x00, 0x3C, 0x03, 0x03];
    garbage.extend((0..58u8).map(|n| n.wrapping_mul(151) ^ 0xA5));
    let inputs: [(&str, Vec<u8>); 6] = [
        ("a garbled ClientHello", garbage),
        ("plaintext V2GTP", frame(SAP)),
        (
            "a record of 64 KiB",
            [vec![0x16, 0x03, 0x01, 0xFF, 0xFF], vec![0; 4096]].concat(),
        ),
        (
            "SSLv2",
            vec![0x80, 0x2E, 0x01, 0x00, 0x02, 0x00, 0x15, 0x00, 0x00, 0x00, 0x10],
        ),
        (
            "application data first",
            vec![0x17, 0x03, 0x03, 0x00, 0x02, 0xAA, 0xBB],
        ),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
    ];
    for (what, bytes) in inputs {
        let (mut stream, heard) = say(&bench, 1, port, &bytes, 256).await;
        let _ = stream.shutdown().await;
        // An alert or nothing.
        assert!(heard.is_empty() || heard[0] == 0x15, "{what}: {heard:02X?}");
        drop(stream);
        let refused = [
            tls::NOT_TLS,
            tls::MALFORMED,
            tls::CONNECTION_LOST,
            tls::PROTOCOL_VERSION,
        ];
        let count = || refused.iter().map(|code| bench.count(1, *code)).sum::<usize>();
        assert!(eventually(|| count() > 0).await, "{what}: {:#?}", bench.codes(1));
        assert_eq!(
            bench.count(1, power::CONTACTOR_CLOSED),
            bench.count(1, session::STOPPED),
            "{what}"
        );
        bench.serves(1, what).await;
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_never_closed_do_not_pile_up() {
    let bench = bench(1, true);
    let port = bench.evse(1).plain.unwrap();
    let mut kept = Vec::new();
    while kept.len() < 100 {
        let (stream, _) = say(&bench, 1, port, &[0xFF; 8], 0).await;
        kept.push(stream);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // All but the last one are closed by now, whatever the peer does.
    let mut open = 0;
    for mut stream in kept {
        let closed = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut [0; 8])).await;
        open += usize::from(closed.is_err());
    }
    assert!(open <= 1, "{open} connections are kept");
    bench.serves(1, "many connections").await;
    bench.stop().await;
}
