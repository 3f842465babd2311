//! Odd offers of protocols on real sockets: what the station answers, what it reports, and that neither the next
//! session nor the one next door is touched.

use std::time::Duration;

use gridlatch_tls::{Generation, VehicleClient, VehicleClientConfig};
use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::{power, session, wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bench::{Bench, SAP, bench, eventually, frame, hear, pki, say};

const ISO2: &str = "urn:iso:15118:2:2013:MsgDef";
const ISO20_DC: &str = "urn:iso:std:iso:15118:-20:DC";
const ISO20_AC: &str = "urn:iso:std:iso:15118:-20:AC";

/// One entry of an offer.
#[derive(Debug, Clone)]
struct Entry {
    namespace: String,
    version: (u8, u8),
    schema: u8,
    priority: u8,
}

fn entry(namespace: &str, version: (u8, u8), schema: u8, priority: u8) -> Entry {
    Entry {
        namespace: namespace.to_owned(),
        version,
        schema,
        priority,
    }
}

fn iso2(schema: u8, priority: u8) -> Entry {
    entry(ISO2, (2, 0), schema, priority)
}

fn iso20(schema: u8, priority: u8) -> Entry {
    entry(ISO20_DC, (1, 0), schema, priority)
}

/// Writes EXI bit by bit, so that an offer may break every rule of the schema.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, value: usize, width: usize) {
        self.0.extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
    }

    /// An unsigned integer of EXI: seven bits an octet, lowest first.
    fn unsigned(&mut self, mut value: usize) {
        while value > 0x7F {
            self.put(0x80 | value & 0x7F, 8);
            value >>= 7;
        }
        self.put(value, 8);
    }

    fn bytes(&self) -> Vec<u8> {
        let octet = |chunk: &[bool]| {
            chunk
                .iter()
                .enumerate()
                .fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at))
        };
        self.0.chunks(8).map(octet).collect()
    }
}

/// A supportedAppProtocolReq in EXI.
fn offer(entries: &[Entry]) -> Vec<u8> {
    let mut out = Bits::default();
    out.put(0x80, 8);
    out.put(0, 2);
    for (at, entry) in entries.iter().enumerate() {
        // The first must come; from the second on there is the choice to end.
        out.put(0, if at == 0 { 1 } else { 2 });
        out.put(0, 2);
        out.unsigned(entry.namespace.chars().count() + 2);
        for character in entry.namespace.chars() {
            out.unsigned(character as usize);
        }
        out.put(0, 1);
        for number in [entry.version.0, entry.version.1] {
            out.put(0, 2);
            out.unsigned(number.into());
            out.put(0, 1);
        }
        out.put(0, 2);
        out.put(entry.schema.into(), 8);
        out.put(0, 1);
        out.put(0, 2);
        out.put(usize::from(entry.priority).wrapping_sub(1), 5);
        // The end of the priority and the end of the entry.
        out.put(0, 2);
    }
    // After twenty entries only the end is left.
    if entries.len() < 20 {
        out.put(1, 2);
    } else {
        out.put(0, 1);
    }
    out.bytes()
}

/// Response code (0 agreed, 1 with another minor version, 2 failed) and the schema id chosen.
fn answer(bytes: &[u8]) -> Option<(u8, Option<u8>)> {
    let payload = bytes.get(8..)?;
    let bit = |at: usize| payload.get(at / 8).map(|byte| byte >> (7 - at % 8) & 1);
    let number =
        |from: usize, width: usize| (from..from + width).try_fold(0, |value, at| Some(value << 1 | bit(at)?));
    assert_eq!(
        number(8, 2),
        Some(1),
        "not a supportedAppProtocolRes: {bytes:02X?}"
    );
    let code = number(12, 2)?;
    let schema = if number(15, 2)? == 0 {
        Some(number(18, 8)?)
    } else {
        None
    };
    Some((code, schema))
}

/// What an offer must lead to.
#[derive(Debug)]
enum Expect {
    /// This answer.
    Chosen(u8, u8),
    /// Either of them, and the same each time.
    OneOf([u8; 2]),
    /// "No negotiation", and the code of it.
    None,
    /// No agreement, and this code.
    Refused(Code),
}

