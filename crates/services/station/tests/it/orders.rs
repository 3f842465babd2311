//! What the platform orders, and what the station then does and tells.

use std::time::Duration;

use gridlatch_station::backend::{
    ChargingState, FromPlatform, Identification, StopReason, TransactionUpdate as U,
};
use gridlatch_station::{CableMode, EimPolicy};
use gridlatch_vocab::catalogue::{cable as cable_codes, power, session};
use gridlatch_vocab::{EvseId, Personal, TransactionId, Watts};
use tokio::sync::oneshot;

use crate::bench::{Bench, Told, bench, bench_with, eventually};

async fn start(bench: &Bench, evse: u16) -> Result<Option<TransactionId>, String> {
    let (accepted, answer) = oneshot::channel();
    let order = FromPlatform::Start {
        evse: EvseId(evse),
        remote_start_id: 42,
        token: Personal::new("REMOTE".to_owned()),
        kind: "Central".to_owned(),
        accepted,
    };
    bench.orders.send(order).await.unwrap();
    answer.await.unwrap()
}

async fn stop(bench: &Bench, transaction: TransactionId) -> bool {
    let (accepted, answer) = oneshot::channel();
    let order = FromPlatform::Stop {
        transaction,
        accepted,
    };
    bench.orders.send(order).await.unwrap();
    answer.await.unwrap()
}

async fn setpoint(bench: &Bench, evse: u16, watts: Option<f64>) -> Result<(), String> {
    let (accepted, answer) = oneshot::channel();
    let order = FromPlatform::Setpoint {
        evse: EvseId(evse),
        setpoint: watts.map(Watts),
        accepted,
    };
    bench.orders.send(order).await.unwrap();
    answer.await.unwrap()
}

async fn reset(bench: &Bench, immediate: bool) -> bool {
    let (accepted, answer) = oneshot::channel();
    bench
        .orders
        .send(FromPlatform::Reset { immediate, accepted })
        .await
        .unwrap();
    answer.await.unwrap()
}

