//! Issuing again: leaves with the same name, CAs with the same key.

use gridlatch_store::pki::Inserted;
use gridlatch_trust::build::{AltName, Subject};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, Profile, certificate};
use gridlatch_vocab::{Timestamp, catalogue::ca};
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::issue::{Draft, Grounds};
use super::{APPROVERS, Ca, CaError, Control, Issued, Order, Record, Requester, Serial};

impl Ca {
    /// Issues a leaf again for the same subject and names, with the key in `spki` or, when none is given,
    /// the old key. The old certificate stays valid until it ends or is revoked.
    ///
    /// # Errors
    /// The CA never issued it, it was revoked, or as [`Ca::issue`].
    pub async fn renew(
        &self,
        authority: &str,
        serial: Serial,
        spki: Option<Vec<u8>>,
        requester: Requester,
    ) -> Result<Issued, CaError> {
        let record = self
            .find(authority, serial)
            .await?
            .ok_or_else(|| CaError::UnknownCertificate {
                authority: authority.to_owned(),
                serial,
            })?;
        if let Some((at, _)) = record.revoked {
            return Err(CaError::AlreadyRevoked {
                authority: authority.to_owned(),
                serial,
                at,
            });
        }
        let generation = self.authority(authority)?.profile.generation;
        self.issue(again(
            &record.der,
            authority,
            generation,
            record.kind,
            spki,
            requester,
        )?)
        .await
    }

    /// Issues a leaf again for the same subject and key by the CA `to`, once per `token`: a job that is
    /// interrupted and run again gets [`CaError::Replayed`] for what it has done before.
    ///
    /// # Errors
    /// As [`Ca::issue_for_request`].
    pub async fn renew_once(
        &self,
        record: &Record,
        to: &str,
        token: &[u8],
        requester: Requester,
    ) -> Result<Issued, CaError> {
        let generation = self.authority(to)?.profile.generation;
        let order = again(&record.der, to, generation, record.kind, None, requester)?;
        self.issue_for_request(order, token).await
    }

    /// Gives a CA a new certificate for its key, with a new end. Whoever has the old one can keep it: the
    /// key and the name are the same.
    ///
    /// # Errors
    /// The CA is unknown, retired or revoked; its issuer is a root and two operators have to agree; keys
    /// or store fail.
    pub async fn renew_authority(&self, name: &str, requester: &Requester) -> Result<Vec<u8>, CaError> {
        self.renew_authority_on(name, requester, None).await
    }

    pub(super) async fn renew_authority_on(
        &self,
        name: &str,
        requester: &Requester,
        approved: Option<i64>,
    ) -> Result<Vec<u8>, CaError> {
        let authority = self.authority(name)?;
        if !authority.active || authority.revoked {
            return authority.usable(self.now()).map(|()| Vec::new());
        }
        let issuer = match &authority.issuer {
            Some(issuer) => self.authority(issuer)?,
            None => self.authority(name)?,
        };
        if issuer.is_root() && approved.is_none() && self.control() == Control::Dual {
            return Err(CaError::ApprovalNeeded {
                what: "renewing a CA below a root",
                needed: APPROVERS,
            });
        }
        if !authority.is_root() {
            issuer.usable(self.now())?;
        }
        let parsed = read(&authority.der)?;
        let signer = issuer.signer(&self.inner.keys)?;
        let not_before = Timestamp(self.now().0 - time::Duration::DAY);
        let days = i64::from(authority.profile.row().days);
        let policy = self.policy();
        let draft = Draft {
            profile: authority.profile,
            subject: &subject(&parsed),
            spki: &authority.spki,
            alt_names: &[],
            not_before,
            not_after: Timestamp(not_before.0 + time::Duration::days(days)),
            requester: requester.label(),
            urls: &policy.urls,
            grounds: Grounds {
                request_digest: None,
                approved,
            },
        };
        let above = (!authority.is_root()).then_some(&*issuer);
        for _ in 0..4 {
            let (serial, row) = draft.sign(above, issuer.number, &*signer, self.now())?;
            let der = row.der.clone();
            match self
                .inner
                .store
                .pki_authority_renew(authority.number, row)
                .await?
            {
                Inserted::Stored(_) => {
                    self.write_copy(name, &authority.key_uri, &der)?;
                    self.reload().await?;
                    self.emit(ca::RENEWED, format!("the CA {name}"), |event| {
                        event
                            .with("authority", name)
                            .with("serial", serial.to_string())
                            .with("requester", requester.label())
                    });
                    return Ok(der);
                }
                Inserted::SerialTaken => {}
                Inserted::Replayed | Inserted::NotApproved => {
                    return Err(CaError::ApprovalRefused("it was used or withdrawn before"));
                }
            }
        }
        Err(CaError::Entropy)
    }
}

/// The order that issues a certificate again.
fn again(
    der: &[u8],
    authority: &str,
    generation: Generation,
    kind: Option<Kind>,
    spki: Option<Vec<u8>>,
    requester: Requester,
) -> Result<Order, CaError> {
    let damaged = |reason| CaError::Damaged {
        what: format!("a stored certificate of {authority}"),
        reason,
    };
    let parsed = read(der)?;
    let alt_names = parsed
        .tbs_certificate
        .get::<SubjectAltName>()
        .map_err(|_| damaged("its names cannot be read"))?
        .map(|(_, names)| names.0)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(AltName::Dns(name.to_string())),
            GeneralName::IpAddress(octets) => Some(AltName::Ip(octets.as_bytes().to_vec())),
            _ => None,
        })
        .collect();
    let old_key = certificate::public_key_der(der).map_err(|_| damaged("its key cannot be read"))?;
    Ok(Order {
        authority: authority.to_owned(),
        profile: Profile {
            kind: kind.ok_or_else(|| damaged("its kind is not known"))?,
            generation,
        },
        subject: subject(&parsed),
        spki: spki.unwrap_or(old_key),
        alt_names,
        not_before: None,
        not_after: None,
        requester,
    })
}

fn read(der: &[u8]) -> Result<Certificate, CaError> {
    certificate::parse(der).map_err(|_| CaError::Damaged {
        what: "a stored certificate".to_owned(),
        reason: "it cannot be read",
    })
}

pub(super) fn subject(parsed: &Certificate) -> Subject {
    let name = &parsed.tbs_certificate.subject;
    let names = certificate::names(name);
    let country = name
        .0
        .iter()
        .flat_map(|part| part.0.iter())
        .find(|attribute| attribute.oid == const_oid::db::rfc4519::C)
        .and_then(|attribute| String::from_utf8(attribute.value.value().to_vec()).ok());
    Subject {
        common_name: names.common_name.unwrap_or_default(),
        organization: names.organization,
        country,
    }
}
