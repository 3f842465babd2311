//! Josev (PyPI `iso15118` 0.31.2) as a foreign car or a foreign station, run by `tests/peers/josev/peer.py`.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use gridlatch_testkit::{Link, josev::{Car, Case}};
//! let link = Link::new()?;
//! // ... our station on link.station ...
//! let mut car = Car::new(Case::Iso2DcEim, "pki").start(&link.car)?;
//! let outcome = car.outcome()?;
//! assert!(outcome.successful, "{}", outcome.reason);
//! # Ok(()) }
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Namespace, Process, python, temp};

/// What a session is about; the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// ISO 15118-2, AC three-phase, external identification, no TLS.
    Iso2AcEim,
    /// ISO 15118-2, DC, external identification, no TLS.
    Iso2DcEim,
    /// ISO 15118-2, DC, external identification, TLS 1.2.
    Iso2DcEimTls,
    /// ISO 15118-2, AC three-phase, Plug & Charge, TLS 1.2.
    Iso2AcPnc,
    /// ISO 15118-2, DC, Plug & Charge, TLS 1.2.
    Iso2DcPnc,
    /// ISO 15118-20, AC, external identification, no TLS.
    Iso20Ac,
    /// ISO 15118-20, DC, external identification, no TLS.
    Iso20Dc,
    /// ISO 15118-20, bidirectional DC, external identification, no TLS.
    Iso20DcBpt,
    /// ISO 15118-20, DC, external identification, mutual TLS 1.3.
    Iso20DcTls13,
    /// ISO 15118-20, DC, Plug & Charge, mutual TLS 1.3.
    Iso20DcPncTls13,
}

impl Case {
    /// Every case.
    pub const ALL: [Self; 10] = [
        Self::Iso2AcEim,
        Self::Iso2DcEim,
        Self::Iso2DcEimTls,
        Self::Iso2AcPnc,
        Self::Iso2DcPnc,
        Self::Iso20Ac,
        Self::Iso20Dc,
        Self::Iso20DcBpt,
        Self::Iso20DcTls13,
        Self::Iso20DcPncTls13,
    ];

    /// Whether the session is on TLS.
    #[must_use]
    pub fn is_tls(self) -> bool {
        self.is_pnc() || matches!(self, Self::Iso2DcEimTls | Self::Iso20DcTls13)
    }

    /// Whether it is identified by a contract certificate.
    #[must_use]
    pub fn is_pnc(self) -> bool {
        matches!(self, Self::Iso2AcPnc | Self::Iso2DcPnc | Self::Iso20DcPncTls13)
    }

    /// Whether it is ISO 15118-20 (else -2).
    #[must_use]
    pub fn is_iso20(self) -> bool {
        matches!(
            self,
            Self::Iso20Ac | Self::Iso20Dc | Self::Iso20DcBpt | Self::Iso20DcTls13 | Self::Iso20DcPncTls13
        )
    }

    /// Whether the energy is alternating current.
    #[must_use]
    pub fn is_ac(self) -> bool {
        matches!(self, Self::Iso2AcEim | Self::Iso2AcPnc | Self::Iso20Ac)
    }

    fn settings(self) -> Value {
        let protocol = match (self.is_iso20(), self.is_ac()) {
            (false, _) => "ISO_15118_2",
            (true, true) => "ISO_15118_20_AC",
            (true, false) => "ISO_15118_20_DC",
        };
        let service = if self == Self::Iso20DcBpt {
            "DC_BPT"
        } else if self.is_ac() {
            "AC"
        } else {
            "DC"
        };
        json!({
            "protocols": [protocol],
            "service": service,
            "mode": if self.is_ac() { "AC_three_phase_core" } else { "DC_extended" },
            "auth": [if self.is_pnc() { "PNC" } else { "EIM" }],
            "tls": self.is_tls(),
            "enforce_tls": self.is_tls(),
            "tls13": self.is_iso20() && self.is_tls(),
        })
    }
}

