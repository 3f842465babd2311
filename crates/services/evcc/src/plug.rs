//! The vehicle's end of the cable: pilot, SLAC, and what the station puts on it.

use std::time::Duration;

use gridlatch_link::cable::{self, PilotState, ToStation, ToVehicle, VehicleEnd};
use gridlatch_session::evcc::{Failure, Matching, MatchingConfig, MatchingEvent, Pilot, StepName};
use gridlatch_vocab::catalogue::cable as codes;
use tokio::time::Instant;

use crate::config::Plug;

/// Attenuation above which a station is not the one at this cable, dB.
const ATTENUATION_LIMIT_DB: u8 = 40;

/// How often the battery's state is told to the cable at most: the simulated station only needs it to
/// model voltage, and the cable's queue is bounded.
const BATTERY_INTERVAL: Duration = Duration::from_millis(100);
/// How often a changing AC draw is told to the cable at most; a stop is told at once.
const DRAW_INTERVAL: Duration = Duration::from_millis(20);
/// A change of AC draw worth telling, watts.
const DRAW_STEP_W: f64 = 0.5;
/// Time for the station to offer high-level communication (5 % duty cycle) after plugging in.
const PWM_TIMEOUT: Duration = Duration::from_secs(10);

/// A plugged-in cable.
#[derive(Debug)]
pub(crate) struct Cable {
    end: VehicleEnd,
    closed: bool,
    drawn: f64,
    draw_told: Option<Instant>,
    battery_told: Option<Instant>,
}

impl Cable {
    /// Plugs in and waits for the station to offer high-level communication.
    pub(crate) async fn plug(plug: Plug) -> Result<Self, Failure> {
        let end = match plug {
            Plug::Attached(end) => end,
            Plug::Socket(path) => cable::plug_in(&path)
                .await
                .map_err(|error| refused(codes::OUTLET_BUSY, describe(&error)))?,
        };
        let mut cable = Self {
            end,
            closed: false,
            drawn: 0.0,
            draw_told: None,
            battery_told: None,
        };
        cable.send(ToStation::Pilot(PilotState::B))?;
        let until = Instant::now() + PWM_TIMEOUT;
        loop {
            match tokio::time::timeout_at(until, cable.end.recv()).await {
                Ok(Some(ToVehicle::Pwm { duty_percent })) if (3.0..=7.0).contains(&duty_percent) => {
                    return Ok(cable);
                }
                Ok(Some(message)) => cable.note(&message),
                Ok(None) => {
                    return Err(refused(
                        codes::OUTLET_BUSY,
                        "the station dropped the plug".to_owned(),
                    ));
                }
                Err(_) => {
                    return Err(refused(
                        codes::SLAC_NO_MATCH,
                        "the station offers no high-level communication (no 5 % duty cycle) on the pilot"
                            .to_owned(),
                    ));
                }
            }
        }
    }

    /// Runs SLAC to the match: the station's MAC and the attenuation it measured.
    pub(crate) async fn match_station(&mut self, mac: [u8; 6]) -> Result<([u8; 6], Option<u8>), Failure> {
        let mut config = MatchingConfig {
            mac,
            run_id: [0; 8],
            sounding_payload: [0; 16],
            attenuation_limit: ATTENUATION_LIMIT_DB,
        };
        if getrandom::fill(&mut config.run_id).is_err()
            || getrandom::fill(&mut config.sounding_payload).is_err()
        {
            return Err(refused(
                codes::SLAC_NO_MATCH,
                "no randomness for the run id".to_owned(),
            ));
        }
        let mut matching = Matching::new(&config);
        let origin = Instant::now();
        let now = || u64::try_from(origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        matching.start(now());
        loop {
            while let Some(frame) = matching.poll_transmit() {
                self.send(ToStation::Frame(frame))?;
            }
            let due = matching
                .poll_timeout()
                .map_or_else(|| origin + PWM_TIMEOUT, |at| origin + Duration::from_millis(at));
            let event = tokio::select! {
                message = self.end.recv() => match message {
                    Some(ToVehicle::Frame(frame)) => matching.handle_frame(now(), &frame),
                    Some(other) => { self.note(&other); None }
                    None => return Err(refused(codes::SLAC_NO_MATCH, "the cable was unplugged".to_owned())),
                },
                () = tokio::time::sleep_until(due) => matching.handle_timeout(now().max(matching.poll_timeout().unwrap_or(0))),
            };
            match event {
                Some(MatchingEvent::Matched { station, attenuation }) => return Ok((station, attenuation)),
                Some(MatchingEvent::Failed(failure)) => return Err(failure),
                None => {}
            }
        }
    }

    /// The next message that matters to a running session; `None` when the cable is gone.
    pub(crate) async fn next(&mut self) -> Option<()> {
        let message = self.end.recv().await?;
        self.note(&message);
        Some(())
    }

    /// Whether the station's contactor is closed.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn pilot(&mut self, pilot: Pilot) {
        let state = match pilot {
            Pilot::B => PilotState::B,
            Pilot::C => PilotState::C,
        };
        // A gone cable shows at the next `next`; the pilot of an unplugged vehicle is open anyway.
        let _ = self.send(ToStation::Pilot(state));
    }

    /// Tells what the on-board charger takes.
    pub(crate) fn draw(&mut self, watts: f64) {
        let stop = watts <= 0.0 && self.drawn > 0.0;
        let recent = self.draw_told.is_some_and(|at| at.elapsed() < DRAW_INTERVAL);
        if stop || (!recent && (watts - self.drawn).abs() >= DRAW_STEP_W) {
            self.drawn = watts;
            self.draw_told = Some(Instant::now());
            let _ = self.send(ToStation::Draw { watts });
        }
    }

    /// Tells the battery's voltage and state of charge.
    pub(crate) fn battery(&mut self, volts: f64, soc: f64) {
        if self
            .battery_told
            .is_none_or(|at| at.elapsed() >= BATTERY_INTERVAL)
        {
            self.battery_told = Some(Instant::now());
            let _ = self.send(ToStation::Battery { volts, soc });
        }
    }

    fn note(&mut self, message: &ToVehicle) {
        if let ToVehicle::Output { closed, .. } = message {
            self.closed = *closed;
        }
    }

    fn send(&self, message: ToStation) -> Result<(), Failure> {
        self.end
            .send(message)
            .map_err(|error| refused(codes::SLAC_NO_MATCH, describe(&error)))
    }
}

fn refused(code: gridlatch_vocab::Code, message: String) -> Failure {
    Failure::new(StepName::Matching, code, message)
}

fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
