//! Evil certificates in the chain of an Authorize, over the socket of a station: refused by a code that names the
//! station, nothing kept of them, and the next honest contract charges.

use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_platform::PlatformConfig;
use gridlatch_store::{Store, TokenStatus};
use gridlatch_testkit::evil::{self, Evil, Template};
use gridlatch_vocab::{Emaid, Event, Personal};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::support::{Station, World, id};

const CONTRACT: &str = "DEGDLC12345678";
/// digitalSignature, nonRepudiation, keyEncipherment, keyAgreement.
const USAGE: u8 = 0xE8;

fn signer(key: &FileKey) -> impl Fn(&[u8]) -> Vec<u8> + '_ {
    |message| key.sign(message).unwrap()
}

/// An MO root, a sub-CA and a contract, and the keys that bend them.
struct Operator {
    root_key: FileKey,
    sub_key: FileKey,
    sub: Template,
    leaf: Template,
}

impl Operator {
    fn new() -> Self {
        let key = || FileKey::generate(KeyAlgorithm::P256).unwrap();
        let (root_key, sub_key) = (key(), key());
        let (root, sub) = (evil::name(b"MO Root", None), evil::name(b"MO Sub", Some("MO")));
        let leaf = Template::leaf(&sub, CONTRACT, Some("MO"), key().public_key_der(), USAGE);
        Self {
            sub: Template::ca(&root, &sub, sub_key.public_key_der(), 2, Some(0)),
            leaf,
            root_key,
            sub_key,
        }
    }

    fn root(&self) -> Vec<u8> {
        let name = evil::name(b"MO Root", None);
        let key = self.root_key.public_key_der();
        Template::ca(&name, &name, key, 1, None).signed(&signer(&self.root_key))
    }

    fn honest(&self) -> [Vec<u8>; 2] {
        [
            self.leaf.signed(&signer(&self.sub_key)),
            self.sub.signed(&signer(&self.root_key)),
        ]
    }
}

fn pem(chain: &[Vec<u8>]) -> String {
    chain.iter().map(|der| evil::pem(der)).collect()
}

/// A platform that honours the operator and knows its contract.
async fn world(operator: &Operator) -> World {
    let store = Store::open(":memory:").await.unwrap();
    let emaid: Personal<Emaid> = Personal::new(CONTRACT.parse().unwrap());
    let put = store.contract_put(&emaid, TokenStatus::Active, false, gridlatch_host::now());
    put.await.unwrap();
    World::with(store, |config| PlatformConfig {
        mo_roots: vec![operator.root()],
        ..config
    })
    .await
}

/// Everything the platform knows of chains that vehicles showed.
async fn kept(world: &World) -> String {
    let (mut vehicles, mut after) = (Vec::new(), String::new());
    loop {
        let page = world.handle.state.trust_page(&after, 100).await.unwrap();
        vehicles.extend(page.holders.into_iter().filter(|one| one.role == "vehicle"));
        match page.next {
            Some(next) => after = next,
            None => break serde_json::to_string(&vehicles).unwrap(),
        }
    }
}

/// What a station was answered, and the codes of the events that named it.
struct Outcome {
    answer: Option<Value>,
    codes: Vec<String>,
}

impl Outcome {
    fn accepted(&self) -> bool {
        self.answer
            .as_ref()
            .is_some_and(|answer| answer[2]["idTokenInfo"]["status"] == "Accepted")
    }
}

fn drain(events: &mut broadcast::Receiver<Event>, name: &str) -> Vec<Event> {
    let mut found = Vec::new();
    while let Ok(event) = events.try_recv() {
        if event
            .station
            .as_ref()
            .is_some_and(|station| station.as_str() == name)
        {
            found.push(event);
        }
    }
    found
}

/// A station that comes back when its connection was closed.
struct Sender<'a> {
    world: &'a World,
    name: &'static str,
    station: Station,
    events: broadcast::Receiver<Event>,
    sent: u32,
}

impl<'a> Sender<'a> {
    async fn new(world: &'a World, name: &'static str) -> Self {
        world.handle.state.register_station(&id(name)).await.unwrap();
        let mut station = world.station(name).await;
        station.boot().await;
        Self {
            world,
            name,
            station,
            events: world.hub.events(),
            sent: 0,
        }
    }

