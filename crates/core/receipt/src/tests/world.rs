//! A meter, an issuer with its root, and a signed bill of theirs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_tariff::{
    Activity, CdrHeader, CdrLocation, CdrToken, GeoLocation, MeterProof, Reading, SignedData, SignedValue,
    Tariff, periods, price,
};
use gridlatch_trust::KeyAlgorithm;
use gridlatch_trust::build::{Issuer, Request, Subject, build};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_vocab::{EvseId, MilliWattHours, Timestamp};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};

use crate::bill::SignedBill;
use crate::ocmf::{Assignment, ENCODING, Ending, SessionReadings, plain_data};
use crate::{fingerprint, jws};

/// 2026-11-21T12:00:00Z.
pub(super) const NOON: i64 = 1_795_262_400_000;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(NOON + seconds * 1000)
}

pub(super) struct Key(SigningKey);

impl Key {
    pub(super) fn new(seed: u8) -> Self {
        Self(SigningKey::from_slice(&[seed; 32]).unwrap())
    }

    pub(super) fn spki(&self) -> Vec<u8> {
        // SubjectPublicKeyInfo of id-ecPublicKey with prime256v1, up to the point.
        let mut der = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
        der.extend(self.0.verifying_key().to_sec1_point(false).as_bytes());
        der
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.0.sign(message);
        signature.to_der().as_bytes().to_vec()
    }
}

pub(super) struct Issuing {
    pub(super) root: Vec<u8>,
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) key: Key,
}

/// A root and a bill signer below it; `seed` makes the keys.
pub(super) fn issuing(seed: u8) -> Issuing {
    let (root_key, key) = (Key::new(seed), Key::new(seed + 1));
    let issue = |kind, name: &str, spki: &[u8], issuer: Issuer<'_>| {
        let request = Request {
            profile: Profile::iso2(kind),
            subject: Subject {
                common_name: name.to_owned(),
                organization: None,
                country: None,
            },
            spki,
            serial: &[seed, 1],
            not_before: at(-86_400),
            not_after: None,
            alt_names: Vec::new(),
            ocsp_url: None,
            crl_url: None,
        };
        build(&request, issuer, KeyAlgorithm::P256, &|message| {
            Ok(root_key.sign(message))
        })
        .unwrap()
    };
    let root = issue(Kind::CsmsRoot, "Root", &root_key.spki(), Issuer::Itself);
    let leaf = issue(Kind::BillSigner, "Bills", &key.spki(), Issuer::Ca(&root));
    Issuing {
        root,
        chain: vec![leaf],
        key,
    }
}

/// A session of an hour: 10 kWh in, 4 kWh back; `number` tells sessions apart.
pub(super) fn record(meter: &Key, number: u64) -> String {
    let payload = SessionReadings {
        station: &"GL-DC-1".parse().unwrap(),
        evse: EvseId(1),
        transaction: &format!("session-{number}").parse().unwrap(),
        page: number,
        assignment: Assignment::Contract,
        begin: (at(0), MilliWattHours(5_000_000), MilliWattHours(1_000_001)),
        end: (at(3600), MilliWattHours(15_000_000), MilliWattHours(5_000_001)),
        ending: Ending::End,
    }
    .payload();
    SessionReadings::record(&payload, &meter.sign(payload.as_bytes()))
}

pub(super) fn signed_data(record: &str, spki: &[u8]) -> SignedData {
    SignedData {
        encoding_method: ENCODING.to_owned(),
        public_key: Some(STANDARD.encode(spki)),
        signed_values: vec![SignedValue {
            nature: "End".to_owned(),
            plain_data: plain_data(record.split('|').nth(1).unwrap()),
            signed_data: STANDARD.encode(record),
        }],
    }
}

/// The bill of session `number`, resting on `record`.
pub(super) fn bill(issuing: &Issuing, meter: &Key, number: u64, record: &str) -> SignedBill {
    let tariff = Tariff::simple(
        "T",
        "EUR",
        "0.3973".parse().unwrap(),
        "0.2519".parse().unwrap(),
        Some("19".parse().unwrap()),
    );
    let reading = |seconds, imported, exported| Reading {
        at: at(seconds),
        imported: MilliWattHours(imported),
        exported: MilliWattHours(exported),
        activity: Activity::Transfer,
    };
    let readings = [
        reading(0, 5_000_000, 1_000_001),
        reading(1800, 15_000_000, 1_000_001),
        reading(3600, 15_000_000, 5_000_001),
    ];
    let priced = price(&tariff, &periods(&readings).unwrap()).unwrap();
    let text = |text: &str| text.to_owned();
    let header = CdrHeader {
        id: format!("C{number}"),
        session_id: Some(format!("session-{number}")),
        token: CdrToken {
            country_code: text("DE"),
            party_id: text("GDL"),
            uid: text("r"),
            kind: text("OTHER"),
            contract_id: text("r"),
        },
        auth_method: text("AUTH_REQUEST"),
        location: CdrLocation {
            id: text("GL-DC-1"),
            address: text("a"),
            city: text("c"),
            country: text("DEU"),
            coordinates: GeoLocation {
                latitude: text("1.0"),
                longitude: text("2.0"),
            },
            evse_uid: text("1"),
            evse_id: text("DE*GDL*E1"),
            connector_id: text("1"),
            connector_standard: text("IEC_62196_T2_COMBO"),
            connector_format: text("CABLE"),
            connector_power_type: text("DC"),
        },
        meter_id: None,
        signed_data: Some(signed_data(record, &meter.spki())),
        meter_proof: MeterProof::Verified {
            key: fingerprint(&meter.spki()),
        },
        last_updated: at(3601),
    };
    let cdr = serde_json::to_value(priced.to_cdr(&tariff, header)).unwrap();
    sealed(issuing, cdr)
}

/// `cdr`, signed by `issuing`.
pub(super) fn sealed(issuing: &Issuing, cdr: serde_json::Value) -> SignedBill {
    let jws = jws::sign(&cdr, &issuing.chain, at(3601), &|message| {
        Ok(issuing.key.sign(message))
    })
    .unwrap();
    SignedBill::new(cdr, jws)
}
