//! The power permit: the only code that may say "close the contactor".
//!
//! A permit holds while every [`Condition`] holds and somebody who sees all of them has said so in the
//! permit's life, [`RENEWAL`] unless set otherwise. Any condition failing, and any silence, withdraws it. After a withdrawal the
//! contactor stays open until it is asked to close again: power never comes back by itself.
//!
//! Deliberately absent: TLS, OCPP, messages, clocks. Conditions and `now` are arguments.
#![forbid(unsafe_code)]

use core::fmt;
use core::time::Duration;

#[cfg(test)]
mod tests;

/// How long a renewal lasts. A holder renews at least this often, or power is gone.
pub const RENEWAL: Duration = Duration::from_millis(100);

/// The longest life a permit can be given: a bench on a busy machine may need more than
/// [`RENEWAL`], nobody needs more than this.
pub const LONGEST_RENEWAL: Duration = Duration::from_secs(1);

/// What has to be true for power to flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The station is matched to the vehicle on this cable (SLAC), or the outlet has no shared medium.
    Matched,
    /// TLS is up, or the station's policy explicitly allows plaintext with external identification.
    Transport,
    /// An authorisation stands.
    Authorised,
    /// Voltage, current and isolation are within the limits of the outlet.
    WithinLimits,
    /// The control pilot says C or D: the vehicle asks for energy.
    PilotAsks,
}

impl Condition {
    /// Every condition.
    pub const ALL: [Self; 5] = [
        Self::Matched,
        Self::Transport,
        Self::Authorised,
        Self::WithinLimits,
        Self::PilotAsks,
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// What is missing when it does not hold.
    #[must_use]
    pub const fn missing(self) -> &'static str {
        match self {
            Self::Matched => "the vehicle is not matched to this outlet",
            Self::Transport => "neither TLS is up nor plaintext allowed",
            Self::Authorised => "no authorisation stands",
            Self::WithinLimits => "voltage, current or isolation is out of limits",
            Self::PilotAsks => "the control pilot does not ask for energy",
        }
    }
}

/// The conditions that hold at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions(u8);

impl Conditions {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// All of them.
    #[must_use]
    pub const fn all() -> Self {
        Self((1 << Condition::ALL.len()) - 1)
    }

    /// With `condition` holding or not.
    #[must_use]
    pub const fn with(self, condition: Condition, holds: bool) -> Self {
        if holds {
            Self(self.0 | condition.bit())
        } else {
            Self(self.0 & !condition.bit())
        }
    }

    /// Whether `condition` holds.
    #[must_use]
    pub const fn holds(self, condition: Condition) -> bool {
        self.0 & condition.bit() != 0
    }

    /// The first condition that does not hold.
    #[must_use]
    pub fn missing(self) -> Option<Condition> {
        Condition::ALL
            .into_iter()
            .find(|condition| !self.holds(*condition))
    }
}

/// Why the contactor is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenReason {
    /// Nobody asked for power, or somebody asked to open.
    NotRequested,
    /// A condition does not hold.
    Missing(Condition),
    /// The holder fell silent for longer than the permit lives.
    Silence,
}

impl fmt::Display for OpenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRequested => f.write_str("nobody asks for power"),
            Self::Missing(condition) => f.write_str(condition.missing()),
            Self::Silence => f.write_str("the permit was not renewed in time"),
        }
    }
}

/// What the contactor has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Stay or become closed.
    Closed,
    /// Stay or become open.
    Open(OpenReason),
}

/// The interlock of one outlet.
///
/// `now` is any monotonic time; going backwards counts as no time passing.
#[derive(Debug, Clone)]
pub struct Interlock {
    life: Duration,
    requested: bool,
    conditions: Conditions,
    expires: Option<Duration>,
    line: Line,
}

impl Default for Interlock {
    fn default() -> Self {
        Self::new()
    }
}

impl Interlock {
    /// An open line whose permits live [`RENEWAL`].
    #[must_use]
    pub const fn new() -> Self {
        Self {
            life: RENEWAL,
            requested: false,
            conditions: Conditions::NONE,
            expires: None,
            line: Line::Open(OpenReason::NotRequested),
        }
    }

    /// The same with permits that live `life`, at most [`LONGEST_RENEWAL`].
    #[must_use]
    pub fn with_life(mut self, life: Duration) -> Self {
        self.life = life.min(LONGEST_RENEWAL);
        self
    }

    /// The session asks for power. Closes only if all conditions hold and are fresh.
    pub fn request(&mut self, now: Duration) -> Line {
        self.requested = true;
        self.evaluate(now)
    }

    /// The session asks for no power. Opens.
    pub fn release(&mut self) -> Line {
        self.requested = false;
        self.line = Line::Open(OpenReason::NotRequested);
        self.line
    }

    /// The holder reports the conditions, good for the permit's life from `now`.
    pub fn renew(&mut self, now: Duration, conditions: Conditions) -> Line {
        // A renewal that comes too late does not bridge the gap it left.
        let line = self.evaluate(now);
        self.conditions = conditions;
        self.expires = Some(now.saturating_add(self.life));
        match line {
            Line::Open(OpenReason::Silence) if !self.requested => line,
            _ => self.evaluate(now),
        }
    }

    /// What the line has to be at `now`; to be asked at [`Interlock::deadline`] at the latest.
    pub fn evaluate(&mut self, now: Duration) -> Line {
        let fresh = self.expires.is_some_and(|expires| now < expires);
        let was_closed = self.line == Line::Closed;
        let line = if !self.requested {
            // Keep the reason of a withdrawal until somebody asks again.
            match self.line {
                Line::Closed => Line::Open(OpenReason::NotRequested),
                open @ Line::Open(_) => open,
            }
        } else if !fresh {
            Line::Open(OpenReason::Silence)
        } else if let Some(condition) = self.conditions.missing() {
            Line::Open(OpenReason::Missing(condition))
        } else {
            Line::Closed
        };
        if was_closed && line != Line::Closed {
            // A withdrawn permit needs a new request: power never comes back by itself.
            self.requested = false;
        }
        self.line = line;
        line
    }

    /// When the permit lapses unless renewed.
    #[must_use]
    pub const fn deadline(&self) -> Option<Duration> {
        match self.line {
            Line::Closed => self.expires,
            Line::Open(_) => None,
        }
    }

    /// Whether the contactor has to be closed, as last decided.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.line, Line::Closed)
    }
}
