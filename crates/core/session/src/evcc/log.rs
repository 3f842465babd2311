//! Collects what the policy has to say: finished steps, and the energy steps as power turns around.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::config::{Energy, VehicleState};
use super::output::{Flow, Output, Pilot, StepName, StepRecord};

/// Power below which the direction of flow is not judged, watts.
const STILL_W: f64 = 1.0;

/// Outputs not yet drained, the step that runs, and the pilot as last set.
#[derive(Debug)]
pub(crate) struct Log {
    outputs: VecDeque<Output>,
    current: StepName,
    since_ms: u64,
    pilot: Pilot,
    run: Option<Run>,
}

/// One stretch of energy in one direction.
#[derive(Debug)]
struct Run {
    out: bool,
    energy_wh: f64,
    soc: f64,
    peak: f64,
    exchanges: u64,
}

impl Log {
    pub(crate) const fn new() -> Self {
        Self {
            outputs: VecDeque::new(),
            current: StepName::Protocol,
            since_ms: 0,
            pilot: Pilot::B,
            run: None,
        }
    }

    /// Starts the clock of the first step.
    pub(crate) const fn start(&mut self, now_ms: u64) {
        self.since_ms = now_ms;
    }

    /// The step that runs.
    pub(crate) const fn current(&self) -> StepName {
        self.current
    }

    /// Ends the running step well and goes on to `next`.
    pub(crate) fn done(
        &mut self,
        now_ms: u64,
        next: StepName,
        detail: String,
        fields: Vec<(&'static str, Value)>,
    ) {
        self.record(now_ms, true, detail, fields);
        self.current = next;
    }

    /// Ends the running step badly.
    pub(crate) fn failed(&mut self, now_ms: u64, detail: String, fields: Vec<(&'static str, Value)>) {
        self.record(now_ms, false, detail, fields);
    }

    fn record(&mut self, now_ms: u64, ok: bool, detail: String, fields: Vec<(&'static str, Value)>) {
        self.outputs.push_back(Output::Step(StepRecord {
            name: self.current,
            started_ms: self.since_ms,
            finished_ms: now_ms,
            ok,
            detail,
            fields,
        }));
        self.since_ms = now_ms;
    }

    /// Queues an output.
    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Puts the pilot into a state, once.
    pub(crate) fn pilot(&mut self, pilot: Pilot) {
        if self.pilot != pilot {
            self.pilot = pilot;
            self.outputs.push_back(Output::Pilot(pilot));
        }
    }

    pub(crate) fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes note of one charge-loop answer; ends the energy step when the flow turned around.
    pub(crate) fn flow(&mut self, now_ms: u64, flow: Flow, vehicle: &VehicleState) {
        let turned = match &self.run {
            Some(run) if run.out => flow.watts > STILL_W,
            Some(_) => flow.watts < -STILL_W,
            None => false,
        };
        if turned {
            self.end_run(now_ms, vehicle, None);
        }
        let out = flow.watts < -STILL_W;
        let run = self.run.get_or_insert(Run {
            out,
            energy_wh: if out { vehicle.given_wh } else { vehicle.taken_wh },
            soc: vehicle.soc,
            peak: 0.0,
            exchanges: 0,
        });
        self.current = if run.out {
            StepName::EnergyOut
        } else {
            StepName::EnergyIn
        };
        run.peak = run.peak.max(flow.watts.abs());
        run.exchanges += 1;
        self.outputs.push_back(Output::Flow(flow));
    }

    /// Ends the running energy step, if one runs; `next` is what follows it.
    pub(crate) fn end_run(&mut self, now_ms: u64, vehicle: &VehicleState, next: Option<StepName>) {
        if let Some(run) = self.run.take() {
            let moved = if run.out {
                vehicle.given_wh
            } else {
                vehicle.taken_wh
            } - run.energy_wh;
            let detail = format!(
                "{:.3} kWh, at most {:.1} kW, battery {:.1} % to {:.1} %, {} exchanges",
                moved / 1000.0,
                run.peak / 1000.0,
                run.soc,
                vehicle.soc,
                run.exchanges
            );
            let fields = vec![
                ("wh", json!(round(moved))),
                ("peak_w", json!(round(run.peak))),
                ("soc_from", json!(round(run.soc))),
                ("soc_to", json!(round(vehicle.soc))),
                ("exchanges", json!(run.exchanges)),
            ];
            let name = if run.out {
                StepName::EnergyOut
            } else {
                StepName::EnergyIn
            };
            self.current = name;
            self.record(now_ms, true, detail, fields);
        }
        if let Some(next) = next {
            self.current = next;
        }
    }

    /// The step that follows the parameters of a session of this kind.
    pub(crate) const fn after_parameters(energy: Energy) -> StepName {
        if energy.is_dc() {
            StepName::CableCheck
        } else {
            StepName::EnergyIn
        }
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
