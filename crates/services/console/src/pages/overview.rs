//! The first page: is everything well, what runs, what happened.

use gridlatch_vocab::{Severity, Watts};
use maud::{Markup, html};

use super::Regions;
use crate::format::{
    Direction, arrow, clock, connector, duration, flow, hour, kw, kwh, light, minute, money_to, quantity,
    session_href, session_state, station_href, stop_reason,
};
use crate::layout::{EventStyle, Frame, Nav, empty, events, page, region, stat};
use crate::model::{Light, Overview, Session, Station};
use crate::plot;

pub(crate) fn render(overview: &Overview) -> Markup {
    let parts = regions(overview);
    let body = html! {
        h1.sr { "Overview" }
        @for (name, content) in &parts[..1] { (region(name, content)) }
        div.split {
            div.stack { @for (name, content) in &parts[1..4] { (region(name, content)) } }
            div.stack { @for (name, content) in &parts[4..] { (region(name, content)) } }
        }
    };
    let frame = Frame {
        title: "Overview",
        nav: Nav::Overview,
        live: Some("/live/overview".to_owned()),
        reload: true,
    };
    page(&frame, &body)
}

pub(crate) fn regions(overview: &Overview) -> Regions {
    vec![
        ("figures", figures(overview)),
        ("running", running(overview)),
        ("stations", stations(&overview.stations)),
        ("finished", finished(&overview.finished)),
        ("events", latest(overview)),
    ]
}

fn figures(overview: &Overview) -> Markup {
    let connected = overview.stations.iter().filter(|s| s.connected).count();
    let all = overview.stations.len();
    let running = overview.running().count();
    let (into, back) = overview
        .running()
        .filter_map(Session::power)
        .fold((Watts::ZERO, Watts::ZERO), |(into, back), power| {
            (into + power.max(Watts::ZERO), back + power.min(Watts::ZERO))
        });
    let urgent = overview
        .events
        .iter()
        .filter(|e| e.severity >= Severity::Error)
        .count();
    let since = html! { "since " (hour(overview.today.since)) };
    html! {
        dl.stats {
            (stat(
                "Stations connected",
                &html! { (connected) span.of { " of " (all) } },
                &match (connected, all) {
                    (_, 0) => light(Light::Off, "none known"),
                    (c, a) if c == a => light(Light::Good, "all connected"),
                    (0, _) => light(Light::Bad, "none connected"),
                    _ => light(Light::Caution, "some are away"),
                },
            ))
            (stat("Sessions running", &html! { (running) }, &html! {}))
            (stat(
                "Power in now",
                &html! { span class={ "flow " (if into.0 > 0.0 { "into" } else { "idle" }) } { (kw(into)) } },
                &html! {},
            ))
            (stat(
                "Power back now",
                &html! { span class={ "flow " (if back.0 < 0.0 { "back" } else { "idle" }) } { (kw(back.abs())) } },
                &html! {},
            ))
            (stat("Energy in today", &kwh(overview.today.imported), &since))
            (stat("Energy back today", &kwh(overview.today.exported), &since))
            (stat(
                "Urgent events",
                &html! { (urgent) span.of { " of the latest " (overview.events.len()) } },
                &if urgent == 0 { light(Light::Good, "nothing urgent") } else { html! { a href="/events?severity=error" { (light(Light::Bad, "look at them")) } } },
            ))
        }
    }
}

fn running(overview: &Overview) -> Markup {
    let sessions: Vec<&Session> = overview.running().collect();
    let most = sessions
        .iter()
        .filter_map(|s| s.power())
        .fold(Watts(11_000.0), |most, power| most.max(power.abs()));
    html! {
        section.card aria-labelledby="h-running" {
            h2 #h-running { "Running sessions" }
            @if sessions.is_empty() {
                (empty("No vehicle is charging.", "Plug a simulated one in:", Some("gridlatch ev charge")))
            } @else {
                div.scroll {
                    table {
                        thead { tr {
                            th { "Where" } th { "State" } th.num { "Power" } th.barcol { span.sr { "Power as a bar" } }
                            th.num { "SoC" } th.num { "In" } th.num { "Back" } th.num { "For" }
                        } }
                        tbody { @for session in sessions { (running_row(session, most)) } }
                    }
                }
            }
        }
    }
}

