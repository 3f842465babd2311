//! What the meter signs and what the platform signs: proven from outside, and every forgery named.

use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gridlatch_host::now;
use gridlatch_keys::{FileKey, KeyError, OpensslVerifier, Signer};
use gridlatch_pki::dev::{self, DevPki};
use gridlatch_platform::{BillSigner, OutletPlace, StationPlace};
use gridlatch_receipt::bill::SignedBill;
use gridlatch_receipt::ocmf::{Assignment, Ending, SessionReadings};
use gridlatch_store::{CdrRecord, Store};
use gridlatch_testkit::need;
use gridlatch_trust::build::{Issuer, Request, Subject, build};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::{KeyAlgorithm, certificate, p256_der};
use gridlatch_vocab::catalogue::{bill as codes, platform};
use gridlatch_vocab::{Code, EvseId, MilliWattHours, Timestamp};
use serde_json::{Value, json};

use crate::support::{World, event, id};

struct Scene {
    world: World,
    pki: DevPki,
    meter: Arc<FileKey>,
    _folder: tempfile::TempDir,
}

/// A platform that signs, and a station whose meter is known.
async fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let pki = dev::ensure(
        folder.path(),
        &gridlatch_host::Hub::new(Default::default(), None),
        now(),
    )
    .unwrap();
    let bills = pki.bill_signer().unwrap();
    let signer = BillSigner {
        chain: bills.chain,
        key: bills.key,
    };
    let world = World::signing(Store::open(":memory:").await.unwrap(), Some(signer)).await;
    let meter = pki.meter_key(&id("CS-1")).unwrap();
    let state = &world.handle.state;
    state
        .register_meter_key(&id("CS-1"), meter.public_key_der())
        .await
        .unwrap();
    Scene {
        world,
        pki,
        meter,
        _folder: folder,
    }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_795_255_200_000 + minute * 60_000)
}

/// The record of a transaction from 1000.5 to 9000.25 Wh in, 500 to 3500 Wh out.
fn record(transaction: &str, page: u64, key: &dyn Signer) -> String {
    let payload = SessionReadings {
        station: &id("CS-1"),
        evse: EvseId(1),
        transaction: &transaction.parse().unwrap(),
        page,
        assignment: Assignment::Card,
        begin: (at(0), MilliWattHours(1_000_500), MilliWattHours(500_000)),
        end: (at(40), MilliWattHours(9_000_250), MilliWattHours(3_500_000)),
        ending: Ending::End,
    }
    .payload();
    SessionReadings::record(&payload, &key.sign(payload.as_bytes()).unwrap())
}

fn signed(record: &str, key: Option<&[u8]>) -> Value {
    let mut value = json!({"signedMeterData": STANDARD.encode(record), "encodingMethod": "OCMF",
        "signingMethod": "ECDSA-secp256r1-SHA256"});
    if let Some(key) = key {
        value["publicKey"] = json!(STANDARD.encode(format!("oca:base16:asn1:{}", hex::encode(key))));
    }
    value
}

impl Scene {
    /// Charges and ends with this signed value; the bill.
    async fn charge(&self, transaction: &str, signed: Option<Value>) -> CdrRecord {
        let mut station = self.world.station("CS-1").await;
        let mut start = event("Started", 0, 0, "1000.5", "500");
        let mut end = event("Ended", 1, 40, "9000.25", "3500");
        if let Some(signed) = signed {
            end["meterValue"][0]["sampledValue"][0]["signedMeterValue"] = signed;
        }
        for event in [&mut start, &mut end] {
            event["transactionInfo"]["transactionId"] = json!(transaction);
        }
        station.ok("TransactionEvent", start).await;
        station.ok("TransactionEvent", end).await;
        let cdr = self
            .world
            .store
            .cdr_of(&id("CS-1"), &transaction.parse().unwrap())
            .await
            .unwrap();
        cdr.expect("a bill")
    }

