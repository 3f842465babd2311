//! The simulated stations of `up`, each in a process of its own: started, listened to, started again when
//! they die, stopped in order.

use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use gridlatch_host::{DataDir, Hub, Shutdown, TaskTracker, now};
use gridlatch_keys::Signer as _;
use gridlatch_pki::ca::Ca;
use gridlatch_pki::dev::DevPki;
use gridlatch_platform::{OutletPlace, PlatformHandle, StationPlace};
use gridlatch_vocab::{Event, EventSink as _, EvseId, StationId, catalogue};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;

use super::UpConfig;
use super::delivered;
use super::revocation::Asked;
use super::station_process::READY;
use crate::run_file::RunStation;

/// Longest event a station's process may report, in bytes.
const LONGEST_EVENT: u64 = 64 * 1024;

/// How long a station may take to be up when `up` starts.
const START: Duration = Duration::from_secs(30);

/// How long a station may take to end its sessions and deliver its last words.
const STOP: Duration = Duration::from_secs(7);

/// Pause before a station that died is started again; doubled each time up to the longest.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The stations' processes.
#[derive(Debug)]
pub(crate) struct Stations {
    keepers: TaskTracker,
    stop: Shutdown,
    up: watch::Receiver<Vec<RunStation>>,
}

impl Stations {
    /// Where each station can be reached.
    pub(crate) fn describe(&self) -> Vec<RunStation> {
        self.up.borrow().clone()
    }

    /// Changes whenever a station was started again: it may be elsewhere now.
    pub(crate) fn changes(&self) -> watch::Receiver<Vec<RunStation>> {
        self.up.clone()
    }

    /// Ends sessions in order, lets the platform hear of it, and stops.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.keepers.wait().await;
    }
}

/// Starts one AC station and one bidirectional DC station.
pub(crate) async fn start(
    config: &UpConfig,
    data: &DataDir,
    (ca, pki): (&Ca, &DevPki),
    (platform, asked): (&PlatformHandle, &Asked),
    hub: &Hub,
) -> Result<Stations> {
    let keepers = TaskTracker::new();
    let stop = Shutdown::new();
    let (up, mut changes) = watch::channel(Vec::new());
    let up = Arc::new(Mutex::new(up));
    let ids = super::station_ids()?;
    for id in &ids {
        platform.state.register_station(id).await?;
        platform.state.place_station(id, &place(id)).await?;
        // In the field an operator copies the key from the meter's label.
        let meter = pki.meter_key(id)?;
        platform
            .state
            .register_meter_key(id, meter.public_key_der())
            .await?;
        data.dir(&format!("stations/{id}"))?;
        delivered::deliver(&config.station_keys, ca, pki, data, id).await?;
        let keeper = Keeper {
            id: id.clone(),
            data: data.clone(),
            arguments: arguments(config, data, (platform, asked), id),
            hub: hub.clone(),
            stop: stop.clone(),
            up: Arc::clone(&up),
        };
        keepers.spawn(keeper.keep());
    }
    keepers.close();
    let all = changes.wait_for(|up| up.len() == ids.len());
    match tokio::time::timeout(START, all).await {
        Ok(Ok(_)) => {}
        _ => bail!("a station does not start; what it said is above"),
    }
    Ok(Stations {
        keepers,
        stop,
        up: changes,
    })
}

fn arguments(
    config: &UpConfig,
    data: &DataDir,
    (platform, asked): (&PlatformHandle, &Asked),
    id: &StationId,
) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<std::ffi::OsString> = vec![
        "station".into(),
        "--data".into(),
        data.root().into(),
        "--id".into(),
        id.to_string().into(),
        "--ocpp".into(),
        platform.ocpp_addr.to_string().into(),
    ];
    arguments.extend(asked.arguments());
    if config.allow_plaintext {
        arguments.push("--allow-plaintext".into());
    }
    if let Some(file) = &config.key_log {
        arguments.extend(["--key-log".into(), file.into()]);
    }
    arguments.extend(config.station_keys.arguments());
    arguments
}

/// How a process ended.
enum Ended {
    /// As asked.
    Stopped,
    /// By itself; what the system says.
    Died(String),
}

/// Keeps one station running.
struct Keeper {
    id: StationId,
    data: DataDir,
    arguments: Vec<std::ffi::OsString>,
    hub: Hub,
    stop: Shutdown,
    up: Arc<Mutex<watch::Sender<Vec<RunStation>>>>,
}

