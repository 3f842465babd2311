//! Evil answers and lists, fetched over HTTP from the place that a certificate names: not believed, whatever they say,
//! and what comes after them is.

use std::sync::Mutex;

use gridlatch_testkit::evil::{self, Evil, Template};
use gridlatch_testkit::evil_revocation::{self as evil_of, Answer as Said, List, Times};
use gridlatch_trust::ocsp::{CertId, Hash, build_request};
use gridlatch_trust::verdict::Rejected;

use super::*;

fn signer(key: &FileKey) -> impl Fn(&[u8]) -> Vec<u8> + '_ {
    |message| key.sign(message).unwrap()
}

fn text(time: time::OffsetDateTime) -> String {
    let format = time::macros::format_description!("[year][month][day][hour][minute][second]Z");
    time.format(format).unwrap()
}

fn times() -> Times {
    let now = now().0;
    let hours = |hours| text(now + time::Duration::hours(hours));
    Times {
        this: hours(-1),
        next: hours(24),
        past: hours(-24 * 30),
        future: hours(24 * 30),
    }
}

/// A root, a leaf of it that names a responder or a list, and the octets that the named place gives.
struct Told {
    key: FileKey,
    name: Vec<u8>,
    root: Vec<u8>,
    leaf: Vec<u8>,
    server: Server,
    says: Arc<Mutex<Vec<u8>>>,
}

impl Told {
    async fn by(list: bool) -> Self {
        let says: Arc<Mutex<Vec<u8>>> = Arc::default();
        let told = Arc::clone(&says);
        let server = server(Arc::new(move |_| http("200 OK", &told.lock().unwrap()))).await;
        let key = || FileKey::generate(KeyAlgorithm::P256).unwrap();
        let (root_key, name) = (key(), evil::name(b"Root", None));
        let sign = signer(&root_key);
        let root = Template::ca(&name, &name, root_key.public_key_der(), 1, None).signed(&sign);
        let mut leaf = Template::leaf(&name, "DE*TST*E1", Some("CPO"), key().public_key_der(), 0x88);
        let url = evil::der::tlv(0x86, format!("http://{}/x", server.place).as_bytes());
        leaf.extensions.push(if list {
            let point = evil::der::tlv(0xA0, &evil::der::tlv(0xA0, &url));
            evil::extension("551d1f", false, &evil::der::seq(&[&evil::der::seq(&[&point])]))
        } else {
            let access = evil::der::seq(&[&evil::der::oid("2b06010505073001"), &url]);
            evil::extension("2b06010505070101", false, &evil::der::seq(&[&access]))
        });
        let leaf = leaf.signed(&sign);
        drop(sign);
        Self {
            key: root_key,
            name,
            root,
            leaf,
            server,
            says,
        }
    }

    /// `CertID` of a certificate with this serial number.
    fn id(&self, serial: &[u8]) -> Vec<u8> {
        let id = CertId::new(&self.root, serial, Hash::Sha1).unwrap();
        let asked = build_request(&gridlatch_trust::ocsp::Request {
            ids: vec![id],
            nonce: None,
        })
        .unwrap();
        // SEQUENCE of SEQUENCE of SEQUENCE of one SEQUENCE around the CertID, each with a length of one octet.
        asked[8..].to_vec()
    }

    /// What the strict verdict is once the place was asked, which says `octets`.
    async fn verdict(&self, octets: &[u8]) -> Result<(), Rejected> {
        octets.clone_into(&mut self.says.lock().unwrap());
        let source = Revocation::new(RevocationConfig::new(AllowedPlaces::new([self
            .server
            .place
            .clone()])));
        let asked = self.server.asked.load(Ordering::SeqCst);
        let gathered = source.gather(std::slice::from_ref(&self.leaf), &self.root).await;
        assert_eq!(self.server.asked.load(Ordering::SeqCst), asked + 1, "asked once");
        let judgement = judge(
            &Case {
                chain: std::slice::from_ref(&self.leaf),
                anchors: std::slice::from_ref(&self.root),
                extra: &[],
                profile: Profile::iso2(Kind::SeccLeaf),
                now: now(),
                evidence: &gathered.evidence,
                policy: Policy {
                    unknown: Unknown::Refuse,
                    ..Policy::STRICT
                },
            },
            &OpensslVerifier,
        );
        judgement
            .reason()
            .map_or(Ok(()), |rejected| Err(rejected.clone()))
    }

