//! A Seres on the road breaks a facet of the schema in its second `PowerDeliveryReq`. Its own frames are
//! played to the station; the capture is not part of the repository.
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

use std::path::{Path, PathBuf};

use gridlatch_vocab::catalogue::wire as codes;
use iso15118::Protocol;
use iso15118::message::Message;
use iso15118::v2gtp::PayloadType;

use super::harness::{Car, dc};
use super::*;

fn capture() -> Option<Vec<u8>> {
    let root = std::env::var_os("GRIDLATCH_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data"),
        PathBuf::from,
    );
    let path = std::fs::read_dir(root.join("real-cars"))
        .ok()?
        .find_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?;
            name.starts_with("Seres").then_some(path)
        })?;
    std::fs::read(path).ok()
}

/// The V2GTP frames in the file: without TLS each message of this car is one whole segment.
fn frames(capture: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = capture[at..].windows(4).position(|w| w == [1, 0xFE, 0x80, 1]) {
        let start = at + next;
        at = start + 8;
        let Some(length) = capture.get(start + 4..start + 8) else {
            break;
        };
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        if let Some(frame) = capture.get(start..start + 8 + length) {
            found.push(frame);
        }
    }
    found
}

fn read(protocol: Option<Protocol>, frame: &[u8]) -> Option<Message> {
    Message::decode(protocol, PayloadType::ExiEncodedV2gMessage, &frame[8..]).ok()
}

#[test]
fn the_frame_of_a_seres_that_breaks_a_facet_is_answered_failed() {
    let Some(capture) = capture() else {
        println!("skipped: no capture of a Seres");
        return;
    };
    let frames = frames(&capture);
    // The car goes on with the id that the recorded station gave it, so ours gives it the same one.
    let given = frames
        .iter()
        .filter_map(|frame| read(Some(Protocol::Iso2), frame)?.session_id())
        .find(|id| *id != SessionId::NONE)
        .unwrap();
    let mut car = Car::new(SeccSessionConfig {
        entropy: Entropy {
            session_id: *given.as_bytes(),
            challenge: [0; 16],
        },
        ..dc()
    });
    let mut last = "";
    let mut answered = 0;
    for frame in frames {
        let protocol = (answered > 0).then_some(Protocol::Iso2);
        let name = read(protocol, frame)
            .or_else(|| read(None, frame))
            .map_or("undecodable", |message| message.name());
        // Answers of the recorded station, and repetitions of a question that it answered `Ongoing`.
        if name.ends_with("Res") || (name == last && name != "PreChargeReq") {
            continue;
        }
        last = name;
        let answer = car.send(frame);
        assert!(!answer.is_empty(), "{name}: {:?}", car.events);
        let answer = read(protocol, &answer).unwrap();
        answered += 1;
        if name == "undecodable" {
            assert_eq!(answer.name(), "PowerDeliveryRes");
            assert!(answer.outcome().unwrap().is_failure(), "{answer:?}");
            assert_eq!(answer.session_id(), Some(given));
            assert!(car.saw(codes::EXI_DECODING_ERROR) && car.saw(codes::UNDECODABLE_ANSWERED));
            assert!(!car.evse.contactor_closed);
            assert_eq!(car.session.end(), Some(End::BadStream));
            return;
        }
        if let Some(outcome) = answer.outcome() {
            assert!(!outcome.is_failure(), "{name}: {answer:?}: {:?}", car.events);
        }
    }
    panic!("no frame was undecodable; {answered} were answered, the last was {last}");
}
