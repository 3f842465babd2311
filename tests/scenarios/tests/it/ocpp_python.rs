//! The Python `ocpp` package as a charge point at our platform, over TLS with a certificate of our PKI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::Arc;
use std::time::Duration;

use gridlatch_host::{Hub, HubConfig, Shutdown, now};
use gridlatch_pki::dev::{self, DevPki};
use gridlatch_platform::{Command, Platform, PlatformConfig, PlatformHandle, VariableGet};
use gridlatch_store::{Store, TokenStatus};
use gridlatch_testkit::{Need, missing, python, skip, temp};
use gridlatch_tls::{PlatformServer, PlatformServerConfig};
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::catalogue::platform as codes;
use gridlatch_vocab::{Emaid, EvseId, Personal, StationId, Watts};
use serde_json::Value;

struct World {
    folder: tempfile::TempDir,
    pki: DevPki,
    hub: Hub,
    store: Store,
    handle: PlatformHandle,
    shutdown: Shutdown,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl World {
    async fn new() -> Self {
        let folder = temp::dir().unwrap();
        let hub = Hub::new(HubConfig::default(), None);
        let pki = dev::ensure(&folder.path().join("pki"), &hub, now()).unwrap();
        let server = PlatformServer::new(PlatformServerConfig {
            credential: pki.platform_server().unwrap(),
            station_roots: pki.csms_roots(),
            handshake_timeout: Duration::from_secs(10),
        })
        .unwrap();
        let place = folder.path().join("platform.db");
        let store = Store::open(place.to_str().unwrap()).await.unwrap();
        let shutdown = Shutdown::new();
        let config = PlatformConfig {
            mo_roots: pki.mo_roots(),
            ..PlatformConfig::default()
        };
        let handle = Platform::start(
            config,
            Arc::new(server),
            store.clone(),
            hub.clone(),
            shutdown.clone(),
        )
        .await
        .unwrap();
        Self {
            folder,
            pki,
            hub,
            store,
            handle,
            shutdown,
        }
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The chain of a contract and its id.
    fn contract(&self) -> (PathBuf, String) {
        let car = "py-car".parse::<dev::VehicleName>().unwrap();
        let contract = self.pki.contract(&car, Generation::Iso2).unwrap();
        let pem: String = contract
            .chain
            .iter()
            .map(|der| certificate::to_pem(der))
            .collect();
        (
            self.write("contract.pem", pem.as_bytes()),
            contract.emaid.reveal().as_str().to_owned(),
        )
    }

    /// Starts the charge point under `id` with the certificate of `holder`.
    fn charge_point(
        &self,
        id: &str,
        version: &str,
        holder: Option<&StationId>,
    ) -> gridlatch_testkit::Process {
        let roots: String = self
            .pki
            .csms_roots()
            .iter()
            .map(|root| certificate::to_pem(root))
            .collect();
        let root = self.write("root.pem", roots.as_bytes());
        let (mut chain, mut key) = (PathBuf::from("-"), PathBuf::from("-"));
        if let Some(holder) = holder {
            let credential = self.pki.station_client(holder).unwrap();
            let pem: String = credential
                .chain
                .iter()
                .map(|der| certificate::to_pem(der))
                .collect();
            chain = self.write(&format!("{id}.pem"), pem.as_bytes());
            key = self.write(
                &format!("{id}.key"),
                &credential.key.as_file().unwrap().to_pem().unwrap(),
            );
        }
        let script: &Path = &temp::workspace().join("tests/peers/ocpp_python/charge_point.py");
        let mut command = Process::new(python::ocpp().unwrap());
        let url = format!("wss://localhost:{}/ocpp", self.handle.ocpp_addr.port());
        let (contract, emaid) = self.contract();
        command
            .env("CONTRACT", contract)
            .env("EMAID", emaid)
            .arg(script)
            .arg(url)
            .args([id, version])
            .arg(root)
            .arg(chain)
            .arg(key);
        gridlatch_testkit::Process::spawn("charge_point", command).unwrap()
    }
}

/// The next line of this step.
fn step(point: &mut gridlatch_testkit::Process, name: &str) -> Value {
    let wanted = format!("\"step\": \"{name}\"");
    let line = point
        .wait_line(Duration::from_secs(30), |line| line.contains(&wanted))
        .unwrap_or_else(|error| panic!("{error:#}\n{}", point.output()));
    serde_json::from_str(&line).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn charges(version: &str, protocol: &str, setpoint: f64) {
    if let Some(reason) = missing(&[Need::ocpp]) {
        return skip(&reason);
    }
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    let id: StationId = "PY-1".parse().unwrap();
    let token = Personal::new("PY-CARD-1".to_owned());
    runtime.block_on(async {
        world.handle.state.register_station(&id).await.unwrap();
        world
            .store
            .token_put(&token, "ISO14443", TokenStatus::Active, true, now())
            .await
            .unwrap();
        let emaid = Personal::new(world.contract().1.parse::<Emaid>().unwrap());
        world
            .store
            .contract_put(&emaid, TokenStatus::Active, true, now())
            .await
            .unwrap();
    });
    let mut point = world.charge_point("PY-1", version, Some(&id));
    assert_eq!(step(&mut point, "connected")["protocol"], protocol);
    assert_eq!(step(&mut point, "boot")["status"], "Accepted");
    assert_eq!(step(&mut point, "authorize")["status"], "Accepted");
    assert_eq!(step(&mut point, "stranger")["status"], "Unknown");
    for (name, status, certificate) in [
        ("contract", "Accepted", "Accepted"),
        ("stolen", "Unknown", "CertChainError"),
        ("bare", "Invalid", "NoCertificateAvailable"),
        ("broken", "Invalid", "CertChainError"),
    ] {
        let answer = step(&mut point, name);
        assert_eq!(
            (&answer["status"], &answer["certificate"]),
            (&status.into(), &certificate.into()),
            "{name}"
        );
    }
    assert_eq!(step(&mut point, "started")["status"], "Accepted");

    let order = |command: Command| runtime.block_on(world.handle.state.command(&id, command, "test"));
    let variables = order(Command::GetVariables(vec![VariableGet {
        component: "OCPPCommCtrlr".to_owned(),
        variable: "HeartbeatInterval".to_owned(),
    }]))
    .unwrap();
    assert_eq!(variables.variables[0].value.as_deref(), Some("42"));
    order(Command::Setpoint {
        evse: EvseId(1),
        power: Some(Watts(setpoint)),
    })
    .unwrap();
    let period = step(&mut point, "profile")["period"].clone();
    if version == "v21" {
        assert_eq!(period["operation_mode"], "CentralSetpoint");
        assert_eq!(period["setpoint"].as_f64(), Some(setpoint));
    } else {
        assert_eq!(period["limit"].as_f64(), Some(setpoint));
    }
    order(Command::Stop {
        transaction: format!("py-{version}").parse().unwrap(),
    })
    .unwrap();
    assert_eq!(step(&mut point, "stop")["transaction"], format!("py-{version}"));

    // 12.5 kWh x 0.40 = 5.00; 3.25 kWh x 0.25 = 0.8125 credited; 4.1875 + 19 % = 4.983125 -> 4.98
    for name in ["ended", "ended again"] {
        assert_eq!(step(&mut point, name)["cost"].as_f64(), Some(4.98), "{name}");
    }
    let cdrs = runtime.block_on(world.store.cdr_list(None, 10)).unwrap();
    assert_eq!(cdrs.len(), 1, "the repeated end is not billed again");
    assert_eq!(cdrs[0].total_excl.to_string(), "4.1875");
    assert_eq!((cdrs[0].imported.0, cdrs[0].exported.0), (12_500_000, 3_250_000));
    let events = world.hub.recent(500);
    assert!(
        events
            .iter()
            .any(|event| event.code == codes::TRANSACTION_DUPLICATE)
    );
    let connected = events
        .iter()
        .find(|event| event.fields.contains_key("security"))
        .unwrap();
    assert!(
        connected.fields["security"]
            .as_str()
            .unwrap()
            .starts_with("TLSv1.")
    );
}

#[test]
fn a_python_2_0_1_charge_point_charges_and_is_billed() {
    charges("v201", "ocpp2.0.1", 7400.0);
}

#[test]
fn a_python_2_1_charge_point_is_asked_to_discharge_and_is_billed() {
    charges("v21", "ocpp2.1", -5000.0);
}

#[test]
fn a_python_charge_point_without_or_with_another_certificate_is_refused() {
    if let Some(reason) = missing(&[Need::ocpp]) {
        return skip(&reason);
    }
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    let (id, other): (StationId, StationId) = ("PY-1".parse().unwrap(), "PY-2".parse().unwrap());
    runtime.block_on(async {
        world.handle.state.register_station(&id).await.unwrap();
        world.handle.state.register_station(&other).await.unwrap();
    });
    let refused = step(&mut world.charge_point("PY-1", "v201", Some(&other)), "refused");
    assert_eq!(refused["status"], 403);
    let stranger: StationId = "PY-9".parse().unwrap();
    let refused = step(
        &mut world.charge_point("PY-9", "v201", Some(&stranger)),
        "refused",
    );
    assert_eq!(refused["status"], 404);
    let refused = step(&mut world.charge_point("PY-1", "v201", None), "refused");
    assert!(refused["error"].is_string(), "{refused}");
    let events = world.hub.recent(500);
    for code in [codes::IDENTITY_MISMATCH, codes::STATION_UNKNOWN] {
        assert!(events.iter().any(|event| event.code == code), "{code}");
    }
    assert!(
        events.iter().any(|event| event.code.as_str().starts_with("tls.")),
        "{events:?}"
    );
}