    fn bill(&self, cdr: &CdrRecord) -> SignedBill {
        SignedBill::new(cdr.document.clone(), cdr.jws.clone().unwrap())
    }
}

#[tokio::test]
async fn a_bill_carries_the_meters_record_and_the_platforms_signature() {
    let scene = scene().await;
    let key = scene.meter.public_key_der();
    let cdr = scene
        .charge("tx-1", Some(signed(&record("tx-1", 1, &*scene.meter), Some(key))))
        .await;
    let report = scene
        .bill(&cdr)
        .check(&scene.pki.csms_roots(), &OpensslVerifier)
        .unwrap();
    assert_eq!(report.fault(), None);
    let meter = report.meter.unwrap();
    assert_eq!((meter.imported, meter.exported), (7_999_750, 3_000_000));
    assert_eq!(meter.serial, "CS-1-1");
    assert_eq!(report.signer.unwrap().name, "Gridlatch Dev Bills");
    let data = &cdr.document["signed_data"];
    assert_eq!(data["encoding_method"], "OCMF");
    assert_eq!(data["public_key"], STANDARD.encode(key));
    assert_eq!(data["signed_values"][0]["nature"], "End");
    assert_eq!(cdr.document["meter_id"], "CS-1-1");
    let issued = scene.world.event(platform::BILL_ISSUED).await;
    assert_eq!(issued.fields["readings"], "verified");
    assert_eq!(issued.fields["signed"], true);
    assert_eq!(cdr.document["cdr_location"]["city"], "unknown");
    // Once it is known where the station stands and what it is, bills say it.
    let place = StationPlace {
        address: "Hafen 1".to_owned(),
        city: "Kiel".to_owned(),
        country: "DEU".to_owned(),
        latitude: "54.323300".to_owned(),
        longitude: "10.122800".to_owned(),
        outlets: vec![OutletPlace {
            evse: EvseId(1),
            evse_id: "DE*GDL*E7*1".to_owned(),
            standard: "IEC_62196_T2".to_owned(),
            format: "SOCKET".to_owned(),
            power_type: "AC_3_PHASE".to_owned(),
        }],
    };
    let state = &scene.world.handle.state;
    state.place_station(&id("CS-1"), &place).await.unwrap();
    // A station that says no key is checked against the registered ones as well.
    let cdr = scene
        .charge("tx-2", Some(signed(&record("tx-2", 2, &*scene.meter), None)))
        .await;
    assert_eq!(cdr.document["x_gridlatch"]["meter_proof"]["state"], "verified");
    let location = &cdr.document["cdr_location"];
    assert_eq!(
        (&location["city"], &location["evse_id"]),
        (&json!("Kiel"), &json!("DE*GDL*E7*1"))
    );
    assert_eq!(location["connector_power_type"], "AC_3_PHASE");
}

