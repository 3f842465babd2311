//! Certificates over OCPP: asking for new ones (A02), installing, listing and removing (M03 to M05).

use core::time::Duration;

use gridlatch_ocpp::v21::{
    CertificateHashData, CertificateHashDataChain, CertificateSignedRequest, CertificateSigningUseEnum,
    DeleteCertificateRequest, GetCertificateIdUseEnum, GetInstalledCertificateIdsRequest,
    GetInstalledCertificateIdsResponse, GetInstalledCertificateStatusEnum, HashAlgorithmEnum,
    InstallCertificateRequest, SignCertificateRequest,
};
use gridlatch_ocpp::{Answer, Payload as _, Version};
use gridlatch_trust::certificate::OcspHashData;
use gridlatch_vocab::catalogue::custody as codes;
use serde_json::{Value, json};
use tokio::time::Instant as Tick;

use super::commands::{read, rejected};
use super::link::Link;
use super::messages::{Outgoing, outgoing};
use crate::custody::{CertificateUse, CustodyError, RootUse};

/// How long the platform has to send a certificate before it is asked again (OCPP: CertSigningWaitMinimum);
/// doubles with each attempt. Never 0: that makes a storm of requests.
const WAIT: Duration = Duration::from_secs(60);
/// How soon after the start what is due is asked for.
const FIRST: Duration = Duration::from_secs(5);
/// Doublings of it.
const MAX_DOUBLINGS: u32 = 10;

/// When the platform is asked for certificates next.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) at: Tick,
    attempts: u32,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self {
            at: Tick::now() + FIRST,
            attempts: 0,
        }
    }
}

