//! Plug & Charge that proves nothing: each forgery gets its own response code and event, the platform is
//! never asked for it, and the contactor never moves.

mod iso2;
mod iso20;

use gridlatch_vocab::catalogue::pnc as codes;
use gridlatch_vocab::{Code, Timestamp};
use iso15118::pnc::rustcrypto::SigningKey;

use super::harness::{Car, dc};
use super::*;

const EMAID: &str = "DEGDLC123456789";
/// The key of the contract in `pair/contract.der`, and one that is not.
const OWN: [u8; 32] = [7; 32];
const OTHER: [u8; 32] = [8; 32];
/// The challenge of `harness::dc`.
const CHALLENGE: [u8; 16] = [9; 16];

fn leaf() -> Vec<u8> {
    include_bytes!("../../../tests/pair/contract.der").to_vec()
}

fn key(scalar: &[u8; 32]) -> SigningKey {
    SigningKey::p256(scalar).unwrap()
}

fn secure() -> SeccSessionConfig {
    SeccSessionConfig { tls: true, ..dc() }
}

/// A verdict on every chain.
#[derive(Debug)]
struct Judge(Option<ContractFault>);

impl ContractCheck for Judge {
    fn check(&self, _: &[Vec<u8>], _: Timestamp) -> Result<(), (ContractFault, String)> {
        self.0.map_or(Ok(()), |fault| {
            Err((fault, "the domain component of the leaf is not MO".to_owned()))
        })
    }
}

fn judged(fault: ContractFault) -> SeccSessionConfig {
    SeccSessionConfig {
        contracts: Some(std::sync::Arc::new(Judge(Some(fault)))),
        ..secure()
    }
}

/// Nothing was asked of the platform, nothing was closed, and the event says what it was.
#[track_caller]
fn refused(car: &Car, event: Code, what: &str) {
    assert!(car.saw(event), "{what}: {:?}", car.events);
    assert_eq!(car.asked, 0, "{what}: the platform was asked");
    assert!(!car.was_closed, "{what}: the contactor was requested");
    assert!(!car.saw(codes::AUTHORIZED), "{what}");
    let all = format!("{:?}", car.events);
    assert!(
        !all.contains(EMAID),
        "{what}: an event shows the contract id: {all}"
    );
}
