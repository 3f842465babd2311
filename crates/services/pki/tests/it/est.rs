//! Enrolment by curl and OpenSSL.

use gridlatch_pki::ca::{Reason, Role, World};
use gridlatch_testkit::need;
use gridlatch_trust::certificate;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::catalogue::{ca, enrolment, pki, tls as tls_codes};

use crate::support::{Bench, curve, requester};

/// Path, tree, subject, CA, expected domain component, how curl proves who it is.
type Enrolment<'a> = (&'a str, World, &'a str, &'a str, &'a str, Vec<&'a str>);

const SECC: &str = "/CN=DE*TST*E1/O=Test/DC=CPO";

impl Bench {
    /// A client with a secret, as curl's argument.
    fn client(&self, name: &str, role: Role, id: &str, supervised: bool) -> String {
        let secret = self
            .clients
            .add(name, &requester(role, id), supervised, gridlatch_host::now())
            .unwrap();
        format!("{name}:{}", secret.expose())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_enrolment_by_password_and_the_next_by_the_certificate_itself() {
    need!(curl, openssl);
    let bench = Bench::start().await;
    let user = bench.client("acme", Role::Cpo, "acme", false);
    let csr = bench.request("secc", "prime256v1", SECC);

    let refused = bench.post("/.well-known/est/simpleenroll", &csr, &[]);
    assert_eq!(refused.status, 401, "{refused:?}");
    assert!(refused.head.contains("www-authenticate: basic"), "{refused:?}");
    assert!(
        refused.body.starts_with("enrolment.unauthenticated: "),
        "{refused:?}"
    );
    let refused = bench.post("/.well-known/est/simpleenroll", &csr, &["-u", "acme:wrong"]);
    assert_eq!(refused.status, 401, "{refused:?}");

    let answer = bench.post("/.well-known/est/simpleenroll", &csr, &["-u", &user]);
    let first = bench.certificate(&answer, "secc");
    bench.verify("iso2/cpo-sub2", &first);
    let replayed = bench.post("/.well-known/est/simpleenroll", &csr, &["-u", &user]);
    assert_eq!(replayed.status, 409, "{replayed:?}");
    assert!(replayed.body.starts_with(ca::REPLAYED.as_str()), "{replayed:?}");

    // Renewal: a new key under the old certificate.
    let (cert, key) = (bench.file("secc.pem"), bench.file("secc.key"));
    let certificates = certificate::from_pem(&std::fs::read(&cert).unwrap()).unwrap();
    let chain = [certificates, bench.ca.chain("iso2/cpo-sub2").unwrap()].concat();
    let shown = bench.pem("shown.pem", &chain);
    let tls = ["--cert", shown.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let csr = bench.request("again", "prime256v1", SECC);
    let nobody = bench.post("/.well-known/est/simplereenroll", &csr, &["-u", &user]);
    assert_eq!(nobody.status, 403, "a password renews nothing: {nobody:?}");
    let answer = bench.post("/.well-known/est/simplereenroll", &csr, &tls);
    let second = bench.certificate(&answer, "again-issued");
    bench.verify("iso2/cpo-sub2", &second);
    let summary = |path: &std::path::Path| {
        let der = certificate::from_pem(&std::fs::read(path).unwrap()).unwrap();
        certificate::summary(&der[0]).unwrap()
    };
    assert_eq!(summary(&first).subject_cn, summary(&second).subject_cn);
    assert_ne!(summary(&first).serial_hex, summary(&second).serial_hex);

    for subject in [
        "/CN=DE*TST*E2/O=Test/DC=CPO",
        "/CN=DE*TST*E1/O=Other/DC=CPO",
        "/CN=DE*TST*E1/O=Test/C=FR/DC=CPO",
    ] {
        let csr = bench.request("other", "prime256v1", subject);
        let refused = bench.post("/.well-known/est/simplereenroll", &csr, &tls);
        assert_eq!(refused.status, 403, "{subject}: {refused:?}");
        assert!(refused.body.starts_with("enrolment.other_subject"), "{refused:?}");
    }

    // A revoked certificate renews nothing.
    let serial = summary(&first).serial_hex.parse().unwrap();
    bench
        .ca
        .revoke(
            "iso2/cpo-sub2",
            serial,
            Reason::KeyCompromise,
            gridlatch_host::now(),
            &requester(Role::Operator, "tester"),
        )
        .await
        .unwrap();
    let csr = bench.request("late", "prime256v1", SECC);
    let refused = bench.post("/.well-known/est/simplereenroll", &csr, &tls);
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.body.contains("revoked"), "{refused:?}");
    assert!(bench.events.count(enrolment::NOTHING_TO_RENEW) >= 1);
    assert!(bench.events.count(enrolment::UNAUTHENTICATED) >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_curve_enrols_by_the_paths_of_the_protocol_and_of_its_clients() {
    need!(curl, openssl);
    let bench = Bench::of(vec![World::Iso2, World::Iso20, World::Iso20Ed448, World::Ocpp]).await;
    let cpo = bench.client("acme", Role::Cpo, "acme", false);
    let mo = bench.client("mo", Role::Mo, "mo", false);
    let oem = bench.client("oem", Role::Oem, "oem", false);
    let token = format!("Authorization: Bearer {}", cpo.split_once(':').unwrap().1);
    let of = |world: World| match world {
        World::Iso20 => "p521",
        World::Iso20Ed448 => "ed",
        _ => "p256",
    };
    let cases: Vec<Enrolment<'_>> = vec![
        (
            "/.well-known/est/cpo/simpleenroll/ISO15118-2",
            World::Iso2,
            SECC,
            "cpo-sub2",
            "CPO",
            vec!["-u", &cpo],
        ),
        (
            "/.well-known/est/cpo/simpleenroll/ISO15118-20",
            World::Iso20,
            SECC,
            "cpo-sub2",
            "CPO",
            vec!["-u", &cpo],
        ),
        (
            "/.well-known/est/cpo/simpleenroll/ISO15118-20",
            World::Iso20Ed448,
            SECC,
            "cpo-sub2",
            "CPO",
            vec!["-u", &cpo],
        ),
        (
            "/cpo/simpleenroll/ISO15118-2",
            World::Iso2,
            SECC,
            "cpo-sub2",
            "CPO",
            vec!["-H", &token],
        ),
        (
            "/.well-known/cpo/simpleenroll",
            World::Iso2,
            SECC,
            "cpo-sub2",
            "CPO",
            vec!["-H", &token],
        ),
        (
            "/.well-known/est/secc-iso20/simpleenroll",
            World::Iso20,
            SECC,
            "cpo-sub2",
            "CPO",
            vec!["-u", &cpo],
        ),
        (
            "/.well-known/est/mo/simpleenroll/ISO15118-2",
            World::Iso2,
            "/CN=DEGDLC12345678/O=MO/DC=MO",
            "mo-sub2",
            "MO",
            vec!["-u", &mo],
        ),
        (
            "/.well-known/est/oem/simpleenroll/ISO15118-20",
            World::Iso20,
            "/CN=WMIV1234567890ABC/O=OEM/DC=OEM",
            "oem-sub2",
            "OEM",
            vec!["-u", &oem],
        ),
        (
            "/.well-known/est/veh/simpleenroll/ISO15118-20",
            World::Iso20Ed448,
            "/CN=WMIV1234567890ABC/O=OEM/DC=OEM",
            "oem-sub2",
            "OEM",
            vec!["-u", &oem],
        ),
    ];
    for (number, (path, world, subject, name, domain, auth)) in cases.into_iter().enumerate() {
        let file = format!("{number}-{}", of(world));
        let csr = bench.request(&file, curve(world.algorithm()), subject);
        let answer = bench.post(path, &csr, &auth);
        let issued = bench.certificate(&answer, &format!("{file}-issued"));
        bench.verify(&format!("{}/{name}", world.folder()), &issued);
        let der = certificate::from_pem(&std::fs::read(&issued).unwrap()).unwrap();
        let summary = certificate::summary(&der[0]).unwrap();
        assert_eq!(summary.domain_component.as_deref(), Some(domain), "{path}");
        assert_eq!(summary.key, Some(world.algorithm()), "{path}");
    }
    for (path, expected) in [
        ("/.well-known/est/cacerts", 9),
        ("/.well-known/est/secc-iso2/cacerts", 3),
        ("/.well-known/est/station/cacerts", 2),
        ("/.well-known/est/cpo/cacerts/ISO15118-2/secp256r1/", 3),
        ("/cpo/cacerts/ISO15118-2", 3),
        ("/.well-known/cpo/cacerts/ISO15118-20", 6),
        ("/.well-known/est/veh/cacerts/ISO15118-20/ed448", 3),
    ] {
        let answer = bench.curl(path, &[]);
        let pem = bench.certificate(&answer, "cacerts");
        let certificates = certificate::from_pem(&std::fs::read(&pem).unwrap()).unwrap();
        assert_eq!(certificates.len(), expected, "{path}");
    }
    for path in [
        "/.well-known/est/cpo/cacerts/ISO15118-2/secp521r1",
        "/.well-known/est/root/cacerts",
        "/.well-known/est/cpo/cacerts/ISO15118-1",
    ] {
        let answer = bench.curl(path, &[]);
        assert_eq!(answer.status, 404, "{answer:?}");
        assert!(answer.body.starts_with("enrolment.unknown_label"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_say_which_keys_are_wanted_and_keys_are_never_made_here() {
    need!(curl, openssl);
    let bench = Bench::of(vec![World::Iso2, World::Iso20, World::Ocpp]).await;
    for (path, has, lacks) in [
        (
            "/.well-known/est/csrattrs",
            vec!["prime256v1", "secp521r1", "ecdsa-with-SHA256"],
            "ED448",
        ),
        (
            "/.well-known/est/secc-iso2/csrattrs",
            vec!["prime256v1", "ecdsa-with-SHA256"],
            "secp521r1",
        ),
    ] {
        let answer = bench.curl(path, &[]);
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("content-type: application/csrattrs"));
        let file = bench.file("attrs.b64");
        std::fs::write(&file, &answer.body).unwrap();
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg("openssl base64 -d -in \"$0\" | openssl asn1parse -inform DER")
            .arg(&file)
            .output()
            .unwrap();
        let text = crate::support::ok(&output);
        for word in has {
            assert!(text.contains(word), "{path}: {text}");
        }
        assert!(!text.contains(lacks), "{path}: {text}");
    }
    let answer = bench.curl("/.well-known/est/serverkeygen", &["-X", "POST"]);
    assert_eq!(answer.status, 501);
    assert!(answer.body.starts_with("enrolment.key_generation_off"));
    assert_eq!(bench.events.count(enrolment::KEY_GENERATION_OFF), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_said_and_nothing_is_issued() {
    need!(curl, openssl);
    let bench = Bench::start().await;
    let user = bench.client("acme", Role::Cpo, "acme", false);
    let station = bench.client("st", Role::Station, "GL-AC-1", false);
    let enroll = "/.well-known/est/simpleenroll";
    let before = bench.ca.store().pki_count().await.unwrap();
    let good = bench.request("good", "prime256v1", SECC);
    let text = std::fs::read_to_string(&good).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = bench.file(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };

    // The last octet of the signature is another one: the sender does not hold the key.
    let mut der = std::fs::read(bench.file("good.csr")).unwrap();
    *der.last_mut().unwrap() ^= 1;
    let forged = write("forged", &der);
    let curve = bench.request("p521", "secp521r1", SECC);
    bench.request("wish", "prime256v1", SECC);
    let wish = bench.request_for("wish", SECC, &["-addext", "basicConstraints=CA:TRUE"]);
    let contract = bench.request("contract", "prime256v1", "/CN=DEGDLC12345678/O=Test");
    let name = bench.request("bad", "prime256v1", "/CN=DE TST E1/O=Test/DC=CPO");
    let cases: Vec<(&str, std::path::PathBuf, &str, u16, &str)> = vec![
        (enroll, forged, &user, 400, "pki."),
        (enroll, write("empty", b""), &user, 400, "enrolment.not_a_request"),
        (
            enroll,
            write("text", b"hello there!"),
            &user,
            400,
            "enrolment.not_a_request",
        ),
        (enroll, write("cut", &text.as_bytes()[..200]), &user, 400, ""),
        (
            enroll,
            write("big", &vec![b'A'; 30_000]),
            &user,
            413,
            "enrolment.too_large",
        ),
        (
            "/.well-known/est/secc-iso2/simpleenroll",
            curve,
            &user,
            400,
            pki::WRONG_CURVE.as_str(),
        ),
        (enroll, name, &user, 403, pki::LINT_REFUSED.as_str()),
        (enroll, wish, &user, 400, "pki."),
        (
            "/.well-known/est/contract/simpleenroll",
            contract,
            &user,
            403,
            ca::POLICY_REFUSED.as_str(),
        ),
        (enroll, good.clone(), &station, 403, ca::POLICY_REFUSED.as_str()),
        (
            "/.well-known/est/root/simpleenroll",
            good.clone(),
            &user,
            404,
            "enrolment.unknown_label",
        ),
    ];
    for (path, body, user, status, code) in cases {
        let answer = bench.post(path, &body, &["-u", user]);
        assert_eq!(answer.status, status, "{body:?}: {answer:?}");
        assert!(answer.body.starts_with(code), "{body:?}: {answer:?}");
    }
    let data = format!("@{}", good.display());
    let other = bench.curl(
        enroll,
        &[
            "-u",
            &user,
            "--data-binary",
            &data,
            "-H",
            "Content-Type: text/plain",
        ],
    );
    assert_eq!(other.status, 415, "{other:?}");
    assert_eq!(bench.ca.store().pki_count().await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_bound_to_another_connection_is_refused() {
    need!(curl, openssl);
    let bench = Bench::start().await;
    let user = bench.client("acme", Role::Cpo, "acme", false);
    bench.request("bound", "prime256v1", SECC);
    let config = bench.file("req.cnf");
    std::fs::write(
        &config,
        "[req]\nprompt=no\ndistinguished_name=dn\nattributes=at\n[dn]\nCN=DE*TST*E1\n[at]\nchallengePassword=bm90IHRoaXMgb25l\n",
    )
    .unwrap();
    let key = bench.file("bound.key");
    let der = bench.file("bound.der");
    let made = std::process::Command::new("openssl")
        .args(["req", "-new", "-outform", "DER", "-config"])
        .arg(config)
        .arg("-key")
        .arg(key)
        .arg("-out")
        .arg(&der)
        .output()
        .unwrap();
    crate::support::ok(&made);
    let answer = bench.post("/.well-known/est/simpleenroll", &der, &["-u", &user]);
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(
        answer.body.starts_with("enrolment.other_connection"),
        "{answer:?}"
    );
    assert_eq!(bench.events.count(enrolment::OTHER_CONNECTION), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervised_client_asks_again_until_a_person_has_approved() {
    need!(curl, openssl);
    let bench = Bench::start().await;
    let user = bench.client("new", Role::Cpo, "new", true);
    let csr = bench.request("secc", "prime256v1", SECC);
    let path = "/.well-known/est/simpleenroll";
    for _ in 0..2 {
        let answer = bench.post(path, &csr, &["-u", &user]);
        assert_eq!(answer.status, 202, "{answer:?}");
        assert!(answer.head.contains("retry-after: 60"), "{answer:?}");
    }
    let waiting = bench.pending.list().unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].authority, "iso2/cpo-sub2");
    bench.pending.approve(&waiting[0].id).unwrap().unwrap();
    let answer = bench.post(path, &csr, &["-u", &user]);
    let issued = bench.certificate(&answer, "issued");
    bench.verify("iso2/cpo-sub2", &issued);
    assert!(bench.pending.list().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_gets_what_is_its_own_by_the_certificate_it_speaks_ocpp_with() {
    need!(curl, openssl);
    let bench = Bench::start().await;
    bench
        .leaf(Kind::StationClient, "ocpp/csms-sub", "GL-AC-1", "station")
        .await;
    let (cert, key) = (bench.file("station.pem"), bench.file("station.key"));
    let tls = ["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let path = "/.well-known/est/secc/simpleenroll";
    let own = bench.request("own", "prime256v1", "/CN=DE*GDL*EGLAC1/O=Test/DC=CPO");
    let answer = bench.post(path, &own, &tls);
    let issued = bench.certificate(&answer, "own-issued");
    bench.verify("iso2/cpo-sub2", &issued);
    let others = bench.request("others", "prime256v1", "/CN=DE*GDL*EGLDC1/O=Test/DC=CPO");
    let answer = bench.post(path, &others, &tls);
    assert_eq!(answer.status, 403, "{answer:?}");

    // A certificate of another PKI does not get past TLS.
    let stranger = Bench::start().await;
    stranger
        .leaf(Kind::StationClient, "ocpp/csms-sub", "GL-AC-1", "station")
        .await;
    let (cert, key) = (stranger.file("station.pem"), stranger.file("station.key"));
    let tls = ["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let csr = bench.request("third", "prime256v1", "/CN=DE*GDL*EGLAC1/O=Test/DC=CPO");
    let answer = bench.post(path, &csr, &tls);
    assert_eq!(answer.status, 0, "{answer:?}");
    // The client knows before the server has written down why.
    for _ in 0..500 {
        if bench.events.count(tls_codes::UNKNOWN_CA) > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(bench.events.count(tls_codes::UNKNOWN_CA), 1);
}
