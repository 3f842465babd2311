use std::collections::VecDeque;
use std::sync::Mutex;

use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_tls::{Credential, VehicleServerConfig};
use gridlatch_trust::build::{Issuer, Request, Subject, build};
use gridlatch_trust::ocsp::{CertId, Hash, Single, build_response};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, Profile};
use gridlatch_vocab::{Event, EventSink};
use time::Duration as Span;

use super::*;

#[test]
fn an_answer_is_renewed_at_half_its_life_and_dropped_at_its_end() {
    let at = |hours: i64| Timestamp(time::OffsetDateTime::UNIX_EPOCH + Span::hours(hours));
    let stapled = Stapled {
        status: Status::Good,
        this_update: at(100),
        next_update: Some(at(124)),
    };
    assert_eq!(due(None, at(0)), Due::Fetch);
    assert_eq!(due(Some(&stapled), at(100)), Due::Nothing);
    assert_eq!(due(Some(&stapled), at(111)), Due::Nothing);
    assert_eq!(due(Some(&stapled), at(112)), Due::Fetch);
    assert_eq!(due(Some(&stapled), at(123)), Due::Fetch);
    assert_eq!(due(Some(&stapled), at(124)), Due::Drop);
    let endless = Stapled {
        next_update: None,
        ..stapled
    };
    assert_eq!(due(Some(&endless), at(101)), Due::Drop);
}

/// What a responder does when it is asked next.
#[derive(Debug)]
enum Act {
    Fails,
    TalksNonsense,
    /// An answer that begins to age when it is asked for: two seconds old, six long.
    Answers,
}

/// Acts in their order, then errors.
struct Script(World, Mutex<VecDeque<Act>>);

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&self.1).finish()
    }
}

impl StapleSource for Script {
    fn fetch<'a>(&'a self, _chain: &'a [Vec<u8>]) -> Fetched<'a> {
        let next = self.1.lock().unwrap().pop_front();
        Box::pin(async move {
            match next {
                Some(Act::Fails) => Err("not yet".to_owned()),
                Some(Act::TalksNonsense) => Ok(b"nonsense".to_vec()),
                Some(Act::Answers) => Ok(self.0.answer(Span::seconds(2), Span::seconds(6))),
                None => Err("the responder is away".to_owned()),
            }
        })
    }
}

#[derive(Default)]
struct Sink(Mutex<Vec<Event>>);

impl EventSink for Sink {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

struct World {
    credential: Credential,
    issuer: FileKey,
}

fn world() -> World {
    let key = || FileKey::generate(KeyAlgorithm::P256).unwrap();
    let now = gridlatch_host::now();
    let made = |kind, cn: &str, key: &FileKey, issuer: Option<(&[u8], &FileKey)>| {
        let signer = issuer.map_or(key, |(_, key)| key);
        build(
            &Request {
                profile: Profile {
                    kind,
                    generation: Generation::Iso2,
                },
                subject: Subject {
                    common_name: cn.into(),
                    organization: None,
                    country: None,
                },
                spki: key.public_key_der(),
                serial: &[kind as u8 + 1],
                not_before: Timestamp(now.0 - Span::DAY),
                not_after: Some(Timestamp(now.0 + Span::days(20))),
                alt_names: Vec::new(),
                ocsp_url: None,
                crl_url: None,
            },
            issuer.map_or(Issuer::Itself, |(der, _)| Issuer::Ca(der)),
            KeyAlgorithm::P256,
            &|message| signer.sign(message).map_err(Into::into),
        )
        .unwrap()
    };
    let (root, issuer, leaf) = (key(), key(), key());
    let root_der = made(Kind::V2gRoot, "Root", &root, None);
    let sub = made(Kind::CpoSub1, "Sub", &issuer, Some((&root_der, &root)));
    let leaf_der = made(Kind::SeccLeaf, "DE*TST*E1", &leaf, Some((&sub, &issuer)));
    World {
        credential: Credential::new("secc", vec![leaf_der, sub], Arc::new(leaf)),
        issuer,
    }
}

impl World {
    fn answer(&self, age: Span, life: Span) -> Vec<u8> {
        let this_update = Timestamp(gridlatch_host::now().0 - age);
        let single = Single {
            id: CertId::new(
                &self.credential.chain[1],
                &[Kind::SeccLeaf as u8 + 1],
                Hash::Sha256,
            )
            .unwrap(),
            status: Status::Good,
            this_update,
            next_update: Some(Timestamp(this_update.0 + life)),
        };
        build_response(
            &self.credential.chain[1],
            this_update,
            &[single],
            None,
            &[],
            KeyAlgorithm::P256,
            &|message| self.issuer.sign(message).map_err(Into::into),
        )
        .unwrap()
    }
}

#[tokio::test]
async fn a_responder_that_goes_away_is_reported_once_and_the_old_answer_ends_in_its_time() {
    let world = world();
    let server = Arc::new(
        VehicleServer::new(VehicleServerConfig {
            credentials: vec![world.credential.clone()],
            vehicle_roots: Vec::new(),
            iso2: true,
            iso20: false,
            allow_legacy_cbc: true,
            key_log: None,
            handshake_timeout: Duration::from_secs(5),
        })
        .unwrap(),
    );
    let acts = VecDeque::from([Act::Fails, Act::TalksNonsense, Act::Answers]);
    let script = Script(world, Mutex::new(acts));
    let sink = Arc::new(Sink::default());
    let report = Reporter::new(
        Arc::clone(&sink) as Arc<dyn EventSink>,
        "GL-AC-1".parse().unwrap(),
    );
    let work = keep_fresh_looking_every(Duration::from_millis(100), server, Arc::new(script), report);
    let expired = async {
        while !sink
            .0
            .lock()
            .unwrap()
            .iter()
            .any(|event| event.code == tls::STAPLE_EXPIRED)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Nothing more comes of it.
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    tokio::select! {
        () = work => unreachable!("it runs for as long as the station does"),
        ended = tokio::time::timeout(Duration::from_secs(60), expired) => ended.expect("the answer ends"),
    }
    let events = sink.0.lock().unwrap();
    let codes: Vec<Code> = events.iter().map(|event| event.code).collect();
    assert_eq!(
        codes,
        [
            tls::STAPLE_UNAVAILABLE,
            tls::STAPLE_RENEWED,
            tls::STAPLE_UNAVAILABLE,
            tls::STAPLE_EXPIRED,
        ],
        "{events:?}"
    );
    assert!(events[0].message.contains("not yet"), "{:?}", events[0]);
    assert!(
        events[2].message.contains("the old one is valid until"),
        "{:?}",
        events[2]
    );
}
