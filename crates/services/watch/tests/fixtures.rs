//! Small captures in the repository: made by hand, TLS by OpenSSL's own tools through a recording proxy.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

use std::fs;
use std::path::{Path, PathBuf};

use gridlatch_session::wire::Layer;
use gridlatch_watch::capture::{self, CaptureError, Entry, Summary, TlsHandshake, What};
use gridlatch_watch::tls::KeyLog;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

type Read = Result<Summary, (CaptureError, Box<Summary>)>;

fn read_bytes(bytes: &[u8], keys: KeyLog) -> (Vec<Entry>, Read) {
    let mut entries = Vec::new();
    let result = capture::read(bytes, keys, &mut |entry| {
        entries.push(entry);
        true
    });
    (entries, result)
}

fn read(name: &str, keys: KeyLog) -> (Vec<Entry>, Summary) {
    let (entries, result) = read_bytes(&fs::read(path(name)).unwrap(), keys);
    (
        entries,
        result.unwrap_or_else(|(error, _)| panic!("{name}: {error}")),
    )
}

fn keys(name: &str) -> KeyLog {
    KeyLog::parse(&fs::read_to_string(path(name)).unwrap())
}

/// Names of the V2G messages, in order.
fn names(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .filter_map(|entry| match &entry.what {
            What::Message(message) if message.layer == Layer::V2gtp => Some(message.name.clone()),
            _ => None,
        })
        .collect()
}

/// What the session of all the -2 fixtures says.
fn session() -> Vec<String> {
    let (entries, _) = read("iso2-plain.pcap", KeyLog::default());
    let names = names(&entries);
    assert_eq!(
        names[..3],
        [
            "supportedAppProtocolReq",
            "supportedAppProtocolRes",
            "SessionSetupReq"
        ]
    );
    assert!(names.len() >= 10, "{names:?}");
    names
}

#[test]
fn matching_discovery_and_messages_of_a_plain_session() {
    let (entries, summary) = read("iso2-plain.pcap", KeyLog::default());
    assert_eq!(
        (summary.layer(Layer::HomePlug), summary.layer(Layer::Sdp)),
        (19, 2)
    );
    assert_eq!((summary.total_undecodable(), summary.v2g_streams), (0, 1));
    for entry in &entries {
        if let What::Message(message) = &entry.what {
            assert_eq!(
                entry.from_vehicle,
                is_from_vehicle(&message.name),
                "{}",
                message.name
            );
        }
    }
    // The network key of the fixture is 77 sixteen times; no rendering shows it.
    assert!(
        entries
            .iter()
            .all(|entry| !entry.to_json().to_string().contains("7777777777"))
    );
}

fn is_from_vehicle(name: &str) -> bool {
    match name {
        "CM_START_ATTEN_CHAR.IND" | "CM_MNBC_SOUND.IND" | "CM_ATTEN_CHAR.RSP" => true,
        "CM_ATTEN_CHAR.IND" => false,
        _ => name.ends_with("Req") || name.ends_with("REQ") || name.ends_with("request"),
    }
}

#[test]
fn every_container_and_link_type_tells_the_same() {
    let session = session();
    for name in [
        "iso2-plain-ns-be.pcap",
        "raw-ip.pcap",
        "null.pcap",
        "sll.pcap",
        "sll2.pcap",
        "vlan.pcap",
    ] {
        let (entries, summary) = read(name, KeyLog::default());
        assert_eq!(names(&entries), session, "{name}");
        assert_eq!(summary.layer(Layer::Sdp), 2, "{name}");
        let homeplug = if matches!(name, "raw-ip.pcap" | "null.pcap") {
            0
        } else {
            19
        };
        assert_eq!(summary.layer(Layer::HomePlug), homeplug, "{name}");
    }
    let (entries, summary) = read("iso20-plain.pcapng", KeyLog::default());
    assert_eq!(summary.total_undecodable(), 0);
    assert!(names(&entries).len() >= 3);
}

#[test]
fn segments_out_of_order_repeated_and_across_the_sequence_wrap_read_the_same() {
    let (entries, summary) = read("disorder.pcap", KeyLog::default());
    assert_eq!(names(&entries), session());
    assert_eq!((summary.total_undecodable(), summary.missing_bytes), (0, 0));
}

#[test]
fn a_segment_the_capture_lost_is_a_gap_and_the_rest_is_read() {
    let (entries, summary) = read("lost.pcap", KeyLog::default());
    assert_eq!(names(&entries).len(), session().len() - 1);
    assert!(summary.missing_bytes > 0);
    assert_eq!(summary.notices.get("capture.gap"), Some(&1));
}

