//! Our vehicle at our station, both sans-IO, in simulated time: every protocol, energy, authorisation and
//! control mode that exists, driven to idle. No socket, no sleep, no clock.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

use std::time::Duration;

use gridlatch_session::evcc::{
    Authorisation, Contract, ContractSigner, Control, Curve, End, Energy, EvccConfig, EvccSession,
    Generation, Goal, Now, Output, Pilot, StepName, VehicleState, Wish,
};
use gridlatch_session::provisioning::Action;
use gridlatch_session::secc::{
    Clock, ControlMode, Demand, Entropy, Evse, Isolation, Kind, Limits, Notice, Output as Answer,
    SeccSession, SeccSessionConfig, Verdict,
};
use gridlatch_vocab::{Amps, MilliWattHours, Personal, Timestamp, Volts, Watts};
use iso15118::pnc::rustcrypto::SigningKey;
use iso15118::pnc::{Sign as _, Suite};

#[path = "pair/install.rs"]
mod install;

/// Signs in process with a fixed test key, in the DER form that `io/keys` returns.
#[derive(Debug)]
struct TestKey;

/// The private scalar of the test key; the public half goes into the test certificate.
const SCALAR: [u8; 32] = [7; 32];

impl ContractSigner for TestKey {
    fn curve(&self) -> Curve {
        Curve::P256
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let raw = SigningKey::p256(&SCALAR)
            .and_then(|key| key.sign(Suite::EcdsaSha256, message))
            .map_err(|error| error.to_string())?;
        Ok(der(&raw))
    }
}

/// `r || s` as `SEQUENCE { INTEGER, INTEGER }`.
fn der(raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for half in raw.chunks(raw.len() / 2) {
        let digits: Vec<u8> = half.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = u8::from(digits.first().is_some_and(|byte| *byte >= 0x80));
        body.push(2);
        body.push(digits.len() as u8 + sign);
        if sign == 1 {
            body.push(0);
        }
        body.extend(digits);
    }
    let mut out = vec![0x30, body.len() as u8];
    out.extend(body);
    out
}

/// Battery, supply and meter in one: what one side delivers, the other takes.
struct World {
    now_ms: u64,
    vehicle: VehicleState,
    evse: Evse,
    demand: Demand,
    draw: f64,
    pilot: Pilot,
    wants_contactor: bool,
    steps: Vec<(StepName, bool, String)>,
    end: Option<End>,
    seen_out: bool,
    peak: f64,
}

impl World {
    fn new() -> Self {
        Self {
            now_ms: 1_000,
            vehicle: VehicleState {
                battery_voltage: 390.0,
                maximum_voltage: 453.0,
                minimum_voltage: 302.0,
                maximum_current: 400.0,
                capacity_wh: 60_000.0,
                soc: 40.0,
                floor_soc: 20.0,
                charge_limit: 150_000.0,
                discharge_limit: 100_000.0,
                ac_current: 16.0,
                ac_phases: 3,
                taken_wh: 0.0,
                given_wh: 0.0,
            },
            evse: Evse {
                voltage: Volts(0.0),
                current: Amps(0.0),
                imported: MilliWattHours(0),
                exported: MilliWattHours(0),
                contactor_closed: false,
                isolation: Isolation::Unknown,
                setpoint: None,
                stop: false,
            },
            demand: Demand::Off,
            draw: 0.0,
            pilot: Pilot::B,
            wants_contactor: false,
            steps: Vec::new(),
            end: None,
            seen_out: false,
            peak: 0.0,
        }
    }

    fn now(&self) -> Now {
        Now {
            mono_ms: self.now_ms,
            unix_s: 1_800_000_000 + self.now_ms / 1000,
        }
    }

    fn clock(&self) -> Clock {
        Clock {
            monotonic: Duration::from_millis(self.now_ms),
            wall: Timestamp::from_unix_millis(1_800_000_000_000 + self.now_ms as i64),
        }
    }

