//! The EXI string-table bomb: a message in which every two-byte reference clones a long string. In its
//! own process, because it measures the process.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

use gridlatch_session::wire::{Agreed, MAX_PAYLOAD, decode_frame};
use gridlatch_vocab::catalogue::wire;
use iso15118::exi::{ExiDocument, ValueCoding};
use iso15118::iso2;

/// Most this process may grow while it reads the largest bomb that fits, in KiB.
const BOUND: u64 = 192 * 1024;

/// A SessionSetupReq whose signature has `count` transforms that all name the same `length` characters.
fn bomb(length: usize, count: usize) -> Vec<u8> {
    let name = "A".repeat(length);
    let reference = iso2::Reference {
        transforms: Some(iso2::Transforms {
            transform: vec![iso2::Transform { algorithm: name }; count],
        }),
        ..iso2::Reference::minimal()
    };
    let signed_info = iso2::SignedInfo {
        reference: vec![reference],
        ..iso2::SignedInfo::minimal()
    };
    iso2::Document::V2GMessage(iso2::V2GMessage {
        header: iso2::MessageHeader {
            session_id: vec![0; 8],
            notification: None,
            signature: Some(iso2::Signature {
                signed_info,
                ..iso2::Signature::minimal()
            }),
        },
        body: iso2::Body {
            choice: Some(iso2::BodyChoice::SessionSetupReq(iso2::SessionSetupReq {
                evcc_id: vec![1; 6],
            })),
        },
    })
    .to_vec_with(ValueCoding::Referenced)
    .unwrap()
}

/// Resident memory of this process, in KiB: now, or the most it ever had.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The process that plays the bomb is started by the test: building the bomb takes more memory than
/// reading it, and would hide the figure.
const PLAY: &str = "GRIDLATCH_PLAY_BOMB";

#[test]
fn the_string_table_bomb_stays_within_its_bound() {
    if let Some(path) = std::env::var_os(PLAY) {
        let bytes = std::fs::read(path).unwrap();
        let before = memory("VmRSS:");
        let answer = decode_frame(Some(Agreed::Iso2), 0x8001, &bytes);
        let grown = memory("VmHWM:").saturating_sub(before);
        assert!(grown < BOUND, "{} bytes of EXI took {grown} KiB", bytes.len());
        // Its description would be larger than any reader can use: it is refused, and says so.
        assert_eq!(answer.unwrap_err().code, wire::V2GTP_TOO_LARGE);
        println!("grown {grown} KiB by {} bytes", bytes.len());
        return;
    }
    // Half the bytes for the string, half for references to it, is the worst of both.
    let bytes = bomb(MAX_PAYLOAD / 2 - 512, MAX_PAYLOAD / 8);
    assert!(
        bytes.len() <= MAX_PAYLOAD && bytes.len() > MAX_PAYLOAD / 2,
        "{} bytes",
        bytes.len()
    );
    let path = std::env::temp_dir().join(format!("gridlatch-bomb-{}", std::process::id()));
    std::fs::write(&path, &bytes).unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "the_string_table_bomb_stays_within_its_bound",
            "--nocapture",
        ])
        .env(PLAY, &path)
        .output()
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    println!("{said}");
}

#[test]
fn what_is_above_the_bound_is_refused_unread() {
    let oversized = vec![0x80; MAX_PAYLOAD + 1];
    let refused = decode_frame(Some(Agreed::Iso2), 0x8001, &oversized).unwrap_err();
    assert_eq!(refused.code, wire::V2GTP_TOO_LARGE);
}

/// Set for the process that decodes the bomb without any payload limit.
const UNLIMITED: &str = "GRIDLATCH_PLAY_UNLIMITED_BOMB";

/// The memory limit of a station's process (`docs/adr/0003`).
const MEMORY: u64 = 256 * 1024 * 1024;

#[test]
fn a_bomb_that_got_past_the_payload_limits_would_end_the_process_and_not_the_machine() {
    if let Some(path) = std::env::var_os(UNLIMITED) {
        let bytes = std::fs::read(path).unwrap();
        let decoded = iso2::Document::from_bytes(&bytes);
        println!("decoded {}, {} KiB", decoded.is_ok(), memory("VmHWM:"));
        return;
    }
    let bytes = bomb(36_000, 19_000);
    let path = std::env::temp_dir().join(format!("gridlatch-large-bomb-{}", std::process::id()));
    std::fs::write(&path, &bytes).unwrap();
    let play = |program: &str, arguments: &[String]| {
        std::process::Command::new(program)
            .args(arguments)
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "a_bomb_that_got_past_the_payload_limits_would_end_the_process_and_not_the_machine",
                "--nocapture",
            ])
            .env(UNLIMITED, &path)
            .output()
            .unwrap()
    };
    let free = play("env", &[]);
    let limited = play("prlimit", &[format!("--data={MEMORY}"), "--core=0".to_owned()]);
    std::fs::remove_file(&path).unwrap();
    let said = String::from_utf8_lossy(&free.stdout).into_owned();
    println!("{} bytes without a limit: {said}", bytes.len());
    let taken: u64 = said
        .split("decoded true, ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        taken > MEMORY / 1024,
        "{taken} KiB: the bomb is no bomb any more, and the limit not needed"
    );
    assert!(!limited.status.success(), "the limit did not hold");
    let said = String::from_utf8_lossy(&limited.stderr).into_owned();
    println!("with the limit: {} {said}", limited.status);
    assert!(said.contains("memory allocation of"), "{said}");
}