#[tokio::test]
async fn openssl_verifies_the_meters_and_the_platforms_signature() {
    need!(openssl);
    let scene = scene().await;
    let cdr = scene
        .charge("tx-1", Some(signed(&record("tx-1", 1, &*scene.meter), None)))
        .await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let openssl = |arguments: &[&std::ffi::OsStr]| {
        let output = Command::new("openssl").args(arguments).output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let verify = |key: &std::path::Path, signature: &[u8], message: &[u8]| {
        let (signature, message) = (file("signature", signature), file("message", message));
        openssl(&[
            "dgst".as_ref(),
            "-sha256".as_ref(),
            "-verify".as_ref(),
            key.as_os_str(),
            "-signature".as_ref(),
            signature.as_os_str(),
            message.as_os_str(),
        ])
    };

    // The meter: everything a stranger needs is in the OCPI record.
    let data = &cdr.document["signed_data"];
    let decoded = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    let key = file("meter.der", &decoded(&data["public_key"]));
    let text = String::from_utf8(decoded(&data["signed_values"][0]["signed_data"])).unwrap();
    let sections: Vec<&str> = text.split('|').collect();
    let signature: Value = serde_json::from_str(sections[2]).unwrap();
    let signature = hex::decode(signature["SD"].as_str().unwrap()).unwrap();
    let (good, said) = verify(&key, &signature, sections[1].as_bytes());
    assert!(good, "{said}");
    let changed = sections[1].replace("9.000250", "9.000251");
    assert!(!verify(&key, &signature, changed.as_bytes()).0);

    // The platform: the signing input of RFC 7515 and the certificate of the header.
    let jws = cdr.jws.as_deref().unwrap();
    let (header, signature) = jws.split_once("..").unwrap();
    let decoded: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!(decoded["alg"], "ES256");
    let chain: Vec<Vec<u8>> = decoded["x5c"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| STANDARD.decode(text.as_str().unwrap()).unwrap())
        .collect();
    let raw: [u8; 64] = URL_SAFE_NO_PAD.decode(signature).unwrap().try_into().unwrap();
    let payload = gridlatch_receipt::jcs::canonical(&cdr.document).unwrap();
    let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(&payload));
    let key = file("bills.der", &certificate::public_key_der(&chain[0]).unwrap());
    assert!(verify(&key, &p256_der(&raw), input.as_bytes()).0);
    assert!(!verify(&key, &p256_der(&raw), input.replace('A', "B").as_bytes()).0);

    let pem = |ders: &[Vec<u8>]| {
        ders.iter()
            .map(|der| certificate::to_pem(der))
            .collect::<String>()
    };
    let root = file("root.pem", pem(&scene.pki.csms_roots()).as_bytes());
    let subs = file("subs.pem", pem(&chain[1..]).as_bytes());
    let leaf = file("leaf.pem", pem(&chain[..1]).as_bytes());
    let (good, said) = openssl(&[
        "verify".as_ref(),
        "-x509_strict".as_ref(),
        "-CAfile".as_ref(),
        root.as_os_str(),
        "-untrusted".as_ref(),
        subs.as_os_str(),
        leaf.as_os_str(),
    ]);
    assert!(good, "{said}");
}

#[tokio::test]
async fn every_forged_reading_is_an_event_and_the_bill_says_that_it_is_not_verified() {
    let scene = scene().await;
    let stranger = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let (ours, theirs) = (scene.meter.public_key_der(), stranger.public_key_der());
    let honest = |transaction: &str, page| record(transaction, page, &*scene.meter);
    // Shown once, with the transaction it belongs to.
    let first = scene.charge("tx-0", Some(signed(&honest("tx-0", 1), None))).await;
    assert_eq!(first.document["x_gridlatch"]["meter_proof"]["state"], "verified");
    let cut = honest("tx-c", 8).replace("|{\"SA\"", "{\"SA\"");
    let cases: Vec<(&str, Value, Code)> = vec![
        (
            "a digit of a reading",
            signed(&honest("tx-1", 2).replace("9.000250", "8.000250"), Some(ours)),
            codes::METER_SIGNATURE_INVALID,
        ),
        (
            "a key of one's own",
            signed(&record("tx-2", 3, &stranger), Some(theirs)),
            codes::METER_KEY_UNKNOWN,
        ),
        (
            "a key of one's own, not told",
            signed(&record("tx-3", 4, &stranger), None),
            codes::METER_SIGNATURE_INVALID,
        ),
        (
            "the record of another session",
            signed(&honest("tx-0", 1), Some(ours)),
            codes::METER_RECORD_FOREIGN,
        ),
        (
            "a page that was shown",
            signed(&honest("tx-5", 1), Some(ours)),
            codes::METER_RECORD_REPEATED,
        ),
        (
            "no record",
            signed("OCMF|{}|{}", Some(ours)),
            codes::METER_RECORD_MALFORMED,
        ),
        (
            "a cut record",
            signed(&cut, Some(ours)),
            codes::METER_RECORD_MALFORMED,
        ),
    ];
    for (number, (what, value, code)) in (1..).zip(cases) {
        let before = scene.world.count(code);
        let cdr = scene.charge(&format!("tx-{number}"), Some(value)).await;
        let proof = &cdr.document["x_gridlatch"]["meter_proof"];
        assert_eq!(proof["state"], "not_verified", "{what}: {proof}");
        assert_eq!(proof["code"], code.as_str(), "{what}: {proof}");
        assert_eq!(scene.world.count(code), before + 1, "{what}");
        // The evidence stays, but under no key that anybody vouches for.
        assert!(cdr.document["signed_data"]["public_key"].is_null(), "{what}");
        let report = scene
            .bill(&cdr)
            .check(&scene.pki.csms_roots(), &OpensslVerifier)
            .unwrap();
        assert!(report.signer.is_ok(), "{what}");
        assert_eq!(report.meter.unwrap_err().code, code, "{what}");
        assert_eq!(report.total, Ok(()), "{what}");
    }
}

