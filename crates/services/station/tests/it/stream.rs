//! Hostile bytes on a connection that is up.

use std::time::Duration;

use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::{power, session, wire};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::bench::{SAP, SETUP, bench, eventually, frame, hear, say};

fn header(length: u32) -> Vec<u8> {
    let mut bytes = vec![0x01, 0xFE, 0x80, 0x01];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_streams_end_their_own_session_and_no_other() {
    let bench = bench(2, true);
    let port = bench.evse(1).plain.unwrap();
    // A neighbour charges through all of it.
    let neighbour = bench.car(2).millis(600_000);
    let figures = neighbour.watch();
    let stop = neighbour.start();
    assert!(
        eventually(|| figures.borrow().loops > 0).await,
        "{:#?}",
        bench.codes(2)
    );

    let agreed = frame(SAP);
    let exi = wire::EXI_DECODING_ERROR;
    let attacks: Vec<(&str, Vec<u8>, Code)> = vec![
        ("an empty payload", header(0), exi),
        ("seven bytes of nothing", [header(7), vec![0; 7]].concat(), exi),
        ("4 GiB announced", header(u32::MAX), wire::V2GTP_TOO_LARGE),
        (
            "one byte too many announced",
            header(4 * 1024 + 1),
            wire::V2GTP_TOO_LARGE,
        ),
        (
            "a wrong version",
            vec![0x02, 0xFD, 0x80, 0x01, 0, 0, 0, 1, 0],
            wire::V2GTP_BAD_HEADER,
        ),
        ("a wrong inverse", vec![0x01, 0xFF], wire::V2GTP_BAD_HEADER),
        (
            "TLS at the port without",
            vec![0x16, 0x03, 0x01, 0x00, 0x05],
            wire::V2GTP_BAD_HEADER,
        ),
        (
            "garbage after the agreement",
            [agreed.clone(), frame(&[0xA5; 300])].concat(),
            exi,
        ),
        (
            "a cut request",
            [agreed.clone(), frame(&SETUP[..SETUP.len() - 4])].concat(),
            exi,
        ),
        (
            "a request of another session",
            [
                agreed.clone(),
                frame(SETUP),
                frame(include_bytes!(
                    "../../../../../fuzz/corpus/exi/iso2-8001-ServiceDiscoveryReq"
                )),
            ]
            .concat(),
            session::UNKNOWN_SESSION,
        ),
        (
            "a charge loop before anything",
            [
                agreed.clone(),
                frame(include_bytes!(
                    "../../../../../fuzz/corpus/exi/iso2-8001-CurrentDemandReq"
                )),
            ]
            .concat(),
            session::OUT_OF_SEQUENCE,
        ),
    ];
    for (what, bytes, code) in attacks {
        let before = bench.count(1, code);
        let (stream, _) = say(&bench, 1, port, &bytes, 0).await;
        bench.reports(1, code, before).await;
        drop(stream);
        let closed = bench.count(1, power::CONTACTOR_CLOSED);
        bench.serves(1, what).await;
        assert_eq!(
            bench.count(1, power::CONTACTOR_CLOSED),
            closed + 1,
            "{what} closed the contactor"
        );
    }
    let loops = figures.borrow().loops;
    assert!(
        eventually(|| figures.borrow().loops > loops + 5).await,
        "the neighbour stopped"
    );
    assert!(bench.is_closed(2));
    assert_eq!(bench.count(2, power::CONTACTOR_CLOSED), 1);
    stop.abort();
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_one_by_one_and_messages_in_one_segment_are_both_framed() {
    let bench = bench(1, true);
    let port = bench.evse(1).plain.unwrap();
    let mut stream = TcpStream::connect(port).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in frame(SAP) {
        stream.write_all(&[byte]).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(hear(&mut stream, 12).await.len(), 12, "{:#?}", bench.codes(1));
    drop(stream);
    assert!(eventually(|| bench.count(1, session::LOST) == 1).await);

    let both = [frame(SAP), frame(SETUP)].concat();
    let (_stream, heard) = say(&bench, 1, port, &both, 12 + 8 + 20).await;
    assert!(
        heard.len() > 30,
        "both are answered: {heard:02X?}\n{:#?}",
        bench.codes(1)
    );
    assert!(heard[12..].starts_with(&[0x01, 0xFE, 0x80, 0x01]));
    assert_eq!(bench.count(1, session::ESTABLISHED), 1);
    bench.stop().await;
}
