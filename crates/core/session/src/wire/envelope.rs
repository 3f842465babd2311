//! The envelope of a message: session id, message name and, for DIN 70121, the response code.
//!
//! The protocol core has no DIN message set, so bodies stay unread; but the envelope sits at fixed bit
//! positions (DIN 70121 V2G_CI_MsgDef, bit-packed EXI) and says enough to follow a session. Every
//! position was checked against captures of real cars.

use super::Tree;

/// The body elements in schema (alphabetical) order: the index is the 6-bit event code.
const BODY: [&str; 35] = [
    "BodyElement",
    "CableCheckReq",
    "CableCheckRes",
    "CertificateInstallationReq",
    "CertificateInstallationRes",
    "CertificateUpdateReq",
    "CertificateUpdateRes",
    "ChargeParameterDiscoveryReq",
    "ChargeParameterDiscoveryRes",
    "ChargingStatusReq",
    "ChargingStatusRes",
    "ContractAuthenticationReq",
    "ContractAuthenticationRes",
    "CurrentDemandReq",
    "CurrentDemandRes",
    "MeteringReceiptReq",
    "MeteringReceiptRes",
    "PaymentDetailsReq",
    "PaymentDetailsRes",
    "PowerDeliveryReq",
    "PowerDeliveryRes",
    "PreChargeReq",
    "PreChargeRes",
    "ServiceDetailReq",
    "ServiceDetailRes",
    "ServiceDiscoveryReq",
    "ServiceDiscoveryRes",
    "ServicePaymentSelectionReq",
    "ServicePaymentSelectionRes",
    "SessionSetupReq",
    "SessionSetupRes",
    "SessionStopReq",
    "SessionStopRes",
    "WeldingDetectionReq",
    "WeldingDetectionRes",
];

/// The same for ISO 15118-2.
const ISO2_BODY: [&str; 35] = [
    "AuthorizationReq",
    "AuthorizationRes",
    "BodyElement",
    "CableCheckReq",
    "CableCheckRes",
    "CertificateInstallationReq",
    "CertificateInstallationRes",
    "CertificateUpdateReq",
    "CertificateUpdateRes",
    "ChargeParameterDiscoveryReq",
    "ChargeParameterDiscoveryRes",
    "ChargingStatusReq",
    "ChargingStatusRes",
    "CurrentDemandReq",
    "CurrentDemandRes",
    "MeteringReceiptReq",
    "MeteringReceiptRes",
    "PaymentDetailsReq",
    "PaymentDetailsRes",
    "PaymentServiceSelectionReq",
    "PaymentServiceSelectionRes",
    "PowerDeliveryReq",
    "PowerDeliveryRes",
    "PreChargeReq",
    "PreChargeRes",
    "ServiceDetailReq",
    "ServiceDetailRes",
    "ServiceDiscoveryReq",
    "ServiceDiscoveryRes",
    "SessionSetupReq",
    "SessionSetupRes",
    "SessionStopReq",
    "SessionStopRes",
    "WeldingDetectionReq",
    "WeldingDetectionRes",
];

/// Response codes in schema order: the index is the 5-bit enumeration value.
const RESPONSE_CODE: [&str; 23] = [
    "OK",
    "OK_NewSessionEstablished",
    "OK_OldSessionJoined",
    "OK_CertificateExpiresSoon",
    "FAILED",
    "FAILED_SequenceError",
    "FAILED_ServiceIDInvalid",
    "FAILED_UnknownSession",
    "FAILED_ServiceSelectionInvalid",
    "FAILED_PaymentSelectionInvalid",
    "FAILED_CertificateExpired",
    "FAILED_SignatureError",
    "FAILED_NoCertificateAvailable",
    "FAILED_CertChainError",
    "FAILED_ChallengeInvalid",
    "FAILED_ContractCanceled",
    "FAILED_WrongChargeParameter",
    "FAILED_PowerDeliveryNotApplied",
    "FAILED_TariffSelectionInvalid",
    "FAILED_ChargingProfileInvalid",
    "FAILED_EVSEPresentVoltageToLow",
    "FAILED_MeteringSignatureNotValid",
    "FAILED_WrongEnergyTransferType",
];

/// What the envelope says.
#[derive(Debug, PartialEq)]
pub(super) struct Envelope {
    pub(super) name: &'static str,
    pub(super) response_code: Option<&'static str>,
    pub(super) fields: Tree,
}

/// Reads bits, most significant first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<usize> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | usize::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}

/// Reads what -2 and DIN share: EXI header, document event code, session id, body event code.
fn header(bits: &mut Bits<'_>, document: usize) -> Option<(Vec<u8>, usize)> {
    if bits.take(8)? != 0x80 || bits.take(7)? != document {
        return None;
    }
    // Start of Header, start of SessionID, its value.
    if bits.take(3)? != 0 {
        return None;
    }
    let length = bits.take(8)?;
    if length > 8 {
        return None;
    }
    let session = (0..length)
        .map(|_| bits.take(8).map(|byte| byte as u8))
        .collect::<Option<Vec<u8>>>()?;
    // End of SessionID, end of Header (third production), start of Body.
    if bits.take(1)? != 0 || bits.take(2)? != 2 || bits.take(1)? != 0 {
        return None;
    }
    Some((session, bits.take(6)?))
}

/// Reads the envelope, or nothing when this is no DIN message (or its header carries a notification or
/// a signature, which no DIN peer seen sends).
pub(super) fn envelope(payload: &[u8]) -> Option<Envelope> {
    let mut bits = Bits {
        bytes: payload,
        at: 0,
    };
    let (session, body) = header(&mut bits, 0b100_1101)?;
    let name = *BODY.get(body)?;
    let response_code = if name.ends_with("Res") {
        if bits.take(2)? != 0 {
            return None;
        }
        Some(*RESPONSE_CODE.get(bits.take(5)?)?)
    } else {
        None
    };
    Some(Envelope {
        name,
        response_code,
        fields: Tree::Fields(vec![("session_id".to_owned(), Tree::Bytes(session))]),
    })
}

/// The name of an unsigned ISO 15118-2 message, for a frame whose body does not decode.
pub(super) fn iso2_name(payload: &[u8]) -> Option<&'static str> {
    let mut bits = Bits {
        bytes: payload,
        at: 0,
    };
    let (_, body) = header(&mut bits, 0b100_1100)?;
    ISO2_BODY.get(body).copied()
}
