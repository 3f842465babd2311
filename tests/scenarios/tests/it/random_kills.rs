//! `gridlatch up` and its stations are killed at random moments of a session, again and again: nothing
//! acknowledged is lost, nothing is billed twice, and no contactor is left closed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gridlatch_testkit::temp;
use rust_decimal::Decimal;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::running_up::{SOON, Up, decimal, list, session_path, wait};

/// Set to a printed seed, the same moments come again.
const SEED: &str = "GRIDLATCH_KILL_SEED";

/// Kills in one run.
const KILLS: usize = 5;

/// A car of these stories is done after about this long; the moments lie between 0 and this.
const STORY: u64 = 5_500;

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn new() -> Result<Self> {
        let seed = match std::env::var(SEED) {
            Ok(text) => text
                .parse()
                .with_context(|| format!("{SEED}={text} is no number"))?,
            Err(_) => {
                use std::hash::{BuildHasher as _, Hasher as _};
                std::collections::hash_map::RandomState::new()
                    .build_hasher()
                    .finish()
            }
        };
        println!("the moments of this run come again with {SEED}={seed}");
        Ok(Self(seed))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What anybody could have read of the sessions from the platform before it was killed.
#[derive(Default)]
struct Acknowledged(BTreeMap<String, Known>);

struct Known {
    session: Value,
    imported: Decimal,
    exported: Decimal,
    /// The bill, if it was issued before the kill.
    bill: Option<Value>,
}

impl Acknowledged {
    /// Notes all that the platform tells now.
    fn note(&mut self, up: &Up) -> Result<()> {
        for which in ["/sessions/running", "/sessions/finished?limit=500"] {
            for session in list(&up.get(which)?) {
                let path = session_path(session);
                let session = up.get(&path)?;
                let reading = |name: &str| match &session["latest"][name] {
                    Value::Null => Ok(Decimal::ZERO),
                    value => decimal(value),
                };
                let (imported, exported) = (reading("imported_wh")?, reading("exported_wh")?);
                let bill = Some(session["bill"].clone()).filter(|bill| !bill.is_null());
                let known = Known {
                    session,
                    imported,
                    exported,
                    bill,
                };
                self.0.insert(path, known);
            }
        }
        Ok(())
    }

    /// After a restart: every session is there, has ended, and is billed once for what its registers say,
    /// which is at least what had been acknowledged; a bill that was out stays as it was.
    fn hold(&self, up: &Up) -> Result<()> {
        let mut in_order: Vec<&Known> = self.0.values().collect();
        in_order.sort_by_key(|known| known.session["number"].as_i64());
        let mut last = Decimal::ZERO;
        for known in in_order {
            let billed = up.billed(&known.session)?;
            ensure!(
                billed["ended_at"].is_string() && billed["stop_reason"].is_string(),
                "not ended: {billed}"
            );
            ensure!(billed["backwards"] == false, "a register fell: {billed}");
            if let Some(bill) = &known.bill {
                ensure!(billed["bill"] == *bill, "another bill: {bill} became {billed}");
            }
            let samples = up.samples(&known.session)?;
            for (name, acknowledged) in [("imported_wh", known.imported), ("exported_wh", known.exported)] {
                let readings = samples
                    .iter()
                    .map(|sample| &sample[name])
                    .filter(|reading| !reading.is_null())
                    .map(decimal)
                    .collect::<Result<Vec<_>>>()?;
                let (Some(first), Some(end)) = (readings.first(), readings.last()) else {
                    ensure!(acknowledged.is_zero(), "all readings are lost: {billed}");
                    continue;
                };
                ensure!(
                    *end >= acknowledged,
                    "lost {name}: {acknowledged} was known, {billed}"
                );
                let energy = decimal(&billed[name])?;
                ensure!(
                    energy == end - first,
                    "billed {energy} of {name}, counted {}",
                    end - first
                );
                if name == "imported_wh" {
                    ensure!(*first >= last, "the register fell from {last} to {first}");
                    last = *end;
                }
            }
        }
        // A session that began after the last look is not among the known ones; it is billed once, too.
        wait("one bill a session", SOON, || {
            let bills = up.get("/cdrs?limit=500")?;
            let finished = up.get("/sessions/finished?limit=500")?;
            let bills: Vec<&Value> = list(&bills).iter().map(|bill| &bill["transaction"]).collect();
            let once = list(&finished).iter().all(|session| {
                let of = |bill: &&&Value| ***bill == session["transaction"];
                bills.iter().filter(of).count() == 1
            });
            Ok((once && bills.len() == list(&finished).len() && bills.len() >= self.0.len()).then_some(()))
        })
    }
}

/// The connector of the station is free and its contactor open: what is known after a kill.
fn at_rest(up: &Up, station: &str) -> Result<()> {
    wait("a free connector", SOON, || {
        let told = up.get(&format!("/stations/{station}"))?;
        let free = told.to_string().contains("\"Available\"");
        let none = !list(&up.get("/sessions/running")?)
            .iter()
            .any(|session| session["station"] == station);
        Ok((free && none).then_some(()))
    })
}

#[test]
fn kill_nine_at_random_moments_loses_no_acknowledged_energy() {
    random_kills().unwrap();
}

fn random_kills() -> Result<()> {
    let mut random = Random::new()?;
    let began = Instant::now();
    let data = temp::dir()?;
    let mut acknowledged = Acknowledged::default();
    for kill in 1..=KILLS {
        let up = Up::start(data.path(), &[])?;
        at_rest(&up, "GL-DC-1")?;
        acknowledged.hold(&up)?;
        let moment = Duration::from_millis(random.below(STORY));
        let (discharge, tell) = (random.below(2) == 0, Duration::from_millis(random.below(STORY)));
        let mut told = !discharge;
        let car = up.car("--energy dc-bpt --control dynamic --for 2")?;
        let plugged = Instant::now();
        while plugged.elapsed() < moment {
            acknowledged.note(&up)?;
            if !told && plugged.elapsed() >= tell {
                up.setpoint("GL-DC-1", Some(-30_000))?;
                told = true;
            }
            std::thread::sleep(Duration::from_millis(20).min(moment.saturating_sub(plugged.elapsed())));
        }
        up.process.signal(Signal::KILL)?;
        println!(
            "kill {kill} after {moment:?}{}; {} sessions known",
            if discharge { ", discharging" } else { "" },
            acknowledged.0.len()
        );
        // The car sees a lost station, or was done: it never hangs and never panics.
        let ended = car.ended(SOON)?;
        ensure!(ended.code == 0 || ended.code == 1, "{}", ended.output);
        drop(up);
    }
    let up = Up::start(data.path(), &[])?;
    at_rest(&up, "GL-DC-1")?;
    acknowledged.hold(&up)?;
    up.setpoint("GL-DC-1", None)?;
    up.car("--energy dc --for 1")?.ended(SOON)?.expect(0)?;
    acknowledged.note(&up)?;
    acknowledged.hold(&up)?;
    println!("{KILLS} kills in {:?}", began.elapsed());
    up.stop().map(drop)
}

#[test]
fn a_killed_station_process_comes_back_while_the_other_station_charges_on() {
    killed_station().unwrap();
}

/// The station's process, as its latest event of being up says.
fn process_of(up: &Up, station: &str) -> Result<i32> {
    wait("the station's process", SOON, || {
        let events = up.get("/events?limit=500")?;
        let pid = list(&events)
            .iter()
            .find(|event| event["code"] == "host.station_process_up" && event["station"] == station)
            .and_then(|event| event["fields"]["pid"].as_i64());
        Ok(pid.and_then(|pid| i32::try_from(pid).ok()))
    })
}

fn killed_station() -> Result<()> {
    let mut random = Random::new()?;
    let data = temp::dir()?;
    let up = Up::start(data.path(), &[])?;
    let pid = process_of(&up, "GL-DC-1")?;
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let memory = limits
        .lines()
        .find(|line| line.starts_with("Max data size"))
        .context("no memory limit")?;
    ensure!(
        memory.contains("268435456"),
        "the limit is not in force: {memory}"
    );
    let neighbour = up.car("--energy ac --protocol iso15118-2 --for 60")?;
    let car = up.car("--energy dc --for 60")?;
    let here = up.flowing("GL-DC-1")?;
    let there = up.flowing("GL-AC-1")?;
    std::thread::sleep(Duration::from_millis(random.below(2_000)));
    let known = decimal(&up.get(&session_path(&here))?["imported_wh"])?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    for field in ["VmHWM", "VmData"] {
        let line = status.lines().find(|line| line.starts_with(field));
        println!("a charging station's process: {}", line.unwrap_or("unknown"));
    }
    kill_process(Pid::from_raw(pid).context("no process")?, Signal::KILL)?;
    car.ended(SOON)?.expect(1)?;
    let ended = wait("the event of its end", SOON, || {
        let events = up.get("/events?limit=500")?;
        let found = list(&events)
            .iter()
            .find(|event| event["code"] == "host.station_process_ended");
        Ok(found.cloned())
    })?;
    ensure!(
        ended["station"] == "GL-DC-1" && ended.to_string().contains("signal: 9"),
        "{ended}"
    );
    wait("another process", SOON, || {
        Ok((process_of(&up, "GL-DC-1")? != pid).then_some(()))
    })?;
    let billed = up.billed(&here)?;
    ensure!(billed["stop_reason"] == "PowerLoss", "{billed}");
    ensure!(
        decimal(&billed["imported_wh"])? >= known,
        "{known} Wh were known: {billed}"
    );
    at_rest(&up, "GL-DC-1")?;
    // The station next door has not noticed.
    let running = up.get(&session_path(&there))?;
    ensure!(running["ended_at"].is_null(), "the neighbour stopped: {running}");
    // The new process serves at its new address, which the run file tells.
    up.car("--energy dc --for 1")?.ended(SOON)?.expect(0)?;
    let later = up.get(&session_path(&there))?;
    ensure!(later["ended_at"].is_null(), "the neighbour stopped: {later}");
    ensure!(
        decimal(&later["latest"]["imported_wh"])? > decimal(&there["latest"]["imported_wh"])?,
        "the neighbour stands still: {later}"
    );
    drop(neighbour);
    up.stop().map(drop)
}