impl Link<'_> {
    /// Asks for every certificate that is due; called when [`Requests::at`] has come.
    pub(super) fn ask_for_certificates(&mut self) {
        let due = match &self.client.config.custody {
            Some(custody) => custody.due(gridlatch_host::now()),
            None => Vec::new(),
        };
        let before = if due.is_empty() {
            0
        } else {
            self.client.requests.attempts
        };
        self.client.requests = Requests {
            at: Tick::now() + WAIT * (1 << before),
            attempts: (before + u32::from(!due.is_empty())).min(MAX_DOUBLINGS),
        };
        for usage in due {
            match self.signing_request(usage) {
                Ok(Some(message)) => self.tell(message),
                Ok(None) => {}
                Err(error) => self.client.report.event(error.code, error.message),
            }
        }
    }

    /// `None`: this connection's version has no word for it.
    fn signing_request(&self, usage: CertificateUse) -> Result<Option<Outgoing>, CustodyError> {
        let Some(custody) = &self.client.config.custody else {
            return Ok(None);
        };
        if usage == CertificateUse::Vehicle20 && self.rpc.version() != Version::V21 {
            return Ok(None);
        }
        let request = custody.request(usage)?;
        self.client.report.event(
            codes::REQUESTED,
            format!("The platform is asked for a {}.", usage.word()),
        );
        let mut message = SignCertificateRequest::new(request.csr);
        message.certificate_type = CertificateSigningUseEnum::from_word(usage.word());
        Ok(Some(outgoing(&message)))
    }

    /// TriggerMessage for a signing request (A02.FR.01).
    pub(super) fn trigger_signing(&mut self, usage: CertificateUse) -> &'static str {
        match self.signing_request(usage) {
            Ok(Some(message)) => {
                self.after.push(message);
                "Accepted"
            }
            Ok(None) => "NotImplemented",
            Err(error) => {
                self.client.report.event(error.code, error.message);
                "Rejected"
            }
        }
    }

    pub(super) fn certificate_signed(&mut self, payload: Value) -> Answer {
        let asked: CertificateSignedRequest = read(payload)?;
        let usage = asked
            .certificate_type
            .as_ref()
            .map_or(Some(CertificateUse::Platform), |usage| {
                CertificateUse::from_word(usage.as_str())
            });
        let (Some(custody), Some(usage)) = (self.client.config.custody.clone(), usage) else {
            return Ok(rejected(
                "NotSupported",
                "this station does not take such certificates",
            ));
        };
        match custody.install(usage, &asked.certificate_chain, gridlatch_host::now()) {
            Ok(named) => {
                self.client.report.event(
                    codes::INSTALLED,
                    format!(
                        "A {} (serial {}, issued by {:?}, path valid until {}) is in use; the one before is kept for 48 hours.",
                        named.usage, named.serial, named.issuer, named.valid_until
                    ),
                );
                // The new identity is shown on a new connection (A02.FR.08).
                self.reconnect |= usage == CertificateUse::Platform;
                Ok(json!({ "status": "Accepted" }))
            }
            Err(error) => Ok(self.not_taken(&error)),
        }
    }

    pub(super) fn install_certificate(&mut self, payload: Value) -> Answer {
        let asked: InstallCertificateRequest = read(payload)?;
        let usage = RootUse::from_word(asked.certificate_type.as_str());
        let (Some(custody), Some(usage)) = (self.client.config.custody.clone(), usage) else {
            return Ok(rejected("NotSupported", "this station has no use for such roots"));
        };
        match custody.install_root(usage, &asked.certificate, gridlatch_host::now()) {
            Ok(()) => {
                let text = format!("A {} was installed.", usage.word());
                self.client.report.event(codes::ROOT_INSTALLED, text);
                Ok(json!({ "status": "Accepted" }))
            }
            Err(error) if error.code == codes::NOT_KEPT => {
                let mut answer = self.not_taken(&error);
                answer["status"] = "Failed".into();
                Ok(answer)
            }
            Err(error) => Ok(self.not_taken(&error)),
        }
    }

    pub(super) fn installed_certificates(&self, payload: Value) -> Answer {
        let asked: GetInstalledCertificateIdsRequest = read(payload)?;
        let wanted = |usage: &str| {
            asked
                .certificate_type
                .as_ref()
                .is_none_or(|wanted| wanted.iter().any(|one| one.as_str() == usage))
        };
        let held = match &self.client.config.custody {
            Some(custody) => custody.installed(gridlatch_host::now()),
            None => Vec::new(),
        };
        let chains: Vec<_> = held
            .into_iter()
            .filter(|chain| wanted(chain.usage))
            .filter_map(|chain| {
                let kind = GetCertificateIdUseEnum::from_word(chain.usage)?;
                let mut row = CertificateHashDataChain::new(named(&chain.own), kind);
                row.child_certificate_hash_data =
                    (!chain.others.is_empty()).then(|| chain.others.iter().map(named).collect());
                Some(row)
            })
            .collect();
        let mut response = GetInstalledCertificateIdsResponse::new(if chains.is_empty() {
            GetInstalledCertificateStatusEnum::NotFound
        } else {
            GetInstalledCertificateStatusEnum::Accepted
        });
        response.certificate_hash_data_chain = (!chains.is_empty()).then_some(chains);
        Ok(Value::Object(response.write()))
    }

    pub(super) fn delete_certificate(&mut self, payload: Value) -> Answer {
        let asked: DeleteCertificateRequest = read(payload)?;
        let Some(custody) = self.client.config.custody.clone() else {
            return Ok(json!({ "status": "NotFound" }));
        };
        let hash = asked.certificate_hash_data;
        if hash.hash_algorithm != HashAlgorithmEnum::SHA256 {
            // What this station lists is hashed with SHA-256, and OCPP has it named as it was listed.
            return Ok(json!({ "status": "NotFound" }));
        }
        let wanted = OcspHashData {
            hash_algorithm: "SHA256",
            issuer_name_hash: hash.issuer_name_hash,
            issuer_key_hash: hash.issuer_key_hash,
            serial_number: hash.serial_number,
            responder_url: None,
        };
        match custody.remove_root(&wanted, gridlatch_host::now()) {
            Ok(usage) => {
                let text = format!("A {} was removed.", usage.word());
                self.client.report.event(codes::ROOT_REMOVED, text);
                Ok(json!({ "status": "Accepted" }))
            }
            Err(error) if error.code == codes::UNKNOWN => Ok(json!({ "status": "NotFound" })),
            Err(error) => {
                let mut answer = self.not_taken(&error);
                answer["status"] = "Failed".into();
                Ok(answer)
            }
        }
    }

    /// Says what was refused, here and to the platform.
    fn not_taken(&self, error: &CustodyError) -> Value {
        self.client.report.event(error.code, error.message.clone());
        rejected(
            "InvalidCertificate",
            &format!("{}: {}", error.code, error.message),
        )
    }
}

fn named(data: &OcspHashData) -> CertificateHashData {
    CertificateHashData::new(
        HashAlgorithmEnum::SHA256,
        data.issuer_key_hash.clone(),
        data.issuer_name_hash.clone(),
        data.serial_number.clone(),
    )
}