/// Josev as a car.
#[derive(Clone, Debug)]
pub struct Car {
    /// What it charges.
    pub case: Case,
    /// A folder in Josev's layout (`iso15118_2/{certs,private_keys}` below it).
    pub pki: PathBuf,
    /// Charge-loop requests before it stops.
    pub loops: u32,
    /// Factor on its own message timeouts; `GRIDLATCH_TSCALE` sets the default (10).
    pub tscale: f64,
}

impl Car {
    /// A car with ten charge loops.
    #[must_use]
    pub fn new(case: Case, pki: impl Into<PathBuf>) -> Self {
        Self {
            case,
            pki: pki.into(),
            loops: 10,
            tscale: default_tscale(),
        }
    }

    /// Starts it at once: it warms up for some seconds, then sends its first discovery request.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(&self, namespace: &Namespace) -> Result<Peer> {
        let mut settings = self.case.settings();
        settings["loops"] = json!(self.loops);
        Peer::start("evcc", settings, &self.pki, self.tscale, namespace)
    }
}

/// Josev as a station, for one session.
#[derive(Clone, Debug)]
pub struct Station {
    /// What it offers.
    pub case: Case,
    /// A folder in Josev's layout.
    pub pki: PathBuf,
    /// Factor on its own message timeouts.
    pub tscale: f64,
    /// What its power stage shows before the car asks for a voltage.
    pub present_voltage: u32,
}

impl Station {
    /// A station whose output stands at 400 V until the car asks for another voltage.
    #[must_use]
    pub fn new(case: Case, pki: impl Into<PathBuf>) -> Self {
        Self {
            case,
            pki: pki.into(),
            tscale: default_tscale(),
            present_voltage: 400,
        }
    }

    /// Starts it and waits until it listens for discovery.
    ///
    /// # Errors
    /// When it does not come up within three minutes (a cold codec on a busy machine is slow).
    pub fn start(&self, namespace: &Namespace) -> Result<Peer> {
        let mut settings = self.case.settings();
        settings["present_voltage"] = json!(self.present_voltage);
        let mut peer = Peer::start("secc", settings, &self.pki, self.tscale, namespace)?;
        peer.wait_ready()?;
        Ok(peer)
    }
}

fn default_tscale() -> f64 {
    std::env::var("GRIDLATCH_TSCALE")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(10.0)
}

/// A message that crossed the wire, as the peer saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Seconds since the peer's start.
    pub at: f64,
    /// Whether the peer sent it (else it received it).
    pub sent: bool,
    /// The standard's name, such as `SessionSetupReq`.
    pub name: String,
    /// The response code of a response.
    pub code: Option<String>,
    /// Bytes of the EXI payload.
    pub bytes: usize,
}

/// How the peer's session ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Terminated in order, by `SessionStop`.
    pub successful: bool,
    /// The peer's own words.
    pub reason: String,
    /// Every message it sent or received.
    pub messages: Vec<Message>,
    /// TLS version and suite in OpenSSL's names; only a car tells.
    pub tls: Option<(String, String)>,
    /// CPU seconds and peak memory as the wrapper names them.
    pub usage: Value,
}

impl Outcome {
    /// How many messages of this name crossed the wire.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.messages.iter().filter(|m| m.name == name).count()
    }
}

#[derive(Deserialize)]
struct Report {
    t: f64,
    event: String,
    #[serde(flatten)]
    fields: Value,
}

/// A running Josev. Dropping it ends it.
#[derive(Debug)]
pub struct Peer {
    process: Process,
    key_log: PathBuf,
}

impl Peer {
    fn start(
        role: &str,
        mut settings: Value,
        pki: &Path,
        tscale: f64,
        namespace: &Namespace,
    ) -> Result<Self> {
        let folder = temp::logs()?;
        let key_log = folder.join(format!("josev-{role}.keys"));
        let pki = pki
            .canonicalize()
            .with_context(|| format!("the peer's PKI {}", pki.display()))?;
        settings["pki"] = json!(pki);
        settings["interface"] = json!(namespace.interface());
        settings["tscale"] = json!(tscale);
        settings["key_log"] = json!(key_log);
        let file = folder.join(format!("josev-{role}.json"));
        std::fs::write(&file, settings.to_string()).with_context(|| format!("writing {}", file.display()))?;
        let mut command = namespace.command(python::josev()?);
        command
            .arg(temp::workspace().join("tests/peers/josev/peer.py"))
            .arg(role)
            .arg(&file)
            .current_dir(&folder);
        Ok(Self {
            process: Process::spawn(&format!("josev-{role}"), command)?,
            key_log,
        })
    }