    /// Lets `millis` pass: power moves energy, the supply follows its demand.
    fn pass(&mut self, millis: u64) {
        self.now_ms += millis;
        self.evse.contactor_closed = self.wants_contactor && self.pilot == Pilot::C;
        if self.evse.isolation == Isolation::Testing {
            self.evse.isolation = Isolation::Valid;
        }
        let watts = match self.demand {
            Demand::Dc { volts, amps } => {
                self.evse.voltage = if self.evse.contactor_closed {
                    Volts(self.vehicle.battery_voltage)
                } else {
                    volts
                };
                self.evse.current = if self.evse.contactor_closed {
                    amps
                } else {
                    Amps(0.0)
                };
                self.evse.voltage.0 * self.evse.current.0
            }
            Demand::Ac { watts } => {
                self.evse.voltage = Volts(230.0);
                let taken = if self.evse.contactor_closed {
                    self.draw.min(watts.0)
                } else {
                    0.0
                };
                self.evse.current = Amps(taken / 230.0);
                taken
            }
            Demand::Off => {
                self.evse.voltage = Volts(0.0);
                self.evse.current = Amps(0.0);
                0.0
            }
        };
        let wh = watts * millis as f64 / 3_600_000.0;
        if wh > 0.0 {
            self.vehicle.taken_wh += wh;
            self.evse.imported.0 += (wh * 1000.0) as u64;
        } else {
            self.vehicle.given_wh -= wh;
            self.evse.exported.0 += (-wh * 1000.0) as u64;
            self.seen_out |= wh < 0.0;
        }
        self.peak = self.peak.max(watts);
        self.vehicle.soc += wh / self.vehicle.capacity_wh * 100.0;
    }
}

struct Run {
    generation: Generation,
    energy: Energy,
    control: Option<Control>,
    pnc: bool,
    discharge: bool,
}

fn chain() -> Vec<Vec<u8>> {
    let leaf = include_bytes!("pair/contract.der").to_vec();
    // -20 demands a sub-certificate; nobody here follows the chain.
    vec![leaf.clone(), leaf]
}

fn vehicle_config(run: &Run, secured: bool) -> EvccConfig {
    let goal = Goal {
        duration_ms: Some(2_000),
        ..Goal::default()
    };
    EvccConfig {
        generation: run.generation,
        energy: run.energy,
        control: run.control,
        authorisation: if run.pnc {
            Authorisation::Contract(Contract {
                emaid: Personal::new("DEGDLC123456789".to_owned()),
                chain: chain(),
                signer: Box::new(TestKey),
            })
        } else {
            Authorisation::Eim
        },
        secured,
        evcc_id: Personal::new([2, 0, 0, 0, 0, 1]),
        wish: Wish {
            charge: goal,
            discharge: run.discharge.then_some(goal),
            departure_s: 0,
        },
        pace_ms: 100,
        repeat_ms: 50,
        patience: 1,
    }
}

fn station_config(run: &Run, tls: bool) -> SeccSessionConfig {
    SeccSessionConfig {
        evse_id: "DE*GDL*E1".to_owned(),
        kind: match run.energy {
            Energy::Ac => Kind::Ac,
            Energy::Dc | Energy::DcBpt => Kind::Dc { bidirectional: true },
        },
        iso2: true,
        iso20: true,
        tls,
        eim: true,
        pnc: true,
        control_modes: vec![ControlMode::Scheduled, ControlMode::Dynamic],
        limits: Limits {
            max_voltage: Volts(if run.energy == Energy::Ac { 230.0 } else { 920.0 }),
            min_voltage: Volts(150.0),
            max_current: Amps(if run.energy == Energy::Ac { 32.0 } else { 200.0 }),
            max_power: Watts(if run.energy == Energy::Ac {
                22_000.0
            } else {
                60_000.0
            }),
            min_power: Watts(0.0),
            max_discharge_current: Amps(200.0),
            max_discharge_power: Watts(60_000.0),
            phases: 3,
        },
        meter_id: "GDL-METER-1".to_owned(),
        receipts: false,
        provisioning: true,
        contracts: None,
        entropy: Entropy {
            session_id: [1, 2, 3, 4, 5, 6, 7, 8],
            challenge: [0x5A; 16],
        },
    }
}