#[tokio::test]
async fn signed_readings_that_are_not_the_reported_ones_are_found() {
    let scene = scene().await;
    let payload = SessionReadings {
        station: &id("CS-1"),
        evse: EvseId(1),
        transaction: &"tx-1".parse().unwrap(),
        page: 1,
        assignment: Assignment::Card,
        begin: (at(0), MilliWattHours(1_000_500), MilliWattHours(500_000)),
        // One milliwatt hour less than was reported.
        end: (at(40), MilliWattHours(9_000_249), MilliWattHours(3_500_000)),
        ending: Ending::End,
    }
    .payload();
    let record = SessionReadings::record(&payload, &scene.meter.sign(payload.as_bytes()).unwrap());
    let cdr = scene.charge("tx-1", Some(signed(&record, None))).await;
    let proof = &cdr.document["x_gridlatch"]["meter_proof"];
    assert_eq!(proof["code"], codes::METER_READINGS_DIFFER.as_str(), "{proof}");
    assert!(proof["reason"].as_str().unwrap().contains("import"), "{proof}");
}

#[tokio::test]
async fn a_missing_record_is_an_event_where_a_meter_is_known() {
    let scene = scene().await;
    let cdr = scene.charge("tx-1", None).await;
    assert_eq!(cdr.document["x_gridlatch"]["meter_proof"]["state"], "unsigned");
    scene.world.event(codes::METER_UNSIGNED).await;
    // The bill is signed all the same, and a check of it says what is missing.
    let report = scene
        .bill(&cdr)
        .check(&scene.pki.csms_roots(), &OpensslVerifier)
        .unwrap();
    assert!(report.signer.is_ok());
    assert_eq!(report.fault().unwrap().code, codes::METER_UNSIGNED);
}

/// A key that was pulled out.
#[derive(Debug)]
struct Gone(Vec<u8>);

impl Signer for Gone {
    fn algorithm(&self) -> KeyAlgorithm {
        KeyAlgorithm::P256
    }

