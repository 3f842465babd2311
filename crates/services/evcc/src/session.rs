//! The session loop: bytes, time and the cable go into the policy; what it wants comes out.

use std::time::Duration;

use gridlatch_session::evcc::{End, EvccSession, Flow, Now, Output, StepRecord};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::battery::Battery;
use crate::config::ChargeConfig;
use crate::connect::Transport;
use crate::plug::Cable;
use crate::progress::Progress;

/// Bytes read at once; a charge-loop answer is below 150.
const READ_BUFFER: usize = 8 * 1024;

/// Longest time for a write the station does not take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Figures the loop keeps.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Loops {
    pub(crate) count: u64,
    pub(crate) first: Option<Instant>,
    pub(crate) last: Option<Instant>,
}

/// A session with everything it moves.
pub(crate) struct Running<'a> {
    pub(crate) config: &'a ChargeConfig,
    pub(crate) session: EvccSession,
    pub(crate) transport: Transport,
    pub(crate) cable: Option<&'a mut Cable>,
    pub(crate) battery: &'a mut Battery,
    /// Origin of the monotonic clock the session is told.
    pub(crate) origin: Instant,
    pub(crate) loops: Loops,
    /// Power since the last change, and when that was.
    pub(crate) flowing: (f64, Instant),
}

impl Running<'_> {
    /// Runs to the end; `step` gets every finished step.
    pub(crate) async fn run(&mut self, mut step: impl AsyncFnMut(StepRecord)) -> End {
        let mut buffer = vec![0u8; READ_BUFFER];
        if let Err(error) = self.session.start(self.now()) {
            self.session.connection_lost(self.now(), &error.to_string());
        }
        let stop = self.config.stop.clone();
        let mut stopping = false;
        loop {
            while let Some(output) = self.session.poll_output() {
                match output {
                    Output::Step(record) => step(record).await,
                    Output::Ended(end) => {
                        self.close().await;
                        return end;
                    }
                    Output::Pilot(pilot) => {
                        if let Some(cable) = self.cable.as_deref_mut() {
                            cable.pilot(pilot);
                        }
                    }
                    Output::Draw(watts) => {
                        if let Some(cable) = self.cable.as_deref_mut() {
                            cable.draw(watts);
                        }
                    }
                    Output::Flow(flow) => self.flowed(flow),
                }
            }
            let bytes = self.session.poll_transmit();
            if !bytes.is_empty()
                && let Err(reason) = self.write(&bytes).await
            {
                self.session.connection_lost(self.now(), &reason);
                continue;
            }
            let due = self.session.poll_timeout().map_or_else(
                || Instant::now() + WRITE_TIMEOUT,
                |at| self.origin + Duration::from_millis(at),
            );
            tokio::select! {
                biased;
                read = self.transport.read(&mut buffer) => {
                    self.settle();
                    self.session.update(self.battery.state());
                    match read {
                        Ok(0) => self.session.connection_lost(self.now(), "the station closed it"),
                        Ok(count) => self.session.handle_input(self.now(), &buffer[..count]),
                        Err(error) => self.broke(&error),
                    }
                }
                () = tokio::time::sleep_until(due) => {
                    self.settle();
                    self.session.update(self.battery.state());
                    let mut now = self.now();
                    // The timer may fire within the millisecond before the deadline it was set for.
                    now.mono_ms = now.mono_ms.max(self.session.poll_timeout().unwrap_or(0));
                    self.session.handle_timeout(now);
                }
                gone = next(&mut self.cable) => {
                    if gone.is_none() {
                        self.session.connection_lost(self.now(), "the cable was unplugged");
                    }
                }
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.session.request_stop();
                }
            }
        }
    }

    /// In TLS 1.3 what the station thinks of our certificate comes with the first read.
    fn broke(&mut self, error: &std::io::Error) {
        match gridlatch_tls::refusal_of(error) {
            Some(refusal) => {
                self.session
                    .connection_refused(self.now(), refusal.code, &refusal.message);
            }
            None => self.session.connection_lost(self.now(), &error.to_string()),
        }
    }

    fn now(&self) -> Now {
        Now {
            mono_ms: u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX),
            unix_s: u64::try_from(gridlatch_host::now().0.unix_timestamp()).unwrap_or(0),
        }
    }

    /// A charge-loop answer: what flowed until now is booked, what flows from now on is taken note of.
    fn flowed(&mut self, flow: Flow) {
        let now = Instant::now();
        self.loops.count += 1;
        self.loops.first.get_or_insert(now);
        self.loops.last = Some(now);
        // With a cable, an open contactor carries nothing whatever the answer says.
        let watts = match self.cable.as_deref() {
            Some(cable) if !cable.is_closed() => 0.0,
            _ => flow.watts,
        };
        self.flowing = (watts, now);
        if let Some(cable) = self.cable.as_deref_mut() {
            cable.battery(self.battery.voltage(), self.battery.soc());
        }
        if let Some(progress) = &self.config.progress {
            progress.send_replace(Progress {
                watts,
                soc: self.battery.soc(),
                taken_wh: self.battery.taken_wh(),
                given_wh: self.battery.given_wh(),
                loops: self.loops.count,
                giving: self.session.wants_to_give(),
            });
        }
    }

    /// Books the energy that flowed since the last change.
    fn settle(&mut self) {
        let (watts, since) = self.flowing;
        let now = Instant::now();
        self.battery.apply(watts, now.duration_since(since).as_secs_f64());
        let still = self.cable.as_deref().is_some_and(|cable| !cable.is_closed());
        self.flowing = (if still { 0.0 } else { watts }, now);
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let write = async {
            self.transport.write_all(bytes).await?;
            self.transport.flush().await
        };
        match tokio::time::timeout(WRITE_TIMEOUT, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the station takes no more bytes".to_owned()),
        }
    }

    /// Says goodbye on the transport; the session is over either way.
    async fn close(&mut self) {
        self.settle();
        let bytes = self.session.poll_transmit();
        if !bytes.is_empty() {
            let _ = self.write(&bytes).await;
        }
        let _ = tokio::time::timeout(Duration::from_millis(500), self.transport.shutdown()).await;
    }
}

/// The cable's next message; waits for ever without a cable.
async fn next(cable: &mut Option<&mut Cable>) -> Option<()> {
    match cable {
        Some(cable) => cable.next().await,
        None => std::future::pending().await,
    }
}
