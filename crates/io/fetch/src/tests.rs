mod evil;

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gridlatch_keys::{FileKey, KeyAlgorithm, OpensslVerifier, Signer as _};
use gridlatch_trust::build::{Issuer, Request, Subject, build};
use gridlatch_trust::ocsp::{Single, build_response, parse_request};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::revocation::{Reason, Status};
use gridlatch_trust::verdict::{AllowedPlaces, Case, Policy, Unknown, judge};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::revocation as codes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// How a server answers: from the request's body to all octets that go out.
type Answer = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

struct Server {
    place: String,
    asked: Arc<AtomicUsize>,
}

async fn server(answer: Answer) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut request = Vec::new();
                let body = loop {
                    tcp.read_buf(&mut request).await.unwrap();
                    let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
                    let Some(end) = text.find("\r\n\r\n") else {
                        continue;
                    };
                    let length = text
                        .lines()
                        .find_map(|line| line.strip_prefix("content-length: "))
                        .map_or(0, |length| length.trim().parse::<usize>().unwrap());
                    if request.len() >= end + 4 + length {
                        break request[end + 4..].to_vec();
                    }
                };
                let octets = answer(&body);
                if octets.is_empty() {
                    // Says nothing, and keeps the line.
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                let _ = tcp.write_all(&octets).await;
            });
        }
    });
    Server { place, asked }
}

fn http(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// With more time than any honest answer takes on a busy machine.
fn fetcher(place: &str) -> Fetcher {
    within(place, Duration::from_secs(30))
}

fn within(place: &str, limit: Duration) -> Fetcher {
    Fetcher::new(AllowedPlaces::new([place.to_owned()]), limit)
}

#[tokio::test]
async fn what_an_allowed_place_answers_comes_back_and_everything_else_is_an_error() {
    let fine = server(Arc::new(|_| http("200 OK", b"list"))).await;
    let url = format!("http://{}/a.crl", fine.place);
    assert_eq!(fetcher(&fine.place).get(&url, 4).await.unwrap(), "list"[..]);
    assert!(matches!(
        fetcher(&fine.place).get(&url, 3).await,
        Err(FetchError::TooLarge { limit: 3, .. })
    ));

    let before = fine.asked.load(Ordering::SeqCst);
    for url in [
        format!("http://127.0.0.1:1/a?x={}", fine.place),
        format!("http://{}@127.0.0.1:1/", fine.place),
        format!("https://{}/", fine.place),
        "http://169.254.169.254/latest".to_owned(),
        "file:///etc/passwd".to_owned(),
        format!("http://{}/a b", fine.place),
        format!("http://{}/\r\nX: y", fine.place),
    ] {
        let error = fetcher(&fine.place).get(&url, 100).await.unwrap_err();
        assert!(matches!(error, FetchError::NotAllowed(_)), "{url}: {error}");
    }
    assert_eq!(fine.asked.load(Ordering::SeqCst), before, "nobody was asked");

    let cases: [(&str, Answer); 4] = [
        ("status 404", Arc::new(|_| http("404 Not Found", b""))),
        (
            "status 302",
            Arc::new(|_| http("302 Found\r\nLocation: http://127.0.0.1:1/", b"")),
        ),
        ("does not answer", Arc::new(|_| b"SSH-2.0-OpenSSH\r\n".to_vec())),
        (
            "does not answer",
            Arc::new(|_| [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 100_000]].concat()),
        ),
    ];
    for (wanted, answer) in cases {
        let bad = server(answer).await;
        let error = fetcher(&bad.place)
            .get(&format!("http://{}/", bad.place), 100)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
    }
    let silent = server(Arc::new(|_| Vec::new())).await;
    let error = within(&silent.place, Duration::from_millis(500))
        .get(&format!("http://{}/", silent.place), 100)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("in time"), "{error}");
    let error = fetcher("127.0.0.1:1")
        .get("http://127.0.0.1:1/", 1)
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
}