fn ended(bench: &Bench, evse: u16) -> Option<StopReason> {
    bench
        .updates(evse)
        .iter()
        .find_map(|(_, update, _)| match update {
            U::Ended { reason } => Some(*reason),
            _ => None,
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_start_charges_on_its_token_and_a_remote_stop_ends_it_in_order() {
    let bench = bench_with(1, false, |config| config.eim = EimPolicy::RemoteStart);
    assert!(start(&bench, 9).await.is_err(), "there is no EVSE 9");
    let car = bench.car(1).millis(600_000);
    let figures = car.watch();
    let charging = car.start();
    bench.reports(1, session::ESTABLISHED, 0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(bench.told().is_empty(), "nobody identified this vehicle");
    assert_eq!(start(&bench, 1).await, Ok(None));
    assert!(
        eventually(|| figures.borrow().loops > 10).await,
        "{:#?}",
        bench.codes(1)
    );
    assert!(start(&bench, 1).await.is_err(), "one transaction at a time");
    let Told::Authorize(Identification::Token { token, kind }) = &bench.told()[0] else {
        panic!("{:?}", bench.told())
    };
    assert_eq!((token.reveal().as_str(), kind.as_str()), ("REMOTE", "Central"));
    let (id, update, _) = bench.updates(1).swap_remove(0);
    assert!(
        matches!(
            update,
            U::Started {
                remote_start_id: Some(42),
                ..
            }
        ),
        "{update:?}"
    );

    assert!(!stop(&bench, "another".parse().unwrap()).await);
    assert!(stop(&bench, id.clone()).await);
    let outcome = charging.outcome().await;
    assert!(outcome.failure().is_none(), "stopped in order: {outcome:?}");
    assert!(
        eventually(|| ended(&bench, 1) == Some(StopReason::Remote)).await,
        "{:?}",
        bench.updates(1)
    );
    assert!(!bench.is_closed(1));
    assert!(!stop(&bench, id).await, "it is over");
    let updates = bench.updates(1);
    let (first, last) = (updates.first().unwrap().2, updates.last().unwrap().2);
    assert!(last.imported > first.imported && last.exported == first.exported);
    assert!(updates.iter().any(|(_, update, _)| matches!(
        update,
        U::Sample {
            state: ChargingState::Charging
        }
    )));
    // The start is used up: the next vehicle is nobody again.
    let next = bench.car(1).start();
    bench.reports(1, session::ESTABLISHED, 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = bench
        .told()
        .iter()
        .filter(|told| matches!(told, Told::Authorize(_)))
        .count();
    assert_eq!(asked, 1, "the next vehicle charges on the last one's token");
    next.abort();
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_start_leaves_with_the_vehicle_that_unplugs() {
    let folder = tempfile::tempdir().unwrap();
    let cable = folder.path().join("cable");
    let bench = bench_with(1, false, |config| {
        config.eim = EimPolicy::RemoteStart;
        config.evses[0].cable = CableMode::Socket(cable.clone());
    });
    let vehicle = gridlatch_link::cable::plug_in(&cable).await.unwrap();
    bench.reports(1, cable_codes::PLUGGED_IN, 0).await;
    assert_eq!(start(&bench, 1).await, Ok(None));
    drop(vehicle);
    bench.reports(1, cable_codes::UNPLUGGED, 0).await;
    let next = bench.car(1).plugged(&cable).start();
    bench.reports(1, session::ESTABLISHED, 0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(
        bench.told().is_empty(),
        "the next vehicle charges on the last one's token"
    );
    next.abort();
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn set_points_are_followed_both_ways_bounded_and_lifted() {
    let bench = bench(1, false);
    let car = bench.car(1).dynamic().millis(600_000);
    let figures = car.watch();
    let charging = car.start();
    assert!(
        eventually(|| figures.borrow().loops > 5).await,
        "{:#?}",
        bench.codes(1)
    );
    assert!(setpoint(&bench, 1, Some(f64::NAN)).await.is_err());
    assert!(
        setpoint(&bench, 2, Some(1.0)).await.is_err(),
        "there is no EVSE 2"
    );
    let mut last = (0, 0);
    for (order, expected) in [
        (Some(10_000.0), 10_000.0),
        (Some(-8_000.0), -8_000.0),
        // Beyond what the outlet discharges.
        (Some(-1e9), -50_000.0),
        (Some(0.0), 0.0),
    ] {
        setpoint(&bench, 1, order).await.unwrap();
        let near = |watts: f64| (watts - expected).abs() <= expected.abs() * 0.03 + 20.0;
        let followed = eventually(|| {
            near(figures.borrow().watts)
                && bench
                    .updates(1)
                    .last()
                    .is_some_and(|(_, _, meter)| near(meter.power.0))
        })
        .await;
        let meter = bench.updates(1).last().unwrap().2;
        assert!(followed, "{order:?}: {:?}, {meter:?}", *figures.borrow());
        assert_eq!(meter.setpoint, Some(Watts(expected)));
        let registers = (meter.imported.0, meter.exported.0);
        assert!(
            registers.0 >= last.0 && registers.1 >= last.1,
            "a register ran back"
        );
        if expected < 0.0 {
            assert!(registers.1 > last.1, "discharge counts as export");
        }
        last = registers;
    }
    setpoint(&bench, 1, None).await.unwrap();
    assert!(
        eventually(|| figures.borrow().watts > 20_000.0).await,
        "lifted: {:?}",
        *figures.borrow()
    );
    assert!(eventually(|| bench.updates(1).last().unwrap().2.setpoint.is_none()).await);
    assert_eq!(bench.count(1, power::SETPOINT_CHANGED), 5);
    charging.abort();
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outlet_that_cannot_discharge_says_so() {
    let bench = bench_with(1, false, |config| {
        config.evses[0] =
            gridlatch_station::EvseConfig::ac(EvseId(1), "DE*GDL*E000001*1", CableMode::Virtual);
    });
    assert!(setpoint(&bench, 1, Some(-1.0)).await.is_err());
    assert_eq!(setpoint(&bench, 1, Some(3_000.0)).await, Ok(()));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_waits_for_idle_or_ends_what_runs() {
    let bench = bench(2, false);
    let car = bench.car(1).millis(600_000);
    let figures = car.watch();
    let charging = car.start();
    assert!(
        eventually(|| figures.borrow().loops > 5).await,
        "{:#?}",
        bench.codes(1)
    );
    assert!(!reset(&bench, false).await, "a transaction runs");
    assert!(bench.is_closed(1), "and goes on");
    assert!(reset(&bench, true).await);
    assert!(eventually(|| ended(&bench, 1) == Some(StopReason::ImmediateReset)).await);
    assert!(eventually(|| !bench.is_closed(1)).await, "{:#?}", bench.codes(1));
    let outcome = charging.outcome().await;
    assert!(outcome.failure().is_none(), "ended in order: {outcome:?}");
    assert!(reset(&bench, false).await, "idle now");
    // A session that is not charging yet is cut off.
    let waiting = bench_with(1, false, |config| config.eim = EimPolicy::RemoteStart);
    let car = waiting.car(1).start();
    waiting.reports(1, session::ESTABLISHED, 0).await;
    assert!(reset(&waiting, true).await);
    waiting.reports(1, session::LOST, 0).await;
    assert!(car.outcome().await.failure().is_some());
    assert!(waiting.told().is_empty());
    waiting.stop().await;
    bench.serves(1, "a reset").await;
    bench.serves(2, "a reset").await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_start_that_no_vehicle_takes_up_expires() {
    let bench = bench_with(1, false, |config| {
        config.eim = EimPolicy::RemoteStart;
        config.evses[0].remote_start_life = Duration::from_secs(2);
    });
    assert_eq!(start(&bench, 1).await, Ok(None));
    bench.reports(1, cable_codes::REMOTE_START_EXPIRED, 0).await;
    // Whoever comes later is not charged on that token.
    let car = bench.car(1).millis(600_000);
    let charging = car.start();
    bench.reports(1, session::ESTABLISHED, 0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(bench.told().is_empty(), "{:?}", bench.told());
    // A new start is taken up, and by then used, so that it does not expire.
    assert_eq!(start(&bench, 1).await, Ok(None));
    assert!(eventually(|| bench.is_closed(1)).await, "{:#?}", bench.codes(1));
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_eq!(bench.count(1, cable_codes::REMOTE_START_EXPIRED), 1);
    charging.abort();
    bench.stop().await;
}
