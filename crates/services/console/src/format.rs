//! Numbers, times and states as a reader wants them.

use gridlatch_vocab::{MilliWattHours, Severity, Timestamp, Watts};
use maud::{Markup, html};
use rust_decimal::Decimal;
use time::UtcOffset;

use crate::model::{Light, Session};

/// Below this the plug is idle and no direction is claimed.
const IDLE: f64 = 5.0;

/// Which way energy flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Into,
    Idle,
    Back,
}

impl Direction {
    pub(crate) fn of(power: Watts) -> Self {
        if power.0 > IDLE {
            Self::Into
        } else if power.0 < -IDLE {
            Self::Back
        } else {
            Self::Idle
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Into => "into the vehicle",
            Self::Idle => "no flow",
            Self::Back => "back to the grid",
        }
    }

    /// The class that colours it.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Into => "into",
            Self::Idle => "idle",
            Self::Back => "back",
        }
    }
}

/// A number with a true minus sign and a thin space between thousands.
pub(crate) fn number(value: f64, digits: usize) -> String {
    let text = format!("{:.*}", digits, value.abs());
    let negative = value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b));
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::with_capacity(text.len() + 8);
    if negative {
        out.push('\u{2212}');
    }
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// A quantity: number, then its unit in a quieter weight.
pub(crate) fn quantity(value: &str, unit: &str) -> Markup {
    html! { span.q { (value) span.unit { "\u{a0}" (unit) } } }
}

/// Power in kW with its sign.
pub(crate) fn kw(power: Watts) -> Markup {
    quantity(&number(power.0 / 1000.0, 2), "kW")
}

/// Energy in kWh, three decimals: what a bill shows.
pub(crate) fn kwh(energy: MilliWattHours) -> Markup {
    quantity(&number(energy.watt_hours() / 1000.0, 3), "kWh")
}

/// Power with its direction as arrow and words.
pub(crate) fn flow(power: Watts) -> Markup {
    let direction = Direction::of(power);
    html! {
        span class={ "flow " (direction.class()) } {
            (arrow(direction))
            (kw(power))
            span.sr { " " (direction.words()) }
        }
    }
}

/// An arrow that points where energy goes: right into the vehicle, left back to the grid.
pub(crate) fn arrow(direction: Direction) -> Markup {
    let path = match direction {
        Direction::Into => "M1 6h8M6 2.5 9.5 6 6 9.5",
        Direction::Back => "M11 6H3M6 2.5 2.5 6 6 9.5",
        Direction::Idle => "M2.5 6h7",
    };
    html! { svg.arrow viewBox="0 0 12 12" aria-hidden="true" { path d=(path) {} } }
}

/// Money with its currency; amounts with more than four decimals are shown to four.
pub(crate) fn money(amount: Decimal, currency: &str) -> Markup {
    money_to(amount, currency, scale(amount))
}

/// How many decimals an amount is shown with.
pub(crate) fn scale(amount: Decimal) -> u32 {
    amount.normalize().scale().clamp(2, 4)
}

/// Money with as many decimals as the rest of its column.
pub(crate) fn money_to(amount: Decimal, currency: &str, digits: u32) -> Markup {
    let mut amount = amount.round_dp(digits);
    amount.rescale(digits);
    let text = amount.to_string();
    let text = match text.strip_prefix('-') {
        Some(rest) => format!("\u{2212}{rest}"),
        None => text,
    };
    quantity(&text, currency)
}

/// A moment as `<time>`: UTC text for readers without script, made local by the script; UTC in the title.
pub(crate) fn moment(at: Timestamp) -> Markup {
    stamp(at, "dt", &utc(at, true))
}

/// A moment to the minute, for dense lists.
pub(crate) fn minute(at: Timestamp) -> Markup {
    stamp(
        at,
        "dm",
        utc(at, true).rsplit_once(':').map_or("", |(head, _)| head),
    )
}

/// The time of day to the minute.
pub(crate) fn hour(at: Timestamp) -> Markup {
    stamp(
        at,
        "hm",
        utc(at, false).rsplit_once(':').map_or("", |(head, _)| head),
    )
}

/// The time of day alone, for dense lists of recent things.
pub(crate) fn clock(at: Timestamp) -> Markup {
    stamp(at, "t", &utc(at, false))
}

