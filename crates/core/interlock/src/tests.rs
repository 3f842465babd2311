use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn power_flows_only_with_every_condition() {
    for bits in 0..=Conditions::all().0 {
        let mut interlock = Interlock::new();
        interlock.renew(ms(0), Conditions(bits));
        let line = interlock.request(ms(1));
        assert_eq!(line == Line::Closed, bits == Conditions::all().0, "{bits:05b}");
    }
}

#[test]
fn silence_opens_and_a_late_renewal_does_not_close_again() {
    let mut interlock = Interlock::new();
    interlock.renew(ms(0), Conditions::all());
    assert_eq!(interlock.request(ms(10)), Line::Closed);
    assert_eq!(interlock.deadline(), Some(ms(100)));
    assert_eq!(interlock.evaluate(ms(99)), Line::Closed);
    assert_eq!(interlock.evaluate(ms(100)), Line::Open(OpenReason::Silence));
    assert_eq!(
        interlock.renew(ms(110), Conditions::all()),
        Line::Open(OpenReason::Silence)
    );
    assert_eq!(interlock.request(ms(111)), Line::Closed);
}

#[test]
fn a_longer_life_is_granted_up_to_its_bound() {
    let mut interlock = Interlock::new().with_life(ms(60_000));
    interlock.renew(ms(0), Conditions::all());
    assert_eq!(interlock.request(ms(500)), Line::Closed);
    assert_eq!(interlock.evaluate(ms(999)), Line::Closed);
    assert_eq!(interlock.evaluate(ms(1000)), Line::Open(OpenReason::Silence));
}

#[test]
fn a_lost_condition_opens_at_once_and_names_itself() {
    for condition in Condition::ALL {
        let mut interlock = Interlock::new();
        interlock.renew(ms(0), Conditions::all());
        interlock.request(ms(0));
        let line = interlock.renew(ms(5), Conditions::all().with(condition, false));
        assert_eq!(line, Line::Open(OpenReason::Missing(condition)));
        assert!(
            matches!(interlock.renew(ms(6), Conditions::all()), Line::Open(_)),
            "stays open"
        );
    }
}

/// Walks every state reachable with every input at every interesting time step, and checks the safety
/// property in each: closed implies requested, all conditions, and fresh.
#[test]
fn every_reachable_state_is_safe() {
    type Key = (bool, u8, Option<u64>, Option<u8>);
    let key = |i: &Interlock, now: Duration| -> Key {
        let line = match i.line {
            Line::Closed => None,
            Line::Open(OpenReason::NotRequested) => Some(100),
            Line::Open(OpenReason::Silence) => Some(101),
            Line::Open(OpenReason::Missing(c)) => Some(c.bit()),
        };
        let left = i.expires.map(|e| e.saturating_sub(now).as_millis() as u64);
        (i.requested, i.conditions.0, left, line)
    };
    let mut seen = HashSet::new();
    let mut queue = vec![(Interlock::new(), ms(0))];
    while let Some((state, now)) = queue.pop() {
        if !seen.insert(key(&state, now)) {
            continue;
        }
        for step in [0, 50, 99, 100, 101] {
            let now = now + ms(step);
            let mut nexts = Vec::new();
            for bits in 0..=Conditions::all().0 {
                let mut next = state.clone();
                next.renew(now, Conditions(bits));
                nexts.push(next);
            }
            let mut next = state.clone();
            next.request(now);
            nexts.push(next);
            let mut next = state.clone();
            next.release();
            nexts.push(next);
            let mut next = state.clone();
            next.evaluate(now);
            nexts.push(next);
            for next in nexts {
                if next.is_closed() {
                    assert!(next.requested, "closed without a request");
                    assert_eq!(next.conditions, Conditions::all(), "closed without a condition");
                    assert!(next.expires.unwrap() > now, "closed on a stale renewal");
                }
                queue.push((next, now));
            }
        }
    }
    assert!(seen.len() > 100, "explored {} states", seen.len());
}

#[derive(Debug, Clone)]
enum Input {
    Renew(u8),
    Request,
    Release,
    Evaluate,
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        3 => Just(Input::Renew(Conditions::all().0)),
        1 => (0..=Conditions::all().0).prop_map(Input::Renew),
        1 => Just(Input::Request),
        1 => Just(Input::Release),
        1 => Just(Input::Evaluate),
    ]
}

proptest! {
    /// Whatever happens in whatever order: once closed, the line is open again no later than the
    /// renewal allows, and it never closes again without a request after the last opening.
    #[test]
    fn no_history_closes_without_a_fresh_request(inputs in prop::collection::vec((input(), 0u64..150), 1..80)) {
        let mut interlock = Interlock::new();
        let mut now = ms(0);
        let mut asked_since_open = false;
        let mut last_renewal: Option<Duration> = None;
        for (input, step) in inputs {
            now += ms(step);
            let before = interlock.is_closed();
            match input {
                Input::Renew(bits) => { interlock.renew(now, Conditions(bits)); last_renewal = Some(now); }
                Input::Request => { asked_since_open = true; interlock.request(now); }
                Input::Release => { asked_since_open = false; interlock.release(); }
                Input::Evaluate => { interlock.evaluate(now); }
            }
            if before && !interlock.is_closed() {
                asked_since_open = false;
            }
            if interlock.is_closed() {
                prop_assert!(asked_since_open);
                prop_assert!(now - last_renewal.unwrap() < RENEWAL);
            }
        }
    }
}
