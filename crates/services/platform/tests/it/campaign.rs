//! Roots distributed to a fleet: in stages, once per station, from where it stopped, and taken back.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gridlatch_pki::rollover::inventory::Inventory;
use gridlatch_platform::{CampaignAction, CampaignError, CampaignOrder, PlatformConfig};
use gridlatch_store::{CampaignRow, Store};
use gridlatch_vocab::catalogue::{platform, rollover};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::fleet::{Fleet, Held, Manner, Roots, pem, roots, run};
use crate::support::{World, id};

fn order(name: &str, roots: &Roots) -> CampaignOrder {
    CampaignOrder {
        id: name.to_owned(),
        action: CampaignAction::Install,
        usage: "V2GRootCertificate".to_owned(),
        root: pem(&roots.new),
        other: Some(pem(&roots.old)),
        link: Some(pem(&roots.link)),
        without_link: false,
        stations: None,
        at_once: 8,
        stop_after: 100,
        asked_by: "tester".to_owned(),
    }
}

/// Starts stations `S-000`, ... of these manners; all hold the old root but the bare ones.
async fn fleet(world: &World, roots: &Roots, manners: &[Manner]) -> Fleet {
    let fleet = Fleet::default();
    for (index, manner) in manners.iter().enumerate() {
        let name = format!("S-{index:03}");
        world.handle.state.register_station(&id(&name)).await.unwrap();
        let held = Held {
            roots: if *manner == Manner::Bare {
                Vec::new()
            } else {
                vec![roots.old.clone()]
            },
            ..Held::default()
        };
        fleet.lock().unwrap().insert(name.clone(), held);
        tokio::spawn(run(world.handle.ocpp_addr, name, *manner, fleet.clone()));
    }
    for index in 0..manners.len() {
        let name = id(&format!("S-{index:03}"));
        while !world.handle.state.is_connected(&name) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    fleet
}

async fn until(world: &World, name: &str, wanted: impl Fn(&CampaignRow) -> bool) -> CampaignRow {
    let clock = Instant::now();
    loop {
        let row = world.handle.state.campaign(name).await.unwrap();
        if wanted(&row) {
            return row;
        }
        assert!(clock.elapsed() < Duration::from_secs(60), "{row:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn refused(result: Result<CampaignRow, CampaignError>) -> gridlatch_vocab::Code {
    match result.unwrap_err() {
        CampaignError::Refused(code, message) => {
            assert!(message.len() > 10);
            code
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_new_root_goes_nowhere_without_proof_that_the_old_one_vouches_for_it() {
    let world = World::new().await;
    let (roots, others) = (roots(), roots());
    let state = &world.handle.state;
    let without = CampaignOrder {
        link: None,
        ..order("a", &roots)
    };
    assert_eq!(
        refused(state.start_campaign(without).await),
        rollover::NOT_VOUCHED
    );
    // Somebody else's link, and the right one for another root.
    for (root, link) in [(&roots.new, &others.link), (&others.new, &roots.link)] {
        let forged = CampaignOrder {
            root: pem(root),
            link: Some(pem(link)),
            ..order("a", &roots)
        };
        assert_eq!(refused(state.start_campaign(forged).await), rollover::NOT_VOUCHED);
    }
    // The link is no root.
    let leaf = CampaignOrder {
        root: pem(&roots.link),
        without_link: true,
        ..order("a", &roots)
    };
    refused(state.start_campaign(leaf).await);
    assert!(state.store().campaign_list().await.unwrap().is_empty());

    // A station that does not hold the old root has nobody who vouches: it is not told.
    let fleet = fleet(&world, &roots, &[Manner::Honest, Manner::Bare]).await;
    state.start_campaign(order("a", &roots)).await.unwrap();
    assert_eq!(
        refused(state.start_campaign(order("a", &roots)).await),
        rollover::CAMPAIGN_REFUSED
    );
    let row = until(&world, "a", |row| row.counts.done + row.counts.refused == 2).await;
    // CS-1 and CS-2 of the bench were never connected: they wait.
    assert_eq!((row.counts.waiting, row.counts.offline), (2, 2), "{row:?}");
    let told = fleet.lock().unwrap().clone();
    assert_eq!((told["S-000"].installs, told["S-001"].installs), (1, 0));
    let rows = state
        .store()
        .campaign_stations(row.number, "refused", "", 10)
        .await
        .unwrap();
    assert_eq!(rows[0].code.as_deref(), Some(rollover::NOT_VOUCHED.as_str()));
    // Whoever lists stations, or what they hold, sees it there.
    let told = stations(&world).await;
    let entry = |told: &Value, name: &str| {
        let all = told.as_array().unwrap();
        all.iter().find(|one| one["id"] == name).unwrap()["refused"].clone()
    };
    let refusal = entry(&told, "S-001");
    assert_eq!(refusal.as_array().unwrap().len(), 1, "{refusal}");
    assert_eq!(refusal[0]["campaign"], "a");
    assert_eq!(refusal[0]["action"], "install");
    assert_eq!(refusal[0]["code"], rollover::NOT_VOUCHED.as_str());
    let print = gridlatch_trust::certificate::summary(&roots.new)
        .unwrap()
        .fingerprint;
    assert_eq!(refusal[0]["fingerprint"], print);
    assert!(entry(&told, "S-000").as_array().unwrap().is_empty());
    let page = state.trust_page("", 100).await.unwrap();
    let text = json!({ "holders": page.holders, "known": page.known }).to_string();
    let read = Inventory::from_json(text.as_bytes()).unwrap();
    let refused_by: Vec<&str> = read
        .holders
        .iter()
        .filter(|one| !one.refused.is_empty())
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(refused_by, ["station S-001"]);
    // On purpose it may be.
    let bare = CampaignOrder {
        stations: Some(vec![id("S-001")]),
        link: None,
        other: None,
        without_link: true,
        ..order("b", &roots)
    };
    state.start_campaign(bare).await.unwrap();
    until(&world, "b", |row| row.state == "done" && row.counts.done == 1).await;
    // It has taken it since: nothing is refused any more.
    let told = stations(&world).await;
    assert!(entry(&told, "S-001").as_array().unwrap().is_empty(), "{told}");
}

/// `GET /stations` of the REST interface.
async fn stations(world: &World) -> Value {
    let app = gridlatch_platform::rest::router(world.handle.state.clone());
    let request = axum::http::Request::get("/api/v1/stations")
        .body(axum::body::Body::empty())
        .unwrap();
    let answer = app.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn it_stops_at_so_many_failures_names_liars_and_takes_back_only_its_own() {
    let world = World::new().await;
    let roots = roots();
    let mut manners = vec![Manner::Honest; 12];
    manners[3] = Manner::Refuses;
    manners[4] = Manner::Lies;
    let fleet = fleet(&world, &roots, &manners).await;
    // One has the new root from elsewhere.
    fleet
        .lock()
        .unwrap()
        .get_mut("S-011")
        .unwrap()
        .roots
        .push(roots.new.clone());
    let state = &world.handle.state;
    let all: Vec<_> = (0..12).map(|index| id(&format!("S-{index:03}"))).collect();
    let careful = CampaignOrder {
        at_once: 1,
        stop_after: 2,
        stations: Some(all),
        ..order("c", &roots)
    };
    state.start_campaign(careful).await.unwrap();
    let row = until(&world, "c", |row| row.state == "stopped").await;
    assert_eq!(
        (row.counts.done, row.counts.refused, row.counts.failed),
        (3, 1, 1)
    );
    assert_eq!(
        fleet
            .lock()
            .unwrap()
            .values()
            .map(|held| held.installs)
            .sum::<usize>(),
        5
    );
    let result = |name: &'static str| {
        let store = state.store().clone();
        async move {
            let rows = store.campaign_stations(1, "", "", 100).await.unwrap();
            let row = rows.into_iter().find(|row| row.station.as_str() == name).unwrap();
            row.code.unwrap()
        }
    };
    assert_eq!(result("S-003").await, platform::COMMAND_REFUSED.as_str());
    assert_eq!(result("S-004").await, rollover::NOT_AS_SAID.as_str());

    state.resume_campaign("c", false).await.unwrap();
    let row = until(&world, "c", |row| row.state == "done").await;
    assert_eq!((row.counts.done, row.counts.already), (9, 1), "{row:?}");
    let before = fleet.lock().unwrap().clone();
    assert!(before.values().all(|held| held.installs <= 1), "told once each");

    // Undone where it was done; the one that had it before keeps it.
    state.undo_campaign("c", "tester").await.unwrap();
    let row = until(&world, "c.undo", |row| row.state == "done").await;
    assert_eq!(row.counts.done, 9);
    let after = fleet.lock().unwrap().clone();
    for (name, held) in after {
        assert!(held.roots.contains(&roots.old), "{name}");
        assert_eq!(held.roots.contains(&roots.new), name == "S-011", "{name}");
        assert_eq!(
            held.removes,
            usize::from(before[&name].roots.contains(&roots.new) && name != "S-011")
        );
    }
    // A root without a successor at the station stays.
    let last = CampaignOrder {
        action: CampaignAction::Remove,
        root: pem(&roots.old),
        other: Some(pem(&roots.new)),
        stations: Some(vec![id("S-000"), id("S-011")]),
        ..order("d", &roots)
    };
    state.start_campaign(last).await.unwrap();
    let row = until(&world, "d", |row| row.state == "done").await;
    assert_eq!((row.counts.done, row.counts.refused), (1, 1));
    let held = fleet.lock().unwrap().clone();
    assert!(held["S-000"].roots.contains(&roots.old), "it would trust nobody");
    assert_eq!(held["S-011"].roots, std::slice::from_ref(&roots.new));
}

const CHILD: &str = "GRIDLATCH_CAMPAIGN_CHILD";
const STATIONS: usize = 200;

/// Not a test of its own: the platform that is killed.
#[test]
fn child() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (port, folder) = place.split_once(' ').unwrap();
        let store = Store::open(&format!("{folder}/platform.db")).await.unwrap();
        let port: u16 = port.parse().unwrap();
        let world = World::with(store, |config| PlatformConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            command_timeout: Duration::from_secs(5),
            ..config
        })
        .await;
        let state = &world.handle.state;
        for index in 0..STATIONS {
            state
                .register_station(&id(&format!("S-{index:03}")))
                .await
                .unwrap();
        }
        if state.store().campaign_list().await.unwrap().is_empty() {
            let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}.pem")).unwrap();
            let all = (0..STATIONS).map(|index| id(&format!("S-{index:03}"))).collect();
            let order = CampaignOrder {
                id: "big".to_owned(),
                action: CampaignAction::Install,
                usage: "V2GRootCertificate".to_owned(),
                root: read("new"),
                other: Some(read("old")),
                link: Some(read("link")),
                without_link: false,
                stations: Some(all),
                at_once: 8,
                stop_after: 100,
                asked_by: "tester".to_owned(),
            };
            state.start_campaign(order).await.unwrap();
        }
        loop {
            let row = state.campaign("big").await.unwrap();
            let counts = row.counts;
            let line = format!(
                "\nCOUNTS {} {} {} {} {}\n",
                counts.done, counts.refused, counts.failed, counts.waiting, counts.sent
            );
            std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

fn spawn(place: &str) -> (Child, std::io::Lines<BufReader<std::process::ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "campaign::child", "--nocapture"])
        .env(CHILD, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// Two hundred stations, among them refusing, lying, silent and absent ones; the platform is killed twice in
/// the middle. Each station is told once, every result is there, nothing is lost.
#[test]
fn a_fleet_of_two_hundred_survives_two_kills_with_each_station_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let roots = roots();
    for (name, der) in [("old", &roots.old), ("new", &roots.new), ("link", &roots.link)] {
        std::fs::write(folder.path().join(format!("{name}.pem")), pem(der)).unwrap();
    }
    let port = gridlatch_testkit::ports::tcp().unwrap();
    let manner = |index: usize| match index % 25 {
        3 => Manner::Refuses,
        7 => Manner::Lies,
        11 if index < 50 => Manner::Silent,
        _ => Manner::Honest,
    };
    let absent = |index: usize| index % 40 == 39;
    let held: BTreeMap<String, Held> = (0..STATIONS)
        .map(|index| {
            let held = Held {
                roots: vec![roots.old.clone()],
                ..Held::default()
            };
            (format!("S-{index:03}"), held)
        })
        .collect();
    let fleet: Fleet = Arc::new(Mutex::new(held));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for index in (0..STATIONS).filter(|index| !absent(*index)) {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        runtime.spawn(run(
            address,
            format!("S-{index:03}"),
            manner(index),
            fleet.clone(),
        ));
    }
    let place = format!("{port} {}", folder.path().display());
    let clock = Instant::now();
    let mut results = Vec::new();
    for round in 0..3 {
        let (mut child, lines) = spawn(&place);
        for line in lines {
            let Ok(line) = line else { break };
            assert!(clock.elapsed() < Duration::from_secs(240), "{line}");
            let Some(text) = line.strip_prefix("COUNTS ") else {
                continue;
            };
            let counts: Vec<usize> = text.split(' ').map(|word| word.parse().unwrap()).collect();
            let told = counts[0] + counts[1] + counts[2];
            let enough = match round {
                0 => told >= 40,
                1 => told >= 110,
                // The absent ones go on waiting.
                _ => counts[3] == (0..STATIONS).filter(|index| absent(*index)).count() && counts[4] == 0,
            };
            results.push((round, told));
            if enough {
                break;
            }
        }
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let rows = runtime.block_on(async {
        let store = Store::open(&format!("{}/platform.db", folder.path().display()))
            .await
            .unwrap();
        let row = store.campaign_find("big").await.unwrap().unwrap();
        store.campaign_stations(row.number, "", "", 500).await.unwrap()
    });
    assert_eq!(rows.len(), STATIONS, "nobody is lost");
    let fleet = fleet.lock().unwrap().clone();
    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let held = &fleet[row.station.as_str()];
        let code = row.code.as_deref().unwrap_or_default();
        let wanted = match manner(index) {
            _ if absent(index) => ("waiting", ""),
            Manner::Refuses => ("refused", platform::COMMAND_REFUSED.as_str()),
            Manner::Lies => ("failed", rollover::NOT_AS_SAID.as_str()),
            Manner::Silent => ("failed", platform::COMMAND_TIMED_OUT.as_str()),
            _ => ("done", rollover::STATION_CHANGED.as_str()),
        };
        assert_eq!((row.state.as_str(), code), wanted, "{row:?}");
        *tally.entry(wanted.0).or_default() += 1;
        if wanted.0 == "done" {
            assert_eq!(held.installs, 1, "{row:?}");
            assert!(held.roots.contains(&roots.new));
        } else if wanted.0 == "refused" {
            // One that says no may be asked once more by a platform that died before it heard the no.
            assert!((1..=2).contains(&held.installs), "{row:?}");
        }
    }
    println!(
        "{tally:?} in {:?}; results seen before the kills: {:?}",
        clock.elapsed(),
        results.last()
    );
}
