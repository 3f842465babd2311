mod backups;
mod control;
mod durability;
mod hierarchy;
mod issuing;

use std::path::Path;
use std::sync::{Arc, Mutex};

use gridlatch_keys::{FileKey, Signer as _};
use gridlatch_store::Store;
use gridlatch_trust::build::Subject;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::{Event, EventSink, Timestamp};

use super::*;

/// Keeps what was reported.
#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl EventSink for Events {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events {
    fn codes(&self) -> Vec<&'static str> {
        let events = self.0.lock().unwrap();
        events.iter().map(|event| event.code.as_str()).collect()
    }
}

/// A CA in a scratch folder.
struct Bench {
    dir: tempfile::TempDir,
    events: Arc<Events>,
    ca: Ca,
}

async fn store_in(dir: &Path) -> Store {
    Store::open(dir.join("ca.db").to_str().unwrap()).await.unwrap()
}

impl Bench {
    async fn new(plan: &Plan) -> Self {
        Self::at(plan, system_clock()).await
    }

    async fn at(plan: &Plan, clock: Clock) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let events = Arc::new(Events::default());
        let keys = KeyRing::in_folder(dir.path());
        let ca = Ca::init_at(store_in(dir.path()).await, keys, events.clone(), plan, clock)
            .await
            .unwrap();
        Self { dir, events, ca }
    }

    async fn small() -> Self {
        Self::new(&Plan {
            worlds: vec![World::Iso2, World::Ocpp],
            ..Plan::single("Test")
        })
        .await
    }
}

fn now() -> Timestamp {
    Timestamp(time::OffsetDateTime::now_utc())
}

fn operator() -> Requester {
    Requester {
        role: Role::Operator,
        id: "tester".into(),
    }
}

fn order(world: World, kind: Kind, authority: &str, name: &str) -> (Order, FileKey) {
    let key = FileKey::generate(world.algorithm()).unwrap();
    let order = Order {
        authority: format!("{}/{authority}", world.folder()),
        profile: world.profile(kind),
        subject: Subject {
            common_name: name.into(),
            organization: Some("Test".into()),
            country: Some("DE".into()),
        },
        spki: key.public_key_der().to_vec(),
        alt_names: Vec::new(),
        not_before: None,
        not_after: None,
        requester: operator(),
    };
    (order, key)
}