/// A CA, a leaf that names a responder, and what the responder says of it.
struct Pki {
    root: Vec<u8>,
    key: FileKey,
    leaf: Vec<u8>,
}

fn now() -> Timestamp {
    Timestamp(std::time::SystemTime::now().into())
}

fn pki(place: &str) -> Pki {
    let (key, leaf_key) = (
        FileKey::generate(KeyAlgorithm::P256).unwrap(),
        FileKey::generate(KeyAlgorithm::P256).unwrap(),
    );
    let url = format!("http://{place}/ocsp");
    let make = |kind, name: &str, spki: &[u8], issuer: Option<&[u8]>| {
        let mut serial = [1; 8];
        getrandom::fill(&mut serial[1..]).unwrap();
        let request = Request {
            profile: Profile::iso2(kind),
            subject: Subject {
                common_name: name.to_owned(),
                organization: None,
                country: None,
            },
            spki,
            serial: &serial,
            not_before: Timestamp(now().0 - time::Duration::hours(1)),
            not_after: None,
            alt_names: Vec::new(),
            ocsp_url: issuer.map(|_| url.clone()),
            crl_url: None,
        };
        let issuer = issuer.map_or(Issuer::Itself, Issuer::Ca);
        build(&request, issuer, KeyAlgorithm::P256, &|message| {
            key.sign(message).map_err(Into::into)
        })
        .unwrap()
    };
    let root = make(Kind::CsmsRoot, "root", key.public_key_der(), None);
    let leaf = make(
        Kind::StationClient,
        "CS-1",
        leaf_key.public_key_der(),
        Some(&root),
    );
    Pki { root, key, leaf }
}

impl Pki {
    fn says(&self, question: &[u8], status: Status) -> Vec<u8> {
        let asked = parse_request(question).unwrap();
        let single = Single {
            id: asked.ids[0].clone(),
            status,
            this_update: now(),
            next_update: Some(Timestamp(now().0 + time::Duration::hours(1))),
        };
        build_response(
            &self.root,
            now(),
            &[single],
            asked.nonce.as_deref(),
            &[],
            KeyAlgorithm::P256,
            &|message| self.key.sign(message).map_err(Into::into),
        )
        .unwrap()
    }
}

fn verdict(pki: &Pki, gathered: &Gathered, unknown: Unknown) -> Result<(), gridlatch_vocab::Code> {
    let judgement = judge(
        &Case {
            chain: std::slice::from_ref(&pki.leaf),
            anchors: std::slice::from_ref(&pki.root),
            extra: &[],
            profile: Profile::iso2(Kind::StationClient),
            now: now(),
            evidence: &gathered.evidence,
            policy: Policy {
                unknown,
                ..Policy::STRICT
            },
        },
        &OpensslVerifier,
    );
    match judgement.reason() {
        None => Ok(()),
        Some(rejected) => Err(rejected.code),
    }
}

/// Starts a responder for a PKI of its own, whose word is `status` and which `up` may switch off.
async fn responder(status: Status, up: Arc<std::sync::atomic::AtomicBool>) -> (Arc<Pki>, Server) {
    let pki: Arc<std::sync::OnceLock<Arc<Pki>>> = Arc::default();
    let known = Arc::clone(&pki);
    let server = server(Arc::new(move |question| {
        if up.load(Ordering::SeqCst) {
            http("200 OK", &known.get().unwrap().says(question, status))
        } else {
            http("503 Service Unavailable", b"")
        }
    }))
    .await;
    let made = Arc::new(self::pki(&server.place));
    pki.set(Arc::clone(&made)).ok().unwrap();
    (made, server)
}

fn revocation(place: &str, keep: Duration) -> Revocation {
    Revocation::new(RevocationConfig {
        keep,
        // As in `fetcher`.
        limit: Duration::from_secs(30),
        ..RevocationConfig::new(AllowedPlaces::new([place.to_owned()]))
    })
}

