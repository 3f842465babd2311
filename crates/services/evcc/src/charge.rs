//! One charging session from the plug to the end, step by step.

use std::sync::Arc;
use std::time::Duration;

use gridlatch_session::evcc::{Authorisation, End, EvccConfig, EvccSession, Failure, StepName, StepRecord};
use gridlatch_tls::Handshake;
use gridlatch_vocab::catalogue::{cable as cable_codes, session as codes, tls as tls_codes};
use gridlatch_vocab::{Event, EventSink, Timestamp};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::battery::Battery;
use crate::config::{Auth, ChargeConfig};
use crate::connect::{self, Transport};
use crate::discover::{Discovered, discover};
use crate::outcome::{Outcome, Step, Summary, TlsSummary};
use crate::plug::Cable;
use crate::session::{Loops, Running};
use crate::{install, signer, staple};

/// Pause before a request is repeated because the station answered `Ongoing`, milliseconds.
const REPEAT_MS: u64 = 50;

/// Charges: plugs in, finds the station, proves itself, moves energy, stops. Every finished step goes to
/// `steps` (a receiver nobody reads any more is no reason to stop), every refusal to `events`.
pub async fn charge(
    mut config: ChargeConfig,
    events: Arc<dyn EventSink>,
    steps: mpsc::Sender<Step>,
) -> Outcome {
    let mut battery = Battery::new(config.battery);
    let mut report = Report {
        events,
        steps,
        summary: Summary {
            soc: (battery.soc(), battery.soc()),
            ..Summary::default()
        },
        step: StepName::Matching,
        started: Instant::now(),
        recorded: false,
    };
    let ended = run(&mut config, &mut battery, &mut report).await;
    report.summary.soc.1 = battery.soc();
    report.summary.energy_in_wh = battery.taken_wh();
    report.summary.energy_out_wh = battery.given_wh();
    let failure = match ended {
        Ok(End::Complete) => return report.ended(None),
        Ok(End::StoppedByStation(reason)) => {
            return report.ended(Some(format!("the station asked to stop: {reason}")));
        }
        Ok(End::StoppedByDriver) => return report.ended(Some("stopped on request".to_owned())),
        Ok(End::Failed(failure)) => {
            report.recorded = true;
            failure
        }
        Err(failure) => *failure,
    };
    report.failed(failure).await
}

async fn run(
    config: &mut ChargeConfig,
    battery: &mut Battery,
    report: &mut Report,
) -> Result<End, Box<Failure>> {
    let mut cable = plug_in(config, report).await?;
    let asked = Instant::now();
    let transport = connect_to_station(config, report).await?;
    report.summary.connected_ms = Some(asked.elapsed().as_secs_f64() * 1e3);
    let session = open(config, &transport, battery, &report.events)
        .map_err(|message| Failure::new(StepName::Protocol, codes::CONTRACT_UNUSABLE, message))?;
    report.enter(StepName::Protocol);
    let mut running = Running {
        config,
        session,
        transport,
        cable: cable.as_mut(),
        battery,
        origin: report.started,
        loops: Loops::default(),
        flowing: (0.0, Instant::now()),
    };
    let origin = report.started;
    let end = {
        let report = &*report;
        running
            .run(async |record| report.record(origin, record).await)
            .await
    };
    let summary = &mut report.summary;
    summary.session = running.session.session_id();
    summary.exchanges = running.session.exchanges();
    let loops = running.loops;
    if let (Some(first), Some(last)) = (loops.first, loops.last) {
        summary.first_loop_ms = Some(first.duration_since(asked).as_secs_f64() * 1e3);
        summary.loops = (loops.count, last.duration_since(first).as_secs_f64());
    }
    Ok(end)
}