    /// Each of them has to leave the certificate's standing unknown.
    async fn none_believed(&self, cases: Vec<Evil>) {
        let mut believed = Vec::new();
        for Evil { defect, der } in cases {
            match self.verdict(&der).await {
                Ok(()) => believed.push(defect),
                Err(rejected) => {
                    println!("{defect}: {rejected}");
                    assert_eq!(rejected.code, codes::UNKNOWN, "{defect}: {rejected}");
                    assert!(!rejected.message.contains('\0') && rejected.message.len() < 1024);
                }
            }
        }
        assert!(believed.is_empty(), "{believed:?}");
    }
}

#[tokio::test]
async fn every_defect_of_a_fetched_answer_leaves_the_standing_unknown_and_the_next_answer_counts() {
    let told = Told::by(false).await;
    let (times, sign, stranger) = (
        times(),
        signer(&told.key),
        FileKey::generate(KeyAlgorithm::P256).unwrap(),
    );
    let (id, elsewhere) = (told.id(&[0x11, 0x22]), told.id(&[0x11, 0x23]));
    let honest = Said::honest(&id, &told.name, &times);
    let by_stranger = signer(&stranger);
    let cases = evil_of::answers(&id, &elsewhere, &honest, &times, &sign, &by_stranger);
    assert!(cases.len() > 25);
    told.none_believed(cases).await;
    told.verdict(&honest.signed(&sign)).await.unwrap();
}

#[tokio::test]
async fn every_defect_of_a_delegated_signers_certificate_makes_its_answer_worthless() {
    let told = Told::by(false).await;
    let (times, by_ca) = (times(), signer(&told.key));
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let by_delegate = signer(&key);
    let mut delegate = Template::leaf(&told.name, "OCSP", None, key.public_key_der(), 0x80);
    let purpose = evil::der::seq(&[&evil::der::oid("2b06010505070309")]);
    delegate
        .extensions
        .push(evil::extension("551d25", false, &purpose));
    delegate
        .extensions
        .push(evil::extension("2b0601050507300105", false, &[5, 0]));
    let mut said = Said::honest(&told.id(&[0x11, 0x22]), &delegate.subject, &times);
    let mut answered = |certificate: Vec<u8>| {
        said.certs = vec![certificate];
        said.signed(&by_delegate)
    };
    let mut cases = evil::certificates(&delegate, &by_ca);
    for lacking in ["551d25", "2b0601050507300105"] {
        let mut less = delegate.clone();
        let kind = evil::der::oid(lacking);
        less.extensions
            .retain(|extension| !extension.windows(kind.len()).any(|part| part == kind));
        cases.push(Evil {
            defect: "without its purpose, or ocsp-nocheck",
            der: less.signed(&by_ca),
        });
    }
    let cases = cases.into_iter().map(|Evil { defect, der }| Evil {
        defect,
        der: answered(der),
    });
    told.none_believed(cases.collect()).await;
    let honest = answered(delegate.signed(&by_ca));
    told.verdict(&honest).await.unwrap();
}

#[tokio::test]
async fn every_defect_of_a_fetched_list_leaves_the_standing_unknown_and_the_next_list_counts() {
    let told = Told::by(true).await;
    let (times, sign, stranger) = (
        times(),
        signer(&told.key),
        FileKey::generate(KeyAlgorithm::P256).unwrap(),
    );
    let honest = List::honest(&told.name, &times);
    let cases = evil_of::lists(&honest, &times, &sign, &signer(&stranger));
    assert!(cases.len() > 25);
    told.none_believed(cases).await;
    told.verdict(&honest.signed(&sign)).await.unwrap();
}
