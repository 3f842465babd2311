//! Our car charges at Josev's station: every case of ISO 15118-2 and -20 that Josev knows, each to SessionStop.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gridlatch_evcc::{
    Auth, BatteryConfig, ChargeConfig, ContractCredential, Control, DiscoverAt, Energy, Generation, Goal,
    LinkConfig, Outcome, Step, StepName, TlsSetup, Wish,
};
use gridlatch_pki::dev::{self, VehicleName};
use gridlatch_testkit::josev::{Case, Station};
use gridlatch_testkit::{Link, need};
use gridlatch_vocab::{Event, EventSink, Personal};

/// Keeps what was said, for the message of a failing test.
#[derive(Default)]
struct Notes(Mutex<Vec<Event>>);

impl EventSink for Notes {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// What the car brings to a case: TLS and, for Plug & Charge, a contract.
struct Papers {
    tls: Option<TlsSetup>,
    auth: Auth,
}

fn config(case: Case, control: Option<Control>, interface: &str, papers: Papers) -> ChargeConfig {
    ChargeConfig {
        link: LinkConfig {
            plug: None,
            discover: DiscoverAt::Interface(interface.to_owned()),
        },
        generation: if case.is_iso20() {
            Generation::Iso20
        } else {
            Generation::Iso2
        },
        energy: match case {
            Case::Iso20DcBpt => Energy::DcBpt,
            case if case.is_ac() => Energy::Ac,
            _ => Energy::Dc,
        },
        control,
        auth: papers.auth,
        tls: papers.tls,
        battery: BatteryConfig::default(),
        wish: Wish {
            charge: Goal {
                duration_ms: Some(2_500),
                ..Goal::default()
            },
            discharge: None,
            departure_s: 3600,
        },
        mac: Personal::new([0x02, 0, 0, 0, 0, 0x17]),
        pace: Some(10),
        // Josev needs a second or more for one answer on a busy machine.
        patience: 20,
        stop: tokio_util::sync::CancellationToken::new(),
        progress: None,
    }
}

/// One session; the car's outcome and its steps.
fn charge_at_josev(case: Case, control: Option<Control>, pki: &Path, papers: Papers) -> (Outcome, Vec<Step>) {
    let link = Link::new().unwrap();
    let mut station = Station::new(case, pki).start(&link.station).unwrap();
    let config = config(case, control, link.car.interface(), papers);
    let notes = Arc::new(Notes::default());
    let sink: Arc<dyn EventSink> = Arc::clone(&notes) as _;
    let (outcome, steps) = link
        .car
        .block_on(|| async move {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(64);
            let outcome = gridlatch_evcc::charge(config, sink, sender).await;
            let mut steps = Vec::new();
            while let Some(step) = receiver.recv().await {
                steps.push(step);
            }
            (outcome, steps)
        })
        .unwrap();
    let said = steps
        .iter()
        .map(|step| {
            format!(
                "{} {} {:?}: {}",
                if step.ok { "ok" } else { "FAILED" },
                step.name.as_str(),
                step.duration,
                step.detail
            )
        })
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        outcome.failure().is_none(),
        "{:?}\n{said}\nstation:\n{}",
        outcome.failure(),
        tail(&station.process().output())
    );
    let peer = station.outcome().unwrap();
    assert!(peer.successful, "Josev: {}\n{said}", peer.reason);
    assert_eq!(peer.count("SessionStopReq"), 1, "{said}");
    assert!(
        peer.messages.iter().all(|message| !message
            .code
            .as_deref()
            .unwrap_or_default()
            .starts_with("FAILED")),
        "{said}"
    );
    (outcome, steps)
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

fn names(steps: &[Step]) -> Vec<StepName> {
    steps.iter().map(|step| step.name).collect()
}

/// The steps every session goes through, with or without TLS, and the DC ones.
fn expected(case: Case) -> Vec<StepName> {
    let mut names = vec![StepName::Discovery];
    if case.is_tls() {
        names.push(StepName::Tls);
    }
    names.extend([
        StepName::Protocol,
        StepName::Identification,
        StepName::Authorisation,
        StepName::Parameters,
    ]);
    if !case.is_ac() {
        names.extend([StepName::CableCheck, StepName::PreCharge]);
    }
    names.extend([StepName::EnergyIn, StepName::Stop]);
    names
}

/// The car's papers for a case, from a PKI of ours; Josev's station gets its half in Josev's layout.
///
/// Josev knows only secp256r1 and asks a car of ISO 15118-20 for its provisioning certificate, so that is what
/// the car shows it.
fn papers(case: Case, folder: &Path) -> (PathBuf, Papers) {
    let pki = dev::ensure(&folder.join("pki"), &Notes::default(), gridlatch_host::now()).unwrap();
    let josev = folder.join("josev");
    pki.export_josev(&josev).unwrap();
    let name: VehicleName = "bench".parse().unwrap();
    let auth = if case.is_pnc() {
        let contract = pki.contract(&name, gridlatch_trust::Generation::Iso2).unwrap();
        Auth::Contract(ContractCredential {
            emaid: Personal::new(contract.emaid.reveal().as_str().to_owned()),
            chain: contract.chain,
            key: contract.key,
        })
    } else {
        Auth::Eim
    };
    let tls = case.is_tls().then(|| TlsSetup {
        roots: pki.v2g_roots(),
        identity: case.is_iso20().then(|| {
            pki.provisioning(&name, gridlatch_trust::Generation::Iso2)
                .unwrap()
        }),
        key_log: None,
        staple: gridlatch_evcc::StaplePolicy::default(),
    });
    (josev, Papers { tls, auth })
}

fn runs(case: Case, control: Option<Control>) -> Outcome {
    let folder = gridlatch_testkit::temp::dir().unwrap();
    let (pki, papers) = papers(case, folder.path());
    let (outcome, steps) = charge_at_josev(case, control, &pki, papers);
    assert_eq!(names(&steps), expected(case));
    outcome
}

#[test]
fn iso2_ac_with_external_identification_on_plain_tcp() {
    need!(root, josev);
    runs(Case::Iso2AcEim, None);
}

#[test]
fn iso2_dc_with_external_identification_on_plain_tcp() {
    need!(root, josev);
    runs(Case::Iso2DcEim, None);
}

#[test]
fn iso20_ac_dynamic() {
    need!(root, josev);
    runs(Case::Iso20Ac, Some(Control::Dynamic));
}

#[test]
fn iso20_dc_scheduled() {
    need!(root, josev);
    runs(Case::Iso20Dc, Some(Control::Scheduled));
}

#[test]
fn iso20_dc_dynamic() {
    need!(root, josev);
    runs(Case::Iso20Dc, Some(Control::Dynamic));
}

#[test]
fn iso20_dc_bpt_scheduled() {
    need!(root, josev);
    runs(Case::Iso20DcBpt, Some(Control::Scheduled));
}

#[test]
fn iso20_dc_bpt_dynamic() {
    need!(root, josev);
    runs(Case::Iso20DcBpt, Some(Control::Dynamic));
}

#[test]
fn iso2_dc_with_external_identification_on_tls() {
    need!(root, josev);
    let outcome = runs(Case::Iso2DcEimTls, None);
    let tls = outcome.summary().tls.clone().unwrap();
    assert_eq!(tls.version, "TLSv1.2");
    assert!(tls.legacy, "Josev knows the CBC suite only: {tls:?}");
}

#[test]
fn iso2_ac_with_plug_and_charge() {
    need!(root, josev);
    runs(Case::Iso2AcPnc, None);
}

#[test]
fn iso2_dc_with_plug_and_charge() {
    need!(root, josev);
    runs(Case::Iso2DcPnc, None);
}

#[test]
fn iso20_dc_on_mutual_tls() {
    need!(root, josev);
    let outcome = runs(Case::Iso20DcTls13, Some(Control::Dynamic));
    assert_eq!(outcome.summary().tls.as_ref().unwrap().version, "TLSv1.3");
}

#[test]
fn iso20_dc_with_plug_and_charge_on_mutual_tls() {
    need!(root, josev);
    runs(Case::Iso20DcPncTls13, Some(Control::Dynamic));
}
