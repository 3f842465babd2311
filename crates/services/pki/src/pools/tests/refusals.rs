//! Bad input.

use super::*;

#[tokio::test]
async fn what_is_not_a_root_does_not_enter_the_root_pool() {
    let eco = Ecosystem::new().await;
    let car = eco.world.car("frank", Generation::Iso2);
    let own = input::text(&eco.world.pki.v2g_roots()[0]);
    let put = async |body: Value| {
        eco.full("PUT", "/v1/root/rootCerts", Some("admin"), Some(body))
            .await
    };
    for (what, certificate, code) in [
        ("a leaf", input::text(&car.chain[0]), "pools.not_a_root"),
        ("a sub-CA", input::text(&car.chain[2]), "pools.not_a_root"),
        ("junk", input::text(&[0x30; 400]), "pools.bad_request"),
        ("no Base64", "%%%".to_owned(), "pools.bad_request"),
        ("nothing", String::new(), "pools.bad_request"),
    ] {
        let (status, found, answer) = put(json!({"caCertificate": certificate, "rootType": "V2G"})).await;
        assert_eq!(
            (status, found.as_str()),
            (StatusCode::BAD_REQUEST, code),
            "{what}: {answer}"
        );
    }
    let (status, code, _) = put(json!({"caCertificate": own, "rootType": "XYZ"})).await;
    assert_eq!(
        (status, code.as_str()),
        (StatusCode::BAD_REQUEST, "pools.bad_request")
    );
    let (status, _, first) = put(json!({"caCertificate": own, "rootType": "V2G"})).await;
    assert_eq!(status, StatusCode::OK);
    // The same root again, as PEM and as Base64 of PEM: it stands once.
    let pem = gridlatch_trust::certificate::to_pem(&eco.world.pki.v2g_roots()[0]);
    for text in [pem.clone(), input::text(pem.as_bytes())] {
        let (status, _, again) = put(json!({"caCertificate": text, "rootType": "V2G"})).await;
        assert_eq!(status, StatusCode::OK, "{again}");
        assert_eq!(again["rootCertificateId"], first["rootCertificateId"]);
    }
    let (_, answer) = eco
        .send("GET", "/v1/root/rootCerts?rootType=bogus", Some("cpo"), None)
        .await;
    assert!(
        answer["errorMessages"][0]
            .as_str()
            .unwrap()
            .contains("kind of root")
    );
}

