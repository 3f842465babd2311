//! Two ends of a connection, and hostile bytes.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]
#![allow(clippy::disallowed_methods, reason = "an arbitrary origin for simulated time")]

use std::time::{Duration, Instant};

use gridlatch_ocpp::{
    CallError, ErrorCode, Frame, MessageId, Rpc, RpcConfig, RpcError, RpcEvent, Version, decode, encode,
    fuzz_frame, v16, v21, v201,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn id(text: &str) -> MessageId {
    MessageId::new(text).unwrap()
}

fn pair(version: Version) -> (Rpc, Rpc) {
    (
        Rpc::new(RpcConfig::new(version)),
        Rpc::new(RpcConfig::new(version)),
    )
}

/// Carries everything from one end to the other.
fn carry(now: Instant, from: &mut Rpc, to: &mut Rpc) -> usize {
    let mut carried = 0;
    while let Some(text) = from.poll_transmit() {
        to.handle(now, text.as_bytes());
        carried += 1;
    }
    carried
}

fn events(rpc: &mut Rpc) -> Vec<RpcEvent> {
    std::iter::from_fn(|| rpc.poll_event()).collect()
}

fn refusals(rpc: &mut Rpc) -> Vec<&'static str> {
    let refused = events(rpc).into_iter().filter_map(|event| match event {
        RpcEvent::Refused(refusal) => Some(refusal.code.as_str()),
        _ => None,
    });
    refused.collect()
}

#[test]
fn one_call_is_under_way_and_the_others_wait_their_turn() {
    let now = Instant::now();
    let (mut station, mut platform) = pair(Version::V201);
    for number in 0..3 {
        station
            .call(now, id(&format!("m{number}")), &v201::HeartbeatRequest::new())
            .unwrap();
    }
    for number in 0..3 {
        assert_eq!(carry(now, &mut station, &mut platform), 1);
        let [RpcEvent::Call { id, action, .. }] = &events(&mut platform)[..] else {
            panic!()
        };
        assert_eq!(
            (id.as_str(), action.as_str()),
            (format!("m{number}").as_str(), "Heartbeat")
        );
        platform
            .answer(now, id, Ok(json!({ "currentTime": "2026-11-21T02:00:00Z" })))
            .unwrap();
        carry(now, &mut platform, &mut station);
        assert!(matches!(
            &events(&mut station)[..],
            [RpcEvent::Answered { answer: Ok(_), .. }]
        ));
    }
    assert!(station.is_idle());
}

#[test]
fn the_queue_is_bounded_and_our_own_mistakes_are_not_sent() {
    let now = Instant::now();
    let (mut station, _) = pair(Version::V201);
    let sent = (0..200).take_while(|n| {
        station
            .call(now, id(&n.to_string()), &v201::HeartbeatRequest::new())
            .is_ok()
    });
    assert_eq!(sent.count(), 65);
    let long = v201::ChargingStation::new("m".repeat(21), "v".into());
    let boot = v201::BootNotificationRequest::new(long, v201::BootReasonEnum::PowerUp);
    let (mut fresh, _) = pair(Version::V201);
    assert!(matches!(
        fresh.call(now, id("a"), &boot),
        Err(RpcError::Schema(_))
    ));
    let other = fresh.call(now, id("a"), &v21::HeartbeatRequest::new());
    assert!(matches!(other, Err(RpcError::OtherVersion(Version::V21))));
    assert!(fresh.poll_transmit().is_none());
}

