//! The vehicle, fed with whatever a station, or somebody who plays one, may send.

use gridlatch_session::evcc::{
    Authorisation, Contract, ContractAcceptance, ContractSigner, ContractWish, Control, Curve, Discovery,
    DiscoveryEvent, Energy, EvccConfig, EvccSession, Generation, Goal, Matching, MatchingConfig,
    MatchingEvent, Now, Output, Pilot, VehicleState, Wish,
};
use gridlatch_session::provisioning::{Action, RootId, SignedContract};
use gridlatch_vocab::{Code, Personal};

/// Turns of the holder's loop per frame of input; a session that wants more is stuck.
const TURNS: usize = 400;
/// A request that waits is due within this many milliseconds; later ones are timers of the protocol.
const SOON_MS: u64 = 1_000;

/// One octet that chooses the vehicle (bit 0 the generation, 1-2 the energy, 3 who decides, 4-5 how it
/// identifies itself), then V2GTP frames. What must hold whatever comes: the vehicle is never ready for energy
/// after the end, what flows is a number, a lost connection ends the session, and the loop comes to rest.
pub(crate) fn evcc(data: &[u8]) {
    let _ = run(data);
}

/// How many answers the vehicle took and whether its pilot ever said ready.
fn run(data: &[u8]) -> (u64, bool) {
    let Some((choice, mut rest)) = data.split_first() else {
        return (0, false);
    };
    let Some(mut holder) = Holder::new(*choice) else {
        return (0, false);
    };
    while !rest.is_empty() && !holder.session.is_ended() {
        // A frame as its header says; without one, whatever is left.
        let length = rest
            .get(4..8)
            .and_then(|field| field.try_into().ok())
            .map_or(rest.len(), |field| u32::from_be_bytes(field) as usize);
        let (frame, tail) = rest.split_at(length.saturating_add(8).min(rest.len()));
        rest = tail;
        let now = holder.now();
        holder.session.update(state());
        holder.session.handle_input(now, frame);
        holder.settle();
    }
    let now = holder.now();
    holder.session.connection_lost(now, "closed");
    holder.settle();
    assert!(holder.session.is_ended(), "a lost connection ends the session");
    assert!(!holder.ready, "the vehicle stayed ready for energy after the end");
    (holder.session.exchanges(), holder.was_ready)
}

struct Holder {
    session: EvccSession,
    now_ms: u64,
    ready: bool,
    was_ready: bool,
}

impl Holder {
    fn new(choice: u8) -> Option<Self> {
        let mut session = EvccSession::new(config(choice), state()).ok()?;
        let start = Now {
            mono_ms: 1_000,
            unix_s: 1_800_000_001,
        };
        session.start(start).ok()?;
        let mut holder = Self {
            session,
            now_ms: start.mono_ms,
            ready: false,
            was_ready: false,
        };
        holder.settle();
        Some(holder)
    }

    const fn now(&self) -> Now {
        Now {
            mono_ms: self.now_ms,
            unix_s: 1_800_000_000 + self.now_ms / 1000,
        }
    }

    fn settle(&mut self) {
        for _ in 0..TURNS {
            while let Some(output) = self.session.poll_output() {
                match output {
                    Output::Pilot(pilot) => {
                        self.ready = pilot == Pilot::C;
                        self.was_ready |= self.ready;
                    }
                    Output::Draw(watts) => assert!(watts.is_finite(), "draws {watts} W"),
                    Output::Flow(flow) => assert!(flow.watts.is_finite(), "{flow:?}"),
                    Output::Step(step) => {
                        let _ = format!("{step:?}");
                    }
                    Output::Ended(end) => {
                        let _ = format!("{end:?}");
                    }
                }
            }
            let sent = !self.session.poll_transmit().is_empty();
            match self.session.poll_timeout() {
                Some(due) if due <= self.now_ms + SOON_MS => {
                    self.now_ms = self.now_ms.max(due);
                    let now = self.now();
                    self.session.handle_timeout(now);
                }
                _ if sent => {}
                _ => return,
            }
        }
        panic!("the vehicle never comes to rest");
    }
}

const fn state() -> VehicleState {
    VehicleState {
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
    }
}

fn config(choice: u8) -> EvccConfig {
    let iso20 = choice & 1 != 0;
    let generation = if iso20 {
        Generation::Iso20
    } else {
        Generation::Iso2
    };
    let energy = match choice >> 1 & 3 {
        0 => Energy::Ac,
        1 => Energy::Dc,
        _ => Energy::DcBpt,
    };
    let dynamic = choice >> 3 & 1 != 0;
    let goal = Goal {
        duration_ms: Some(2_000),
        ..Goal::default()
    };
    EvccConfig {
        generation,
        energy,
        control: iso20.then_some(if dynamic {
            Control::Dynamic
        } else {
            Control::Scheduled
        }),
        authorisation: match choice >> 4 & 3 {
            0 => Authorisation::Eim,
            1 => Authorisation::Contract(contract()),
            2 => Authorisation::Install(wish(Action::Install)),
            _ => Authorisation::Install(wish(Action::Update)),
        },
        secured: true,
        evcc_id: Personal::new([2, 0, 0, 0, 0, 1]),
        wish: Wish {
            charge: goal,
            discharge: (energy == Energy::DcBpt).then_some(goal),
            departure_s: 0,
        },
        pace_ms: 100,
        repeat_ms: 50,
        patience: 1,
    }
}

