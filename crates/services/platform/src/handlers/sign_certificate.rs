//! SignCertificate (A02): a station asks for a certificate; the answer follows as CertificateSigned.

use gridlatch_host::now;
use gridlatch_ocpp::CallError;
use gridlatch_ocpp::v21::{
    CertificateSignedRequest, CertificateSignedStatusEnum, CertificateSigningUseEnum, GenericStatusEnum,
    SignCertificateRequest, SignCertificateResponse, StatusInfo,
};
use gridlatch_trust::{RustCrypto, certificate, csr};
use gridlatch_vocab::{Code, Event, EventSink as _, StationId, catalogue};

use crate::authority::StationCertificate;
use crate::state::PlatformState;
use crate::wire::Caller;

pub(crate) async fn handle(
    state: &PlatformState,
    caller: &Caller,
    request: SignCertificateRequest,
) -> Result<SignCertificateResponse, CallError> {
    let usage = match request.certificate_type {
        None | Some(CertificateSigningUseEnum::ChargingStationCertificate) => StationCertificate::Platform,
        Some(CertificateSigningUseEnum::V2GCertificate) => StationCertificate::Vehicle,
        Some(CertificateSigningUseEnum::V2G20Certificate) => StationCertificate::Vehicle20,
    };
    let station = &caller.station;
    let refuse = |code: Code, message: &str| {
        say(
            state,
            station,
            code,
            format!("a {} for {station}: {message}", usage.word()),
        );
        let mut response = SignCertificateResponse::new(GenericStatusEnum::Rejected);
        let mut info = StatusInfo::new("InvalidCSR".to_owned());
        info.additional_info = Some(message.chars().take(500).collect());
        response.status_info = Some(info);
        Ok(response)
    };
    let der = match read(station, usage, &request.csr) {
        Ok(der) => der,
        Err((code, message)) => return refuse(code, &message),
    };
    if state.config().authority.is_none() {
        return refuse(
            catalogue::custody::SIGNING_UNAVAILABLE,
            "no certification authority is configured",
        );
    }
    // One request of a kind at a time: a station that asks in a storm (libocpp#969) is answered once.
    let Some(turn) = state.signing().begin(station, usage) else {
        return refuse(
            catalogue::custody::SIGNING_REFUSED,
            "the request before is still being answered",
        );
    };
    let (state, station) = (state.clone(), station.clone());
    let request_id = request.request_id;
    tokio::spawn(async move {
        // The answer to the request goes out first: the authority may wait for the disk or for people.
        sign(&state, &station, usage, &der, request_id).await;
        drop(turn);
    });
    Ok(SignCertificateResponse::new(GenericStatusEnum::Accepted))
}

/// The request in DER, if it is one and names whom it may.
fn read(station: &StationId, usage: StationCertificate, pem: &str) -> Result<Vec<u8>, (Code, String)> {
    let der = csr::from_pem(pem.as_bytes()).map_err(|error| (error.code(), error.to_string()))?;
    let request = csr::parse(&der, &RustCrypto).map_err(|error| (error.code(), error.to_string()))?;
    let name = request.subject.common_name.unwrap_or_default();
    if usage == StationCertificate::Platform && name != station.as_str() {
        return Err((
            catalogue::custody::SIGNING_REFUSED,
            format!("the request names {name:?}, and {station} asks"),
        ));
    }
    Ok(der)
}

async fn sign(
    state: &PlatformState,
    station: &StationId,
    usage: StationCertificate,
    csr: &[u8],
    request_id: Option<i64>,
) {
    let Some(authority) = state.config().authority.clone() else {
        return;
    };
    let chain = match authority.sign(station, usage, csr).await {
        Ok(chain) => chain,
        Err(error) => {
            let text = format!("a {} for {station}: {}", usage.word(), error.message);
            return say(state, station, error.code, text);
        }
    };
    let pem: String = chain.iter().map(|der| certificate::to_pem(der)).collect();
    let mut message = CertificateSignedRequest::new(pem);
    message.certificate_type = CertificateSigningUseEnum::from_word(usage.word());
    message.request_id = request_id;
    let outcome = state.ask(station, &message).await;
    let (code, text) = match outcome {
        Ok(answer) if answer.status == CertificateSignedStatusEnum::Accepted => {
            if usage != StationCertificate::Platform {
                state
                    .saw_chain("station", station.as_str(), "secc-leaf", &chain)
                    .await;
            }
            (
                catalogue::custody::SIGNED,
                format!("{station} installed its {}", usage.word()),
            )
        }
        Ok(answer) => {
            let info = answer.status_info.map_or_else(String::new, |info| {
                let more = info.additional_info.unwrap_or_default();
                more.chars().filter(|c| !c.is_control()).take(300).collect()
            });
            (
                catalogue::custody::REFUSED,
                format!("{station} did not take its {}: {info}", usage.word()),
            )
        }
        Err(error) => (
            error.code,
            format!("{station} was not given its {}: {error}", usage.word()),
        ),
    };
    say(state, station, code, text);
}

fn say(state: &PlatformState, station: &StationId, code: Code, text: String) {
    state
        .hub()
        .emit(Event::new(now(), code, crate::SOURCE, text).station(station));
}
