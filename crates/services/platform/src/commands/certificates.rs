//! Certificates of a station: renew (A02 by TriggerMessage), list, install and remove roots (M03 to M05).

use gridlatch_ocpp::v21::{
    CertificateHashData, DeleteCertificateRequest, DeleteCertificateStatusEnum, HashAlgorithmEnum,
    InstallCertificateRequest, InstallCertificateStatusEnum, InstallCertificateUseEnum, MessageTriggerEnum,
    TriggerMessageRequest, TriggerMessageStatusEnum,
};
use gridlatch_trust::certificate;
use gridlatch_vocab::{StationId, catalogue};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CommandError, CommandOutcome};
use crate::authority::StationCertificate;
use crate::state::PlatformState;
use crate::trust::HashData;

/// A certificate as OCPP names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateHash {
    /// `SHA256`, `SHA384` or `SHA512`.
    pub algorithm: String,
    /// Hash over the issuer's name, hex.
    pub issuer_name: String,
    /// Hash over the issuer's key, hex.
    pub issuer_key: String,
    /// Serial number, hex.
    pub serial: String,
}

/// One certificate, or chain, that a station holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct InstalledCertificate {
    /// OCPP's word: `V2GRootCertificate`, `MORootCertificate`, `CSMSRootCertificate`,
    /// `V2GCertificateChain`, ...
    pub usage: String,
    /// The root, or the leaf of a chain.
    pub certificate: CertificateHash,
    /// The certificates above a leaf.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<CertificateHash>,
}

pub(super) async fn renew(
    state: &PlatformState,
    station: &StationId,
    usage: StationCertificate,
) -> Result<CommandOutcome, CommandError> {
    let trigger = match usage {
        StationCertificate::Platform => MessageTriggerEnum::SignChargingStationCertificate,
        StationCertificate::Vehicle => MessageTriggerEnum::SignV2GCertificate,
        StationCertificate::Vehicle20 => MessageTriggerEnum::SignV2G20Certificate,
    };
    let response = state.ask(station, &TriggerMessageRequest::new(trigger)).await?;
    let status = response.status.as_str();
    if response.status == TriggerMessageStatusEnum::Accepted {
        return Ok(done(status));
    }
    Err(CommandError::refused(
        "TriggerMessage",
        status,
        response.status_info,
    ))
}

pub(super) async fn install(
    state: &PlatformState,
    station: &StationId,
    usage: &str,
    pem: String,
) -> Result<CommandOutcome, CommandError> {
    let Some(usage) = InstallCertificateUseEnum::from_word(usage) else {
        return Err(CommandError::new(
            catalogue::platform::COMMAND_UNSUPPORTED,
            format!("OCPP has no root certificate of the use {usage:?}"),
        ));
    };
    let response = state
        .ask(station, &InstallCertificateRequest::new(pem.clone(), usage))
        .await?;
    let status = response.status.as_str();
    if response.status == InstallCertificateStatusEnum::Accepted {
        // Stations name it by hash from now on: what it is has to be known.
        if let Ok(roots) = certificate::from_pem(pem.as_bytes()) {
            state.saw_roots(&roots).await;
        }
        return Ok(done(status));
    }
    Err(CommandError::refused(
        "InstallCertificate",
        status,
        response.status_info,
    ))
}

pub(super) async fn remove(
    state: &PlatformState,
    station: &StationId,
    hash: CertificateHash,
) -> Result<CommandOutcome, CommandError> {
    let Some(algorithm) = HashAlgorithmEnum::from_word(&hash.algorithm) else {
        return Err(CommandError::new(
            catalogue::platform::COMMAND_UNSUPPORTED,
            format!("OCPP has no hash algorithm {:?}", hash.algorithm),
        ));
    };
    let data = CertificateHashData::new(algorithm, hash.issuer_key, hash.issuer_name, hash.serial);
    let response = state.ask(station, &DeleteCertificateRequest::new(data)).await?;
    let status = response.status.as_str();
    if response.status == DeleteCertificateStatusEnum::Accepted {
        return Ok(done(status));
    }
    Err(CommandError::refused(
        "DeleteCertificate",
        status,
        response.status_info,
    ))
}

impl PlatformState {
    /// What certificates a station says it holds (GetInstalledCertificateIds).
    ///
    /// # Errors
    /// The station is not connected, does not answer in time, or answers with an error.
    pub async fn installed_certificates(
        &self,
        station: &StationId,
    ) -> Result<Vec<InstalledCertificate>, CommandError> {
        let entries = self.ask_installed(station).await?;
        Ok(entries
            .into_iter()
            .map(|entry| InstalledCertificate {
                certificate: entry.certificate_hash_data.command(),
                others: entry
                    .child_certificate_hash_data
                    .iter()
                    .map(HashData::command)
                    .collect(),
                usage: entry.certificate_type,
            })
            .collect())
    }
}

fn done(status: &str) -> CommandOutcome {
    CommandOutcome {
        status: status.to_owned(),
        ..CommandOutcome::default()
    }
}