    /// Waits until the peer is warm: a station listens, a car is about to send its first discovery request.
    ///
    /// # Errors
    /// When it ends first or takes more than three minutes.
    pub fn wait_ready(&mut self) -> Result<()> {
        self.wait_event("ready", Duration::from_secs(180)).map(drop)
    }

    /// Waits for the session to end, four minutes at most.
    ///
    /// # Errors
    /// When it does not end; the message has the end of the peer's log.
    pub fn outcome(&mut self) -> Result<Outcome> {
        self.outcome_within(Duration::from_secs(240))
    }

    /// As [`Self::outcome`], with the time to wait.
    ///
    /// # Errors
    /// When the session does not end in time.
    pub fn outcome_within(&mut self, limit: Duration) -> Result<Outcome> {
        let end = self.wait_event("ended", limit)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let reports = self.reports();
        let tls = reports
            .iter()
            .find(|r| r.event == "connected")
            .and_then(|r| Some((text(&r.fields["tls"])?, text(&r.fields["suite"])?)));
        let messages = reports
            .iter()
            .filter(|r| r.event == "sent" || r.event == "received")
            .map(|r| Message {
                at: r.t,
                sent: r.event == "sent",
                name: text(&r.fields["message"]).unwrap_or_default(),
                code: text(&r.fields["code"]),
                bytes: r.fields["bytes"]
                    .as_u64()
                    .and_then(|b| usize::try_from(b).ok())
                    .unwrap_or(0),
            })
            .collect();
        Ok(Outcome {
            successful: end.fields["successful"] == json!(true),
            reason: text(&end.fields["reason"]).unwrap_or_default(),
            messages,
            tls,
            usage: end.fields,
        })
    }

    /// The process with its log.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The TLS secrets of its sessions, for decrypting a capture.
    #[must_use]
    pub fn key_log(&self) -> &Path {
        &self.key_log
    }

    fn wait_event(&mut self, event: &str, limit: Duration) -> Result<Report> {
        let line = self
            .process
            .wait_line(limit, |line| report(line).is_some_and(|r| r.event == event))?;
        report(&line).context("a report line that was one a moment ago")
    }

    fn reports(&self) -> Vec<Report> {
        self.process.output().lines().filter_map(report).collect()
    }
}

fn report(line: &str) -> Option<Report> {
    serde_json::from_str(line.strip_prefix("PEER ")?).ok()
}

/// A PKI made by Josev's own script, in `folder`: for Josev against Josev, and for telling its habits from ours.
///
/// # Errors
/// When the script fails.
pub fn own_pki(folder: &Path) -> Result<PathBuf> {
    let python = python::josev()?;
    let script =
        "import iso15118.shared,os; print(os.path.join(os.path.dirname(iso15118.shared.__file__),'pki'))";
    let out = std::process::Command::new(&python)
        .args(["-c", script])
        .output()
        .context("asking Josev for its PKI")?;
    let source = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    let copied = std::process::Command::new("cp")
        .args(["-r", &source])
        .arg(folder)
        .status();
    if !copied.is_ok_and(|status| status.success()) {
        bail!("copying {source} to {}", folder.display());
    }
    let pki = folder.join("pki");
    let made = std::process::Command::new("bash")
        .args(["./create_certs.sh", "-v", "iso-2"])
        .current_dir(&pki)
        .output()
        .context("running Josev's create_certs.sh")?;
    if !made.status.success() {
        bail!(
            "Josev's create_certs.sh failed: {}",
            String::from_utf8_lossy(&made.stderr)
        );
    }
    Ok(pki)
}