impl Keeper {
    async fn keep(self) {
        let mut pause = PAUSE;
        loop {
            let began = Instant::now();
            let how = match self.run_once().await {
                Ok(Ended::Stopped) => return,
                Ok(Ended::Died(how)) => how,
                Err(error) => format!("{error:#}"),
            };
            self.hub.emit(
                Event::new(
                    now(),
                    catalogue::host::STATION_PROCESS_ENDED,
                    "host",
                    format!(
                        "the process of station {} ended by itself ({how}); it is started again",
                        self.id
                    ),
                )
                .station(&self.id)
                .with("how", how),
            );
            if began.elapsed() > 3 * LONGEST_PAUSE {
                pause = PAUSE;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    async fn run_once(&self) -> Result<Ended> {
        // This very program, even when its file has been replaced meanwhile.
        let mut child = Command::new("/proc/self/exe")
            .arg0("gridlatch")
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the process")?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        let events = BufReader::new(child.stdout.take().context("no standard output")?);
        let listen = self.listen(events);
        tokio::pin!(listen);
        tokio::select! {
            heard = &mut listen => return self.died(&mut child, heard).await,
            () = self.stop.cancelled() => {}
        }
        // A write that fails means the process has ended already.
        let _ = stdin.write_all(b"stop\n").await;
        let orderly = async {
            let _ = listen.await;
            child.wait().await
        };
        // Dropping the child ends it where it stands: its store has all it acknowledged.
        let _ = tokio::time::timeout(STOP, orderly).await;
        Ok(Ended::Stopped)
    }

    async fn died(&self, child: &mut Child, heard: io::Result<()>) -> Result<Ended> {
        if let Err(error) = heard {
            self.hub.emit(
                Event::new(
                    now(),
                    catalogue::host::STATION_PROCESS_REFUSED,
                    "host",
                    format!(
                        "what the process of station {} said is no event: {error}",
                        self.id
                    ),
                )
                .station(&self.id),
            );
            let _ = child.start_kill();
        }
        let status = child.wait().await.context("cannot learn how it ended")?;
        Ok(Ended::Died(status.to_string()))
    }

    /// Passes on what the process reports until it says no more.
    async fn listen(&self, mut events: BufReader<ChildStdout>) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut events)
                .take(LONGEST_EVENT)
                .read_until(b'\n', &mut line)
                .await?;
            if read == 0 {
                return Ok(());
            }
            if line.last() != Some(&b'\n') {
                // Killed in the middle of a line, or a line without end.
                return if u64::try_from(read).is_ok_and(|read| read >= LONGEST_EVENT) {
                    Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"))
                } else {
                    Ok(())
                };
            }
            let mut event: Event = serde_json::from_slice(&line)?;
            // A station's process speaks for itself only, and does not choose how urgent it is.
            event.station = Some(self.id.clone());
            event.severity = event.code.severity();
            let up = event.code == catalogue::host::STATION_PROCESS_UP;
            self.hub.emit(event);
            if up {
                self.publish()?;
            }
        }
    }

    fn publish(&self) -> io::Result<()> {
        let text = std::fs::read(self.data.path(&format!("stations/{}/{READY}", self.id)))?;
        let station: RunStation = serde_json::from_slice(&text)?;
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        up.send_modify(|up| {
            up.retain(|known| known.id != self.id);
            up.push(station);
            up.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
        });
        Ok(())
    }
}

/// What bills say of a simulated station: it stands on this machine.
fn place(id: &StationId) -> StationPlace {
    let (evse_id, standard, power_type) = if id.as_str().contains("-AC-") {
        ("DE*GDL*E000001*1", "IEC_62196_T2", "AC_3_PHASE")
    } else {
        ("DE*GDL*E000002*1", "IEC_62196_T2_COMBO", "DC")
    };
    StationPlace {
        address: "simulated".to_owned(),
        city: "this machine".to_owned(),
        country: "DEU".to_owned(),
        latitude: "0.000000".to_owned(),
        longitude: "0.000000".to_owned(),
        outlets: vec![OutletPlace {
            evse: EvseId(1),
            evse_id: evse_id.to_owned(),
            standard: standard.to_owned(),
            format: "CABLE".to_owned(),
            power_type: power_type.to_owned(),
        }],
    }
}
