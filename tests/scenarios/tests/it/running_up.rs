//! A running `gridlatch up` on a folder of its own, the cars that plug into it, and its REST interface, all seen
//! from outside: through processes, files and sockets.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use gridlatch_testkit::{Process, binary};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Time for anything that should happen promptly, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Every process of a test run gets a log of its own.
fn log_name(kind: &str) -> String {
    static STARTED: AtomicU32 = AtomicU32::new(1);
    format!("{kind}-{}", STARTED.fetch_add(1, Ordering::Relaxed))
}

/// `gridlatch up`.
#[derive(Debug)]
pub(crate) struct Up {
    pub(crate) process: Process,
    pub(crate) data: PathBuf,
    run: Value,
    token: String,
}

impl Up {
    /// Starts it on `data` and waits until its stations are connected.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Result<Self> {
        Self::start_with(data, more, &[])
    }

    /// As [`Self::start`], with variables of its environment.
    pub(crate) fn start_with(data: &Path, more: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        let up = Self::begun(data, more, env)?;
        wait("both stations at the platform", SOON, || {
            let stations = up.get("/stations")?;
            let connected = list(&stations).iter().filter(|s| s["connected"] == true).count();
            Ok((connected == 2).then_some(()))
        })?;
        Ok(up)
    }

    /// As [`Self::start`], where the stations cannot connect.
    pub(crate) fn unconnected(data: &Path, more: &[&str]) -> Result<Self> {
        Self::begun(data, more, &[])
    }

    fn begun(data: &Path, more: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(binary()?);
        command
            .args([
                "up",
                "--console",
                "127.0.0.1:0",
                "--ocpp",
                "127.0.0.1:0",
                "--data",
            ])
            .arg(data)
            .args(more)
            .envs(env.iter().copied());
        let mut process = Process::spawn(&log_name("up"), command)?;
        process.wait_line(SOON, |line| line.contains("Ctrl-C stops everything"))?;
        let text = std::fs::read(data.join("run.json")).context("reading run.json")?;
        let run: Value = serde_json::from_slice(&text).context("reading run.json")?;
        ensure!(
            run["pid"] == process.id(),
            "run.json is of another process: {run}"
        );
        let token_file = run["token_file"].as_str().context("no token file")?;
        let token = std::fs::read_to_string(token_file)?.trim().to_owned();
        Ok(Self {
            process,
            data: data.to_owned(),
            run,
            token,
        })
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// `127.0.0.1:port` of the console and REST.
    pub(crate) fn web(&self) -> &str {
        let rest = self.run["rest"].as_str().unwrap_or_default();
        rest.trim_start_matches("http://")
            .split('/')
            .next()
            .unwrap_or_default()
    }

    /// `127.0.0.1:port` of the OCPP server.
    pub(crate) fn ocpp(&self) -> &str {
        let ocpp = self.run["ocpp"].as_str().unwrap_or_default();
        ocpp.trim_start_matches("wss://")
            .split('/')
            .next()
            .unwrap_or_default()
    }

    /// How many of the latest events have this code.
    pub(crate) fn count(&self, code: &str) -> Result<usize> {
        let events = self.get("/events?limit=500")?;
        Ok(list(&events).iter().filter(|event| event["code"] == code).count())
    }

    /// Starts a car: `gridlatch ev charge --format json <words>`.
    pub(crate) fn car(&self, words: &str) -> Result<Car> {
        let mut command = Command::new(binary()?);
        command
            .args(["ev", "charge", "--format", "json", "--data"])
            .arg(&self.data)
            .args(words.split_whitespace());
        Ok(Car {
            process: Process::spawn(&log_name("car"), command)?,
            words: words.to_owned(),
        })
    }

    /// What REST answers as the operator.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let token = format!("Authorization: Bearer {}\r\n", self.token);
        http(self.web(), method, &format!("/api/v1{path}"), &token, body)
    }

    /// A successful GET.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let answer = self.ask("GET", path, None)?;
        ensure!(answer.status == 200, "GET {path}: {answer:?}");
        Ok(answer.json())
    }

    /// A successful order to a station.
    pub(crate) fn order(&self, station: &str, command: &str, body: &Value) -> Result<Value> {
        let path = format!("/stations/{station}/commands/{command}");
        let answer = self.ask("POST", &path, Some(body))?;
        ensure!(answer.status == 200, "POST {path} {body}: {answer:?}");
        Ok(answer.json())
    }

    /// The set-point for EVSE 1 of a station; none lifts it.
    pub(crate) fn setpoint(&self, station: &str, watts: Option<i64>) -> Result<()> {
        self.order(station, "setpoint", &json!({"evse": 1, "watts": watts}))
            .map(drop)
    }

    /// The running session of a station, once power flows.
    pub(crate) fn flowing(&self, station: &str) -> Result<Value> {
        wait("power in a running session", SOON, || {
            let running = self.get("/sessions/running")?;
            let ours = list(&running).iter().find(|session| {
                session["station"] == station
                    && session["latest"]["power"]
                        .as_f64()
                        .is_some_and(|watts| watts.abs() > 1000.0)
            });
            Ok(ours.cloned())
        })
    }

    /// The samples of a session, oldest first.
    pub(crate) fn samples(&self, session: &Value) -> Result<Vec<Value>> {
        let path = format!("{}/samples?limit=5000", session_path(session));
        Ok(list(&self.get(&path)?).to_vec())
    }

    /// A session with its bill, once issued.
    pub(crate) fn billed(&self, session: &Value) -> Result<Value> {
        let path = session_path(session);
        wait("the bill", SOON, || {
            let session = self.get(&path)?;
            Ok((!session["bill"].is_null()).then_some(session))
        })
    }

    /// Ctrl-C; how long the end took.
    pub(crate) fn stop(mut self) -> Result<Duration> {
        let asked = Instant::now();
        self.process.interrupt()?;
        let status = self.process.wait_exit(SOON)?;
        ensure!(
            status.success(),
            "up ended with {status}: {}",
            self.process.output()
        );
        Ok(asked.elapsed())
    }
}

