//! Issuing: policy, lint, signature, commit, in this order; nothing leaves before the last.
//!
//! What computes or waits for a key runs on threads of its own, as many at once as pays; what is signed meanwhile
//! shares one commit.

use std::sync::Arc;

use gridlatch_keys::{FileKey, Signer};
use gridlatch_store::pki::{Inserted, NewCertificate};
use gridlatch_trust::Profile;
use gridlatch_trust::build::{AltName, Issuer, Request, Subject, build_dated};
use gridlatch_trust::profile::{Authority as Role, Kind};
use gridlatch_vocab::{Personal, Timestamp, catalogue::ca};
use sha2::{Digest as _, Sha256};

use super::policy::{Ask, Urls};
use super::{Authority, Ca, CaError, Requester, Serial};

/// How often another serial number is tried: the second try is needed once in 2^62 issues.
const TRIES: usize = 8;
/// Fewest signatures under way at once: a key in hardware mostly waits.
const AT_LEAST: usize = 4;

/// How many requests are checked and certificates signed at once.
pub(super) fn at_once() -> usize {
    std::thread::available_parallelism()
        .map_or(AT_LEAST, usize::from)
        .max(AT_LEAST)
}

/// A certificate to be issued.
#[derive(Debug, Clone)]
pub struct Order {
    /// From which CA: `iso2/cpo-sub2`.
    pub authority: String,
    /// What.
    pub profile: Profile,
    /// For whom.
    pub subject: Subject,
    /// The subject's public key, DER SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// Alternative names; the policy has to allow each.
    pub alt_names: Vec<AltName>,
    /// Start of validity; an hour ago when not given. Never before the CA's.
    pub not_before: Option<Timestamp>,
    /// End of validity; the profile's lifetime when not given. Never after the CA's or the policy's.
    pub not_after: Option<Timestamp>,
    /// Who asks.
    pub requester: Requester,
}

/// A certificate that is durable in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Its serial number.
    pub serial: Serial,
    /// The certificate.
    pub der: Vec<u8>,
    /// The certificate and those above it, without the root.
    pub chain: Vec<Vec<u8>>,
}

/// What an issue stands on besides the order.
#[derive(Debug, Clone, Default)]
pub(super) struct Grounds {
    /// SHA-256 of the certificate request.
    pub(super) request_digest: Option<Vec<u8>>,
    /// The approved request this executes.
    pub(super) approved: Option<i64>,
}

impl Ca {
    /// Issues a certificate; durable when it returns.
    ///
    /// # Errors
    /// The CA is unknown or unusable, may not sign this kind, the policy or the profile refuses, a root
    /// would sign without approval ([`CaError::ApprovalNeeded`]), or the key or the store fails. Nothing
    /// is issued then.
    pub async fn issue(&self, order: Order) -> Result<Issued, CaError> {
        self.issue_on(order, Grounds::default()).await
    }

    /// As [`Self::issue`], for a certificate request (its octets) whose proof of possession the caller has
    /// checked: the same octets are served once.
    ///
    /// # Errors
    /// As [`Self::issue`], or [`CaError::Replayed`].
    pub async fn issue_for_request(&self, order: Order, request: &[u8]) -> Result<Issued, CaError> {
        let grounds = Grounds {
            request_digest: Some(digest(request)),
            approved: None,
        };
        self.issue_on(order, grounds).await
    }

    /// As [`Self::issue`], with a fresh key of the tree's type for a subject without further names: the
    /// certificate, and the key as PKCS#8 PEM, which is kept nowhere else.
    ///
    /// # Errors
    /// As [`Self::issue`], or no key can be made.
    pub async fn issue_with_key(
        &self,
        authority: &str,
        kind: Kind,
        common_name: &str,
        requester: Requester,
    ) -> Result<(Issued, Vec<u8>), CaError> {
        let world = self.authority(authority)?.world;
        let wrap = |source| CaError::Key {
            uri: "a new key".to_owned(),
            source,
        };
        let key = FileKey::generate(world.algorithm()).map_err(wrap)?;
        let pem = key.to_pem().map_err(wrap)?;
        let order = Order {
            authority: authority.to_owned(),
            profile: world.profile(kind),
            subject: Subject {
                common_name: common_name.to_owned(),
                organization: None,
                country: None,
            },
            spki: key.public_key_der().to_vec(),
            alt_names: Vec::new(),
            not_before: None,
            not_after: None,
            requester,
        };
        Ok((self.issue(order).await?, pem))
    }