    async fn authorize(&mut self, certificate: &str) -> Outcome {
        let _ = drain(&mut self.events, self.name);
        let payload = json!({
            "idToken": { "idToken": CONTRACT, "type": "eMAID" },
            "certificate": certificate,
        });
        self.sent += 1;
        let call = json!([2, format!("a-{}", self.sent), "Authorize", payload]).to_string();
        let message = tokio_tungstenite::tungstenite::Message::Text(call.into());
        // The platform may close while it is still being sent.
        let _ = futures_util::SinkExt::send(&mut self.station.socket, message).await;
        let answer = self.station.next().await;
        let mut events = drain(&mut self.events, self.name);
        if answer.is_none() {
            // The event of a closed connection may follow its end.
            for _ in 0..500 {
                if events
                    .iter()
                    .any(|event| event.code.as_str() == "ocpp.frame_bound")
                {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                events.extend(drain(&mut self.events, self.name));
            }
            self.station = self.world.station(self.name).await;
            self.station.boot().await;
        }
        for event in &events {
            assert!(
                event.message.len() < 2048 && !event.message.contains('\0'),
                "{event:?}"
            );
            assert!(
                !event.message.contains(CONTRACT),
                "a person's id is told: {event:?}"
            );
        }
        let codes = events
            .iter()
            .map(|event| event.code.as_str().to_owned())
            .collect();
        Outcome { answer, codes }
    }

    /// Has to be refused, by a code of certificates or of what may come over the socket.
    async fn refused(&mut self, defect: &str, certificate: &str) {
        let outcome = self.authorize(certificate).await;
        assert!(!outcome.accepted(), "{defect}: believed");
        let reason = outcome.codes.iter().find(|code| {
            ["pki.", "platform.contract_mismatch", "ocpp.frame_bound"]
                .iter()
                .any(|area| code.starts_with(area))
        });
        println!("{defect}: {reason:?}");
        assert!(
            reason.is_some(),
            "{defect}: {:?} {:?}",
            outcome.codes,
            outcome.answer
        );
        if let Some(answer) = outcome.answer.filter(|answer| answer[0] == 3) {
            let status = &answer[2]["certificateStatus"];
            assert!(status.is_string() && status != "Accepted", "{defect}: {answer}");
        }
    }
}

#[tokio::test]
async fn every_defect_in_a_contracts_chain_is_refused_by_a_code_and_nothing_is_kept_of_it() {
    let operator = Operator::new();
    let world = world(&operator).await;
    let (by_root, by_sub) = (signer(&operator.root_key), signer(&operator.sub_key));
    let [leaf, sub] = operator.honest();
    let before = kept(&world).await;

    let mut station = Sender::new(&world, "EVIL-LEAF").await;
    let all = evil::certificates(&operator.leaf, &by_sub);
    assert!(all.len() > 40, "{}", all.len());
    for Evil { defect, der } in all {
        station.refused(defect, &pem(&[der, sub.clone()])).await;
    }
    let mut station = Sender::new(&world, "EVIL-SUB").await;
    for Evil { defect, der } in evil::certificates(&operator.sub, &by_root) {
        // A CA may well have the basic constraints of a CA.
        if defect != "basic constraints of a CA in a leaf" {
            station.refused(defect, &pem(&[leaf.clone(), der])).await;
        }
    }
    let mut station = Sender::new(&world, "EVIL-TEXT").await;
    let (key, name) = (operator.sub_key.public_key_der(), evil::name(b"MO Root", None));
    let ladder = evil::ladder("MO Sub", &name, key, 100, &by_sub);
    let rings = evil::rings("MO Sub", key, 6, &by_sub);
    let good = pem(&[leaf.clone(), sub.clone()]);
    let texts = [
        ("no text", String::new()),
        ("no PEM", "-----BEGIN CERTIFICATE-----".to_owned()),
        (
            "no Base64",
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".to_owned(),
        ),
        ("half a block", good[..good.len() / 2].to_owned()),
        ("a NUL between", good.replacen("MII", "MI\0I", 1)),
        ("three hundred blocks", evil::pem(&[0x30, 0]).repeat(300)),
        ("a leaf alone", pem(std::slice::from_ref(&leaf))),
        ("its CA first", pem(&[sub.clone(), leaf.clone()])),
        (
            "a ladder of a hundred",
            pem(&[std::slice::from_ref(&leaf), &ladder[..]].concat()),
        ),
        (
            "a ladder of six",
            pem(&[std::slice::from_ref(&leaf), &ladder[..6]].concat()),
        ),
        (
            "rings",
            pem(&[std::slice::from_ref(&leaf), &rings[..10]].concat()),
        ),
    ];
    for (defect, text) in texts {
        station.refused(defect, &text).await;
    }
    assert_eq!(kept(&world).await, before, "something was kept");
    assert!(station.authorize(&good).await.accepted());
    assert_ne!(kept(&world).await, before, "an honest chain is kept");
}

#[tokio::test]
async fn what_comes_beside_an_honest_contract_is_not_kept_with_it() {
    let operator = Operator::new();
    let world = world(&operator).await;
    let chain = operator.honest();
    let mut station = Sender::new(&world, "BESIDE").await;
    let mut believed = 0;
    for Evil { defect, der } in evil::certificates(&operator.sub, &signer(&operator.root_key)) {
        let [leaf, sub] = chain.clone();
        let outcome = station.authorize(&pem(&[leaf, sub, der])).await;
        believed += usize::from(outcome.accepted());
        let coded = |code: &String| code == "ocpp.frame_bound" || code.starts_with("pki.");
        assert!(
            outcome.accepted() || outcome.codes.iter().any(coded),
            "{defect}: {:?}",
            outcome.codes
        );
    }
    assert!(believed > 30, "{believed} were believed for the path beside them");
    let vehicles: Value = serde_json::from_str(&kept(&world).await).unwrap();
    assert_eq!(vehicles.as_array().unwrap().len(), 1, "{vehicles}");
    // Its leaf names a person and is not kept either.
    assert_eq!(vehicles[0]["shows"][0]["chain"], pem(&chain[1..]), "{vehicles}");
}
