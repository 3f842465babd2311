//! `gridlatch bench session`: our car at our station, Josev's car at Josev's station, side by side.

use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::json;

use super::process::usage;
use super::{Case, Figures, josev, node};
use crate::cli::Format;
use crate::cli::bench::SessionArgs;
use crate::say;

/// The part of a car's summary that is measured.
#[derive(Debug, Deserialize)]
struct Summary {
    connected_ms: f64,
    first_loop_ms: f64,
    loops: (u64, f64),
}

/// Runs all cases and prints them.
pub(crate) fn run(args: &SessionArgs) -> Result<()> {
    let scratch = Scratch::new()?;
    // Made here once, so that neither side's first run pays for issuing certificates.
    let pki = node::pki(&scratch.0)?;
    let _ = (
        pki.station_credentials(&node::station_id()?)?,
        pki.vehicle(&node::vehicle()?)?,
    );
    let mut rows = Vec::new();
    for case in Case::ALL {
        let mut ours = Vec::new();
        for run in 1..=args.runs {
            progress(format!("{}: our pair, run {run} of {}", case.title(), args.runs));
            ours.push(our_session(&scratch.0, case, args.seconds)?);
        }
        let peer = match &args.josev {
            Some(python) => {
                progress(format!("{}: Josev's pair", case.title()));
                Some(josev::session(python, &pki, &scratch.0, case)?)
            }
            None => None,
        };
        let ours = Figures::median(&ours).context("no run")?;
        rows.push((case, ours, peer));
    }
    match args.format {
        Format::Json => {
            for (case, ours, peer) in &rows {
                say::result(serde_json::to_string(&json!({
                    "case": case.name(), "runs": args.runs, "gridlatch": ours, "josev": peer,
                }))?);
            }
        }
        Format::Text => rows
            .iter()
            .for_each(|(case, ours, peer)| table(*case, ours, peer.as_ref())),
    }
    if args.josev.is_none() {
        say::talk("Josev's pair was not measured: give --josev PYTHON (see --help)");
    }
    Ok(())
}

/// A folder that goes with the run.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("gridlatch-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A child that is killed with its handle, with its lines.
pub(super) struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(super) fn start(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let out = child.stdout.take().context("a child without output")?;
        Ok(Self {
            child,
            lines: BufReader::new(out).lines(),
        })
    }

    /// The next line the child prints.
    pub(super) fn line(&mut self) -> Result<String> {
        self.lines
            .next()
            .context("a side of the session ended early")?
            .context("cannot read from a side of the session")
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn our_session(pki: &Path, case: Case, seconds: u32) -> Result<Figures> {
    let this = std::env::current_exe().context("cannot find this program")?;
    let side = |name: &str| {
        let mut command = Command::new(&this);
        command.args(["bench", name, "--pki"]).arg(pki);
        command
    };
    let mut station = Running::start(side("station"))?;
    let sdp = station.line()?;
    let before = usage(station.id());
    let mut car = side("car");
    car.args([
        "--case",
        case.name(),
        "--sdp",
        &sdp,
        "--seconds",
        &seconds.to_string(),
    ]);
    let mut car = Running::start(car)?;
    let summary: Summary = serde_json::from_str(&car.line()?).context("the car's summary")?;
    let (car, station) = (usage(car.id()), usage(station.id()));
    let (loops, spent) = summary.loops;
    if loops == 0 || spent <= 0.0 {
        bail!("no charge loop ran");
    }
    let per_loop = |cpu: std::time::Duration| cpu.as_secs_f64() * 1e3 / loops as f64;
    Ok(Figures {
        tls_ms: summary.connected_ms,
        first_loop_ms: summary.first_loop_ms,
        loops_per_s: loops as f64 / spent,
        car_cpu_ms: per_loop(car.cpu),
        station_cpu_ms: per_loop(station.cpu.saturating_sub(before.cpu)),
        car_mib: mib(car.peak_sum_bytes),
        station_mib: mib(station.peak_sum_bytes),
    })
}

/// Mebibytes.
pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

fn progress(line: String) {
    if std::io::stderr().is_terminal() {
        say::talk(line);
    }
}

/// A line of the table: its name and its figure.
type Row = (&'static str, fn(&Figures) -> f64);

fn table(case: Case, ours: &Figures, peer: Option<&Figures>) {
    say::result(format!("\n{}", case.title()));
    say::result(format!(
        "  {:<42} {:>12} {:>12} {:>10}",
        "", "gridlatch", "Josev", "ratio"
    ));
    let rows: [Row; 7] = [
        ("discovery to TLS up, ms", |f| f.tls_ms),
        ("discovery to first charge-loop answer, ms", |f| f.first_loop_ms),
        ("charge-loop round trips per second", |f| f.loops_per_s),
        ("car: CPU per round trip, ms", |f| f.car_cpu_ms),
        ("station: CPU per round trip, ms", |f| f.station_cpu_ms),
        ("car: peak memory, MiB", |f| f.car_mib),
        ("station: peak memory, MiB", |f| f.station_mib),
    ];
    for (name, pick) in rows {
        let mine = pick(ours);
        let theirs = peer.map(pick);
        let peer_text = theirs.map_or_else(|| "-".to_owned(), number);
        let ratio = theirs.map_or_else(|| "-".to_owned(), |theirs| number(mine / theirs));
        say::result(format!(
            "  {name:<42} {:>12} {peer_text:>12} {ratio:>10}",
            number(mine)
        ));
    }
}

/// Three significant digits are all a noisy machine supports.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
