//! Who may do what.

use super::*;

/// Every route that takes a role: method, path, the roles that may.
const ROUTES: [(&str, &str, &[&str]); 34] = [
    ("PUT", "/v1/root/rootCerts", &["admin"]),
    ("DELETE", "/v1/root/rootCerts/x", &["admin"]),
    ("PUT", "/opnc/v1/rcp/rootcertificates", &["admin"]),
    ("DELETE", "/opnc/v1/rcp/rootcertificates/x", &["admin"]),
    ("PUT", "/v1/oem/provCerts", &["oem"]),
    ("GET", "/v1/oem/provCerts/GLDAAAAAAAAAAAAAA", &["oem", "mo"]),
    ("DELETE", "/v1/oem/provCerts/GLDAAAAAAAAAAAAAA", &["oem"]),
    (
        "GET",
        "/v1/oem/provCerts/lookupVehicle/GLDAAAAAAAAAAAAAA",
        &["oem", "mo"],
    ),
    ("GET", "/v1/oem/lookupVehicle/GLDAAAAAAAAAAAAAA", &["oem", "mo"]),
    ("PUT", "/opnc/v1/pcp/provisioningcertificates", &["oem"]),
    (
        "GET",
        "/opnc/v1/pcp/provisioningcertificates/GLDAAAAAAAAAAAAAA",
        &["oem", "mo"],
    ),
    (
        "DELETE",
        "/opnc/v1/pcp/provisioningcertificates/GLDAAAAAAAAAAAAAA",
        &["oem"],
    ),
    (
        "GET",
        "/opnc/v1/pcp/lookupvehicle/GLDAAAAAAAAAAAAAA",
        &["oem", "mo"],
    ),
    ("POST", "/v1/ccp/signedContractData", &["cpo"]),
    ("PUT", "/v1/ccp/signedContractData", &["cps"]),
    ("GET", "/v1/ccp/signedContractData/GLDAAAAAAAAAAAAAA", &["oem"]),
    ("DELETE", "/v1/ccp/signedContractData/DEGDLC00000001", &["mo"]),
    (
        "PUT",
        "/v1/ccp/signedContractData/GLDAAAAAAAAAAAAAA/DEGDLC00000001/default",
        &["oem"],
    ),
    (
        "GET",
        "/v1/ccp/provideSignedContractData/DEGDLC00000001/GLDAAAAAAAAAAAAAA",
        &["oem"],
    ),
    (
        "GET",
        "/v1/ccp/lookupContract/DEGDLC00000001",
        &["oem", "mo", "cpo"],
    ),
    ("POST", "/opnc/v1/ccp/signedcontractdata", &["cpo"]),
    ("PUT", "/opnc/v1/ccp/signedcontractdata", &["cps"]),
    (
        "DELETE",
        "/opnc/v1/ccp/signedcontractdata/DEGDLC00000001",
        &["mo"],
    ),
    (
        "GET",
        "/opnc/v1/ccp/signedcontractdata/DEGDLC00000001/GLDAAAAAAAAAAAAAA",
        &["oem"],
    ),
    (
        "POST",
        "/opnc/v1/ccp/signedcontractdata/DEGDLC00000001/GLDAAAAAAAAAAAAAA/setdefault",
        &["oem"],
    ),
    (
        "GET",
        "/opnc/v1/ccp/contractData/emaid/DEGDLC00000001",
        &["oem", "mo", "cpo"],
    ),
    (
        "GET",
        "/opnc/v1/ccp/contractData/pcid/GLDAAAAAAAAAAAAAA",
        &["oem"],
    ),
    ("PUT", "/v1/cps/contractData/signed", &["mo"]),
    ("PUT", "/v1/cps/signedContractData", &["mo"]),
    ("PUT", "/v1/cps/forward/signedContractData", &["mo"]),
    ("PUT", "/v1/cps/generate/signedContractData", &["mo"]),
    ("GET", "/v1/cps/signer", &["mo", "admin"]),
    ("PUT", "/opnc/v1/cps/contractData/generateandsign", &["mo"]),
    ("PUT", "/opnc/v1/cps/contractData/sign", &["mo"]),
];