async fn plug_in(config: &mut ChargeConfig, report: &mut Report) -> Result<Option<Cable>, Box<Failure>> {
    let Some(plug) = config.link.plug.take() else {
        return Ok(None);
    };
    report.enter(StepName::Matching);
    let mut cable = Cable::plug(plug).await?;
    let (station, attenuation) = cable.match_station(*config.mac.reveal()).await?;
    let detail = match attenuation {
        Some(attenuation) => format!("SLAC found the station at {attenuation} dB"),
        None => "SLAC found the station".to_owned(),
    };
    let mac = station.map(|byte| format!("{byte:02X}")).join(":");
    report
        .done(
            detail,
            [
                ("station_mac", json!(mac)),
                ("attenuation_db", json!(attenuation)),
            ],
        )
        .await;
    Ok(Some(cable))
}

async fn connect_to_station(config: &ChargeConfig, report: &mut Report) -> Result<Transport, Box<Failure>> {
    report.enter(StepName::Discovery);
    let wants_tls = config.tls.is_some();
    let discovered = match discover(&config.link.discover, wants_tls, config.patience).await {
        Ok(discovered) => discovered,
        Err((failure, ignored)) => {
            report.ignored(&ignored);
            return Err(Box::new(failure));
        }
    };
    let Discovered {
        found,
        address,
        attempts,
        ignored,
    } = discovered;
    report.ignored(&ignored);
    if found.secured && !wants_tls {
        return Err(Box::new(Failure::new(
            StepName::Discovery,
            cable_codes::SDP_NO_TLS_REFUSED,
            "the station demands TLS, and this vehicle was told not to use it",
        )));
    }
    let tcp = connect::tcp(address, config.connect_timeout()).await?;
    let security = if found.secured { "with TLS" } else { "without TLS" };
    report
        .done(
            format!("station at [{}]:{}, {security}", found.address, found.port),
            [
                ("address", json!(address.to_string())),
                ("tls", json!(found.secured)),
                ("requests", json!(attempts)),
            ],
        )
        .await;
    let Some(setup) = &config.tls else {
        return Ok(Transport::Plain(tcp));
    };
    report.enter(StepName::Tls);
    let (transport, handshake) =
        connect::tls(tcp, config.generation, setup, config.connect_timeout()).await?;
    let verdict = staple::judge(&handshake, &setup.roots, gridlatch_host::now());
    if let staple::Verdict::Unknown(code, why) = &verdict {
        report.emit(*code, why.clone());
    }
    staple::decide(&verdict, setup.staple)?;
    let tls = summarise(&handshake);
    let legacy = if tls.legacy { " (legacy suite)" } else { "" };
    report
        .done(
            format!(
                "{} {}{legacy}, verified {}",
                tls.version,
                tls.suite,
                tls.chain.join(" < ")
            ),
            [
                ("version", json!(tls.version)),
                ("suite", json!(tls.suite)),
                ("group", json!(handshake.group)),
                ("legacy", json!(tls.legacy)),
                ("resumed", json!(handshake.resumed)),
                ("staple", json!(verdict.as_str())),
                ("chain", json!(tls.chain)),
                ("serial", json!(serial(&handshake))),
                ("own_certificate", json!(handshake.own_label)),
            ],
        )
        .await;
    report.emit(tls_codes::ESTABLISHED, format!("{} {}", tls.version, tls.suite));
    report.summary.tls = Some(tls);
    Ok(transport)
}

/// The serial number of the station's certificate, as the issuer's lists show it.
fn serial(handshake: &Handshake) -> Option<String> {
    let leaf = handshake.peer_chain.first()?;
    gridlatch_trust::certificate::summary(leaf)
        .ok()
        .map(|summary| summary.serial_hex)
}

fn open(
    config: &ChargeConfig,
    transport: &Transport,
    battery: &Battery,
    events: &Arc<dyn EventSink>,
) -> Result<EvccSession, String> {
    let authorisation = match &config.auth {
        Auth::Eim => Authorisation::Eim,
        Auth::Contract(credential) => Authorisation::Contract(signer::contract(credential)?),
        Auth::Install(credential) => Authorisation::Install(install::wish(credential, Arc::clone(events))?),
    };
    EvccSession::new(
        EvccConfig {
            generation: config.generation,
            energy: config.energy,
            control: config.control,
            authorisation,
            secured: matches!(transport, Transport::Tls(_)),
            evcc_id: config.mac.clone(),
            wish: config.wish,
            pace_ms: config.pace_ms(),
            repeat_ms: REPEAT_MS,
            patience: config.patience,
        },
        battery.state(),
    )
    .map_err(|error| error.to_string())
}