#[test]
fn a_call_times_out_and_its_late_answer_is_known_as_such() {
    let now = Instant::now();
    let (mut station, mut platform) = pair(Version::V21);
    station.call(now, id("a"), &v21::HeartbeatRequest::new()).unwrap();
    carry(now, &mut station, &mut platform);
    let (due, why) = station.poll_timeout().unwrap();
    assert_eq!(why, "answer to our call");
    station.handle_timeout(due - Duration::from_millis(1));
    assert!(events(&mut station).is_empty());
    station.handle_timeout(due);
    assert!(matches!(&events(&mut station)[..], [RpcEvent::TimedOut { .. }]));
    platform.answer(due, &id("a"), Ok(json!({}))).unwrap();
    carry(due, &mut platform, &mut station);
    assert!(matches!(&events(&mut station)[..], [RpcEvent::Late { .. }]));
    station.handle(due, br#"[3,"a",{}]"#);
    assert_eq!(refusals(&mut station), ["ocpp.answer_unasked"]);
}

#[test]
fn a_repeated_call_gets_the_same_answer_and_another_under_its_id_is_refused() {
    let now = Instant::now();
    let mut platform = Rpc::new(RpcConfig::new(Version::V201));
    let call = br#"[2,"a","DataTransfer",{"vendorId":"x"}]"#;
    platform.handle(now, call);
    platform.handle(now, call);
    assert!(matches!(
        &events(&mut platform)[..],
        [RpcEvent::Call { .. }, RpcEvent::Refused(_)]
    ));
    platform
        .answer(now, &id("a"), Ok(json!({ "status": "Accepted" })))
        .unwrap();
    let answer = platform.poll_transmit().unwrap();
    platform.handle(now, call);
    assert_eq!(platform.poll_transmit(), Some(answer));
    assert_eq!(refusals(&mut platform), ["ocpp.call_repeated"]);
    platform.handle(now, br#"[2,"a","DataTransfer",{"vendorId":"y"}]"#);
    assert_eq!(refusals(&mut platform), ["ocpp.message_id_reused"]);
    assert!(
        platform
            .poll_transmit()
            .unwrap()
            .starts_with(r#"[4,"a","RpcFrameworkError""#)
    );
    assert!(matches!(
        platform.answer(now, &id("a"), Ok(json!({}))),
        Err(RpcError::NoSuchCall(_))
    ));
}

#[test]
fn each_failure_has_its_error_code() {
    let too_deep = format!(r#"[2,"a","Reset",{{"x":{}1{}}}]"#, "[".repeat(15), "]".repeat(15));
    let long_id = format!(r#"[2,"{}","Reset",{{}}]"#, "i".repeat(37));
    for (bytes, code, answer) in [
        ("", "ocpp.frame_malformed", Some("RpcFrameworkError")),
        ("{}", "ocpp.frame_malformed", Some("RpcFrameworkError")),
        (
            long_id.as_str(),
            "ocpp.frame_malformed",
            Some("RpcFrameworkError"),
        ),
        (
            r#"[2,"a","Reset"]"#,
            "ocpp.frame_malformed",
            Some("FormatViolation"),
        ),
        (
            r#"[2,"a","Reset",[]]"#,
            "ocpp.frame_malformed",
            Some("FormatViolation"),
        ),
        (
            r#"[2,"a","Rset",{}]"#,
            "ocpp.unknown_action",
            Some("NotImplemented"),
        ),
        (r#"[3,"a",{}]"#, "ocpp.answer_unasked", None),
        (r#"[6,"a","Reset",{}]"#, "ocpp.frame_malformed", None),
        (too_deep.as_str(), "ocpp.frame_bound", None),
    ] {
        let mut rpc = Rpc::new(RpcConfig::new(Version::V201));
        rpc.handle(Instant::now(), bytes.as_bytes());
        assert_eq!(refusals(&mut rpc), [code], "{bytes}");
        let written: Option<Value> = rpc
            .poll_transmit()
            .map(|text| serde_json::from_str(&text).unwrap());
        assert_eq!(
            written.as_ref().and_then(|frame| frame[2].as_str()),
            answer,
            "{bytes}"
        );
    }
    let huge = vec![b' '; Version::V201.max_frame() + 1];
    assert!(Frame::parse(Version::V201, &huge).unwrap_err().hostile);
    assert_eq!(
        ErrorCode::FormatViolation.as_str(Version::V16),
        "FormationViolation"
    );
    assert_eq!(
        ErrorCode::from_word("OccurenceConstraintViolation"),
        ErrorCode::OccurrenceConstraintViolation
    );
}

#[test]
fn sends_and_refused_results_exist_in_2_1_only() {
    let now = Instant::now();
    let (mut station, mut platform) = pair(Version::V21);
    let data = v21::StreamDataElement::new(0.into(), "1".into());
    let stream = v21::NotifyPeriodicEventStreamRequest::new(
        gridlatch_vocab::Timestamp::from_unix_millis(0),
        vec![data],
        1,
        0,
    );
    station.send(id("s"), &stream).unwrap();
    carry(now, &mut station, &mut platform);
    assert!(matches!(&events(&mut platform)[..], [RpcEvent::Send { .. }]));
    assert!(platform.poll_transmit().is_none());
    station.refuse_result(id("r"), CallError::new(ErrorCode::FormatViolation, "x"));
    carry(now, &mut station, &mut platform);
    assert!(matches!(
        &events(&mut platform)[..],
        [RpcEvent::ResultRefused { .. }]
    ));
    let mut old = Rpc::new(RpcConfig::new(Version::V201));
    old.refuse_result(id("r"), CallError::new(ErrorCode::FormatViolation, "x"));
    assert!(old.poll_transmit().is_none());
}

#[test]
fn what_real_stations_get_wrong_is_taken_and_said() {
    let boot = json!({ "chargingStation": { "model": "m".repeat(40), "vendorName": "v", "modem": null, "extra": 1 },
        "reason": "PowerUp" });
    let read = decode::<v201::BootNotificationRequest>(boot).unwrap();
    assert_eq!(read.payload.charging_station.model.len(), 40);
    assert_eq!(read.violations.len(), 3);
    assert!(
        encode(&read.payload).is_err(),
        "but we would not say it ourselves"
    );
    let status = json!({ "connectorId": 1, "connectorStatus": "Available", "evseId": 1, "timestamp": "2026-11-21 02:00:00" });
    let read = decode::<v201::StatusNotificationRequest>(status).unwrap();
    assert_eq!(read.payload.timestamp.to_rfc3339(), "2026-11-21T02:00:00.000Z");
    for (payload, code) in [
        (json!({}), ErrorCode::OccurrenceConstraintViolation),
        (json!({ "type": 1 }), ErrorCode::TypeConstraintViolation),
        (json!({ "type": "Soft" }), ErrorCode::PropertyConstraintViolation),
    ] {
        assert_eq!(
            decode::<v201::ResetRequest>(payload)
                .unwrap_err()
                .to_call_error()
                .code,
            code
        );
    }
    let many: serde_json::Map<_, _> = (0..100).map(|n| (format!("x{n}"), json!(1))).collect();
    let error = decode::<v201::ResetRequest>(Value::Object(many)).unwrap_err();
    assert!(error.violations.len() <= gridlatch_ocpp::MAX_VIOLATIONS);
}

#[test]
fn persons_do_not_show_in_debug() {
    let request = v16::AuthorizeRequest::new("0123456789".into());
    let token = v201::IdToken::new("DEGLTC000001".into(), v201::IdTokenEnum::EMAID);
    let text = format!("{request:?} {:?}", v201::AuthorizeRequest::new(token));
    assert!(!text.contains("0123456789") && !text.contains("DEGLT"), "{text}");
    assert!(text.contains("eMAID"));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_frame(&bytes);
    }

    #[test]
    fn any_almost_frame_is_survived(
        kind in 0u8..9, id in "\\PC{0,40}", action in prop::sample::select(vec!["Reset", "TransactionEvent", "SetChargingProfile", "X"]),
        key in prop::sample::select(vec!["type", "evseId", "chargingProfile", "seqNo", "timestamp", "zz"]),
        value in prop::sample::select(vec!["1", "1e400", "-0", "null", "[]", "{\"a\":1}", "\"2026-11-21T00:00:00Z\"", "123456789012345678901234567890123456789012"]),
    ) {
        let text = format!("[{kind},{},\"{action}\",{{\"{key}\":{value}}}]", json!(id));
        fuzz_frame(text.as_bytes());
    }
}