fn stamp(at: Timestamp, style: &str, text: &str) -> Markup {
    html! { time datetime=(at.to_rfc3339()) data-style=(style) title={ (utc(at, true)) " UTC" } { (text) } }
}

fn utc(at: Timestamp, date: bool) -> String {
    let t = at.0.to_offset(UtcOffset::UTC);
    let clock = format!("{:02}:{:02}:{:02}", t.hour(), t.minute(), t.second());
    if date {
        format!(
            "{:04}-{:02}-{:02} {clock}",
            t.year(),
            u8::from(t.month()),
            t.day()
        )
    } else {
        clock
    }
}

/// A span of time as `1 h 02 min`, `4 min 05 s` or `12 s`.
pub(crate) fn duration(from: Timestamp, to: Timestamp) -> String {
    let seconds = (to.unix_millis() - from.unix_millis()).max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds}\u{a0}s"),
        60..3600 => format!("{}\u{a0}min {:02}\u{a0}s", seconds / 60, seconds % 60),
        _ => format!("{}\u{a0}h {:02}\u{a0}min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A traffic light: a shape of its own for each state, then the word.
pub(crate) fn light(light: Light, word: &str) -> Markup {
    let (class, path) = match light {
        Light::Good => ("good", "M6 1.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z"),
        Light::Busy => ("busy", "M2.5 1.5 10.5 6l-8 4.5z"),
        Light::Caution => ("caution", "M6 1 11.5 10.8H.5z"),
        Light::Bad => ("bad", "M1.5 1.5h9v9h-9z"),
        Light::Off => ("off", "M6 2a4 4 0 1 0 0 8 4 4 0 0 0 0-8z"),
    };
    html! {
        span class={ "light " (class) } {
            svg viewBox="0 0 12 12" aria-hidden="true" { path d=(path) {} }
            span { (word) }
        }
    }
}

/// The severity of an event as a word with its shape.
pub(crate) fn severity(severity: Severity) -> Markup {
    let shape = match severity {
        Severity::Info => Light::Off,
        Severity::Notice => Light::Good,
        Severity::Warning => Light::Caution,
        Severity::Error | Severity::Critical => Light::Bad,
    };
    html! { span class={ "sev sev-" (severity.as_str()) } { (light(shape, severity.as_str())) } }
}

/// The state of a connector, in OCPP's word.
pub(crate) fn connector(status: &str) -> Markup {
    let kind = match status {
        "Available" => Light::Good,
        "Occupied" | "Reserved" => Light::Busy,
        "Faulted" => Light::Bad,
        _ => Light::Off,
    };
    light(kind, status)
}

/// Why a session ended (OCPP 2.0.1 ReasonEnumType), in words an operator uses.
pub(crate) fn stop_reason(reason: &str) -> &str {
    match reason {
        "StoppedByEV" => "the vehicle ended it",
        "EVDisconnected" => "unplugged",
        "Remote" => "stopped by the platform",
        "Local" => "stopped at the station",
        "DeAuthorized" => "authorisation withdrawn",
        "EmergencyStop" => "emergency stop",
        "ImmediateReset" => "station reset",
        "PowerLoss" => "power loss",
        other => other,
    }
}

/// What a session does, in words an operator uses.
pub(crate) fn session_state(session: &Session) -> Markup {
    if !session.running() {
        return light(Light::Off, "finished");
    }
    match session.state.as_deref() {
        Some("SuspendedEV") => light(Light::Caution, "paused by the vehicle"),
        Some("SuspendedEVSE") => light(Light::Caution, "paused by the station"),
        Some("EVConnected") => light(Light::Good, "plugged in"),
        Some("Idle") => light(Light::Good, "unplugged"),
        _ => match session.power().map(Direction::of) {
            Some(Direction::Back) => light(Light::Busy, "feeding back"),
            Some(Direction::Into) => light(Light::Busy, "charging"),
            _ => light(Light::Busy, "running"),
        },
    }
}

/// A text as one segment of a path or one value of a query.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Where a session's page is.
pub(crate) fn session_href(session: &Session) -> String {
    format!(
        "/sessions/{}/{}",
        encode(session.station.as_str()),
        encode(session.transaction.as_str())
    )
}

/// Where a station's page is.
pub(crate) fn station_href(station: &gridlatch_vocab::StationId) -> String {
    format!("/stations/{}", encode(station.as_str()))
}

#[cfg(test)]
mod tests;
