//! Vehicles that want in: the handshake, and whether their certificates (ISO 15118-20) were revoked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use gridlatch_fetch::RevocationCheck;
use gridlatch_keys::OpensslVerifier;
use gridlatch_tls::{Handshake, Refusal, TlsStream, VehicleServer};
use gridlatch_trust::revocation::Status;
use gridlatch_trust::verdict::{Checked, Unknown};
use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::{revocation, tls};
use tokio::net::TcpStream;

use crate::report::Reporter;

/// Paths of vehicles that may come back with a ticket, which shows the leaf only.
const REMEMBERED: usize = 64;

/// The listener with its judgement. OpenSSL cannot wait for an answer in the middle of a server's handshake:
/// what is known already is refused within it, what has to be asked right after it, before the first message.
#[derive(Debug)]
pub(crate) struct Vehicles {
    server: Arc<VehicleServer>,
    check: Option<RevocationCheck>,
    paths: Mutex<VecDeque<Vec<Vec<u8>>>>,
}

impl Vehicles {
    pub(crate) const fn new(server: Arc<VehicleServer>, check: Option<RevocationCheck>) -> Self {
        Self {
            server,
            check,
            paths: Mutex::new(VecDeque::new()),
        }
    }

    /// The handshake and the question. Other vehicles wait for neither.
    pub(crate) async fn accept(
        &self,
        tcp: TcpStream,
        report: &Reporter,
    ) -> Result<(TlsStream, Handshake), Refusal> {
        let (stream, handshake) = self.server.accept(tcp).await?;
        if let (Some(check), false) = (&self.check, handshake.peer_chain.is_empty()) {
            self.unrevoked(check, &handshake, report).await?;
        }
        Ok((stream, handshake))
    }

    async fn unrevoked(
        &self,
        check: &RevocationCheck,
        handshake: &Handshake,
        report: &Reporter,
    ) -> Result<(), Refusal> {
        let path = self.path(handshake);
        if path.is_empty() {
            let message =
                "the vehicle resumed a session whose path is forgotten; nothing can be asked".to_owned();
            if check.policy.unknown == Unknown::Accept {
                report.say(revocation::UNKNOWN, message);
                return Ok(());
            }
            return Err(refused(revocation::UNKNOWN, message));
        }
        let now = gridlatch_host::now();
        match check.standing(&path, None, now, &OpensslVerifier).await {
            Ok(checked) => {
                let unknown = checked.iter().filter(|one| one.status == Status::Unknown);
                if let Some(because) = unknowns(unknown) {
                    report.say(
                        revocation::UNKNOWN,
                        format!(
                            "the vehicle may charge though it is not known whether it was revoked: {because}"
                        ),
                    );
                }
                Ok(())
            }
            Err(unfit) => {
                let mut after = "refused after the handshake";
                // A suspension may be lifted: it is asked about each time.
                if unfit.is_final() && self.server.revoke(&unfit.certificate).is_ok() {
                    after = "refused after the handshake, and within it from now on";
                }
                let code = if unfit.reason.is_some() {
                    tls::CERTIFICATE_REVOKED
                } else {
                    unfit.rejected.code
                };
                let why = &unfit.rejected.message;
                Err(refused(
                    code,
                    format!("the vehicle's certificates: {why}; {after}"),
                ))
            }
        }
    }

    /// The path the vehicle was believed by, now or when it got its ticket. A ticket of a vehicle that was
    /// forgotten leaves its leaf, of which nothing can be asked.
    fn path(&self, handshake: &Handshake) -> Vec<Vec<u8>> {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let leaf = handshake.peer_chain.first();
        let known = paths.iter().position(|path| path.first() == leaf);
        let known = known.and_then(|at| paths.remove(at));
        let path = if handshake.peer_path.is_empty() {
            known.unwrap_or_default()
        } else {
            handshake.peer_path.clone()
        };
        if !path.is_empty() {
            paths.truncate(REMEMBERED - 1);
            paths.push_front(path.clone());
        }
        path
    }
}

const fn refused(code: Code, message: String) -> Refusal {
    Refusal {
        code,
        message,
        alert: None,
    }
}

fn unknowns<'a>(checked: impl Iterator<Item = &'a Checked>) -> Option<String> {
    let texts: Vec<String> = checked
        .map(|one| format!("certificate {}: {}", one.depth, one.because))
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}
