//! The station's session, fed with whatever a vehicle may send.

use std::time::Duration;

use gridlatch_session::secc::{
    Clock, ControlMode, Demand, Entropy, Evse, Isolation, Kind, Limits, Output, SeccSession,
    SeccSessionConfig, Verdict,
};
use gridlatch_vocab::{Amps, MilliWattHours, Timestamp, Volts, Watts};

/// Turns of the holder's loop per chunk of input; a session that wants more is stuck.
const TURNS: usize = 400;

/// The bytes with and without TLS, in chunks that fit no frame. What must hold whatever comes: power is
/// asked for only after the platform said yes, a set-point or a target never leaves the envelope, a
/// session that is over asks for nothing, and the loop comes to rest.
pub(crate) fn secc(data: &[u8]) {
    for tls in [false, true] {
        run(data, tls);
    }
}

/// Says whether power was ever on.
fn run(data: &[u8], tls: bool) -> bool {
    let mut holder = Holder::new(tls);
    for chunk in data.chunks(61) {
        let clock = holder.clock();
        holder.session.receive(clock, &holder.evse, chunk);
        holder.settle();
        if holder.session.end().is_some() {
            break;
        }
    }
    holder.session.disconnected();
    holder.settle();
    assert!(
        holder.session.end().is_some(),
        "a lost connection ends the session"
    );
    assert!(!holder.evse.contactor_closed, "power stayed on after the end");
    holder.powered
}

struct Holder {
    session: SeccSession,
    evse: Evse,
    limits: Limits,
    now: Duration,
    authorised: bool,
    powered: bool,
}

impl Holder {
    fn new(tls: bool) -> Self {
        let limits = Limits {
            max_voltage: Volts(920.0),
            min_voltage: Volts(150.0),
            max_current: Amps(300.0),
            max_power: Watts(150_000.0),
            min_power: Watts(0.0),
            max_discharge_current: Amps(125.0),
            max_discharge_power: Watts(50_000.0),
            phases: 3,
        };
        let config = SeccSessionConfig {
            evse_id: "DE*GLA*E000001".to_owned(),
            kind: Kind::Dc { bidirectional: true },
            iso2: true,
            iso20: true,
            tls,
            eim: true,
            pnc: true,
            control_modes: vec![ControlMode::Dynamic, ControlMode::Scheduled],
            limits,
            meter_id: "GL-1".to_owned(),
            receipts: true,
            provisioning: true,
            contracts: None,
            // What the corpus was recorded with, so that its requests belong to the session.
            entropy: Entropy {
                session_id: [1, 2, 3, 4, 5, 6, 7, 8],
                challenge: [9; 16],
            },
        };
        let mut holder = Self {
            session: SeccSession::new(config, clock(Duration::ZERO)),
            evse: Evse {
                voltage: Volts(0.0),
                current: Amps(0.0),
                imported: MilliWattHours(0),
                exported: MilliWattHours(0),
                contactor_closed: false,
                isolation: Isolation::Unknown,
                setpoint: Some(Watts(-20_000.0)),
                stop: false,
            },
            limits,
            now: Duration::ZERO,
            authorised: false,
            powered: false,
        };
        holder.settle();
        holder
    }

    fn clock(&self) -> Clock {
        clock(self.now)
    }

    fn settle(&mut self) {
        for _ in 0..TURNS {
            let over = self.session.end().is_some();
            while let Some(output) = self.session.poll() {
                self.carry_out(output, over);
            }
            self.now += Duration::from_millis(20);
            let (clock, evse) = (self.clock(), self.evse);
            let moved = self.session.advance(clock, &evse);
            let mut answer = Vec::new();
            self.session.take_transmit(&mut answer);
            // A request that waits has a deadline near by; only the long timers are left otherwise.
            let waits = self
                .session
                .deadline()
                .is_some_and(|due| due <= self.now + Duration::from_secs(1));
            if !moved && answer.is_empty() && (over || !waits) {
                return;
            }
        }
        panic!("the session never comes to rest");
    }

    fn carry_out(&mut self, output: Output, over: bool) {
        match output {
            Output::Authorize(_) => {
                self.authorised = true;
                self.session.authorized(Verdict::Accepted { discharge: true });
            }
            // A service as hostile as the vehicle: its answer is the request.
            Output::Provision { exi, .. } => {
                let clock = self.clock();
                self.session.provisioned(clock, Ok(exi));
            }
            Output::TestIsolation => self.evse.isolation = Isolation::Valid,
            Output::CloseContactor => {
                assert!(self.authorised, "power without authorisation");
                self.evse.contactor_closed = !over;
                self.powered |= !over;
            }
            Output::OpenContactor(_) | Output::Ended(_) => {
                self.evse.contactor_closed = false;
                self.evse.current = Amps(0.0);
            }
            Output::Demand(Demand::Dc { volts, amps }) => {
                assert!(
                    (0.0..=self.limits.max_voltage.0).contains(&volts.0),
                    "{volts:?} is outside the envelope"
                );
                let envelope = -self.limits.max_discharge_current.0..=self.limits.max_current.0;
                assert!(envelope.contains(&amps.0), "{amps:?} is outside the envelope");
                (self.evse.voltage, self.evse.current) = (volts, amps);
            }
            Output::Demand(_) | Output::Event(_) | Output::Step(_) => {}
        }
    }
}

fn clock(monotonic: Duration) -> Clock {
    Clock {
        monotonic,
        wall: Timestamp::from_unix_millis(1_800_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    /// The mutations start from sessions that go all the way.
    #[test]
    fn the_corpus_reaches_the_charge_loop() {
        for stream in [
            include_bytes!("../corpus/secc/iso2-dc").as_slice(),
            include_bytes!("../corpus/secc/iso20-bpt"),
        ] {
            assert!(super::run(stream, false));
        }
        assert!(!super::run(include_bytes!("../corpus/secc/bomb"), true));
    }
}
