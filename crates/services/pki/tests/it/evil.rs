//! Evil requests, client certificates and OCSP questions over the real sockets of the services: each is refused by a
//! code, nothing is issued and nothing waits for approval, and an honest one is served after them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_pki::ca::{Role, Serial};
use gridlatch_testkit::evil::{self, Evil, Template, der};
use gridlatch_testkit::{evil_revocation, need};
use gridlatch_trust::ocsp::{CertId, Hash, parse_response};
use gridlatch_trust::profile::Kind;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509;

use crate::support::{Bench, requester};

const NAME: &str = "DE*TST*E1";
const ENROLL: &str = "/.well-known/est/simpleenroll";
const REENROLL: &str = "/.well-known/est/simplereenroll";

fn key() -> FileKey {
    FileKey::generate(KeyAlgorithm::P256).unwrap()
}

fn signer(key: &FileKey) -> impl Fn(&[u8]) -> Vec<u8> + '_ {
    |message| key.sign(message).unwrap()
}

/// Everything that an answer could have added: certificates, requests that wait.
async fn made(bench: &Bench) -> (i64, usize) {
    let issued = bench.ca.store().pki_count().await.unwrap();
    (issued, bench.pending.list().unwrap().len())
}

/// Status and body of a POST over TLS 1.3, with a certificate if there is one; `None` if TLS or HTTP ended before.
fn post(
    bench: &Bench,
    path: &str,
    auth: &str,
    body: &[u8],
    client: Option<(&[Vec<u8>], &FileKey)>,
) -> Option<(u16, String)> {
    let mut context = SslContext::builder(SslMethod::tls_client()).unwrap();
    context.set_min_proto_version(Some(SslVersion::TLS1_3)).unwrap();
    context.set_verify(SslVerifyMode::NONE);
    if let Some((chain, key)) = client {
        let leaf = X509::from_der(&chain[0]).ok()?;
        context.set_certificate(&leaf).ok()?;
        context.set_private_key(key.pkey()).ok()?;
        for above in &chain[1..] {
            context.add_extra_chain_cert(X509::from_der(above).ok()?).ok()?;
        }
    }
    let tcp = TcpStream::connect(bench.https).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut stream = Ssl::new(&context.build()).unwrap().connect(tcp).ok()?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{auth}Content-Type: application/pkcs10\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    // A body that is too large is refused while it is being sent.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn base64(octets: &[u8]) -> Vec<u8> {
    STANDARD.encode(octets).into_bytes()
}