    /// Reports that something was written to files.
    pub fn exported(&self, layout: &str, to: &std::path::Path, files: usize) {
        self.emit(ca::EXPORTED, format!("{files} files as {layout}"), |event| {
            event.with("layout", layout).with("to", to.display().to_string())
        });
    }

    pub(super) async fn issue_on(&self, order: Order, grounds: Grounds) -> Result<Issued, CaError> {
        let about = About {
            authority: order.authority.clone(),
            profile: order.profile,
            requester: order.requester.label(),
        };
        self.issue_made(about, grounds, || Ok(order)).await
    }

    /// Issues what `order` makes, and reports what became of it.
    pub(super) async fn issue_made<F>(
        &self,
        about: About,
        grounds: Grounds,
        order: F,
    ) -> Result<Issued, CaError>
    where
        F: FnOnce() -> Result<Order, CaError> + Send + 'static,
    {
        let result = self.try_issue(grounds, order).await;
        let About {
            authority,
            profile,
            requester,
        } = about;
        let (code, message) = match &result {
            Ok(_) => (ca::ISSUED, format!("{} by {authority}", profile.row().name)),
            Err(error) => (error.code(), error.to_string()),
        };
        self.emit(code, message, |event| {
            let event = event
                .with("authority", authority)
                .with("kind", profile.kind.slug());
            match &result {
                Ok(issued) => event.with("serial", issued.serial.to_string()),
                Err(_) => event,
            }
            .with("requester", requester)
        });
        result
    }

    /// Runs what computes for long, or waits for a key, where it holds up nobody; in bounded number.
    pub(crate) async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CaError> {
        let abandoned = CaError::Damaged {
            what: "the CA".to_owned(),
            reason: "its work was abandoned, the process is stopping",
        };
        let Ok(turn) = Arc::clone(&self.inner.signing).acquire_owned().await else {
            return Err(abandoned);
        };
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| abandoned)
    }

    /// Signs and stores, with another serial number for as long as the store says that one is taken.
    async fn try_issue<F>(&self, grounds: Grounds, order: F) -> Result<Issued, CaError>
    where
        F: FnOnce() -> Result<Order, CaError> + Send + 'static,
    {
        let ca = self.clone();
        let first = move || {
            let order = order()?;
            let signed = ca.signed(&order, &grounds)?;
            Ok::<_, CaError>((Arc::new(order), grounds, signed))
        };
        let (order, grounds, mut signed) = self.off_thread(first).await??;
        for _ in 0..TRIES {
            let Signed {
                authority,
                serial,
                certificate,
            } = signed;
            let der = certificate.der.clone();
            match self.inner.store.pki_insert(certificate).await? {
                Inserted::Stored(_) => {
                    let mut chain = vec![der.clone()];
                    chain.extend(self.chain(&authority.name)?);
                    return Ok(Issued { serial, der, chain });
                }
                Inserted::SerialTaken => {}
                Inserted::Replayed => return Err(CaError::Replayed),
                Inserted::NotApproved => {
                    return Err(CaError::ApprovalRefused("it was used or withdrawn before"));
                }
            }
            let (ca, order, grounds) = (self.clone(), Arc::clone(&order), grounds.clone());
            signed = self.off_thread(move || ca.signed(&order, &grounds)).await??;
        }
        Err(CaError::Entropy)
    }

    /// Policy, profile and signature: the certificate before its commit.
    fn signed(&self, order: &Order, grounds: &Grounds) -> Result<Signed, CaError> {
        let now = self.now();
        let state = self.state();
        let authority = self.authority(&order.authority)?;
        authority.usable(now)?;
        suits(&authority, order)?;
        let policy = &state.policy;
        let rule = policy.decide(&Ask {
            requester: &order.requester,
            kind: order.profile.kind,
            authority: &authority.name,
            common_name: &order.subject.common_name,
            alt_names: &order.alt_names,
        })?;
        if state.authorities.values().any(|other| other.spki == order.spki) {
            return Err(CaError::WrongIssuer {
                authority: authority.name.clone(),
                kind: order.profile.row().name,
                reason: "the key is that of a CA",
            });
        }
        if authority.is_root() && grounds.approved.is_none() && state.control == super::Control::Dual {
            return Err(CaError::ApprovalNeeded {
                what: "a signature of a root",
                needed: super::APPROVERS,
            });
        }
        let not_before = order
            .not_before
            .unwrap_or_else(|| Timestamp(now.0 - time::Duration::HOUR));
        let usual = order.profile.row().days;
        let days = rule.max_days.map_or(usual, |max| max.min(usual));
        let limit = |days: u32| Timestamp(not_before.0 + time::Duration::days(i64::from(days)));
        let not_after = match (order.not_after, rule.max_days) {
            (Some(asked), Some(max)) => asked.min(limit(max)),
            (Some(asked), None) => asked,
            (None, _) => limit(days),
        };
        let draft = Draft {
            profile: order.profile,
            subject: &order.subject,
            spki: &order.spki,
            alt_names: &order.alt_names,
            not_before,
            not_after,
            requester: order.requester.label(),
            urls: &policy.urls,
            grounds: grounds.clone(),
        };
        let signer = authority.signer(&self.inner.keys)?;
        let (serial, certificate) = draft.sign(Some(&authority), authority.number, &*signer, now)?;
        Ok(Signed {
            authority,
            serial,
            certificate,
        })
    }
}

