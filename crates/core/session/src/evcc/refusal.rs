//! Turns a station's refusal into a named failure: which request, which code, who is to blame.

use gridlatch_vocab::catalogue::{pnc, session};
use gridlatch_vocab::{Blame, Code};
use iso15118::message::Message;
use serde_json::Value;

use super::output::{Failure, StepName};

/// The response code of an answer as the standard spells it: `FAILED_SequenceError`.
pub(crate) fn response_code(response: &Message) -> Option<String> {
    let value = match response {
        Message::AppProtocolRes(res) => return Some(spelled(&format!("{:?}", res.response_code))),
        Message::Iso2(document) => serde_json::to_value(document),
        Message::Iso20(document) => serde_json::to_value(document),
        Message::Iso20Ac(document) => serde_json::to_value(document),
        Message::Iso20Dc(document) => serde_json::to_value(document),
        _ => return None,
    };
    find(&value.ok()?, 0).map(spelled)
}

/// Deepest nesting a response code is looked for at; it sits right under the body.
const MAX_DEPTH: u8 = 8;

fn find(value: &Value, depth: u8) -> Option<&str> {
    if depth > MAX_DEPTH {
        return None;
    }
    let object = value.as_object()?;
    if let Some(code) = object.get("response_code") {
        return code.as_str();
    }
    object.values().find_map(|inner| find(inner, depth + 1))
}

/// `FAILEDSequenceError` to `FAILED_SequenceError`.
fn spelled(code: &str) -> String {
    for prefix in ["OK", "WARNING", "FAILED"] {
        if let Some(rest) = code.strip_prefix(prefix) {
            let rest = rest.trim_start_matches('_');
            return if rest.is_empty() {
                prefix.to_owned()
            } else {
                format!("{prefix}_{rest}")
            };
        }
    }
    code.to_owned()
}

/// The failure a refused `request` amounts to.
pub(crate) fn failure(step: StepName, request: &'static str, response_code: &str) -> Failure {
    let (code, blame, meaning) = verdict(response_code);
    let mut failure = Failure::new(
        step,
        code,
        format!("the station answered {request} with {response_code}{meaning}"),
    )
    .at(request);
    failure.blame = blame;
    failure.response_code = Some(response_code.to_owned());
    failure
}

/// What a response code says about whose fault it is.
fn verdict(code: &str) -> (Code, Blame, &'static str) {
    let word = code
        .trim_start_matches("FAILED_")
        .trim_start_matches("WARNING_")
        .to_ascii_lowercase();
    match word.as_str() {
        "signatureerror" => (
            pnc::SIGNATURE_INVALID,
            Blame::Vehicle,
            ": it could not verify this vehicle's signature",
        ),
        "challengeinvalid" => (
            pnc::CHALLENGE_INVALID,
            Blame::Vehicle,
            ": the challenge was not the one it gave",
        ),
        "certificateexpired" | "certificatenotyetvalid" => (
            session::STATION_REFUSED,
            Blame::Pki,
            ": the certificate it was shown is outside its validity",
        ),
        "certificaterevoked" => (
            session::STATION_REFUSED,
            Blame::Pki,
            ": the certificate it was shown is revoked",
        ),
        "certchainerror" | "certificatevalidationerror" => (
            session::STATION_REFUSED,
            Blame::Pki,
            ": the chain it was shown does not lead to a root it trusts",
        ),
        "nocertificateavailable" => (
            session::STATION_REFUSED,
            Blame::Platform,
            ": no contract is to be had here, or it cannot verify the one it was shown",
        ),
        "nocontractmatchingpcidfound" => (
            session::STATION_REFUSED,
            Blame::Platform,
            ": no contract for this vehicle is to be had here",
        ),
        "certificatenotallowedatthisevse"
        | "contractcanceled"
        | "emspunknown"
        | "generalpncauthorizationerror"
        | "eimauthorizationfailure" => (
            session::STATION_REFUSED,
            Blame::Platform,
            ": the contract or token may not charge here",
        ),
        "sequenceerror" => (
            session::STATION_REFUSED,
            Blame::Vehicle,
            ": it did not expect this request here",
        ),
        "unknownsession" => (
            session::STATION_REFUSED,
            Blame::Vehicle,
            ": it does not know this session",
        ),
        "wrongchargeparameter"
        | "wrongenergytransfermode"
        | "chargingprofileinvalid"
        | "evpowerprofileinvalid"
        | "serviceselectioninvalid"
        | "serviceidinvalid"
        | "paymentselectioninvalid"
        | "tariffselectioninvalid"
        | "scheduleselectioninvalid" => (
            session::STATION_REFUSED,
            Blame::Vehicle,
            ": it does not accept what this vehicle asked for",
        ),
        _ => (session::STATION_REFUSED, Blame::Station, ""),
    }
}
