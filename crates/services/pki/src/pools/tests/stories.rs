//! Contracts from the factory to the vehicle, over HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_session::provisioning::seal_iso2;

use super::*;

fn exi(value: &Value) -> Vec<u8> {
    input::base64(value.as_str().unwrap(), "exi", 1 << 16).unwrap()
}

#[tokio::test]
async fn a_vehicle_is_published_gets_a_contract_and_installs_it_in_both_standards_and_dialects() {
    let eco = Ecosystem::new().await;
    for generation in BOTH {
        let car = eco.world.car("alice", generation);
        let published = eco.publish(&car).await;
        assert_eq!(published["vehicleCertificate"], json!(input::text(&car.chain[0])));
        assert_eq!(
            published["rootIssuerSerialNumber"]
                .as_str()
                .unwrap()
                .to_lowercase(),
            published["rootIssuerSerialNumber"]
        );
        assert!(
            published["rootIssuerDistinguishedName"]
                .as_str()
                .unwrap()
                .starts_with("CN=Gridlatch Dev OEM Root")
        );
        let pcid = car.vehicle.pcid().reveal().clone();
        let path = format!("/v1/oem/provCerts/lookupVehicle/{pcid}");
        assert_eq!(eco.send("GET", &path, Some("mo"), None).await.0, StatusCode::OK);
        let emaid = if generation == Generation::Iso2 {
            "DEGDLC00000001"
        } else {
            "DE-GDL-C00000002"
        };
        eco.generate(&car, emaid).await;

        let (status, answer) = eco
            .send(
                "POST",
                "/v1/ccp/signedContractData",
                Some("cpo"),
                Some(asked(&car)),
            )
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let definition = &answer["CCPResponse"]["emaidContent"][0]["messageDef"];
        assert_eq!(definition["emaid"], json!(emaid.replace('-', "")));
        let (chain, _) = car.take(&eco.world, &exi(&definition["certificateInstallationRes"]));

        // The same over the OPNC names, byte for byte the same contract.
        let (status, answer) = eco
            .send(
                "POST",
                "/opnc/v1/ccp/signedcontractdata",
                Some("cpo"),
                Some(asked(&car)),
            )
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let data = &answer["signedContractDataCollection"][0];
        assert_eq!(data["pcid"], json!(pcid));
        assert_eq!(
            car.take(&eco.world, &exi(&data["certificateInstallationRes"])).0,
            chain
        );

        // The manufacturer fetches it for an installation over the air.
        let path = format!(
            "/v1/ccp/provideSignedContractData/{emaid}/{pcid}?xsdMsgDefNamespace={}&sessionID=0102030405060708",
            input::namespace(generation)
        );
        let (status, answer) = eco.send("GET", &path, Some("oem"), None).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(
            car.take(&eco.world, &exi(&answer["certificateInstallationRes"]))
                .0,
            chain
        );

        // Looked up by contract and by vehicle.
        let (_, answer) = eco
            .send(
                "GET",
                &format!("/v1/ccp/lookupContract/{emaid}"),
                Some("cpo"),
                None,
            )
            .await;
        assert_eq!(
            answer["XMLContracts"][0]["contractCertificate"],
            json!(input::text(&chain[0]))
        );
        assert_eq!(answer["XMLContracts"][0]["defaultContract"], json!(true));
        let path = format!(
            "/opnc/v1/ccp/contractData/pcid/{pcid}?xsdMsgDefNamespace={}",
            input::namespace(generation)
        );
        let (_, answer) = eco.send("GET", &path, Some("oem"), None).await;
        assert_eq!(
            answer["contractDataCollection"][0]["emaid"],
            json!(emaid.replace('-', ""))
        );
    }
}