#[tokio::test]
async fn every_path_refuses_every_role_that_has_no_business_there_and_says_whose_it_is() {
    let eco = Ecosystem::new().await;
    for (method, path, may) in ROUTES {
        let (status, code, _) = eco.full(method, path, None, Some(json!({}))).await;
        assert_eq!(
            (status, code.as_str()),
            (StatusCode::UNAUTHORIZED, "pools.unauthenticated"),
            "{method} {path}"
        );
        for client in ["admin", "oem", "mo", "cpo", "cps"] {
            let (status, code, answer) = eco.full(method, path, Some(client), Some(json!({}))).await;
            let refused = code == "pools.forbidden";
            assert_eq!(
                refused,
                !may.contains(&client),
                "{method} {path} as {client}: {status} {answer}"
            );
            if refused {
                assert_eq!(status, StatusCode::FORBIDDEN);
                let message = answer["errorMessages"][0].as_str().unwrap();
                assert!(
                    message.contains(client) && message.contains("takes the role"),
                    "{message}"
                );
                assert_eq!(answer["traceId"].as_str().unwrap().len(), 36);
            }
        }
    }
    for path in [
        "/v1/root/rootCerts",
        "/v1/root/ctl",
        "/opnc/v1/rcp/rootcertificates",
        "/v1/webhook/endpoints",
    ] {
        assert_eq!(
            eco.send("GET", path, None, None).await.0,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
        for (client, _, _) in CLIENTS {
            assert_eq!(
                eco.send("GET", path, Some(client), None).await.0,
                StatusCode::OK,
                "{path} as {client}"
            );
        }
    }
}

#[tokio::test]
async fn a_manufacturer_and_an_operator_touch_only_their_own() {
    let eco = Ecosystem::new().await;
    let car = eco.world.car("erin", Generation::Iso2);
    let pcid = car.vehicle.pcid().reveal().clone();
    let foreign = |status: StatusCode, code: &str| {
        (status, code.to_owned()) == (StatusCode::FORBIDDEN, "pools.foreign".to_owned())
    };
    let (status, code, answer) = eco
        .full("PUT", "/v1/oem/provCerts", Some("oem2"), Some(publication(&car)))
        .await;
    assert!(foreign(status, &code), "{answer}");
    let text = answer.to_string();
    assert!(
        text.contains("oem2") && text.contains("GLD") && !text.contains(&pcid),
        "{text}"
    );
    eco.publish(&car).await;
    eco.generate(&car, "DEGDLC00000031").await;
    for (method, path) in [
        ("GET", format!("/v1/oem/provCerts/{pcid}")),
        ("DELETE", format!("/v1/oem/provCerts/{pcid}")),
        ("GET", format!("/v1/ccp/signedContractData/{pcid}")),
        (
            "PUT",
            format!("/v1/ccp/signedContractData/{pcid}/DEGDLC00000031/default"),
        ),
        (
            "GET",
            format!("/v1/ccp/provideSignedContractData/DEGDLC00000031/{pcid}"),
        ),
    ] {
        let (status, code, answer) = eco.full(method, &path, Some("oem2"), None).await;
        assert!(foreign(status, &code), "{method} {path}: {answer}");
    }
    for (method, path, body) in [
        ("DELETE", "/v1/ccp/signedContractData/DEGDLC00000031", None),
        ("GET", "/v1/ccp/lookupContract/DEGDLC00000031", None),
        (
            "PUT",
            "/v1/cps/generate/signedContractData",
            Some(order(&car, "DEGDLC00000032")),
        ),
    ] {
        let (status, code, answer) = eco.full(method, path, Some("mo2"), body).await;
        assert!(foreign(status, &code), "{method} {path}: {answer}");
    }
    // A manufacturer asking for a contract sees it only for its own vehicles.
    let (status, _) = eco
        .send("GET", "/v1/ccp/lookupContract/DEGDLC00000031", Some("oem2"), None)
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // Everything still stands.
    assert_eq!(
        eco.send("GET", "/v1/ccp/lookupContract/DEGDLC00000031", Some("mo"), None)
            .await
            .0,
        StatusCode::OK
    );
    assert!(
        !eco.world.told.text().contains(&pcid),
        "personal data in an event"
    );
    assert!(
        !eco.world.told.text().contains("DEGDLC00000031"),
        "personal data in an event"
    );
}

#[tokio::test]
async fn tokens_come_for_secrets_only_and_guessing_is_slowed_down() {
    let eco = Ecosystem::new().await;
    let token = async |body: Value| eco.send("POST", "/oauth/token", None, Some(body)).await;
    let secret = eco.secrets["mo"].clone();
    let (status, answer) =
        token(json!({"client_id": "mo", "client_secret": secret, "grant_type": "password"})).await;
    assert_eq!(
        (status, &answer["error"]),
        (StatusCode::BAD_REQUEST, &json!("unsupported_grant_type"))
    );
    let (status, answer) = token(json!({"client_id": "mo"})).await;
    assert_eq!(
        (status, &answer["error"]),
        (StatusCode::BAD_REQUEST, &json!("invalid_request"))
    );
    // As a form, as most OAuth libraries send it.
    let form = format!("grant_type=client_credentials&client_id=mo&client_secret={secret}");
    let request = Request::post("/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .unwrap();
    let (status, headers, body) = eco.raw(request).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["cache-control"], "no-store");
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["scope"], "MO");
    // As MaEVe and CitrineOS take it from a page.
    let (status, page) = eco
        .send(
            "GET",
            &format!("/oauth/token?client_id=mo&client_secret={secret}"),
            None,
            None,
        )
        .await;
    assert_eq!(status, StatusCode::OK);
    let data = page["data"].as_str().unwrap();
    let found = data.split("Bearer ").nth(1).unwrap().split('\n').next().unwrap();
    let request = Request::get("/v1/root/rootCerts")
        .header("authorization", format!("Bearer {found}"))
        .header("x-api-key", found)
        .body(Body::empty())
        .unwrap();
    assert_eq!(eco.raw(request).await.0, StatusCode::OK);
    for (what, header) in [
        ("another token", "Bearer 00".to_owned()),
        ("another scheme", format!("Basic {found}")),
        ("nothing", String::new()),
        ("too long", format!("Bearer {}", "a".repeat(200))),
    ] {
        let request = Request::get("/v1/root/rootCerts")
            .header("authorization", header)
            .body(Body::empty())
            .unwrap();
        assert_eq!(eco.raw(request).await.0, StatusCode::UNAUTHORIZED, "{what}");
    }
    let wrong = json!({"client_id": "mo", "client_secret": "guess", "grant_type": "client_credentials"});
    for _ in 0..10 {
        assert_eq!(token(wrong.clone()).await.0, StatusCode::UNAUTHORIZED);
    }
    // The minute may turn between two guesses; then the count starts again and the next ten are refused.
    let mut slowed = false;
    for _ in 0..11 {
        slowed |= token(wrong.clone()).await.0 == StatusCode::TOO_MANY_REQUESTS;
    }
    assert!(slowed);
    assert!(!eco.world.told.text().contains(&secret), "a secret in an event");
    // A new secret ends the old tokens.
    let client = NewClient {
        roles: vec![Role::Mo],
        wmis: vec![],
        providers: vec!["DEGDL".to_owned()],
    };
    eco.pools.register("mo", &client).await.unwrap();
    assert_eq!(
        eco.send("GET", "/v1/root/rootCerts", Some("mo"), None).await.0,
        StatusCode::UNAUTHORIZED
    );
}