fn summarise(handshake: &Handshake) -> TlsSummary {
    TlsSummary {
        version: handshake.version.clone(),
        suite: handshake.suite.clone(),
        legacy: handshake.legacy,
        chain: handshake.peer_chain.iter().map(|der| subject(der)).collect(),
    }
}

/// The common name of a certificate that the handshake has already verified.
fn subject(der: &[u8]) -> String {
    gridlatch_trust::certificate::summary(der).map_or_else(
        |_| "unreadable certificate".to_owned(),
        |summary| summary.subject_cn,
    )
}

/// Where steps, events and figures go.
struct Report {
    events: Arc<dyn EventSink>,
    steps: mpsc::Sender<Step>,
    summary: Summary,
    step: StepName,
    started: Instant,
    /// Whether the failed step has been reported already.
    recorded: bool,
}

impl Report {
    fn enter(&mut self, step: StepName) {
        self.step = step;
        self.started = Instant::now();
    }

    /// The step entered last succeeded.
    async fn done<const N: usize>(&self, detail: String, fields: [(&str, Value); N]) {
        let fields: Map<String, Value> = fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        self.send(self.step, self.started, Instant::now(), true, detail, fields)
            .await;
    }

    /// A step the session reports, on its own clock.
    async fn record(&self, origin: Instant, record: StepRecord) {
        let fields = record
            .fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let started = origin + Duration::from_millis(record.started_ms);
        let finished = origin + Duration::from_millis(record.finished_ms);
        self.send(record.name, started, finished, record.ok, record.detail, fields)
            .await;
    }

    async fn send(
        &self,
        name: StepName,
        started: Instant,
        finished: Instant,
        ok: bool,
        detail: String,
        fields: Map<String, Value>,
    ) {
        let ago = i64::try_from(started.elapsed().as_millis()).unwrap_or(0);
        let step = Step {
            name,
            detail,
            started: Timestamp::from_unix_millis(gridlatch_host::now().unix_millis() - ago),
            duration: finished.duration_since(started),
            ok,
            fields,
        };
        // Nobody listening is not this session's problem.
        let _ = self.steps.send(step).await;
    }

    fn ignored(&self, ignored: &[Failure]) {
        for failure in ignored {
            self.emit(failure.code, failure.message.clone());
        }
    }

    fn emit(&self, code: gridlatch_vocab::Code, message: String) {
        let mut event = Event::new(gridlatch_host::now(), code, crate::SOURCE, message);
        event.session.clone_from(&self.summary.session);
        self.events.emit(event);
    }

    fn ended(self, note: Option<String>) -> Outcome {
        let message = note
            .clone()
            .unwrap_or_else(|| "the vehicle has what it wanted".to_owned());
        self.emit(codes::STOPPED, message);
        Outcome::Ended {
            summary: self.summary,
            note,
        }
    }

    async fn failed(self, failure: Failure) -> Outcome {
        if !self.recorded {
            let fields = [
                ("code", json!(failure.code.as_str())),
                ("blame", json!(failure.blame.as_str())),
            ];
            let fields = fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect();
            let started = if failure.step == self.step {
                self.started
            } else {
                Instant::now()
            };
            self.send(
                failure.step,
                started,
                Instant::now(),
                false,
                failure.message.clone(),
                fields,
            )
            .await;
        }
        let mut event = Event::new(
            gridlatch_host::now(),
            failure.code,
            crate::SOURCE,
            failure.message.clone(),
        )
        .with("step", failure.step.as_str())
        .with("blame", failure.blame.as_str());
        if let Some(request) = failure.request {
            event = event.with("request", request);
        }
        if let Some(code) = &failure.response_code {
            event = event.with("response_code", code.as_str());
        }
        event.session.clone_from(&self.summary.session);
        self.events.emit(event);
        Outcome::Failed {
            summary: self.summary,
            failure: Box::new(failure),
        }
    }
}
