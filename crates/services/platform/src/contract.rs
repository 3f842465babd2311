//! Judging a contract certificate chain for Authorize (C07): does it lead to a mobility operator we honour,
//! does it name the contract it is used for, and do the hash data belong to it?

use gridlatch_fetch::RevocationCheck;
use gridlatch_keys::OpensslVerifier;
use gridlatch_ocpp::v21::{AuthorizeCertificateStatusEnum, OCSPRequestData};
use gridlatch_trust::KeyAlgorithm;
use gridlatch_trust::certificate::{emaid_of, from_pem, hash_data, summary};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::verdict::{self, Accepted, Case, Rejected};
use gridlatch_vocab::{Code, Emaid, Personal, Timestamp, catalogue};

/// What is said of a contract chain.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) status: AuthorizeCertificateStatusEnum,
    /// What happened, for the event of a refusal.
    pub(crate) code: Code,
    /// Without personal data.
    pub(crate) message: String,
    /// The certificates that were believed, leaf first; empty unless the chain is in order. What was sent
    /// beside them is nobody's chain.
    pub(crate) path: Vec<Vec<u8>>,
}

impl Judgement {
    fn new(status: AuthorizeCertificateStatusEnum, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            path: Vec::new(),
        }
    }
}

/// Judges the chain a station sent with a contract id. Without a chain nothing is believed: hash data alone
/// say which certificates somebody looked at, not that they are good.
pub(crate) async fn judge(
    roots: &[Vec<u8>],
    emaid: &Personal<String>,
    certificate: Option<&str>,
    hashes: &[OCSPRequestData],
    now: Timestamp,
    revocation: Option<&RevocationCheck>,
) -> Judgement {
    use AuthorizeCertificateStatusEnum as Status;
    let Some(text) = certificate else {
        return Judgement::new(
            Status::NoCertificateAvailable,
            catalogue::platform::AUTHORIZATION_REFUSED,
            "the station sent no contract certificate chain",
        );
    };
    let chain = match from_pem(text.as_bytes()) {
        Ok(chain) if !chain.is_empty() => chain,
        _ => {
            return Judgement::new(
                Status::CertChainError,
                catalogue::pki::MALFORMED,
                "the contract certificate chain is not PEM",
            );
        }
    };
    let accepted = match check(&chain, roots, now, revocation).await {
        Ok(accepted) => accepted,
        Err(rejected) => {
            let status = match rejected.code {
                code if code == catalogue::revocation::REVOKED => Status::CertificateRevoked,
                code if code == catalogue::pki::EXPIRED => Status::CertificateExpired,
                code if code == catalogue::pki::BAD_SIGNATURE => Status::SignatureError,
                _ => Status::CertChainError,
            };
            return Judgement::new(status, rejected.code, rejected.message);
        }
    };
    let mismatch = |message: &str| {
        Judgement::new(
            Status::CertChainError,
            catalogue::platform::CONTRACT_MISMATCH,
            message,
        )
    };
    let claimed = emaid.reveal().parse::<Emaid>().ok();
    let named = chain.first().and_then(|leaf| emaid_of(leaf).ok());
    if claimed.is_none() || claimed.as_ref() != named.as_ref().map(Personal::reveal) {
        return mismatch("the contract id is not the one in the certificate");
    }
    if !hashes.iter().all(|hash| belongs(hash, &accepted)) {
        return mismatch("the hash data belong to other certificates than the chain");
    }
    Judgement {
        path: accepted.path,
        ..Judgement::new(
            Status::Accepted,
            catalogue::platform::AUTHORIZED,
            "the contract chain is in order",
        )
    }
}

/// The profile follows from the key; a P-256 contract may serve ISO 15118-20 vehicles as well.
async fn check(
    chain: &[Vec<u8>],
    roots: &[Vec<u8>],
    now: Timestamp,
    revocation: Option<&RevocationCheck>,
) -> Result<Accepted, Rejected> {
    let key = chain.first().and_then(|leaf| summary(leaf).ok()?.key);
    let (first, second) = (
        Profile::iso2(Kind::ContractLeaf),
        Profile::iso20(Kind::ContractLeaf),
    );
    let (likely, other) = if key == Some(KeyAlgorithm::P256) {
        (first, second)
    } else {
        (second, first)
    };
    let check = |profile| verdict::check_with(chain, roots, profile, now, &OpensslVerifier);
    let (accepted, profile) = match check(likely) {
        Ok(accepted) => (accepted, likely),
        Err(rejected) => (check(other).map_err(|_| rejected)?, other),
    };
    let Some(revocation) = revocation else {
        return Ok(accepted);
    };
    // Responders are asked about a path that holds, not about whatever somebody sends.
    let gathered = revocation.source.gather(&accepted.path, &accepted.anchor).await;
    let case = Case {
        chain: &accepted.path,
        anchors: core::slice::from_ref(&accepted.anchor),
        extra: &[],
        profile,
        now: gridlatch_host::now(),
        evidence: &gathered.evidence,
        policy: revocation.policy,
    };
    let judgement = verdict::judge(&case, &OpensslVerifier);
    match judgement.reason() {
        None => Ok(accepted),
        Some(rejected) => {
            let mut rejected = rejected.clone();
            // Why nothing is known belongs to the refusal: who did not answer, and how.
            for note in gathered.notes.iter().take(2) {
                rejected.message.push_str("; ");
                rejected.message.push_str(&note.why);
            }
            Err(rejected)
        }
    }
}

/// Whether the hash data name a certificate of the verified path together with its issuer.
fn belongs(hash: &OCSPRequestData, accepted: &Accepted) -> bool {
    let issuers = accepted.path.iter().skip(1).chain([&accepted.anchor]);
    accepted.path.iter().zip(issuers).any(|(certificate, issuer)| {
        hash_data(certificate, issuer).is_ok_and(|own| {
            // Serial numbers are hex without leading zeroes by the schema's text, with them in practice.
            let serial = |text: &str| text.trim_start_matches('0').to_ascii_lowercase();
            own.issuer_name_hash.eq_ignore_ascii_case(&hash.issuer_name_hash)
                && own.issuer_key_hash.eq_ignore_ascii_case(&hash.issuer_key_hash)
                && serial(&own.serial_number) == serial(&hash.serial_number)
        })
    })
}