/// What the report of an issue names.
#[derive(Debug)]
pub(super) struct About {
    pub(super) authority: String,
    pub(super) profile: Profile,
    pub(super) requester: String,
}

/// A certificate that is signed and nowhere yet.
struct Signed {
    authority: Arc<Authority>,
    serial: Serial,
    certificate: NewCertificate,
}

/// The profile's rules about who signs what.
fn suits(authority: &Authority, order: &Order) -> Result<(), CaError> {
    let row = order.profile.row();
    let reason = if row.authority != Role::Leaf {
        "CAs are made by setting up or renewing an authority"
    } else if !row.issuers.contains(&authority.profile.kind) {
        "the profile names other issuers"
    } else if order.profile.generation != authority.profile.generation {
        "it belongs to the other generation"
    } else {
        return Ok(());
    };
    Err(CaError::WrongIssuer {
        authority: authority.name.clone(),
        kind: row.name,
        reason,
    })
}

/// Everything about a certificate but its serial number.
pub(super) struct Draft<'a> {
    pub(super) profile: Profile,
    pub(super) subject: &'a Subject,
    pub(super) spki: &'a [u8],
    pub(super) alt_names: &'a [AltName],
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) requester: String,
    pub(super) urls: &'a Urls,
    pub(super) grounds: Grounds,
}

impl Draft<'_> {
    /// Lints and signs with a fresh serial number. Without an authority the key certifies itself.
    pub(super) fn sign(
        &self,
        authority: Option<&Authority>,
        number: i64,
        signer: &dyn Signer,
        now: Timestamp,
    ) -> Result<(Serial, NewCertificate), CaError> {
        let serial = Serial::random().ok_or(CaError::Entropy)?;
        let url = |pattern: &Option<String>| {
            let name = authority.map(|authority| authority.name.as_str())?;
            pattern.as_ref().map(|text| text.replace("{authority}", name))
        };
        let request = Request {
            profile: self.profile,
            subject: self.subject.clone(),
            spki: self.spki,
            serial: &serial.octets(),
            not_before: self.not_before,
            not_after: Some(self.not_after),
            alt_names: self.alt_names.to_vec(),
            ocsp_url: url(&self.urls.ocsp),
            crl_url: url(&self.urls.crl),
        };
        let issuer = authority.map_or(Issuer::Itself, |authority| Issuer::Known(&authority.facts));
        // Dates as the certificate says them, after clamping to the issuer.
        let built = build_dated(&request, issuer, signer.algorithm(), &|message| {
            signer.sign(message).map_err(Into::into)
        })?;
        let certificate = NewCertificate {
            authority: number,
            serial: serial.stored(),
            kind: self.profile.kind.slug().to_owned(),
            subject: Personal::new(self.subject.common_name.clone()),
            personal: self.profile.kind.is_personal(),
            der: built.der,
            not_before: built.not_before,
            not_after: built.not_after,
            requester: self.requester.clone(),
            at: now,
            request_digest: self.grounds.request_digest.clone(),
            approved: self.grounds.approved,
        };
        Ok((serial, certificate))
    }
}

/// What the store remembers of a certificate request.
pub(super) fn digest(request: &[u8]) -> Vec<u8> {
    Sha256::digest(request).to_vec()
}