/// Drives both to the end; panics when either stalls.
fn drive(run: &Run, control: impl FnMut(&mut World)) -> World {
    drive_as(
        vehicle_config(run, true),
        station_config(run, true),
        control,
        |_, _, _| Some(Err("nobody provides contracts here".to_owned())),
    )
    .0
}

/// What the platform says to a request for a contract; `None` is silence.
type Provided = Option<Result<Vec<u8>, String>>;

/// As [`drive`], with a platform that provides contracts; also what the station reported.
fn drive_as(
    vehicle: EvccConfig,
    outlet: SeccSessionConfig,
    mut control: impl FnMut(&mut World),
    mut provide: impl FnMut(Generation, Action, &[u8]) -> Provided,
) -> (World, Vec<Notice>) {
    let mut world = World::new();
    let mut car = EvccSession::new(vehicle, world.vehicle).unwrap();
    let mut station = SeccSession::new(outlet, world.clock());
    car.start(world.now()).unwrap();
    let mut station_steps = Vec::new();
    for _ in 0..20_000 {
        car.update(world.vehicle);
        loop {
            let mut idle = true;
            while let Some(output) = car.poll_output() {
                idle = false;
                match output {
                    Output::Step(step) => world.steps.push((step.name, step.ok, step.detail)),
                    Output::Pilot(pilot) => world.pilot = pilot,
                    Output::Draw(watts) => world.draw = watts,
                    Output::Flow(_) => {}
                    Output::Ended(end) => world.end = Some(end),
                }
            }
            let asked = car.poll_transmit();
            if !asked.is_empty() {
                idle = false;
                station.receive(world.clock(), &world.evse, &asked);
            }
            station.advance(world.clock(), &world.evse);
            while let Some(output) = station.poll() {
                idle = false;
                match output {
                    Answer::Authorize(_) => station.authorized(Verdict::Accepted { discharge: true }),
                    Answer::TestIsolation => world.evse.isolation = Isolation::Testing,
                    Answer::Demand(demand) => world.demand = demand,
                    Answer::CloseContactor => world.wants_contactor = true,
                    Answer::OpenContactor(_) => world.wants_contactor = false,
                    Answer::Event(notice) => station_steps.push(notice),
                    Answer::Provision {
                        generation,
                        action,
                        exi,
                    } => {
                        if let Some(answer) = provide(generation, action, &exi) {
                            station.provisioned(world.clock(), answer);
                        }
                    }
                    _ => {}
                }
            }
            let mut answered = Vec::new();
            station.take_transmit(&mut answered);
            if !answered.is_empty() {
                idle = false;
                car.handle_input(world.now(), &answered);
            }
            if idle {
                break;
            }
        }
        if world.end.is_some() {
            world.pass(10);
            return (world, station_steps);
        }
        control(&mut world);
        world.pass(10);
        car.update(world.vehicle);
        if car.poll_timeout().is_some_and(|due| due <= world.now_ms) {
            car.handle_timeout(world.now());
        }
        station.tick(world.clock(), &world.evse);
    }
    panic!("stalled: {:?}\nstation: {station_steps:?}", world.steps);
}

fn expected(run: &Run) -> Vec<StepName> {
    let mut names = vec![
        StepName::Protocol,
        StepName::Identification,
        StepName::Authorisation,
        StepName::Parameters,
    ];
    if run.energy.is_dc() {
        names.extend([StepName::CableCheck, StepName::PreCharge]);
    }
    names.push(StepName::EnergyIn);
    if run.discharge {
        names.push(StepName::EnergyOut);
    }
    names.push(StepName::Stop);
    names
}

