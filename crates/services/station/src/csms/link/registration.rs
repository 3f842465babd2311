//! Where the station stands with its platform: boot, heartbeat (B01 to B03).

use core::time::Duration;

use gridlatch_ocpp::v201::BootReasonEnum;
use gridlatch_ocpp::{Answer, decode, v21};
use gridlatch_vocab::catalogue;
use tokio::time::Instant as Tick;

use super::{Link, NEVER, Purpose, Registration};
use crate::csms::messages;

impl Link<'_> {
    pub(super) fn beat(&mut self) {
        self.beat = Tick::now() + self.interval();
        if self.registration == Registration::Accepted {
            let _ = self.call(messages::heartbeat(), Purpose::Heartbeat);
        } else {
            self.boot();
        }
    }

    pub(in crate::csms) fn boot(&mut self) {
        // Until the answer comes; it sets the next time.
        self.beat = Tick::now() + NEVER;
        let message = messages::boot(&self.client.config, self.client.boot_reason);
        let _ = self.call(message, Purpose::Boot);
    }

    pub(in crate::csms) fn heartbeat(&mut self) {
        let _ = self.call(messages::heartbeat(), Purpose::Heartbeat);
    }

    pub(in crate::csms) fn reset_beat(&mut self) {
        self.beat = Tick::now() + self.interval();
    }

    pub(in crate::csms) fn is_accepted(&self) -> bool {
        self.registration == Registration::Accepted
    }

    pub(super) fn interval(&self) -> Duration {
        let seconds = self
            .client
            .variables
            .seconds("OCPPCommCtrlr", "HeartbeatInterval");
        Duration::from_secs(u64::try_from(seconds).unwrap_or(60))
    }

    pub(super) fn booted(&mut self, answer: Answer) {
        let response = answer
            .ok()
            .and_then(|payload| decode::<v21::BootNotificationResponse>(payload).ok());
        let Some(response) = response.map(|tolerated| tolerated.payload) else {
            self.beat = Tick::now() + self.interval();
            return;
        };
        // B01.FR.08, B02.FR.07: the interval of the platform; 0 leaves the choice to the station.
        if response.interval > 0 {
            self.client.variables.set_heartbeat(response.interval);
        }
        self.beat = Tick::now() + self.interval();
        let (registration, code, word) = match response.status {
            v21::RegistrationStatusEnum::Accepted => (
                Registration::Accepted,
                catalogue::ocpp::BOOT_ACCEPTED,
                "accepted this station",
            ),
            v21::RegistrationStatusEnum::Pending => (
                Registration::Pending,
                catalogue::ocpp::BOOT_REFUSED,
                "has not decided about this station yet",
            ),
            v21::RegistrationStatusEnum::Rejected => (
                Registration::Rejected,
                catalogue::ocpp::BOOT_REFUSED,
                "rejected this station",
            ),
        };
        if registration == Registration::Accepted {
            // A later boot on a new connection is no new start of the station.
            self.client.boot_reason = BootReasonEnum::Unknown;
        }
        self.registration = registration;
        self.client.report.event(code, format!("The platform {word}."));
    }
}
