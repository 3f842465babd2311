//! Who holds what: asked of stations over OCPP, told with dates.

use std::collections::BTreeMap;
use std::time::Duration;

use gridlatch_pki::rollover::inventory::Inventory;
use gridlatch_platform::{OwnTrust, PlatformConfig};
use gridlatch_store::Store;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::catalogue::rollover;

use crate::fleet::{Fleet, Held, Manner, roots, run};
use crate::support::{World, id};

#[tokio::test]
async fn stations_are_asked_and_those_that_are_away_or_silent_are_named_with_their_last_answer() {
    let roots = roots();
    let known = vec![roots.old.clone(), roots.new.clone()];
    let world = World::with(Store::open(":memory:").await.unwrap(), |config| PlatformConfig {
        own_trust: OwnTrust {
            known,
            ..OwnTrust::default()
        },
        command_timeout: Duration::from_secs(2),
        ..config
    })
    .await;
    let state = &world.handle.state;
    let fleet = Fleet::default();
    for (name, manner) in [("CS-1", Manner::Honest), ("CS-2", Manner::Silent)] {
        let held = Held {
            roots: vec![roots.old.clone(), roots.new.clone()],
            ..Held::default()
        };
        fleet.lock().unwrap().insert(name.to_owned(), held);
        tokio::spawn(run(
            world.handle.ocpp_addr,
            name.to_owned(),
            manner,
            fleet.clone(),
        ));
    }
    state.register_station(&id("CS-3")).await.unwrap();
    for name in ["CS-1", "CS-2"] {
        while !state.is_connected(&id(name)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert!(state.ask_everybody().running);
    let done = loop {
        let progress = state.asked();
        if !progress.running {
            break progress;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(
        (done.stations, done.answered, done.offline, done.failed),
        (3, 1, 1, 1)
    );
    world.event(rollover::INVENTORY_COLLECTED).await;

    // The answer is read by what forecasts, hashes resolved; pages of one tell the same as one page.
    let mut inventory = Inventory::default();
    let mut after = String::new();
    loop {
        let page = state.trust_page(&after, 1).await.unwrap();
        let text = serde_json::json!({ "holders": page.holders, "known": page.known }).to_string();
        inventory.extend(Inventory::from_json(text.as_bytes()).unwrap());
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    let by_name: BTreeMap<&str, _> = inventory
        .holders
        .iter()
        .map(|entry| (entry.name.as_str(), entry))
        .collect();
    assert_eq!(by_name.len(), 4, "{by_name:?}");
    let (one, two, three) = (
        by_name["station CS-1"],
        by_name["station CS-2"],
        by_name["station CS-3"],
    );
    assert!(one.failure.is_none() && one.as_of.is_some() && one.connected == Some(true));
    let failure = two.failure.as_deref().unwrap();
    assert!(failure.starts_with("platform.command_timed_out"), "{failure}");
    assert!(two.as_of.is_none() && three.connected == Some(false));
    assert!(
        three
            .failure
            .as_deref()
            .unwrap()
            .starts_with("platform.command_offline")
    );
    let read = inventory.read().unwrap();
    let held = read
        .holders
        .iter()
        .find(|one| one.name == "station CS-1")
        .unwrap();
    assert_eq!(
        held.trusts[&Kind::V2gRoot],
        [roots.old.clone(), roots.new.clone()]
    );
    assert!(read.unresolved.is_empty());

    // It goes away: what it said stays, with the date.
    let answered = one.as_of;
    assert!(answered.is_some());
    state
        .store()
        .trust_unanswered(
            &id("CS-1"),
            gridlatch_host::now(),
            "platform.command_offline: away",
        )
        .await
        .unwrap();
    let page = state.trust_page("", 10).await.unwrap();
    let gone = page
        .holders
        .iter()
        .find(|one| one.name == "station CS-1")
        .unwrap();
    assert_eq!(gone.installed.len(), 2);
    assert!(gone.as_of.is_some() && gone.failure.is_some());
}
