//! Judging a contract certificate chain for Authorize.

use gridlatch_ocpp::v21::{AuthorizeCertificateStatusEnum, OCSPRequestData};
use gridlatch_vocab::{Code, Personal, Timestamp, catalogue};

/// What is said of a contract chain.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) status: AuthorizeCertificateStatusEnum,
    pub(crate) code: Code,
    pub(crate) message: String,
}

pub(crate) fn judge(
    roots: &[Vec<u8>],
    emaid: &Personal<String>,
    certificate: Option<&str>,
    hashes: &[OCSPRequestData],
    now: Timestamp,
) -> Judgement {
    let _ = (roots, emaid, certificate, hashes, now);
    Judgement {
        status: AuthorizeCertificateStatusEnum::NoCertificateAvailable,
        code: catalogue::platform::AUTHORIZATION_REFUSED,
        message: "no certificate chain".to_owned(),
    }
}