fn running_row(session: &Session, most: Watts) -> Markup {
    let (into, back) = session.energy();
    let power = session.power();
    html! {
        tr data-key=(session.transaction) {
            td { a.strong href=(session_href(session)) { (session.station) " \u{b7} " (session.evse) } }
            td { (session_state(session)) }
            td.num { @if let Some(power) = power { (flow(power)) } @else { "\u{2013}" } }
            td.barcol { @if let Some(power) = power { (plot::bar(power, most)) } }
            td.num { @if let Some(soc) = session.now.as_ref().and_then(|n| n.soc) { (quantity(&format!("{:.0}", soc.0), "%")) } @else { "\u{2013}" } }
            td.num { (kwh(into)) }
            td.num { (kwh(back)) }
            td.num { @if let Some(now) = &session.now { (duration(session.started, now.at)) } @else { "\u{2013}" } }
        }
    }
}

fn stations(stations: &[Station]) -> Markup {
    html! {
        section.card aria-labelledby="h-stations" {
            h2 #h-stations { "Stations" }
            @if stations.is_empty() {
                (empty("No station has ever connected.", "Start the platform with two simulated ones:", Some("gridlatch up")))
            } @else {
                div.scroll {
                    table {
                        thead { tr { th { "Station" } th { "Connection" } th { "Connectors" } th.num.opt { "Last heartbeat" } } }
                        tbody {
                            @for station in stations {
                                tr data-key=(station.id) {
                                    td { a.strong href=(station_href(&station.id)) { (station.id) } }
                                    td { (connection(station)) }
                                    td { (connectors(station)) }
                                    td.num.opt { @if let Some(at) = station.last_seen { (clock(at)) } @else { "never" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The state of the OCPP connection.
pub(crate) fn connection(station: &Station) -> Markup {
    if station.connected {
        light(Light::Good, "connected")
    } else if station.last_seen.is_some() {
        light(Light::Bad, "disconnected")
    } else {
        light(Light::Off, "never seen")
    }
}

fn connectors(station: &Station) -> Markup {
    html! {
        ul.inline {
            @for evse in &station.evses {
                @for (number, status, _) in &evse.connectors {
                    li { span.dim { (evse.id) "." (number) } " " (connector(status)) }
                }
            }
            @if station.evses.iter().all(|e| e.connectors.is_empty()) { li.dim { "not reported yet" } }
        }
    }
}

fn finished(sessions: &[Session]) -> Markup {
    html! {
        section.card aria-labelledby="h-finished" {
            div.cardhead { h2 #h-finished { "Finished sessions" } a href="/sessions" { "All sessions" } }
            @if sessions.is_empty() {
                (empty("No session has ended yet.", "A whole one, from plug to bill:", Some("gridlatch ev charge")))
            } @else {
                (session_table(sessions, false))
            }
        }
    }
}

/// Sessions as a table; also the body of the sessions page.
///
/// `states`: with a column for how each stands or ended; the overview has no room for it.
pub(crate) fn session_table(sessions: &[Session], states: bool) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr {
                    th { "Started" } th.opt { "Where" } @if states { th.opt { "State" } } th.num.opt { "Took" } th.num { "In" } th.num { "Back" } th.num { "Bill" }
                } }
                tbody {
                    @for session in sessions {
                        @let (into, back) = session.energy();
                        tr data-key=(session.transaction) {
                            td { a.strong href=(session_href(session)) { (minute(session.started)) } }
                            td.opt { (session.station) " \u{b7} " (session.evse) }
                            @if states { td.opt {
                                @match &session.stop_reason {
                                    Some(reason) if !session.running() => span.dim { (stop_reason(reason)) },
                                    _ => (session_state(session)),
                                }
                            } }
                            td.num.opt { @if let Some(ended) = session.ended { (duration(session.started, ended)) } @else { "running" } }
                            td.num { (kwh(into)) }
                            td.num { @if back.0 > 0 { span.flow.back { (arrow(Direction::Back)) (kwh(back)) } } @else { (kwh(back)) } }
                            td.num.strong { @if let Some((total, currency)) = &session.total { (money_to(*total, currency, 2)) } @else { span.dim { "\u{2013}" } } }
                        }
                    }
                }
            }
        }
    }
}

fn latest(overview: &Overview) -> Markup {
    html! {
        section.card aria-labelledby="h-events" {
            div.cardhead { h2 #h-events { "Latest events" } a href="/events" { "All events" } }
            (events(&overview.events, EventStyle::Short))
        }
    }
}