/// Some certificate: nobody here follows the chain.
const CERTIFICATE: &[u8] = include_bytes!("../corpus/x509/self-signed");

fn contract() -> Contract {
    Contract {
        emaid: Personal::new("DEGDLC123456789".to_owned()),
        chain: vec![CERTIFICATE.to_vec(), CERTIFICATE.to_vec()],
        signer: Box::new(SameSignature),
    }
}

fn wish(action: Action) -> ContractWish {
    ContractWish {
        action,
        chain: vec![CERTIFICATE.to_vec(), CERTIFICATE.to_vec()],
        signer: Box::new(SameSignature),
        roots: vec![RootId {
            issuer: "CN=V2G Root".to_owned(),
            serial: 7,
        }],
        emaids: vec![Personal::new("DEGDLC123456789".to_owned())],
        acceptance: Box::new(TakesAny),
    }
}

/// A form of a signature, in DER: what the vehicle signs is not judged here.
#[derive(Debug)]
struct SameSignature;

impl ContractSigner for SameSignature {
    fn curve(&self) -> Curve {
        Curve::P256
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, String> {
        Ok(vec![0x30, 6, 2, 1, 1, 2, 1, 1])
    }
}

/// Believes every contract, so that what lies behind it is reached too.
#[derive(Debug)]
struct TakesAny;

impl ContractAcceptance for TakesAny {
    fn accept(&self, offered: &SignedContract) -> Result<Contract, (Code, String)> {
        let _ = offered.to_xml();
        Ok(contract())
    }
}

/// Answers to the vehicle's discovery, each behind its length in one octet.
pub(crate) fn discovery(data: &[u8]) {
    for secured in [true, false] {
        let mut discovery = Discovery::new(secured, false, 3);
        let mut now = 1_000;
        discovery.start(now);
        for datagram in pieces(data) {
            let _ = discovery.poll_transmit();
            now += 50;
            let event = discovery.handle_datagram(now, datagram);
            let late = discovery.poll_timeout().is_some_and(|due| due <= now);
            let timed = late.then(|| discovery.handle_timeout(now)).flatten();
            for event in event.into_iter().chain(timed) {
                if let DiscoveryEvent::Found(found) = event {
                    assert!(found.secured || !secured, "less security than was asked for");
                    assert!(found.port != 0, "nobody listens on port 0");
                    return;
                }
            }
        }
    }
}

/// Frames to the vehicle's half of SLAC, each behind its length in one octet.
pub(crate) fn matching(data: &[u8]) {
    let mut matching = Matching::new(&MatchingConfig {
        mac: [2, 0, 0, 0, 0, 1],
        run_id: [1, 2, 3, 4, 5, 6, 7, 8],
        sounding_payload: [0x5A; 16],
        attenuation_limit: 25,
    });
    let mut now = 1_000;
    matching.start(now);
    let mut over = false;
    for frame in pieces(data) {
        sent(&mut matching);
        now += 5;
        over |= matched(matching.handle_frame(now, frame));
        sent(&mut matching);
        // Up to the timer that is due next, so that soundings go out.
        if let Some(due) = matching.poll_timeout() {
            now = now.max(due);
            over |= matched(matching.handle_timeout(now));
        }
        if over {
            return;
        }
    }
}

/// Takes what is to be sent.
fn sent(matching: &mut Matching) {
    let frames = (0..64).take_while(|_| matching.poll_transmit().is_some()).count();
    assert!(frames < 64, "the vehicle floods the line");
}

/// Whether matching is over.
fn matched(event: Option<MatchingEvent>) -> bool {
    if let Some(MatchingEvent::Matched { station, .. }) = &event {
        assert!(*station != [2, 0, 0, 0, 0, 1], "matched with itself");
    }
    event.is_some()
}

/// Parts of an input, each behind its length in one octet.
fn pieces(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let (length, tail) = rest.split_first()?;
        let (piece, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    /// The mutations start from sessions that go all the way.
    #[test]
    fn the_corpus_reaches_the_charge_loop_in_both_generations() {
        for stream in [
            include_bytes!("../corpus/evcc/iso2-dc").as_slice(),
            include_bytes!("../corpus/evcc/iso2-ac-contract"),
            include_bytes!("../corpus/evcc/iso20-ac"),
            include_bytes!("../corpus/evcc/iso20-bpt"),
        ] {
            let (answers, ready) = super::run(stream);
            assert!(ready && answers >= 8, "{answers} answers, ready: {ready}");
        }
    }
}