#[test]
fn din_is_followed_by_its_envelopes() {
    let (entries, summary) = read("din.pcap", KeyLog::default());
    assert_eq!(summary.envelope_only, 4);
    assert_eq!(
        names(&entries)[2..],
        [
            "SessionSetupReq",
            "SessionSetupRes",
            "ServiceDiscoveryReq",
            "CurrentDemandRes"
        ]
    );
    assert!(entries.iter().any(|entry| matches!(&entry.what,
        What::Message(message) if message.response_code.as_deref() == Some("FAILED_SequenceError"))));
}

#[test]
fn plain_xml_is_shown_as_such() {
    let (entries, _) = read("plain-xml.pcap", KeyLog::default());
    let What::Message(message) = &entries.last().unwrap().what else {
        panic!("no message")
    };
    assert_eq!(message.name, "SessionSetupReq");
    assert!(message.notice.as_deref().unwrap().contains("EXI was off"));
}

const TLS: [(&str, &str); 7] = [
    ("tls12-cbc-etm", "ECDHE-ECDSA-AES128-SHA256"),
    ("tls12-gcm128", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ("tls12-gcm256", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    ("tls12-chacha", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ("tls13-gcm128", "TLS_AES_128_GCM_SHA256"),
    ("tls13-gcm256", "TLS_AES_256_GCM_SHA384"),
    ("tls13-chacha", "TLS_CHACHA20_POLY1305_SHA256"),
];

#[test]
fn every_suite_opens_with_its_key_log_and_shows_the_chain() {
    let session = session();
    for (name, suite) in TLS {
        let (entries, summary) = read(&format!("{name}.pcap"), keys(&format!("{name}.keys")));
        assert_eq!(names(&entries), session, "{name}");
        assert!(summary.tls_opened > 0, "{name}");
        assert!(
            entries.iter().any(|entry| matches!(&entry.what,
                What::Tls(TlsHandshake::ServerHello { suite: found, .. }) if found == suite)),
            "{name}"
        );
        assert!(
            entries.iter().any(|entry| matches!(&entry.what,
                What::Tls(TlsHandshake::Certificates(chain)) if chain[0].contains("CN=SECC fixture"))),
            "{name}"
        );
        assert!(
            entries.iter().all(|entry| entry.tls || entry.stream.is_none()),
            "{name}"
        );
    }
}

#[test]
fn secrets_inside_a_pcapng_are_used() {
    let (entries, _) = read("tls13-embedded.pcapng", KeyLog::default());
    assert_eq!(names(&entries), session());
}

#[test]
fn without_keys_and_with_wrong_keys_nothing_is_invented() {
    for (name, _) in TLS {
        let capture = format!("{name}.pcap");
        let (entries, summary) = read(&capture, KeyLog::default());
        assert_eq!(names(&entries).len(), 0, "{name}");
        assert!(summary.notices.contains_key("capture.tls_keys_missing"), "{name}");
        // Right connection, wrong secret: flip one digit of every secret.
        let text = fs::read_to_string(path(&format!("{name}.keys"))).unwrap();
        let wrong: String = text
            .lines()
            .map(|line| {
                let (head, last) = line.split_at(line.len() - 1);
                format!("{head}{}\n", if last == "0" { "1" } else { "0" })
            })
            .collect();
        let (entries, summary) = read(&capture, KeyLog::parse(&wrong));
        assert_eq!(names(&entries).len(), 0, "{name}");
        assert!(
            summary.notices.contains_key("capture.tls_keys_wrong"),
            "{name}: {:?}",
            summary.notices
        );
    }
}

#[test]
fn files_that_are_none_and_files_cut_short_say_so() {
    assert!(matches!(
        read_bytes(b"", KeyLog::default()).1,
        Err((CaptureError::Empty, _))
    ));
    assert!(matches!(
        read_bytes(&[0x55; 400], KeyLog::default()).1,
        Err((CaptureError::NotACapture, _))
    ));
    let whole = fs::read(path("iso2-plain.pcap")).unwrap();
    let (entries, result) = read_bytes(&whole[..whole.len() - 5], KeyLog::default());
    assert!(matches!(result, Err((CaptureError::Truncated { .. }, _))));
    assert_eq!(names(&entries), session());
    for cut in 0..whole.len().min(600) {
        let _ = read_bytes(&whole[..cut], KeyLog::default());
    }
    let (_, summary) = read("no-v2g.pcap", KeyLog::default());
    assert_eq!((summary.packets, summary.total()), (1, 0));
}

#[test]
fn reading_stops_when_nobody_listens() {
    let mut told = 0;
    let bytes = fs::read(path("iso2-plain.pcap")).unwrap();
    capture::read(bytes.as_slice(), KeyLog::default(), &mut |_| {
        told += 1;
        told < 3
    })
    .unwrap();
    assert_eq!(told, 3);
}
