//! A request the EXI decoder refuses (a value outside its facet, as some cars on the road send) still
//! has a recognisable type: its first bits. Knowing it, the station can answer `FAILED` in the right
//! response, where the standard wants an answer rather than silence.

use iso15118::Protocol;
use iso15118::iso2::{self, BodyChoice};
use iso15118::iso20::{ac, dc, messages};
use iso15118::message::Message;
use iso15118::session::SessionId;
use iso15118::v2gtp::{self, PayloadType};

use super::framing::HEADER;

/// How many bytes of a refused message an event carries.
const EXCERPT: usize = 512;

pub(super) fn payload_type(frame: &[u8]) -> u16 {
    frame
        .get(2..4)
        .map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// The payload as hex, cut at [`EXCERPT`] bytes.
pub(super) fn excerpt(frame: &[u8]) -> String {
    use std::fmt::Write as _;
    let payload = frame.get(HEADER..).unwrap_or_default();
    let mut text = String::with_capacity(2 * payload.len().min(EXCERPT) + 4);
    for byte in payload.iter().take(EXCERPT) {
        let _ = write!(text, "{byte:02X}");
    }
    if payload.len() > EXCERPT {
        text.push_str("...");
    }
    text
}

/// An empty request of the same type as the one in `frame`, if its first bits tell the type.
///
/// Found by comparison: of all requests this station could be sent, encoded with this session's id,
/// the true one shares the longest prefix, and it shares more than any two different ones share with
/// each other (they differ at the latest in the code of the element).
pub(super) fn recognise(protocol: Option<Protocol>, frame: &[u8], id: SessionId) -> Option<Message> {
    let payload = frame.get(HEADER..)?;
    let candidates: Vec<(Message, Vec<u8>)> = candidates(protocol?, payload_type(frame))
        .into_iter()
        .filter_map(|mut request| {
            request.set_session_id(id);
            let (_, bytes) = request.encode().ok()?;
            Some((request, bytes))
        })
        .collect();
    let mut between = 0;
    for (n, (_, a)) in candidates.iter().enumerate() {
        for (_, b) in candidates.iter().skip(n + 1) {
            between = between.max(common_bits(a, b));
        }
    }
    candidates
        .into_iter()
        .map(|(request, bytes)| (common_bits(&bytes, payload), request))
        .filter(|(common, _)| *common > between)
        .max_by_key(|(common, _)| *common)
        .map(|(_, request)| request)
}

/// The `FAILED` answer to `request` as a whole frame.
pub(super) fn failed(request: &Message, id: SessionId) -> Option<Vec<u8>> {
    let code = match request {
        Message::Iso2(_) => iso2::ResponseCode::FAILED as u8,
        _ => iso15118::iso20::common::ResponseCode::FAILED as u8,
    };
    let mut response = request.refusal(code)?;
    response.set_session_id(id);
    let (payload_type, payload) = response.encode().ok()?;
    let mut frame = vec![0; HEADER + payload.len()];
    let length = v2gtp::write_frame(payload_type, &payload, &mut frame).ok()?;
    frame.truncate(length);
    Some(frame)
}

fn common_bits(a: &[u8], b: &[u8]) -> usize {
    let bytes = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let bits = match (a.get(bytes), b.get(bytes)) {
        (Some(a), Some(b)) => (a ^ b).leading_zeros() as usize,
        _ => 0,
    };
    bytes * 8 + bits
}

fn candidates(protocol: Protocol, payload_type: u16) -> Vec<Message> {
    let is = |expected: PayloadType| payload_type == expected.as_u16();
    match protocol {
        Protocol::Iso2 if is(PayloadType::ExiEncodedV2gMessage) => iso2_requests(),
        Protocol::Iso20 if is(PayloadType::Part20Main) => common_requests(),
        Protocol::Iso20 if is(PayloadType::Part20Dc) => dc_requests(),
        Protocol::Iso20 if is(PayloadType::Part20Ac) => ac_requests(),
        _ => Vec::new(),
    }
}

fn iso2_requests() -> Vec<Message> {
    macro_rules! all {
        ($($name:ident),*) => { vec![$(BodyChoice::$name(iso2::$name::minimal())),*] };
    }
    all![
        SessionSetupReq,
        ServiceDiscoveryReq,
        ServiceDetailReq,
        PaymentServiceSelectionReq,
        PaymentDetailsReq,
        AuthorizationReq,
        ChargeParameterDiscoveryReq,
        CableCheckReq,
        PreChargeReq,
        PowerDeliveryReq,
        CurrentDemandReq,
        ChargingStatusReq,
        MeteringReceiptReq,
        WeldingDetectionReq,
        SessionStopReq,
        CertificateInstallationReq,
        CertificateUpdateReq
    ]
    .into_iter()
    .map(super::common::v2)
    .collect()
}

fn common_requests() -> Vec<Message> {
    macro_rules! all {
        ($($name:ident),*) => { vec![$(messages::Document::$name(messages::$name::minimal())),*] };
    }
    all![
        SessionSetupReq,
        AuthorizationSetupReq,
        AuthorizationReq,
        ServiceDiscoveryReq,
        ServiceDetailReq,
        ServiceSelectionReq,
        ScheduleExchangeReq,
        PowerDeliveryReq,
        MeteringConfirmationReq,
        SessionStopReq,
        CertificateInstallationReq
    ]
    .into_iter()
    .map(|document| Message::Iso20(Box::new(document)))
    .collect()
}

fn dc_requests() -> Vec<Message> {
    macro_rules! all {
        ($($name:ident),*) => { vec![$(dc::Document::$name(dc::$name::minimal())),*] };
    }
    all![
        DCChargeParameterDiscoveryReq,
        DCCableCheckReq,
        DCPreChargeReq,
        DCChargeLoopReq,
        DCWeldingDetectionReq
    ]
    .into_iter()
    .map(|document| Message::Iso20Dc(Box::new(document)))
    .collect()
}

fn ac_requests() -> Vec<Message> {
    macro_rules! all {
        ($($name:ident),*) => { vec![$(ac::Document::$name(ac::$name::minimal())),*] };
    }
    all![ACChargeParameterDiscoveryReq, ACChargeLoopReq]
        .into_iter()
        .map(|document| Message::Iso20Ac(Box::new(document)))
        .collect()
}