    fn public_key_der(&self) -> &[u8] {
        &self.0
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, KeyError> {
        Err(KeyError::Unsupported)
    }

    fn sign_digest(&self, _: &[u8]) -> Result<Vec<u8>, KeyError> {
        Err(KeyError::Unsupported)
    }
}

#[tokio::test]
async fn no_bill_is_visible_before_it_is_signed() {
    let scene = scene().await;
    let chain = scene.pki.bill_signer().unwrap().chain;
    let wrong = Arc::new(FileKey::generate(KeyAlgorithm::P256).unwrap());
    let keys: [Arc<dyn Signer>; 2] = [Arc::new(Gone(Vec::new())), wrong];
    for key in keys {
        let store = Store::open(":memory:").await.unwrap();
        let broken = BillSigner {
            chain: chain.clone(),
            key,
        };
        let world = World::signing(store.clone(), Some(broken)).await;
        let mut station = world.station("CS-1").await;
        station
            .ok("TransactionEvent", event("Started", 0, 0, "0", "0"))
            .await;
        station
            .ok("TransactionEvent", event("Ended", 1, 5, "1000", "0"))
            .await;
        world.event(codes::SIGNING_FAILED).await;
        assert!(store.cdr_list(None, 10).await.unwrap().is_empty());
        drop((world, station));
        // The key is back: the bill follows.
        let bills = scene.pki.bill_signer().unwrap();
        let signer = BillSigner {
            chain: bills.chain,
            key: bills.key,
        };
        let world = World::signing(store.clone(), Some(signer)).await;
        world.event(platform::BILL_ISSUED).await;
        let cdrs = store.cdr_list(None, 10).await.unwrap();
        assert!(cdrs.len() == 1 && cdrs[0].jws.is_some());
    }
}

/// A bill signer of a root of its own, valid from a minute ago for so many seconds from now.
fn signer(seconds: i64) -> (BillSigner, Timestamp) {
    let key = |label: &str| {
        (
            label.to_owned(),
            Arc::new(FileKey::generate(KeyAlgorithm::P256).unwrap()),
        )
    };
    let (root, leaf) = (key("Root"), key("Bills"));
    let after = |seconds: i64| Timestamp::from_unix_millis((now().unix_millis() / 1000 + seconds) * 1000);
    let end = after(seconds);
    let issue = |kind: Kind, (name, own): &(String, Arc<FileKey>), issuer: Issuer<'_>, end: Timestamp| {
        let request = Request {
            profile: Profile::iso2(kind),
            subject: Subject {
                common_name: name.clone(),
                organization: None,
                country: None,
            },
            spki: own.public_key_der(),
            serial: &[1, kind as u8, 7],
            not_before: after(-60),
            not_after: Some(end),
            alt_names: Vec::new(),
            ocsp_url: None,
            crl_url: None,
        };
        build(&request, issuer, KeyAlgorithm::P256, &|message| {
            root.1.sign(message).map_err(Into::into)
        })
        .unwrap()
    };
    let top = issue(Kind::CsmsRoot, &root, Issuer::Itself, after(86_400));
    let chain = vec![issue(Kind::BillSigner, &leaf, Issuer::Ca(&top), end)];
    (BillSigner { chain, key: leaf.1 }, end)
}

#[tokio::test]
async fn a_bill_signer_is_replaced_while_sessions_run_and_bills_that_waited_for_it_are_issued() {
    let scene = scene().await;
    let state = &scene.world.handle.state;
    let leaf = |cdr: &CdrRecord| {
        let header = cdr.jws.as_deref().unwrap().split('.').next().unwrap().to_owned();
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        STANDARD.decode(header["x5c"][0].as_str().unwrap()).unwrap()
    };
    let first = scene.charge("one", None).await;
    assert_eq!(leaf(&first), scene.pki.bill_signer().unwrap().chain[0]);

    // One whose life is a second, and over: the session is not billed under it, and is not lost.
    let (short, end) = signer(1);
    state.replace_bill_signer(short).await;
    while now() <= end {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let mut station = scene.world.station("CS-1").await;
    for mut event in [
        event("Started", 0, 0, "1000.5", "500"),
        event("Ended", 1, 40, "9000.25", "3500"),
    ] {
        event["transactionInfo"]["transactionId"] = json!("two");
        station.ok("TransactionEvent", event).await;
    }
    scene.world.event(codes::SIGNING_FAILED).await;
    let bill = async || {
        let two = "two".parse().unwrap();
        scene.world.store.cdr_of(&id("CS-1"), &two).await.unwrap()
    };
    assert!(bill().await.is_none());

    // The next one: the bill that waited is there when the call returns; the first bill is as it was.
    let (next, _) = signer(3_600);
    state.replace_bill_signer(next.clone()).await;
    let waited = bill().await.expect("a bill");
    assert_eq!(leaf(&waited), next.chain[0]);
    let kept = scene
        .world
        .store
        .cdr_of(&id("CS-1"), &"one".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.jws, first.jws);
    drop(station);
    let third = scene.charge("three", None).await;
    assert_eq!(leaf(&third), next.chain[0]);
}