#[tokio::test]
async fn the_order_of_contracts_is_the_manufacturers_to_set_and_withdrawal_empties_the_pool() {
    let eco = Ecosystem::new().await;
    let car = eco.world.car("bob", Generation::Iso2);
    eco.publish(&car).await;
    eco.generate(&car, "DEGDLC00000011").await;
    eco.generate(&car, "DEGDLC00000012").await;
    let pcid = car.vehicle.pcid().reveal().clone();
    let delivered = async || {
        let (_, answer) = eco
            .send(
                "POST",
                "/v1/ccp/signedContractData",
                Some("cpo"),
                Some(asked(&car)),
            )
            .await;
        answer["CCPResponse"]["emaidContent"][0]["messageDef"]["emaid"]
            .as_str()
            .unwrap_or("none")
            .to_owned()
    };
    assert_eq!(delivered().await, "DEGDLC00000011", "the first is the default");
    let path = format!("/v1/ccp/signedContractData/{pcid}/DEGDLC00000012/default?priority=1");
    assert_eq!(eco.send("PUT", &path, Some("oem"), None).await.0, StatusCode::OK);
    assert_eq!(delivered().await, "DEGDLC00000012");
    let path = format!("/opnc/v1/ccp/signedcontractdata/DEGDLC00000011/{pcid}/setdefault");
    assert_eq!(eco.send("POST", &path, Some("oem"), None).await.0, StatusCode::OK);
    assert_eq!(delivered().await, "DEGDLC00000011");
    let path = "/v1/ccp/signedContractData/DEGDLC00000011";
    assert_eq!(eco.send("DELETE", path, Some("mo"), None).await.0, StatusCode::OK);
    assert_eq!(
        eco.send("DELETE", path, Some("mo"), None).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(delivered().await, "DEGDLC00000012");
    // With the vehicle everything goes.
    let path = format!("/v1/oem/provCerts/{pcid}");
    assert_eq!(
        eco.send("DELETE", &path, Some("oem"), None).await.0,
        StatusCode::OK
    );
    let (status, _) = eco
        .send("GET", "/v1/ccp/lookupContract/DEGDLC00000012", Some("cpo"), None)
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// An operator with its own CA makes the contract data itself.
fn own_contract(eco: &Ecosystem, car: &Car, emaid: &str) -> (Vec<Vec<u8>>, Vec<u8>, Vec<u8>) {
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let emaid = emaid.parse().unwrap();
    let authority = eco.world.provisioner.authority();
    let chain = authority
        .issue(Generation::Iso2, &emaid, key.public_key_der(), None, None)
        .unwrap();
    let ephemeral = FileKey::generate(KeyAlgorithm::P256).unwrap().scalar().unwrap();
    let (encrypted, point) = seal_iso2(&key.scalar().unwrap(), &car.chain[0], &ephemeral, &[7; 16]).unwrap();
    (chain, encrypted, point)
}

#[tokio::test]
async fn an_operator_with_its_own_ca_has_its_data_signed_and_a_provisioning_service_stores_it() {
    let eco = Ecosystem::new().await;
    let car = eco.world.car("carol", Generation::Iso2);
    eco.publish(&car).await;
    let pcid = car.vehicle.pcid().reveal().clone();
    let emaid = "DEGDLC00000021";
    let (chain, key, point) = own_contract(&eco, &car, emaid);
    let data = json!({
        "contractCertificate": input::text(&chain[0]),
        "contractSubCa2Certificate": input::text(&chain[1]),
        "contractSubCa1Certificate": input::text(&chain[2]),
        "contractSignatureEncryptedPrivateKey": input::text(&key),
        "dHpublickey": input::text(&point),
    });
    // Signed only: the pool stays empty.
    let body = json!({"xsdMsgDefNamespace": input::ISO2, "emaid": emaid, "contractData": data});
    let (status, answer) = eco
        .send("PUT", "/v1/cps/contractData/signed", Some("mo"), Some(body))
        .await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    assert!(answer.get("pcid").is_none());
    let (status, _) = eco
        .send(
            "POST",
            "/v1/ccp/signedContractData",
            Some("cpo"),
            Some(asked(&car)),
        )
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // The XML goes into the pool through a provisioning service, as OPCP has it.
    let xml = String::from_utf8(exi(&answer["signedData"])).unwrap();
    assert!(xml.contains("V2G_Message") && xml.contains("CertificateInstallationRes"));
    let body = json!({
        "xsdMsgDefNamespace": input::ISO2, "emaid": emaid, "pcid": pcid, "signedContractDataXML": answer["signedData"],
    });
    let (status, answer) = eco
        .send(
            "PUT",
            "/v1/ccp/signedContractData",
            Some("cps"),
            Some(body.clone()),
        )
        .await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let (status, answer) = eco
        .send(
            "POST",
            "/v1/ccp/signedContractData",
            Some("cpo"),
            Some(asked(&car)),
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let message = exi(&answer["CCPResponse"]["emaidContent"][0]["messageDef"]["certificateInstallationRes"]);
    assert_eq!(car.take(&eco.world, &message).0, chain);
    // One altered character anywhere in what is signed, and the pool refuses.
    let altered = xml.replacen("DEGDLC00000021</", "DEGDLC00000022</", 1);
    let mut forged = body;
    forged["signedContractDataXML"] = json!(input::text(altered.as_bytes()));
    let (status, code, _) = eco
        .full("PUT", "/v1/ccp/signedContractData", Some("cps"), Some(forged))
        .await;
    assert_eq!(
        (status, code.as_str()),
        (StatusCode::BAD_REQUEST, "provisioning.signature_invalid")
    );
    // The deprecated form with the chain in one piece, and OPNC's bundle.
    let old = json!({
        "xsdMsgDefNamespace": input::ISO2, "emaid": emaid, "pcid": pcid,
        "contractData": {
            "contractSignatureCertChain": {
                "contractSignatureCertChainCertificate": input::text(&chain[0]),
                "contractSignatureCertChainSubCertificates": [input::text(&chain[1]), input::text(&chain[2])],
            },
            "contractSignatureEncryptedPrivateKey": input::text(&key), "dHpublickey": input::text(&point), "emaid": emaid,
        },
    });
    for (path, status) in [
        ("/v1/cps/signedContractData", 200),
        ("/v1/cps/forward/signedContractData", 201),
    ] {
        let (found, answer) = eco.send("PUT", path, Some("mo"), Some(old.clone())).await;
        assert_eq!(found.as_u16(), status, "{path}: {answer}");
    }
    let bundle = json!({"xsdMsgDefNamespace": input::ISO2, "contractCertificateBundle": {
        "pcid": pcid, "emaid": emaid,
        "contractCertificateChain": {
            "certificate": input::text(&chain[0]), "subCa2Certificate": input::text(&chain[1]), "subCa1Certificate": input::text(&chain[2]),
        },
        "contractSignatureEncryptedPrivateKey": input::text(&key), "dHpublickey": input::text(&point),
    }});
    let (status, answer) = eco
        .send("PUT", "/opnc/v1/cps/contractData/sign", Some("mo"), Some(bundle))
        .await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    assert_eq!(
        car.take(
            &eco.world,
            &exi(&answer["signedContractData"]["certificateInstallationRes"])
        )
        .0,
        chain
    );
}

#[tokio::test]
async fn the_root_pool_lists_its_roots_and_signs_its_trust_list() {
    let eco = Ecosystem::new().await;
    let (status, answer) = eco.send("GET", "/v1/root/rootCerts", Some("cpo"), None).await;
    assert_eq!(status, StatusCode::OK);
    let roots = answer["RootCertificateCollection"]["rootCertificates"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(roots.len(), 6);
    for root in &roots {
        let one = format!(
            "/v1/root/rootCerts/{}",
            root["rootCertificateId"].as_str().unwrap()
        );
        let (_, answer) = eco.send("GET", &one, Some("oem"), None).await;
        assert_eq!(&answer["RootResponse"], root);
    }
    let (_, answer) = eco
        .send(
            "GET",
            "/opnc/v1/rcp/rootcertificates?pkiType=emsp",
            Some("mo"),
            None,
        )
        .await;
    let listed = answer["rootCertificateCollection"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|root| root["rootTypeList"] == json!(["eMSP"])));

    let (_, answer) = eco.send("GET", "/v1/root/ctl", Some("cpo"), None).await;
    assert_eq!(answer["CTL"]["rootCertificates"].as_array().unwrap().len(), 6);
    let token = answer["CTL"]["jws"].as_str().unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let certificate = exi(&answer["signerCertificate"]);
    let spki = gridlatch_trust::certificate::public_key_der(&certificate).unwrap();
    let key = openssl::pkey::PKey::public_key_from_der(&spki)
        .unwrap()
        .ec_key()
        .unwrap();
    let half = |range: core::ops::Range<usize>| openssl::bn::BigNum::from_slice(&signature[range]).unwrap();
    let signature = openssl::ecdsa::EcdsaSig::from_private_components(half(0..32), half(32..64)).unwrap();
    let digest = openssl::sha::sha256(signed.as_bytes());
    assert!(signature.verify(&digest, &key).unwrap());
    let payload = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["rootCertificates"], answer["CTL"]["rootCertificates"]);

    // Taken out, a root is trusted no longer.
    let car = eco.world.car("dave", Generation::Iso2);
    for root in roots.iter().filter(|root| root["rootType"] == "OEM") {
        let path = format!(
            "/v1/root/rootCerts/{}",
            root["rootCertificateId"].as_str().unwrap()
        );
        assert_eq!(
            eco.send("DELETE", &path, Some("admin"), None).await.0,
            StatusCode::OK
        );
    }
    let (status, code, _) = eco
        .full("PUT", "/v1/oem/provCerts", Some("oem"), Some(publication(&car)))
        .await;
    assert_eq!(
        (status, code.as_str()),
        (StatusCode::BAD_REQUEST, "provisioning.certificate_refused")
    );
}

#[tokio::test]
async fn the_signers_of_contract_data_are_listed_with_their_chains() {
    let eco = Ecosystem::new().await;
    let (_, answer) = eco.send("GET", "/cps/signer", Some("mo"), None).await;
    let signers = answer["cpsCertificates"].as_array().unwrap();
    assert_eq!(signers.len(), 2);
    for signer in signers {
        for field in [
            "cpsCertificate",
            "cpsCa2Certificate",
            "cpsCa1Certificate",
            "cpsRootCertificateId",
            "validFrom",
        ] {
            assert!(!signer[field].as_str().unwrap().is_empty(), "{field}");
        }
        assert!(
            signer["cpsRootDistinguishedName"]
                .as_str()
                .unwrap()
                .contains("DC=V2G")
        );
    }
    let (_, answer) = eco
        .send("GET", "/opnc/v1/cps/cpsCertificates", Some("mo"), None)
        .await;
    let chain = &answer["cpsCertificateDataCollection"][0]["cpsCertificateChain"];
    assert_eq!(chain["certificate"], signers[0]["cpsCertificate"]);
}