/// `/sessions/<station>/<transaction>`
pub(crate) fn session_path(session: &Value) -> String {
    let text = |key: &str| session[key].as_str().unwrap_or("?").to_owned();
    format!("/sessions/{}/{}", text("station"), text("transaction"))
}

/// The entries of a JSON list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A JSON number or text, exact to its last digit.
pub(crate) fn decimal(value: &Value) -> Result<Decimal> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().with_context(|| format!("{text:?} is no decimal"))
}

/// Asks every 50 ms until there is an answer.
pub(crate) fn wait<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= until {
            bail!("no {what} within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A running `gridlatch ev charge`.
#[derive(Debug)]
pub(crate) struct Car {
    pub(crate) process: Process,
    words: String,
}

impl Car {
    /// Waits for the end.
    pub(crate) fn ended(mut self, limit: Duration) -> Result<Ended> {
        let status = self.process.wait_exit(limit)?;
        let output = self.process.output();
        let lines = output
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(serde_json::from_str)
            .collect::<Result<Vec<Value>, _>>()
            .with_context(|| format!("a line is no JSON: {output}"))?;
        Ok(Ended {
            words: self.words,
            code: status.code().context("the car was killed")?,
            lines,
            output,
        })
    }
}

/// What a car said, all of it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) words: String,
    pub(crate) code: i32,
    pub(crate) lines: Vec<Value>,
    pub(crate) output: String,
}

impl Ended {
    /// Fails unless the exit code is this.
    pub(crate) fn expect(self, code: i32) -> Result<Self> {
        ensure!(
            self.code == code,
            "ev charge {} ended with {}, not {code}:\n{}",
            self.words,
            self.code,
            self.output
        );
        Ok(self)
    }

    fn of<'l>(&'l self, kind: &'l str) -> impl Iterator<Item = &'l Value> {
        self.lines.iter().filter(move |line| line["type"] == kind)
    }

    /// The steps in order.
    pub(crate) fn steps(&self) -> Vec<&Value> {
        self.of("step").collect()
    }

    /// The step of that name.
    pub(crate) fn step(&self, name: &str) -> Result<&Value> {
        let mut steps = self.of("step").filter(|step| step["name"] == name);
        steps
            .next()
            .with_context(|| format!("ev charge {}: no step {name}", self.words))
    }

    /// The line with the figures.
    pub(crate) fn session(&self) -> Result<&Value> {
        self.of("session").next().context("no session line")
    }

    /// What the car found when it checked the bill's signatures.
    pub(crate) fn proof(&self) -> Result<&Value> {
        let bill = self.of("bill").next();
        Ok(&bill.with_context(|| format!("ev charge {}: no bill:\n{}", self.words, self.output))?["proof"])
    }

    /// The bill.
    pub(crate) fn bill(&self) -> Result<&Value> {
        let bill = self.of("bill").next();
        Ok(&bill.with_context(|| format!("ev charge {}: no bill:\n{}", self.words, self.output))?["bill"])
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Fails unless it is a problem document with this status and code.
    pub(crate) fn expect_problem(&self, status: u16, code: &str) -> Result<()> {
        let problem = self.json();
        ensure!(
            self.status == status
                && problem["code"] == code
                && problem["status"] == status
                && self
                    .head
                    .to_lowercase()
                    .contains("content-type: application/problem+json")
                && problem["remedy"]
                    .as_str()
                    .is_some_and(|remedy| !remedy.is_empty()),
            "expected {status} {code}, got {self:?}"
        );
        Ok(())
    }
}

/// One request with these header lines, on a connection of its own.
pub(crate) fn http(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: Option<&Value>,
) -> Result<Answer> {
    let host = if headers.contains("Host:") {
        String::new()
    } else {
        format!("Host: {address}\r\n")
    };
    let body = body.map_or_else(String::new, Value::to_string);
    let kind = if body.is_empty() {
        String::new()
    } else {
        format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        )
    };
    let request = format!("{method} {path} HTTP/1.0\r\n{host}{headers}{kind}\r\n{body}");
    let mut stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .with_context(|| format!("reading the answer to {path}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.context("no HTTP status")?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
