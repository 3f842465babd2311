//! One station: its connection, its EVSEs, what is known of its identity, and what it can be told to do.

use gridlatch_vocab::{Event, TransactionId};
use maud::{Markup, html};

use super::Regions;
use super::overview::connection;
use crate::commands::Refused;
use crate::format::{
    clock, connector, encode, flow, kw, kwh, moment, session_href, session_state, station_href,
};
use crate::layout::{EventStyle, Frame, Nav, code_link, empty, events, page, region};
use crate::model::{Evse, Fact, Station};

/// What came of the order before this page.
pub(crate) enum Notice<'a> {
    None,
    Done(&'static str),
    Refused(&'a Refused),
}

/// The range the set-point slider covers, kW in either direction; the number beside it takes more.
const SLIDER: u32 = 50;

/// The largest set-point that is taken at all, kW in either direction (the most a CCS plug carries).
pub(crate) const MOST_KW: f64 = 1000.0;

pub(crate) fn render(station: &Station, recent: &[Event], notice: &Notice<'_>) -> Markup {
    let mut parts = regions(station, recent).into_iter();
    let mut next = || parts.next().map(|(name, content)| region(name, &content));
    let body = html! {
        div.pagehead {
            p.crumbs { a href="/" { "Overview" } }
            h1 { (station.id) }
            @if let Some(state) = next() { (state) }
        }
        (banner(notice))
        div.split {
            div.stack {
                @if let Some(evses) = next() { (evses) }
                @if station.evses.is_empty() {
                    section.card { (empty("This station has not reported an EVSE yet.", "It does so right after it connected.", None)) }
                }
                @if let Some(orders) = next() { (orders) }
            }
            div.stack {
                @if let Some(facts) = next() { (facts) }
                section.card aria-labelledby="h-reset" {
                    h2 #h-reset { "Restart" }
                    p.dim { "Restarts the station. You are asked before anything happens." }
                    p { a.button.danger href={ (station_href(&station.id)) "/reset" } { "Reset station\u{2026}" } }
                }
                @if let Some(events) = next() { (events) }
            }
        }
    };
    let frame = Frame {
        title: station.id.as_str(),
        nav: Nav::Overview,
        live: Some(format!("/live/stations/{}", encode(station.id.as_str()))),
        reload: false,
    };
    page(&frame, &body)
}

pub(crate) fn regions(station: &Station, recent: &[Event]) -> Regions {
    vec![
        ("state", state(station)),
        (
            "evses",
            html! { @for evse in &station.evses { (evse_card(evse)) } },
        ),
        (
            "orders",
            html! { @for evse in &station.evses { (orders(station, evse)) } },
        ),
        ("facts", facts(station)),
        ("events", latest(station, recent)),
    ]
}

/// The result of the last order, above everything else.
pub(crate) fn banner(notice: &Notice<'_>) -> Markup {
    match notice {
        Notice::None => html! {},
        Notice::Done(what) => html! { div.banner.ok role="status" { p { (what) } } },
        Notice::Refused(refused) => html! {
            div.banner.bad role="alert" {
                p { strong { "Not done. " } (refused.message) }
                @if let Some(code) = refused.code { p { "What it means and what to do: " (code_link(code)) } }
            }
        },
    }
}

fn state(station: &Station) -> Markup {
    html! {
        p.statusline {
            (connection(station))
            @if let Some(at) = station.last_seen { span.dim { "last heartbeat " (clock(at)) } }
        }
    }
}

fn evse_card(evse: &Evse) -> Markup {
    html! {
        section.card data-key={ "evse-" (evse.id) } {
            div.cardhead {
                h2 { "EVSE " (evse.id) @if let Some(kind) = &evse.kind { span.tag { (kind) } } }
                ul.inline {
                    @for (number, status, since) in &evse.connectors {
                        li {
                            span.dim { "connector " (number) " " } (connector(status))
                            @if let Some(since) = since { span.dim { " since " (clock(*since)) } }
                        }
                    }
                    @if evse.connectors.is_empty() { li.dim { "connector not reported yet" } }
                }
            }
            @if let Some(session) = &evse.running {
                @let (into, back) = session.energy();
                dl.stats.tight {
                    div.stat { dt { "Session" } dd { (session_state(session)) div.note { a href=(session_href(session)) { "Open session" } } } }
                    div.stat { dt { "Power" } dd { @if let Some(power) = session.power() { (flow(power)) } @else { "\u{2013}" } } }
                    div.stat { dt { "Set-point" } dd { @if let Some(power) = session.now.as_ref().and_then(|n| n.setpoint) { (kw(power)) } @else { span.dim { "none" } } } }
                    div.stat { dt { "In" } dd { (kwh(into)) } }
                    div.stat { dt { "Back" } dd { (kwh(back)) } }
                }
            } @else {
                p.dim.pad { "No session here." }
            }
        }
    }
}

/// The orders an EVSE takes. An update changes attributes in place and never what somebody typed.
fn orders(station: &Station, evse: &Evse) -> Markup {
    let base = station_href(&station.id);
    let n = evse.id;
    html! {
        section.card.orders aria-labelledby={ "h-orders-" (n) } {
            h2 id={ "h-orders-" (n) } { "Control EVSE " (n) }
            div.forms {
                form method="post" action={ (base) "/start" } {
                    input type="hidden" name="evse" value=(n);
                    label for={ "token-" (n) } { "Start with token" }
                    div.row {
                        input type="text" id={ "token-" (n) } name="token" required maxlength="36" autocomplete="off" spellcheck="false";
                        button { "Start" }
                    }
                }
                (setpoint_form(&base, evse, None))
                form method="post" action={ (base) "/stop" } {
                    input type="hidden" name="evse" value=(n);
                    span.label { "Stop the running session" }
                    div.row { button { "Stop" } span.dim { "ends it in order; the bill follows" } }
                }
            }
        }
    }
}

/// The set-point of an EVSE: a number, and with script a slider beside it.
pub(crate) fn setpoint_form(base: &str, evse: &Evse, page_of: Option<&TransactionId>) -> Markup {
    let n = evse.id;
    let now = evse
        .running
        .as_ref()
        .and_then(|s| s.now.as_ref())
        .and_then(|now| now.setpoint)
        .map(|power| format!("{:.1}", power.0 / 1000.0));
    html! {
        form method="post" action={ (base) "/setpoint" } data-pair {
            input type="hidden" name="evse" value=(n);
            @if let Some(transaction) = page_of { input type="hidden" name="transaction" value=(transaction); }
            label for={ "setpoint-" (n) } { "Set-point in kW " span.dim { "negative = back to the grid" } }
            div.row {
                input.slider type="range" min={ "-" (SLIDER) } max=(SLIDER) step="0.5" value=(now.as_deref().unwrap_or("0"))
                    aria-label={ "Set-point of EVSE " (n) " in kW" };
                input.kw type="number" id={ "setpoint-" (n) } name="kw" min={ "-" (MOST_KW) } max=(MOST_KW) step="0.1" required value=[now.as_deref()];
                button { "Set" }
                button.quiet name="clear" value="1" formnovalidate { "Lift" }
            }
        }
    }
}

fn facts(station: &Station) -> Markup {
    html! {
        section.card aria-labelledby="h-facts" {
            h2 #h-facts { "Identity" }
            dl.facts {
                div { dt { "Station id" } dd.mono { (station.id) } }
                @for (name, fact) in &station.facts {
                    div {
                        dt { (name) }
                        @match fact {
                            Fact::Text(text) => dd { (text) },
                            Fact::Mono(text) => dd.mono { (text) },
                            Fact::Time(at) => dd { (moment(*at)) },
                        }
                    }
                }
            }
            @if !station.proof.is_empty() {
                h3 { "Proven at its last connection" }
                dl.facts { @for (name, value) in &station.proof { div { dt { (name) } dd.mono { (value) } } } }
            }
        }
    }
}

fn latest(station: &Station, recent: &[Event]) -> Markup {
    html! {
        section.card aria-labelledby="h-events" {
            div.cardhead {
                h2 #h-events { "Latest events" }
                a href={ "/events?station=" (encode(station.id.as_str())) } { "All of this station" }
            }
            (events(recent, EventStyle::Short))
        }
    }
}

/// Asks before a reset.
pub(crate) fn confirm_reset(station: &Station) -> Markup {
    let running = station.evses.iter().filter(|e| e.running.is_some()).count();
    let base = station_href(&station.id);
    let body = html! {
        div.pagehead {
            p.crumbs { a href="/" { "Overview" } " / " a href=(base) { (station.id) } }
            h1 { "Reset " (station.id) "?" }
        }
        section.card.narrow {
            @match running {
                0 => p { "No session is running on this station." },
                1 => p { strong { "One session is running on this station." } " Resetting now ends it in order; it is billed for what flowed." },
                n => p { strong { (n) " sessions are running on this station." } " Resetting now ends them in order; they are billed for what flowed." },
            }
            @if !station.connected {
                p { "The station is not connected, so it cannot be reached at the moment." }
            }
            form.stack method="post" action={ (base) "/reset" } {
                fieldset {
                    legend { "When" }
                    label.choice { input type="radio" name="when" value="idle" checked; " when no session runs" }
                    label.choice { input type="radio" name="when" value="now"; " now" }
                }
                div.row {
                    button.danger name="confirm" value="yes" { "Reset " (station.id) }
                    a.button.quiet href=(base) { "Keep it running" }
                }
            }
        }
    };
    let frame = Frame {
        title: "Reset",
        nav: Nav::Overview,
        live: None,
        reload: false,
    };
    page(&frame, &body)
}