#[test]
fn the_encoder_of_these_tests_writes_what_a_real_car_wrote() {
    let same = offer(&[iso2(0, 1)]);
    let other = offer(&[iso2(1, 1)]);
    assert!(
        SAP == same || SAP == other,
        "{SAP:02X?}\n{same:02X?}\n{other:02X?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_offers_get_their_answer_or_a_coded_refusal_and_touch_no_other_session() {
    let bench = bench(2, true);
    let port = bench.evse(1).plain.unwrap();
    let neighbour = bench.car(2).millis(600_000);
    let figures = neighbour.watch();
    let stop = neighbour.start();
    assert!(
        eventually(|| figures.borrow().loops > 0).await,
        "{:#?}",
        bench.codes(2)
    );

    let vendor = |schema, priority| entry("urn:example:vendor:2026", (1, 0), schema, priority);
    let mut twenty: Vec<Entry> = (1..20).map(|n| vendor(n, n)).collect();
    twenty.push(iso2(200, 20));
    let mut more = vec![vendor(1, 1); 20];
    more.push(iso2(2, 1));
    let agreed = Expect::Chosen;
    let unreadable = || Expect::Refused(wire::EXI_DECODING_ERROR);
    let cases: Vec<(&str, Vec<Entry>, Expect)> = vec![
        ("only a vendor's protocol", vec![vendor(1, 1)], Expect::None),
        (
            "only DIN 70121",
            vec![entry("urn:din:70121:2012:MsgDef", (2, 0), 1, 1)],
            Expect::None,
        ),
        (
            "AC of -20 at a DC outlet",
            vec![entry(ISO20_AC, (1, 0), 1, 1)],
            Expect::None,
        ),
        (
            "a vendor's first, ours second",
            vec![vendor(1, 1), iso2(2, 2)],
            agreed(0, 2),
        ),
        (
            "the preferred one comes last",
            vec![iso2(7, 3), vendor(8, 2), iso20(9, 1)],
            agreed(0, 9),
        ),
        (
            "one priority for two",
            vec![iso2(3, 1), iso20(4, 1)],
            Expect::OneOf([3, 4]),
        ),
        (
            "one schema id for two",
            vec![iso2(1, 1), iso20(1, 2)],
            Expect::OneOf([1, 1]),
        ),
        (
            "another minor version",
            vec![entry(ISO2, (2, 9), 5, 1)],
            agreed(1, 5),
        ),
        (
            "another major version",
            vec![entry(ISO2, (3, 0), 5, 1)],
            Expect::None,
        ),
        (
            "almost our namespace",
            vec![entry("urn:iso:15118:2:2013:MsgDe", (2, 0), 1, 1)],
            Expect::None,
        ),
        ("an empty namespace", vec![entry("", (2, 0), 1, 1)], Expect::None),
        ("twenty entries, the last is ours", twenty, agreed(0, 200)),
        ("twenty-one entries", more, unreadable()),
        (
            "a namespace above the schema's bound",
            vec![entry(&"u".repeat(101), (2, 0), 1, 1)],
            unreadable(),
        ),
        (
            "a namespace of 3,900 characters",
            vec![entry(&"u".repeat(3_900), (2, 0), 1, 1)],
            unreadable(),
        ),
        (
            "a namespace of 60,000 characters",
            vec![entry(&"u".repeat(60_000), (2, 0), 1, 1)],
            Expect::Refused(wire::V2GTP_TOO_LARGE),
        ),
        ("no entry at all", vec![], unreadable()),
    ];
    let mut first_choice = Vec::new();
    for round in 0..2 {
        for (at, (what, entries, expect)) in cases.iter().enumerate() {
            // Only a choice has to be made twice to be known.
            if round > 0 && !matches!(expect, Expect::OneOf(_)) {
                continue;
            }
            let agreed = bench.count(1, session::PROTOCOL_AGREED);
            let code = match expect {
                Expect::Chosen(..) | Expect::OneOf(_) => session::PROTOCOL_AGREED,
                Expect::None => session::NO_COMMON_PROTOCOL,
                Expect::Refused(code) => *code,
            };
            let before = bench.count(1, code);
            // A refused connection waits for us to close it.
            let answered = if matches!(expect, Expect::Refused(_)) {
                0
            } else {
                12
            };
            let (stream, heard) = say(&bench, 1, port, &frame(&offer(entries)), answered).await;
            bench.reports(1, code, before).await;
            drop(stream);
            match expect {
                Expect::Chosen(code, schema) => {
                    assert_eq!(
                        answer(&heard),
                        Some((*code, Some(*schema))),
                        "{what}: {heard:02X?}"
                    );
                }
                Expect::OneOf(allowed) => {
                    let (code, schema) = answer(&heard).expect(what);
                    let schema = schema.expect(what);
                    assert!(code == 0 && allowed.contains(&schema), "{what}: {heard:02X?}");
                    if round == 0 {
                        first_choice.push((at, schema));
                    } else {
                        assert!(first_choice.contains(&(at, schema)), "{what}: decided otherwise");
                    }
                }
                Expect::None => assert_eq!(answer(&heard), Some((2, None)), "{what}: {heard:02X?}"),
                Expect::Refused(_) => {}
            }
            if matches!(expect, Expect::None | Expect::Refused(_)) {
                assert_eq!(
                    bench.count(1, session::PROTOCOL_AGREED),
                    agreed,
                    "{what} was agreed"
                );
            }
            assert!(!bench.is_closed(1), "{what}");
        }
    }
    bench.serves(1, "odd offers").await;
    said_twice(&bench).await;
    let loops = figures.borrow().loops;
    assert!(
        eventually(|| figures.borrow().loops > loops + 5).await,
        "the neighbour stopped"
    );
    assert_eq!(bench.count(2, power::CONTACTOR_CLOSED), 1);
    stop.abort();
    bench.stop().await;
}

/// A second offer after the first was accepted, of the same protocol and of another one.
async fn said_twice(bench: &Bench) {
    let port = bench.evse(1).plain.unwrap();
    for second in [iso2(1, 1), iso20(2, 1)] {
        let refused = || bench.count(1, session::OUT_OF_SEQUENCE) + bench.count(1, wire::EXI_DECODING_ERROR);
        let (before, agreed) = (refused(), bench.count(1, session::PROTOCOL_AGREED));
        let (mut stream, heard) = say(bench, 1, port, &frame(&offer(&[iso2(1, 1)])), 12).await;
        assert_eq!(answer(&heard), Some((0, Some(1))));
        stream
            .write_all(&frame(&offer(std::slice::from_ref(&second))))
            .await
            .unwrap();
        let _ = hear(&mut stream, 1).await;
        assert!(
            eventually(|| refused() > before).await,
            "{second:?} was taken: {:#?}",
            bench.codes(1)
        );
        assert_eq!(
            bench.count(1, session::PROTOCOL_AGREED),
            agreed + 1,
            "the second offer was agreed to"
        );
        drop(stream);
        bench.serves(1, "an offer said twice").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_1_2_only_iso_15118_2_is_agreed() {
    let bench = bench(1, false);
    let client = VehicleClient::new(VehicleClientConfig {
        generation: Generation::Iso2,
        roots: pki().v2g_roots(),
        identity: None,
        key_log: None,
        handshake_timeout: Duration::from_secs(10),
    })
    .unwrap();
    for (what, entries, expected) in [
        ("-20 alone", vec![iso20(1, 1)], (2, None)),
        ("-20 before -2", vec![iso20(1, 1), iso2(2, 2)], (0, Some(2))),
    ] {
        let tcp = TcpStream::connect(bench.evse(1).tls.unwrap()).await.unwrap();
        let (mut tls, handshake) = client.connect(tcp, None).await.unwrap();
        assert_eq!(handshake.version, "TLSv1.2");
        tls.write_all(&frame(&offer(&entries))).await.unwrap();
        let mut heard = [0; 64];
        let length = tokio::time::timeout(Duration::from_secs(5), tls.read(&mut heard))
            .await
            .expect("an answer")
            .unwrap();
        assert_eq!(answer(&heard[..length]), Some(expected), "{what}");
        drop(tls);
        if expected.0 == 2 {
            bench.reports(1, session::NO_COMMON_PROTOCOL, 0).await;
        } else {
            bench.reports(1, session::LOST, 0).await;
        }
        bench.serves(1, what).await;
    }
    bench.stop().await;
}
