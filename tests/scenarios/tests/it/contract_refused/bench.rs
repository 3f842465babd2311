//! Car, station and platform on one bench, and what they make of it.

use super::*;

/// Everything from the cable to the provisioning service.
struct Bench {
    pki: Arc<Pki>,
    stranger: Arc<Pki>,
    service: Arc<Service>,
    platform: PlatformHandle,
    station: StationHandle,
    to_platform: mpsc::Sender<ToPlatform>,
    hub: Hub,
    shutdown: Shutdown,
    kept: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let (pki, stranger) = (Pki::new(), Pki::new());
        let (hub, shutdown) = (Hub::new(HubConfig::default(), None), Shutdown::new());
        let service = Arc::new(Service {
            ours: pki.service(&pki, &["demo", "thief"], &hub).await,
            // Our provisioning service, and a stranger for an operator.
            theirs: pki.service(&stranger, &["demo"], &hub).await,
            pki: Arc::clone(&pki),
            stranger: Arc::clone(&stranger),
            mood: Mutex::new(Mood::Honest),
            heard: Mutex::new(Vec::new()),
        });
        let config = PlatformConfig {
            allow_plaintext: true,
            mo_roots: pki.pki.mo_roots(),
            contracts: Some(Arc::<Service>::clone(&service)),
            ..PlatformConfig::default()
        };
        let store = Store::open(":memory:").await.unwrap();
        let platform = Platform::start(config, Plaintext, store.clone(), hub.clone(), shutdown.clone())
            .await
            .unwrap();
        let id: StationId = "GL-1".parse().unwrap();
        platform.state.register_station(&id).await.unwrap();
        let vehicle: VehicleName = "demo".parse().unwrap();
        store
            .contract_put(&vehicle.emaid(), TokenStatus::Active, true, now())
            .await
            .unwrap();
        let tls = TlsSetup {
            credentials: pki.pki.station_credentials(&id).unwrap(),
            vehicle_roots: pki.pki.oem_roots(),
            contract_roots: pki.pki.mo_roots(),
            vehicle_revocation: None,
            allow_legacy_cbc: true,
            key_log: None,
        };
        let config = StationConfig {
            station: id.clone(),
            evses: vec![EvseConfig::dc(EvseId(1), "DE*GDL*E000001*1", CableMode::Virtual)],
            tls: Some(tls),
            custody: None,
            allow_plaintext_eim: false,
            sdp: SdpMode::Loopback,
            eim: EimPolicy::Assume {
                token: Personal::new("TEST".to_owned()),
                kind: "Central".to_owned(),
            },
            sample_interval: Duration::from_millis(500),
            permit_life: Duration::from_secs(2),
        };
        let (to_platform, link) = mpsc::channel(64);
        let (to_station, from_platform) = mpsc::channel(16);
        let url = format!("ws://{}/ocpp", platform.ocpp_addr);
        let mut csms = CsmsConfig::new(url, id, Store::open(":memory:").await.unwrap());
        csms.first_pause = Duration::from_millis(50);
        let running = csms::run(csms, link, to_station, hub.clone(), shutdown.clone());
        tokio::spawn(async move { running.await.unwrap() });
        let sink: Arc<dyn EventSink> = Arc::new(hub.clone());
        let station =
            Station::start(config, sink, to_platform.clone(), from_platform, shutdown.clone()).unwrap();
        Self {
            pki,
            stranger,
            service,
            platform,
            station,
            to_platform,
            hub,
            shutdown,
            kept: temp::dir().unwrap(),
        }
    }

    /// What the car `name` asks by.
    fn credential(&self, name: &str, generation: Generation) -> InstallCredential {
        self.credential_of(&self.pki, name, generation)
    }

    fn credential_of(&self, pki: &Pki, name: &str, generation: Generation) -> InstallCredential {
        let vehicle: VehicleName = name.parse().unwrap();
        let (chain, key) = pki
            .pki
            .provisioning_with_key(&vehicle, edition(generation))
            .unwrap();
        InstallCredential {
            action: Action::Install,
            chain,
            key,
            pcid: vehicle.pcid(),
            emaid: None,
            roots: self.pki.pki.v2g_roots(),
            mo_roots: self.pki.pki.mo_roots(),
            without_mo_root: WithoutMoRoot::default(),
            keep: Some(ContractFolder {
                folder: self.kept.path().to_owned(),
                name: folder(edition(generation)).to_owned(),
            }),
        }
    }

    async fn charge(&self, credential: InstallCredential, generation: Generation) -> Outcome {
        let identity = (generation == Generation::Iso20)
            .then(|| self.pki.pki.vehicle(&"demo".parse().unwrap()).unwrap());
        let config = ChargeConfig {
            link: LinkConfig {
                plug: None,
                discover: DiscoverAt::Address(self.station.evses[0].sdp),
            },
            generation,
            energy: Energy::Dc,
            control: None,
            auth: Auth::Install(credential),
            tls: Some(gridlatch_evcc::TlsSetup {
                roots: self.pki.pki.v2g_roots(),
                identity,
                key_log: None,
                staple: gridlatch_evcc::StaplePolicy::default(),
            }),
            battery: BatteryConfig::default(),
            wish: Wish {
                charge: Goal {
                    duration_ms: Some(100),
                    ..Goal::default()
                },
                discharge: None,
                departure_s: 0,
            },
            mac: Personal::new([2, 0, 0, 0, 0, 0x77]),
            pace: Some(50),
            patience: 4,
            stop: Shutdown::new(),
            progress: None,
        };
        let (steps, mut seen) = mpsc::channel(64);
        tokio::spawn(async move { while seen.recv().await.is_some() {} });
        // The session's future is bound to its thread.
        let hub = self.hub.clone();
        let (done, outcome) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let _ = done.send(runtime.block_on(gridlatch_evcc::charge(config, Arc::new(hub), steps)));
        });
        outcome.await.unwrap()
    }

    /// As [`Self::charge`], once more where a busy machine was slower than the vehicle's patience.
    async fn in_time(&self, credential: InstallCredential, generation: Generation) -> Outcome {
        let late = || {
            let events = self.hub.recent(1000);
            events
                .iter()
                .filter(|event| event.message.contains("in the time the vehicle waits"))
                .count()
        };
        let wanted = *self.service.mood.lock().unwrap() == Mood::Late;
        for _ in 0..4 {
            let before = late();
            let outcome = self.charge(credential.clone(), generation).await;
            if wanted || late() == before {
                return outcome;
            }
        }
        panic!("this machine is too slow for a vehicle");
    }

    fn count(&self, code: Code) -> usize {
        self.hub
            .recent(1000)
            .iter()
            .filter(|event| event.code == code)
            .count()
    }

    /// Waits for more events of this code than `before`: the car knows before the others have written down why.
    async fn counts(&self, code: Code, before: usize) -> bool {
        for _ in 0..600 {
            if self.count(code) > before {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.kept.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The car is refused: by that code on its side, with `seen` among the events of the others.
    async fn refused(
        &self,
        what: &str,
        credential: InstallCredential,
        generation: Generation,
        own: Code,
        seen: Code,
    ) -> Failure {
        let (closed, before) = (self.count(power::CONTACTOR_CLOSED), self.count(seen));
        let outcome = self.in_time(credential, generation).await;
        let events: Vec<String> = self
            .hub
            .recent(30)
            .iter()
            .map(|event| format!("{} {}: {}", event.source, event.code, event.message))
            .collect();
        let failure = outcome
            .failure()
            .unwrap_or_else(|| panic!("{generation:?}, {what}: charged\n{events:#?}"))
            .clone();
        println!(
            "{generation:?}, {what}: {} {:?} {}",
            failure.code, failure.response_code, failure.message
        );
        assert_eq!(failure.code, own, "{what}: {failure:?}\n{events:#?}");
        assert!(self.counts(seen, before).await, "{what}: no {seen}\n{events:#?}");
        assert_eq!(self.count(power::CONTACTOR_CLOSED), closed, "{what}: power");
        assert!(self.files().is_empty(), "{what}: the car kept {:?}", self.files());
        let row = failure.code.row();
        assert!(
            !failure.message.is_empty() && !row.remedy.is_empty() && !row.causes.is_empty(),
            "{what}"
        );
        failure
    }
}

fn told(failure: &Failure, any: &[&str]) {
    let word = failure.response_code.as_deref().unwrap_or_default();
    assert!(any.iter().any(|one| word.ends_with(one)), "{word:?}: {failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_that_is_not_in_order_is_refused_by_its_code_kept_by_nobody_and_the_next_car_is_served() {
    let bench = Bench::new().await;
    for generation in [Generation::Iso2, Generation::Iso20] {
        for (mood, own, seen) in [
            (Mood::Down, session::STATION_REFUSED, pnc::CONTRACT_NOT_PROVIDED),
            (Mood::Late, session::STATION_REFUSED, pnc::CONTRACT_NOT_PROVIDED),
            (
                Mood::Garbage,
                session::STATION_REFUSED,
                provisioning::ANSWER_MALFORMED,
            ),
            (
                Mood::OfAnotherStandard,
                session::STATION_REFUSED,
                provisioning::ANSWER_MALFORMED,
            ),
            (
                Mood::SignedByAnotherKey,
                provisioning::SIGNATURE_INVALID,
                provisioning::SIGNATURE_INVALID,
            ),
            (
                Mood::SignedByAStranger,
                pnc::OFFER_UNTRUSTED,
                pnc::OFFER_UNTRUSTED,
            ),
            (
                Mood::OperatorOfAStranger,
                pnc::OFFER_UNTRUSTED,
                pnc::OFFER_UNTRUSTED,
            ),
            (
                Mood::AnotherKey,
                provisioning::KEY_MISMATCH,
                provisioning::KEY_MISMATCH,
            ),
            (Mood::AnotherId, pnc::OFFER_UNTRUSTED, pnc::OFFER_UNTRUSTED),
        ] {
            // ISO 15118-20 has no contract id beside the certificate.
            if (mood, generation) == (Mood::AnotherId, Generation::Iso20) {
                continue;
            }
            *bench.service.mood.lock().unwrap() = mood;
            let what = format!("{mood:?}");
            let car = bench.credential("demo", generation);
            let failure = bench.refused(&what, car, generation, own, seen).await;
            if own == session::STATION_REFUSED {
                told(
                    &failure,
                    &["NoCertificateAvailable", "NoContractMatchingPCIDFound"],
                );
            } else {
                assert_eq!(failure.response_code, None, "the car refused, not the station");
            }
        }
        // A car that knows no operator's root and takes nobody's word.
        *bench.service.mood.lock().unwrap() = Mood::Honest;
        let mut wary = bench.credential("demo", generation);
        wary.mo_roots.clear();
        wary.without_mo_root = WithoutMoRoot::Refuse;
        bench
            .refused(
                "no operator's root",
                wary,
                generation,
                pnc::OFFER_UNTRUSTED,
                pnc::OFFER_UNTRUSTED,
            )
            .await;
        // The next honest car is served.
        let outcome = bench
            .charge(bench.credential("demo", generation), generation)
            .await;
        assert!(outcome.failure().is_none(), "{outcome:?}");
        assert_eq!(bench.files().len(), 2, "{:?}", bench.files());
        for file in bench.files() {
            std::fs::remove_file(file).unwrap();
        }
        // One without any operator's root takes the provisioning service's word, and its event says so.
        let mut trusting = bench.credential("demo", generation);
        trusting.mo_roots.clear();
        let outcome = bench.in_time(trusting, generation).await;
        assert!(outcome.failure().is_none(), "{outcome:?}");
        let events = bench.hub.recent(1000);
        let installed = |part: &str| {
            events
                .iter()
                .any(|event| event.code == pnc::CONTRACT_INSTALLED && event.message.contains(part))
        };
        assert!(installed("leads to the operator's root") && installed("vouches for the operator"));
        for file in bench.files() {
            std::fs::remove_file(file).unwrap();
        }
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vehicle_that_is_not_entitled_gets_no_contract_and_a_replayed_request_no_second_one() {
    let bench = Bench::new().await;
    for generation in [Generation::Iso2, Generation::Iso20] {
        let demo = bench.credential("demo", generation);
        let with = |name: &str| bench.credential(name, generation);
        // In no pool, and nobody may have a contract for it.
        let failure = bench
            .refused(
                "an unknown PCID",
                with("nobody"),
                generation,
                session::STATION_REFUSED,
                provisioning::VEHICLE_UNKNOWN,
            )
            .await;
        told(
            &failure,
            &["NoCertificateAvailable", "NoContractMatchingPCIDFound"],
        );
        // Another manufacturer's certificate of the same PCID.
        let foreign = bench.credential_of(&bench.stranger, "demo", generation);
        let failure = bench
            .not_believed("another manufacturer's", foreign, generation)
            .await;
        told(&failure, &["CertChainError", "CertificateValidationError"]);
        // One that has expired.
        let vehicle: VehicleName = "demo".parse().unwrap();
        let mut expired = demo.clone();
        expired.chain[0] = bench.pki.issue(
            edition(generation),
            "oem-sub2",
            Kind::OemProvisioning,
            vehicle.pcid().reveal(),
            demo.key.public_key_der(),
            (-100, -1),
        );
        let failure = bench.not_believed("an expired one", expired, generation).await;
        told(&failure, &["CertificateExpired"]);
        // A certificate of another kind: a contract.
        let contract = bench.pki.pki.contract(&vehicle, edition(generation)).unwrap();
        let mut wrong = demo.clone();
        (wrong.chain, wrong.key) = (contract.chain, contract.key);
        let failure = bench
            .not_believed("a certificate of another kind", wrong, generation)
            .await;
        told(&failure, &["CertChainError", "CertificateValidationError"]);
        // The certificate of one car, the key of another.
        let mut thief = with("thief");
        thief.chain.clone_from(&demo.chain);
        let failure = bench
            .refused(
                "another car's certificate",
                thief,
                generation,
                pnc::SIGNATURE_INVALID,
                provisioning::SIGNATURE_INVALID,
            )
            .await;
        told(&failure, &["SignatureError"]);
        bench.replayed(generation).await;
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_another_contract_than_the_one_that_was_shown_is_refused_and_the_own_one_is_updated() {
    let bench = Bench::new().await;
    let generation = Generation::Iso2;
    let first = bench.credential("demo", generation);
    let outcome = bench.in_time(first.clone(), generation).await;
    assert!(outcome.failure().is_none(), "{outcome:?}");
    let (held, key) = first.keep.as_ref().unwrap().read().unwrap().unwrap();
    clear(bench.kept.path());
    let made = bench.count(provisioning::CONTRACT_MADE);
    let update = |emaid: Personal<String>| InstallCredential {
        action: Action::Update,
        chain: held.chain.clone(),
        key: Arc::<FileKey>::clone(&key),
        emaid: Some(emaid),
        ..first.clone()
    };
    // The contract of somebody else, asked for with one's own: signed properly, by a contract in order.
    let thief: VehicleName = "thief".parse().unwrap();
    for emaid in [thief.emaid().reveal().as_str(), "DEGDLC99999999"] {
        let asked = update(Personal::new(emaid.to_owned()));
        let failure = bench.not_believed("another's contract", asked, generation).await;
        told(
            &failure,
            &["CertChainError", "ContractCanceled", "NoCertificateAvailable"],
        );
    }
    assert_eq!(
        bench.count(provisioning::CONTRACT_MADE),
        made,
        "a contract was made"
    );
    let outcome = bench.in_time(update(held.emaid.clone()), generation).await;
    assert!(outcome.failure().is_none(), "{outcome:?}");
    clear(bench.kept.path());
    bench.end().await;
}

impl Bench {
    /// The service does not believe the provisioning certificate; the car is told, by whatever row its word is of.
    async fn not_believed(
        &self,
        what: &str,
        credential: InstallCredential,
        generation: Generation,
    ) -> Failure {
        let (closed, seen) = (
            self.count(power::CONTACTOR_CLOSED),
            self.count(provisioning::CERTIFICATE_REFUSED),
        );
        let outcome = self.in_time(credential, generation).await;
        let failure = outcome
            .failure()
            .unwrap_or_else(|| panic!("{what}: charged"))
            .clone();
        println!(
            "{generation:?}, {what}: {} {:?} {}",
            failure.code, failure.response_code, failure.message
        );
        assert!(
            self.counts(provisioning::CERTIFICATE_REFUSED, seen).await,
            "{what}: {failure:?}"
        );
        assert_eq!(self.count(power::CONTACTOR_CLOSED), closed, "{what}");
        assert!(self.files().is_empty(), "{what}");
        failure
    }

    /// A request that was heard on the way and is sent again: the same contract comes, which only the vehicle it was
    /// made for can open, and no second one is made.
    async fn replayed(&self, generation: Generation) {
        let outcome = self
            .in_time(self.credential("demo", generation), generation)
            .await;
        assert!(outcome.failure().is_none(), "{outcome:?}");
        let (heard, made) = (
            self.service.heard.lock().unwrap().clone(),
            self.count(provisioning::CONTRACT_MADE),
        );
        let mut chains = Vec::new();
        for _ in 0..3 {
            let (answer, answered) = oneshot::channel();
            let again = ToPlatform::Provision {
                evse: EvseId(1),
                generation,
                action: Action::Install,
                exi: heard.clone(),
                answer,
            };
            self.to_platform.send(again).await.unwrap();
            let exi = answered.await.unwrap().unwrap();
            chains.push(data(generation, Action::Install, &exi).chain);
        }
        let kept = std::fs::read(
            self.kept
                .path()
                .join(format!("{}.pem", folder(edition(generation)))),
        )
        .unwrap();
        let own = certificate::from_pem(&kept).unwrap();
        assert!(chains.iter().all(|chain| *chain == own), "another contract came");
        assert_eq!(
            self.count(provisioning::CONTRACT_MADE),
            made,
            "a second contract was made"
        );
        clear(self.kept.path());
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.station.stopped().await;
        drop(self.platform);
    }
}

fn clear(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
}