#[tokio::test]
async fn a_responder_is_asked_once_and_its_word_decides() {
    let up = || Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (pki, server) = responder(Status::Good, up()).await;
    let source = revocation(&server.place, Duration::from_secs(60));
    for _ in 0..5 {
        let gathered = source.gather(std::slice::from_ref(&pki.leaf), &pki.root).await;
        assert_eq!(gathered.notes, []);
        assert_eq!(verdict(&pki, &gathered, Unknown::Refuse), Ok(()));
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 1, "the answer is remembered");
    assert_eq!(source.kept(), 1);

    let (pki, server) = responder(
        Status::Revoked {
            at: now(),
            reason: Reason::KeyCompromise,
        },
        up(),
    )
    .await;
    let source = revocation(&server.place, Duration::from_secs(60));
    let gathered = source.gather(std::slice::from_ref(&pki.leaf), &pki.root).await;
    assert_eq!(verdict(&pki, &gathered, Unknown::Accept), Err(codes::REVOKED));
    assert!(source.staple(&pki.leaf, &pki.root).await.is_ok());
}

#[tokio::test]
async fn a_responder_that_is_down_is_noted_left_alone_for_a_while_and_its_last_word_is_kept() {
    let up = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (pki, server) = responder(Status::Good, Arc::clone(&up)).await;
    let source = revocation(&server.place, Duration::ZERO);
    let path = std::slice::from_ref(&pki.leaf);
    source.gather(path, &pki.root).await;
    up.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        let gathered = source.gather(path, &pki.root).await;
        assert_eq!(gathered.notes.len(), 1, "{:?}", gathered.notes);
        assert_eq!(
            verdict(&pki, &gathered, Unknown::Refuse),
            Ok(()),
            "the answer of before is still within its dates"
        );
    }
    assert_eq!(
        server.asked.load(Ordering::SeqCst),
        2,
        "one attempt, then a pause"
    );

    let fresh = revocation(&server.place, Duration::from_secs(60));
    let gathered = fresh.gather(path, &pki.root).await;
    assert_eq!(verdict(&pki, &gathered, Unknown::Refuse), Err(codes::UNKNOWN));
    assert_eq!(verdict(&pki, &gathered, Unknown::Accept), Ok(()));

    let elsewhere = revocation("ocsp.example", Duration::from_secs(60));
    let gathered = elsewhere.gather(path, &pki.root).await;
    assert!(
        gathered.notes[0].why.contains("not an allowed place"),
        "{:?}",
        gathered.notes
    );
}

#[test]
fn the_memory_is_bounded() {
    let cache = cache::Cache::default();
    let now = std::time::Instant::now();
    let life = Duration::from_secs(60);
    for number in 0..cache::MAX_KEPT + 100 {
        cache.keep(
            number.to_be_bytes().to_vec(),
            vec![0; 8].into(),
            now + Duration::from_micros(number as u64),
            life,
        );
    }
    assert_eq!(cache.len(), cache::MAX_KEPT);
    assert!(
        matches!(cache.find(&0_usize.to_be_bytes(), now), cache::Known::Ask(None)),
        "the oldest went"
    );
    for number in 0..10_u8 {
        cache.keep(
            vec![number],
            vec![0; 10 * 1024 * 1024].into(),
            now + Duration::from_secs(number.into()),
            life,
        );
    }
    assert!(
        cache.len() < 10,
        "lists are bounded by their size: {}",
        cache.len()
    );
}

fn check(place: &str, unknown: Unknown) -> RevocationCheck {
    let policy = Policy {
        unknown,
        ..Policy::STRICT
    };
    RevocationCheck {
        patience: Duration::from_millis(300),
        again: Duration::from_millis(50),
        ..RevocationCheck::new(revocation(place, Duration::ZERO), policy)
    }
}

