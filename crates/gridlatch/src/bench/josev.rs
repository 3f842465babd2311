//! Josev's car at Josev's station, in two network namespaces, measured from outside and by what its
//! wrapper reports.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use gridlatch_pki::dev::DevPki;
use serde_json::{Value, json};

use super::process::usage;
use super::session::{Running, mib};
use super::{Case, Figures};

/// The wrapper the interoperability tests use too.
const WRAPPER: &str = include_str!("../../../../tests/peers/josev/peer.py");

/// Charge-loop requests of the car; at seven a second this is three seconds of loop.
const LOOPS: u32 = 20;

/// Factor on Josev's own timeouts: it must not give up because the machine is busy.
const PATIENCE: u32 = 10;

/// Runs one session.
pub(super) fn session(python: &Path, pki: &DevPki, scratch: &Path, case: Case) -> Result<Figures> {
    let certificates = scratch.join("josev-pki");
    pki.export_josev(&certificates)?;
    let wrapper = scratch.join("peer.py");
    std::fs::write(&wrapper, WRAPPER).context("cannot write the wrapper")?;
    let link = Link::new()?;
    let side = |role: &str, namespace: &str, interface: &str| -> Result<Running> {
        let settings = scratch.join(format!("{role}.json"));
        std::fs::write(&settings, settings_of(case, &certificates, interface).to_string())?;
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", namespace])
            .arg(python)
            .arg(&wrapper)
            .arg(role)
            .arg(&settings);
        command.stderr(std::process::Stdio::null());
        Running::start(command)
    };
    let mut station = side("secc", &link.station, "secc0")?;
    wait_for(&mut station, "ready")?;
    let station_before = usage(station.id());
    let mut car = side("evcc", &link.car, "evcc0")?;
    wait_for(&mut car, "ready")?;
    let car_before = usage(car.id());
    measure(&mut car, &station, car_before.cpu, station_before.cpu, case)
}

fn measure(
    car: &mut Running,
    station: &Running,
    car_cpu: Duration,
    station_cpu: Duration,
    case: Case,
) -> Result<Figures> {
    let answer = if case.is_iso20() {
        "DC_ChargeLoopRes"
    } else {
        "CurrentDemandRes"
    };
    let (mut discovering, mut connected, mut loops) = (None, None, Vec::new());
    let (mut car_used, mut station_used) = (usage(car.id()), usage(station.id()));
    loop {
        let report = next(car)?;
        let at = report["t"].as_f64().unwrap_or_default();
        match report["event"].as_str() {
            Some("discovering") if discovering.is_none() => discovering = Some(at),
            Some("connected") => connected = Some(at),
            Some("received")
                if report["message"]
                    .as_str()
                    .is_some_and(|name| name.contains(answer)) =>
            {
                loops.push(at)
            }
            Some("received") => {
                // Read while both still live: a process that has gone is no longer accounted for.
                (car_used, station_used) = (usage(car.id()), usage(station.id()));
            }
            Some("ended") if report["successful"] == json!(true) => break,
            Some("ended") => bail!("Josev's session failed: {}", report["reason"]),
            _ => {}
        }
    }
    let (Some(start), Some(connected), [first, .., last]) = (discovering, connected, loops.as_slice()) else {
        bail!("Josev reported no charge loop");
    };
    let count = loops.len() as f64;
    let per_loop = |used: Duration, before: Duration| used.saturating_sub(before).as_secs_f64() * 1e3 / count;
    Ok(Figures {
        tls_ms: (connected - start) * 1e3,
        first_loop_ms: (first - start) * 1e3,
        loops_per_s: (count - 1.0) / (last - first),
        car_cpu_ms: per_loop(car_used.cpu, car_cpu),
        station_cpu_ms: per_loop(station_used.cpu, station_cpu),
        car_mib: mib(car_used.peak_sum_bytes),
        station_mib: mib(station_used.peak_sum_bytes),
    })
}

fn settings_of(case: Case, pki: &Path, interface: &str) -> Value {
    json!({
        "protocols": [if case.is_iso20() { "ISO_15118_20_DC" } else { "ISO_15118_2" }],
        "service": "DC",
        "mode": "DC_extended",
        "auth": ["EIM"],
        "tls": true,
        "enforce_tls": true,
        "tls13": case.is_iso20(),
        "loops": LOOPS,
        "tscale": PATIENCE,
        "interface": interface,
        "pki": pki,
    })
}

fn next(peer: &mut Running) -> Result<Value> {
    loop {
        if let Some(report) = peer.line()?.strip_prefix("PEER ") {
            return serde_json::from_str(report).context("a report of Josev's wrapper");
        }
    }
}

fn wait_for(peer: &mut Running, event: &str) -> Result<()> {
    loop {
        let report = next(peer)?;
        if report["event"] == event {
            return Ok(());
        }
        if report["event"] == "ended" {
            bail!("Josev does not start: {}", report["reason"]);
        }
    }
}

/// Two network namespaces joined by a cable; both go when this is dropped.
struct Link {
    station: String,
    car: String,
}

impl Link {
    fn new() -> Result<Self> {
        let unique = format!("gridlatch-bench-{}", std::process::id());
        let link = Self {
            station: format!("{unique}-s"),
            car: format!("{unique}-c"),
        };
        for namespace in [&link.station, &link.car] {
            ip(&["netns", "add", namespace]).context("network namespaces need root and iproute2")?;
            for setting in [
                "default.accept_dad=0",
                "default.disable_ipv6=0",
                "all.disable_ipv6=0",
            ] {
                let setting = format!("net.ipv6.conf.{setting}");
                ip(&["netns", "exec", namespace, "sysctl", "-qw", &setting])?;
            }
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        }
        ip(&[
            "link",
            "add",
            "secc0",
            "netns",
            &link.station,
            "type",
            "veth",
            "peer",
            "name",
            "evcc0",
            "netns",
            &link.car,
        ])?;
        ip(&["-n", &link.station, "link", "set", "secc0", "up"])?;
        ip(&["-n", &link.car, "link", "set", "evcc0", "up"])?;
        let until = Instant::now() + Duration::from_secs(5);
        while !(link_local(&link.station)? && link_local(&link.car)?) {
            if Instant::now() > until {
                bail!("no link-local addresses on the bench's cable");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(link)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for namespace in [&self.station, &self.car] {
            let _ = ip(&["netns", "del", namespace]);
        }
    }
}

fn link_local(namespace: &str) -> Result<bool> {
    let out = Command::new("ip")
        .args(["-n", namespace, "-6", "addr"])
        .output()
        .context("cannot run ip")?;
    Ok(String::from_utf8_lossy(&out.stdout).contains("inet6 fe80"))
}

fn ip(args: &[&str]) -> Result<()> {
    let out = Command::new("ip").args(args).output().context("cannot run ip")?;
    if out.status.success() {
        Ok(())
    } else {
        bail!(
            "ip {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&out.stderr).trim()
        )
    }
}
