//! One certificate of a chain and the rules it must keep by itself.

use gridlatch_vocab::{Code, Timestamp, catalogue::pki};
use sha2::{Digest as _, Sha256};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, SubjectKeyIdentifier};

use super::{Rejected, Step, reject};
use crate::build::timestamp;
use crate::certificate::{self, MAX_OCTETS};
use crate::lint;
use crate::profile::usage;

/// One certificate, read.
pub(super) struct Link<'a> {
    pub(super) der: &'a [u8],
    pub(super) certificate: Certificate,
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) is_ca: bool,
    constraints: Option<BasicConstraints>,
    key_id: Option<Vec<u8>>,
    issuer_key_id: Option<Vec<u8>>,
}

impl<'a> Link<'a> {
    pub(super) fn read(der: &'a [u8], position: usize) -> Result<Self, Rejected> {
        let certificate = certificate::parse(der).map_err(|error| {
            let code = if der.len() > MAX_OCTETS {
                pki::TOO_LARGE
            } else {
                pki::MALFORMED
            };
            reject(
                code,
                format!("certificate {position} of the chain: {error}"),
                None,
                Some(position),
            )
        })?;
        let tbs = &certificate.tbs_certificate;
        let shown = |name| {
            certificate::names(name)
                .common_name
                .unwrap_or_else(|| "(unnamed)".to_owned())
        };
        let constraints = tbs.get::<BasicConstraints>().ok().flatten().map(|(_, bc)| bc);
        let key_id = tbs.get::<SubjectKeyIdentifier>().ok().flatten();
        let issuer_key_id = tbs.get::<AuthorityKeyIdentifier>().ok().flatten();
        Ok(Self {
            der,
            subject: shown(&tbs.subject),
            issuer: shown(&tbs.issuer),
            is_ca: constraints.as_ref().is_some_and(|bc| bc.ca),
            key_id: key_id.map(|(_, id)| id.0.into_bytes()),
            issuer_key_id: issuer_key_id
                .and_then(|(_, id)| id.key_identifier)
                .map(der::asn1::OctetString::into_bytes),
            constraints,
            certificate,
        })
    }

    /// By name where it is a CA's, by position where it may be a person's.
    fn called(&self, depth: usize) -> String {
        if depth == 0 || !self.is_ca {
            format!("the leaf issued by {:?}", self.issuer)
        } else {
            format!("{:?}", self.subject)
        }
    }

    pub(super) fn rejected(&self, code: Code, depth: usize, why: &str) -> Rejected {
        let failing = (depth > 0 && self.is_ca).then(|| self.subject.clone());
        reject(
            code,
            format!("{}: {why}", self.called(depth)),
            failing,
            Some(depth),
        )
    }

    pub(super) fn step(&self, depth: usize, anchor: bool, leaf: &str) -> Step {
        Step {
            name: if depth == 0 || !self.is_ca {
                leaf.to_owned()
            } else {
                self.subject.clone()
            },
            fingerprint: hex::encode_upper(Sha256::digest(self.der)),
            anchor,
        }
    }

    pub(super) fn end(&self) -> Timestamp {
        timestamp(&self.certificate.tbs_certificate.validity.not_after)
    }

    pub(super) fn valid_at(&self, now: Timestamp, depth: usize) -> Result<(), Rejected> {
        let validity = &self.certificate.tbs_certificate.validity;
        let (start, end) = (timestamp(&validity.not_before), self.end());
        if now > end {
            return Err(self.rejected(pki::EXPIRED, depth, &format!("expired at {end}, and it is {now}")));
        }
        if now < start {
            return Err(self.rejected(
                pki::NOT_YET_VALID,
                depth,
                &format!("is valid from {start}, and it is {now}"),
            ));
        }
        Ok(())
    }

    /// RFC 5280, 4.2: a critical extension that is not understood makes the certificate invalid, and
    /// none may occur twice.
    pub(super) fn extensions_known(&self, depth: usize) -> Result<(), Rejected> {
        let extensions = self
            .certificate
            .tbs_certificate
            .extensions
            .as_deref()
            .unwrap_or_default();
        for (index, extension) in extensions.iter().enumerate() {
            if extensions
                .iter()
                .take(index)
                .any(|earlier| earlier.extn_id == extension.extn_id)
            {
                return Err(self.rejected(
                    pki::MALFORMED,
                    depth,
                    &format!("extension {} occurs twice", extension.extn_id),
                ));
            }
            if extension.critical && !UNDERSTOOD.contains(&extension.extn_id) {
                return Err(self.rejected(
                    pki::UNKNOWN_EXTENSION,
                    depth,
                    &format!("the critical extension {} is not understood", extension.extn_id),
                ));
            }
        }
        Ok(())
    }

    /// Whether the names, and the key identifiers where both exist, say that `self` issued `child`.
    pub(super) fn may_have_issued(&self, child: &Self) -> bool {
        if self.certificate.tbs_certificate.subject != child.certificate.tbs_certificate.issuer {
            return false;
        }
        match (&self.key_id, &child.issuer_key_id) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        }
    }

    /// Whether it names itself as its issuer: a root, or an impostor of one.
    pub(super) fn is_self_issued(&self) -> bool {
        self.may_have_issued(self)
    }

    /// Whether this CA is the last that may stand above a leaf: a missing issuer is then another CA,
    /// hardly the root.
    pub(super) fn ends_the_path(&self) -> bool {
        self.constraints
            .as_ref()
            .is_none_or(|constraints| !constraints.ca || constraints.path_len_constraint == Some(0))
    }

    /// Whether this CA may stand above `below` sub-CAs.
    pub(super) fn may_sign(&self, depth: usize, below: usize) -> Result<(), Rejected> {
        let tbs = &self.certificate.tbs_certificate;
        let Some(constraints) = self.constraints.as_ref().filter(|constraints| constraints.ca) else {
            return Err(self.rejected(
                pki::BASIC_CONSTRAINTS,
                depth,
                "is not a CA, but has signed a certificate",
            ));
        };
        if lint::key_usage(tbs).is_some_and(|(_, bits)| bits & usage::KEY_CERT_SIGN == 0) {
            return Err(self.rejected(
                pki::KEY_USAGE,
                depth,
                "its key usage does not allow signing certificates",
            ));
        }
        if constraints
            .path_len_constraint
            .is_some_and(|limit| usize::from(limit) < below)
        {
            return Err(self.rejected(
                pki::PATH_TOO_LONG,
                depth,
                &format!("allows fewer than the {below} sub-CAs below it"),
            ));
        }
        Ok(())
    }
}

/// Extensions whose meaning is checked here or has none for the decision.
const UNDERSTOOD: [const_oid::ObjectIdentifier; 5] = [
    const_oid::db::rfc5280::ID_CE_BASIC_CONSTRAINTS,
    const_oid::db::rfc5280::ID_CE_KEY_USAGE,
    const_oid::db::rfc5280::ID_CE_EXT_KEY_USAGE,
    const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME,
    // Of an OCSP signer; it says what is not to be asked.
    const_oid::db::rfc6960::ID_PKIX_OCSP_NOCHECK,
];
