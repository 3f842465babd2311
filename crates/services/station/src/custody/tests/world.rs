//! A PKI made for one test, and what a station is delivered with from it.

use std::sync::Arc;

use gridlatch_keys::{FileKey, KeyAlgorithm, OpensslVerifier, Signer as _};
use gridlatch_tls::Credential;
use gridlatch_trust::build::{Issuer, Request, Subject, build};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::{certificate, csr};

use super::super::*;

pub(super) const NAME: &str = "DE*GDL*E000001";

/// A V2G root with two sub-CAs, and a root for the platform's side, made for one test.
pub(super) struct World {
    pub(super) root: Vec<u8>,
    pub(super) sub1: Vec<u8>,
    pub(super) sub2: Vec<u8>,
    pub(super) sub2_key: FileKey,
    pub(super) csms: Vec<u8>,
    pub(super) csms_key: FileKey,
}

pub(super) fn now() -> Timestamp {
    gridlatch_host::now()
}

pub(super) fn later(hours: i64) -> Timestamp {
    Timestamp(now().0 + time::Duration::hours(hours))
}

pub(super) fn certify(
    kind: Kind,
    name: &str,
    spki: &[u8],
    issuer: Option<(&[u8], &FileKey)>,
    own: Option<&FileKey>,
    (from, to): (Timestamp, Option<Timestamp>),
) -> Vec<u8> {
    let mut serial = [0; 8];
    getrandom::fill(&mut serial).unwrap();
    serial[0] &= 0x7f;
    let request = Request {
        profile: Profile::iso2(kind),
        subject: Subject {
            common_name: name.to_owned(),
            organization: Some("Test".to_owned()),
            country: Some("DE".to_owned()),
        },
        spki,
        serial: &serial,
        not_before: from,
        not_after: to,
        alt_names: Vec::new(),
        ocsp_url: None,
        crl_url: None,
    };
    let signer = issuer.map_or_else(|| own.unwrap(), |(_, key)| key);
    let issuer = issuer.map_or(Issuer::Itself, |(der, _)| Issuer::Ca(der));
    build(&request, issuer, signer.algorithm(), &|message| {
        signer.sign(message).map_err(Into::into)
    })
    .unwrap()
}

pub(super) fn key() -> FileKey {
    FileKey::generate(KeyAlgorithm::P256).unwrap()
}

pub(super) fn pem(ders: &[&Vec<u8>]) -> String {
    ders.iter().map(|der| certificate::to_pem(der)).collect()
}

impl World {
    pub(super) fn new(name: &str) -> Self {
        let past = (later(-240), None);
        let (root_key, sub1_key, sub2_key, csms_key) = (key(), key(), key(), key());
        let root = certify(
            Kind::V2gRoot,
            &format!("{name} root"),
            root_key.public_key_der(),
            None,
            Some(&root_key),
            past,
        );
        let sub1 = certify(
            Kind::CpoSub1,
            &format!("{name} sub 1"),
            sub1_key.public_key_der(),
            Some((&root, &root_key)),
            None,
            past,
        );
        let sub2 = certify(
            Kind::CpoSub2,
            &format!("{name} sub 2"),
            sub2_key.public_key_der(),
            Some((&sub1, &sub1_key)),
            None,
            past,
        );
        let csms = certify(
            Kind::CsmsRoot,
            &format!("{name} csms"),
            csms_key.public_key_der(),
            None,
            Some(&csms_key),
            past,
        );
        Self {
            root,
            sub1,
            sub2,
            sub2_key,
            csms,
            csms_key,
        }
    }

    pub(super) fn secc(&self, name: &str, spki: &[u8], life: (Timestamp, Option<Timestamp>)) -> Vec<u8> {
        certify(
            Kind::SeccLeaf,
            name,
            spki,
            Some((&self.sub2, &self.sub2_key)),
            None,
            life,
        )
    }

    pub(super) fn chain(&self, leaf: &Vec<u8>) -> String {
        pem(&[leaf, &self.sub2, &self.sub1])
    }

    /// What a certification authority answers to a request.
    pub(super) fn answer(&self, request: &SigningRequest, life: (Timestamp, Option<Timestamp>)) -> String {
        let der = csr::from_pem(request.csr.as_bytes()).unwrap();
        let asked = csr::parse(&der, &OpensslVerifier).unwrap();
        let leaf = self.secc(&asked.subject.common_name.unwrap(), &asked.spki, life);
        self.chain(&leaf)
    }

    pub(super) fn config(&self, folder: &std::path::Path) -> CustodyConfig {
        let key = key();
        let leaf = self.secc(NAME, key.public_key_der(), (later(-200), None));
        CustodyConfig {
            folder: folder.to_owned(),
            station: "GL-1".parse().unwrap(),
            secc_name: NAME.to_owned(),
            organization: "Test".to_owned(),
            country: "DE".to_owned(),
            vehicle: vec![Credential::new(
                "delivered",
                vec![leaf, self.sub2.clone(), self.sub1.clone()],
                Arc::new(key),
            )],
            platform: None,
            roots: vec![
                (RootUse::V2g, self.root.clone()),
                (RootUse::Csms, self.csms.clone()),
            ],
            keys: KeyStore::Files,
        }
    }
}