/// Refused by a code of this area, in few words.
fn coded(defect: &str, answer: Option<(u16, String)>) {
    let (status, body) = answer.unwrap_or_else(|| panic!("{defect}: no answer"));
    println!("{defect}: {status} {}", body.lines().next().unwrap_or_default());
    assert!((400..500).contains(&status), "{defect}: {status} {body}");
    let known = ["pki.", "enrolment.", "ca."]
        .iter()
        .any(|area| body.starts_with(area));
    assert!(
        known && body.len() < 1024 && !body.contains('\0'),
        "{defect}: {body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_defect_of_a_request_is_refused_at_both_doors_of_est_and_the_honest_one_is_issued() {
    let bench = Bench::start().await;
    let secret = bench
        .clients
        .add(
            "acme",
            &requester(Role::Cpo, "acme"),
            false,
            gridlatch_host::now(),
        )
        .unwrap();
    let auth = format!(
        "Authorization: Basic {}\r\n",
        STANDARD.encode(format!("acme:{}", secret.expose()))
    );
    let subject = evil::name(NAME.as_bytes(), Some("CPO"));
    let (first, second, other) = (key(), key(), key());
    let honest = |key: &FileKey| base64(&evil::request(&subject, key.public_key_der(), &[], &signer(key)));

    let before = made(&bench).await;
    for Evil { defect, der } in
        evil::requests(&subject, first.public_key_der(), &signer(&first), &signer(&other))
    {
        for body in [base64(&der), der] {
            coded(defect, post(&bench, ENROLL, &auth, &body, None));
        }
    }
    assert_eq!(made(&bench).await, before);
    let (status, issued) = post(&bench, ENROLL, &auth, &honest(&first), None).unwrap();
    assert_eq!(status, 200, "{issued}");

    // The certificate that came renews itself; every defect of the next request is refused all the same.
    let message = STANDARD.decode(issued.replace(['\r', '\n'], "")).unwrap();
    let mut chain = gridlatch_trust::cms::parse_certs_only(&message).unwrap();
    chain.extend(bench.ca.chain("iso2/cpo-sub2").unwrap());
    let client = Some((&chain[..], &first));
    let before = made(&bench).await;
    for Evil { defect, der } in evil::requests(
        &subject,
        second.public_key_der(),
        &signer(&second),
        &signer(&other),
    ) {
        for body in [base64(&der), der] {
            coded(defect, post(&bench, REENROLL, "", &body, client));
        }
    }
    assert_eq!(made(&bench).await, before);
    let (status, issued) = post(&bench, REENROLL, "", &honest(&second), client).unwrap();
    assert_eq!(status, 200, "{issued}");
    assert_eq!(made(&bench).await, (before.0 + 1, before.1));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_defect_of_a_clients_certificate_renews_nothing_though_its_ca_signed_it() {
    let bench = Bench::start().await;
    let issued = bench.leaf(Kind::SeccLeaf, "iso2/cpo-sub2", NAME, "secc").await;
    let ca = FileKey::load(&bench.file("iso2/cpo-sub2.key.pem")).unwrap();
    let by_ca = signer(&ca);
    let above = bench.ca.chain("iso2/cpo-sub2").unwrap();
    let issuer = X509::from_der(&above[0])
        .unwrap()
        .subject_name()
        .to_der()
        .unwrap();
    let (client, next) = (key(), key());
    // With the number of one that the register knows, so that the register alone does not refuse it.
    let mut honest = Template::leaf(&issuer, NAME, Some("CPO"), client.public_key_der(), 0x88);
    honest.serial = der::tlv(0x02, &issued.serial.octets());
    let body = base64(&evil::request(
        &honest.subject,
        next.public_key_der(),
        &[],
        &signer(&next),
    ));
    let before = made(&bench).await;
    let (mut sent, mut answered) = (0, 0);
    for Evil { defect, der } in evil::certificates(&honest, &by_ca) {
        // OpenSSL sends these without their defect.
        if ["octets behind the end", "an indefinite length (BER)"].contains(&defect) {
            continue;
        }
        sent += usize::from(X509::from_der(&der).is_ok());
        let chain = [&[der], &above[..]].concat();
        match post(&bench, REENROLL, "", &body, Some((&chain, &client))) {
            None => println!("{defect}: no handshake"),
            answer => {
                answered += 1;
                coded(defect, answer);
            }
        }
    }
    println!("{sent} could be sent, {answered} of them were let in and refused");
    // Events of one code come once a second with a count; the client knows before the server has written it down.
    for _ in 0..500 {
        if bench.events.of_areas(&["tls.", "pki."]) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(bench.events.of_areas(&["tls.", "pki."]) > 0, "nobody is told");
    assert!(sent > 15, "{sent} could be sent");
    assert_eq!(made(&bench).await, before);
    let secc = FileKey::load(&bench.file("secc.key")).unwrap();
    let subject = X509::from_der(&issued.der)
        .unwrap()
        .subject_name()
        .to_der()
        .unwrap();
    let body = base64(&evil::request(
        &subject,
        next.public_key_der(),
        &[],
        &signer(&next),
    ));
    let (status, said) = post(&bench, REENROLL, "", &body, Some((&issued.chain, &secc))).unwrap();
    assert_eq!(status, 200, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_defect_of_an_ocsp_question_is_answered_without_a_status_by_both_methods() {
    need!(curl);
    let bench = Bench::start().await;
    let issued = bench.leaf(Kind::SeccLeaf, "iso2/cpo-sub2", NAME, "leaf").await;
    let issuer = bench.ca.authority("iso2/cpo-sub2").unwrap().der.clone();
    let serial: Serial = issued.serial;
    let id = CertId::new(&issuer, &serial.octets(), Hash::Sha1).unwrap();
    let cases = evil_revocation::questions(&id.issuer_name_hash, &id.issuer_key_hash, &serial.octets());
    let before = made(&bench).await;
    let ask = |arguments: &[&str]| {
        let output = std::process::Command::new("curl")
            .args(["--silent", "--max-time", "20", "--globoff"])
            .args(arguments)
            .output()
            .unwrap();
        output.stdout
    };
    let url = format!("http://{}/ocsp", bench.http);
    let file = bench.file("question");
    let data = format!("@{}", file.display());
    let posted = |der: &[u8]| {
        std::fs::write(&file, der).unwrap();
        ask(&[
            "--data-binary",
            &data,
            "-H",
            "Content-Type: application/ocsp-request",
            &url,
        ])
    };
    for Evil { defect, der } in cases {
        let mut answers = vec![posted(&der)];
        // Nothing, and what is longer than an address, cannot be asked by GET.
        if (1..4000).contains(&der.len()) {
            answers.push(ask(&[&format!(
                "{url}/{}",
                STANDARD.encode(&der).replace('/', "%2F")
            )]));
        }
        for answer in answers {
            println!("{defect}: {:?}", parse_response(&answer).err());
            // A refusal is five octets long: no status, and nothing that was signed for it.
            assert!(
                answer.len() == 5 && parse_response(&answer).is_err(),
                "{defect}: {} octets {:?}",
                answer.len(),
                parse_response(&answer)
            );
        }
    }
    assert_eq!(made(&bench).await, before);
    let good = evil_revocation::question(
        &[evil_revocation::cert_id(
            &id.issuer_name_hash,
            &id.issuer_key_hash,
            &serial.octets(),
        )],
        &[],
    );
    let said = parse_response(&posted(&good)).unwrap();
    assert_eq!(said.singles[0].status, gridlatch_trust::revocation::Status::Good);
}