fn completes(run: &Run) {
    let world = drive(run, |_| {});
    let steps = format!("{:#?}", world.steps);
    assert_eq!(world.end, Some(End::Complete), "{steps}");
    let names: Vec<StepName> = world.steps.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, expected(run), "{steps}");
    assert!(world.vehicle.taken_wh > 0.0, "nothing was charged: {steps}");
    assert_eq!(world.seen_out, run.discharge, "{steps}");
    assert_eq!(world.pilot, Pilot::B);
    assert!(!world.evse.contactor_closed, "the contactor stayed closed");
}

#[test]
fn iso2_moves_energy_in_both_kinds_with_both_identifications() {
    for energy in [Energy::Ac, Energy::Dc] {
        for pnc in [false, true] {
            completes(&Run {
                generation: Generation::Iso2,
                energy,
                control: None,
                pnc,
                discharge: false,
            });
        }
    }
}

#[test]
fn iso20_moves_energy_in_every_service_control_mode_and_identification() {
    for energy in [Energy::Ac, Energy::Dc, Energy::DcBpt] {
        for control in [Control::Scheduled, Control::Dynamic] {
            for pnc in [false, true] {
                completes(&Run {
                    generation: Generation::Iso20,
                    energy,
                    control: Some(control),
                    pnc,
                    discharge: false,
                });
            }
        }
    }
}

#[test]
fn a_scheduled_bidirectional_session_gives_energy_back() {
    for pnc in [false, true] {
        completes(&Run {
            generation: Generation::Iso20,
            energy: Energy::DcBpt,
            control: Some(Control::Scheduled),
            pnc,
            discharge: true,
        });
    }
}

#[test]
fn a_dynamic_session_follows_the_platform_into_the_vehicle_and_out_of_it() {
    let run = Run {
        generation: Generation::Iso20,
        energy: Energy::DcBpt,
        control: Some(Control::Dynamic),
        pnc: true,
        discharge: true,
    };
    let mut since = None;
    let world = drive(&run, |world| {
        if world.evse.contactor_closed {
            let at = *since.get_or_insert(world.now_ms);
            let setpoint = if world.now_ms - at < 1_500 {
                20_000.0
            } else {
                -15_000.0
            };
            world.evse.setpoint = Some(Watts(setpoint));
        }
    });
    assert_eq!(world.end, Some(End::Complete), "{:#?}", world.steps);
    assert!(world.seen_out && world.vehicle.given_wh > 0.0);
    // One loop of 100 ms may still run on the limits before the first set-point was seen.
    let names: Vec<StepName> = world.steps.iter().map(|(name, ..)| *name).collect();
    assert!(
        names.contains(&StepName::EnergyIn) && names.contains(&StepName::EnergyOut),
        "{:#?}",
        world.steps
    );
}

#[test]
fn a_station_that_asks_to_stop_is_obeyed_in_order() {
    for (generation, energy) in [
        (Generation::Iso2, Energy::Dc),
        (Generation::Iso2, Energy::Ac),
        (Generation::Iso20, Energy::Dc),
        (Generation::Iso20, Energy::Ac),
    ] {
        let run = Run {
            generation,
            energy,
            control: (generation == Generation::Iso20).then_some(Control::Scheduled),
            pnc: false,
            discharge: false,
        };
        let mut since = None;
        let world = drive(&run, |world| {
            if world.evse.contactor_closed {
                let at = *since.get_or_insert(world.now_ms);
                world.evse.stop = world.now_ms - at >= 500;
            }
        });
        assert!(
            matches!(world.end, Some(End::StoppedByStation(_))),
            "{generation:?} {energy:?}: {:?}\n{:#?}",
            world.end,
            world.steps
        );
        assert!(!world.evse.contactor_closed);
    }
}