#[tokio::test]
async fn a_check_takes_no_longer_than_its_patience_and_says_who_was_silent() {
    let silent = server(Arc::new(|_| Vec::new())).await;
    let pki = pki(&silent.place);
    let path = [pki.leaf.clone(), pki.root.clone()];
    let began = std::time::Instant::now();
    let accepted = check(&silent.place, Unknown::Accept)
        .standing(&path, None, now(), &OpensslVerifier)
        .await;
    assert_eq!(accepted.unwrap()[0].status, Status::Unknown);
    let strict = check(&silent.place, Unknown::Refuse);
    let unfit = strict
        .standing(&path, None, now(), &OpensslVerifier)
        .await
        .unwrap_err();
    assert_eq!((unfit.rejected.code, unfit.reason), (codes::UNKNOWN, None));
    assert!(
        unfit.rejected.message.contains("nobody answered within 300 ms"),
        "{unfit:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // A staple that is good answers the question without anybody else.
    let question = ocsp_question(&pki);
    let staple = pki.says(&question, Status::Good);
    let checked = strict
        .standing(&path, Some(&staple), now(), &OpensslVerifier)
        .await
        .unwrap();
    assert_eq!(checked[0].status, Status::Good);
    assert!(checked[0].because.contains("stapled"), "{checked:?}");
    let unfit = strict
        .standing(&path, Some(b"no staple"), now(), &OpensslVerifier)
        .await
        .unwrap_err();
    assert_eq!(unfit.rejected.code, codes::UNKNOWN);
    // Nothing to ask about.
    assert_eq!(
        strict.standing(&[], None, now(), &OpensslVerifier).await.unwrap(),
        []
    );
}

fn ocsp_question(pki: &Pki) -> Vec<u8> {
    use gridlatch_trust::ocsp::{CertId, Hash, Request, build_request};
    let serial = gridlatch_trust::certificate::serial(&pki.leaf).unwrap();
    build_request(&Request {
        ids: vec![CertId::new(&pki.root, &serial, Hash::Sha1).unwrap()],
        nonce: None,
    })
    .unwrap()
}

#[tokio::test]
async fn a_connection_that_lasts_is_asked_about_until_it_is_revoked_and_survives_an_outage() {
    #[derive(Clone, Copy)]
    enum Word {
        Good,
        Away,
        Revoked,
    }
    let word = Arc::new(std::sync::Mutex::new(Word::Good));
    let known: Arc<std::sync::OnceLock<Pki>> = Arc::default();
    let (said, made) = (Arc::clone(&word), Arc::clone(&known));
    let server = server(Arc::new(move |question| {
        let status = match *said.lock().unwrap() {
            Word::Good => Status::Good,
            Word::Away => return http("503 Service Unavailable", b""),
            Word::Revoked => Status::Revoked {
                at: now(),
                reason: Reason::CertificateHold,
            },
        };
        http("200 OK", &made.get().unwrap().says(question, status))
    }))
    .await;
    let pki = known.get_or_init(|| pki(&server.place));
    let path = [pki.leaf.clone(), pki.root.clone()];
    let check = check(&server.place, Unknown::Refuse);
    let lasting = check.until_revoked(&path, now, &OpensslVerifier);
    tokio::pin!(lasting);
    // A place that is away is asked once, and then left alone.
    for (state, questions) in [(Word::Good, 2), (Word::Away, 1)] {
        *word.lock().unwrap() = state;
        let enough = server.asked.load(Ordering::SeqCst) + questions;
        let asked = async {
            while server.asked.load(Ordering::SeqCst) < enough {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // And what was answered has been heard.
            tokio::time::sleep(Duration::from_millis(300)).await;
        };
        tokio::select! {
            unfit = &mut lasting => panic!("it was ended: {unfit:?}"),
            asked = tokio::time::timeout(Duration::from_secs(60), asked) => asked.expect("it is asked again"),
        }
    }
    *word.lock().unwrap() = Word::Revoked;
    // The place that failed is left alone for ten seconds.
    let unfit = tokio::time::timeout(Duration::from_secs(20), lasting)
        .await
        .unwrap();
    assert_eq!((unfit.rejected.code, unfit.is_final()), (codes::REVOKED, false));
}