#[tokio::test]
async fn every_body_that_is_no_body_is_refused_by_its_field_and_never_quoted() {
    let eco = Ecosystem::new().await;
    let car = eco.world.car("grace", Generation::Iso2);
    eco.publish(&car).await;
    let pcid = car.vehicle.pcid().reveal().clone();
    let paths = [
        ("PUT", "/v1/root/rootCerts", "admin"),
        ("PUT", "/v1/oem/provCerts", "oem"),
        ("PUT", "/opnc/v1/pcp/provisioningcertificates", "oem"),
        ("POST", "/v1/ccp/signedContractData", "cpo"),
        ("PUT", "/v1/ccp/signedContractData", "cps"),
        ("PUT", "/v1/cps/contractData/signed", "mo"),
        ("PUT", "/v1/cps/signedContractData", "mo"),
        ("PUT", "/v1/cps/forward/signedContractData", "mo"),
        ("PUT", "/v1/cps/generate/signedContractData", "mo"),
        ("PUT", "/opnc/v1/cps/contractData/sign", "mo"),
        ("POST", "/v1/webhook/endpoints", "oem"),
    ];
    for (method, path, client) in paths {
        for (body, status) in [
            (Vec::new(), StatusCode::BAD_REQUEST),
            (b"{".to_vec(), StatusCode::BAD_REQUEST),
            (b"[]".to_vec(), StatusCode::BAD_REQUEST),
            (
                b"{\"emaid\": 5, \"pcid\": \"GEHEIMGEHEIMGEHEIM\"}".to_vec(),
                StatusCode::BAD_REQUEST,
            ),
            (b"\xff\xfe\x00".to_vec(), StatusCode::BAD_REQUEST),
            ("[".repeat(50_000).into_bytes(), StatusCode::BAD_REQUEST),
            (vec![b' '; 65 * 1024], StatusCode::PAYLOAD_TOO_LARGE),
        ] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("authorization", format!("Bearer {}", eco.token(client)))
                .body(Body::from(body))
                .unwrap();
            let (found, headers, answer) = eco.raw(request).await;
            assert_eq!(found, status, "{method} {path} {shown}");
            assert_eq!(headers["x-gridlatch-code"], "pools.bad_request", "{path}");
            assert!(
                !String::from_utf8_lossy(&answer).contains("GEHEIM"),
                "{path} quotes its input"
            );
        }
    }
    assert!(!eco.world.told.text().contains("GEHEIM"));
    // Fields that are there and wrong.
    let generate = async |field: &str, value: Value| {
        let mut body = order(&car, "DEGDLC00000041");
        body[field] = value;
        eco.full(
            "PUT",
            "/v1/cps/generate/signedContractData",
            Some("mo"),
            Some(body),
        )
        .await
    };
    for (field, value, code) in [
        ("emaid", json!("nonsense"), "pools.bad_request"),
        ("pcid", json!("short"), "pools.bad_request"),
        ("pcid", json!("GLD00000000000000"), "provisioning.vehicle_unknown"),
        ("contractEnds", json!("2020-01-01T00:00:00Z"), "pools.bad_request"),
        ("contractEnds", json!("tomorrow"), "pools.bad_request"),
        (
            "contractBegins",
            json!("2099-01-01T00:00:00Z"),
            "pools.bad_request",
        ),
        (
            "xsdMsgDefNamespace",
            json!("urn:iso:15118:99"),
            "pools.bad_request",
        ),
        (
            "cpsRootCertificateId",
            json!("896b6655-180e-4304-b642-606bb00df8f0"),
            "pools.bad_request",
        ),
        (
            "cpsV2GRootCertificateFingerprint",
            json!("00".repeat(32)),
            "provisioning.signer_unavailable",
        ),
    ] {
        let (_, found, answer) = generate(field, value).await;
        assert_eq!(found, code, "{field}: {answer}");
    }
    for path in [
        "/v1/oem/provCerts/short".to_owned(),
        "/v1/oem/provCerts/GLD%2F..%2F..%2F..%2F..%2F".to_owned(),
        format!("/v1/ccp/provideSignedContractData/nonsense/{pcid}"),
        format!("/v1/ccp/provideSignedContractData/DEGDLC00000041/{pcid}?sessionID=zz"),
        format!("/v1/ccp/provideSignedContractData/DEGDLC00000041/{pcid}?sessionID=010203040506070809"),
    ] {
        let (status, _) = eco.send("GET", &path, Some("oem"), None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn a_refused_vehicle_gets_its_refusal_in_exi_unless_the_caller_does_not_want_it() {
    use gridlatch_session::provisioning::{Action, Answer, Generation as Session};
    let eco = Ecosystem::new().await;
    let car = eco.world.car("heidi", Generation::Iso2);
    let body = asked(&car);
    let (status, code, answer) = eco
        .full(
            "POST",
            "/v1/ccp/signedContractData",
            Some("cpo"),
            Some(body.clone()),
        )
        .await;
    assert_eq!(
        (status, code.as_str()),
        (StatusCode::NOT_FOUND, "provisioning.vehicle_unknown")
    );
    let message = &answer["CCPResponse"]["emaidContent"][0]["messageDef"]["certificateInstallationRes"];
    let exi = input::base64(message.as_str().unwrap(), "exi", 1 << 16).unwrap();
    let told = Answer::decode(Session::Iso2, Action::Install, &exi).unwrap();
    assert!(matches!(told, Answer::Refused("FAILED_NoCertificateAvailable")));
    let request = Request::post("/v1/ccp/signedContractData")
        .header("authorization", format!("Bearer {}", eco.token("cpo")))
        .header("alwaysReturnEXI", "false")
        .body(Body::from(body.to_string()))
        .unwrap();
    let (status, _, answer) = eco.raw(request).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(!String::from_utf8(answer).unwrap().contains("CCPResponse"));
    // Tampered and mislabelled requests.
    for (what, body) in [
        (
            "other standard",
            json!({"certificateInstallationReq": body["certificateInstallationReq"], "xsdMsgDefNamespace": "urn:iso:15118:20:2022:MsgDef"}),
        ),
        (
            "no EXI",
            json!({"certificateInstallationReq": "AAAA", "xsdMsgDefNamespace": input::ISO2}),
        ),
        (
            "no Base64",
            json!({"certificateInstallationReq": "?", "xsdMsgDefNamespace": input::ISO2}),
        ),
        (
            "an action there is not",
            json!({"certificateInstallationReq": "AAAA", "action": "Delete"}),
        ),
    ] {
        let (status, _, answer) = eco
            .full("POST", "/v1/ccp/signedContractData", Some("cpo"), Some(body))
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{what}: {answer}");
    }
}

#[tokio::test]
async fn hostile_xml_is_refused_in_bounded_work() {
    let eco = Ecosystem::new().await;
    let bomb = format!("<!DOCTYPE l [<!ENTITY a \"{}\">]><l>&a;</l>", "x".repeat(1000));
    let deep = format!("{}{}", "<a>".repeat(2000), "</a>".repeat(2000));
    let wide = format!("<a>{}</a>", "<b/>".repeat(5000));
    for xml in [
        bomb.as_str(),
        &deep,
        &wide,
        "",
        "<a/>",
        "<V2G_Message><Body/></V2G_Message>",
        &"<".repeat(40_000),
    ] {
        let body = json!({
            "emaid": "DEGDLC00000051", "pcid": "GLDAAAAAAAAAAAAAA", "xsdMsgDefNamespace": input::ISO2,
            "signedContractDataXML": input::text(xml.as_bytes()),
        });
        let (status, code, answer) = eco
            .full("PUT", "/v1/ccp/signedContractData", Some("cps"), Some(body))
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(
            [
                "pools.bad_request",
                "provisioning.request_malformed",
                "provisioning.signature_invalid"
            ]
            .contains(&code.as_str()),
            "{code}"
        );
    }
}
