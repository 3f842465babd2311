//! Events, narrowed by severity, code and station.

use std::fmt::Write as _;

use gridlatch_vocab::{Event, Severity, StationId, catalogue};
use maud::{Markup, html};

use super::Regions;
use super::sessions::pager;
use crate::format::encode;
use crate::layout::{EventStyle, Frame, Nav, events, page, region};
use crate::model::EventFilter;

/// How many events one page shows.
pub(crate) const PER_PAGE: usize = 100;

/// How many stations the filter offers.
pub(crate) const STATIONS: usize = 500;

pub(crate) const SEVERITIES: [Severity; 5] = [
    Severity::Info,
    Severity::Notice,
    Severity::Warning,
    Severity::Error,
    Severity::Critical,
];

/// What the page shows besides the events.
pub(crate) struct View<'a> {
    pub(crate) filter: &'a EventFilter,
    pub(crate) stations: &'a [StationId],
    /// A parameter of the address that could not be used, in one sentence.
    pub(crate) complaint: Option<&'a str>,
    /// This is the newest page.
    pub(crate) first: bool,
    /// The cursor of the page after it.
    pub(crate) next: Option<i64>,
}

pub(crate) fn render(list: &[Event], view: &View<'_>) -> Markup {
    let query = query(view.filter);
    let body = html! {
        div.pagehead { h1 { "Events" } }
        (form(view))
        @if let Some(complaint) = view.complaint {
            div.banner.bad role="alert" { p { (complaint) } }
        }
        @for (name, content) in &regions(list, view.filter) { (region(name, content)) }
        (pager("/events", &query, view.first, view.next))
    };
    let frame = Frame {
        title: "Events",
        nav: Nav::Events,
        live: view.first.then(|| format!("/live/events?{query}")),
        reload: false,
    };
    page(&frame, &body)
}

pub(crate) fn regions(list: &[Event], filter: &EventFilter) -> Regions {
    vec![(
        "events",
        html! {
            section.card aria-label="Events" {
                @if list.is_empty() {
                    div.empty {
                        @if filter.is_empty() {
                            p { "Nothing has happened yet." }
                            p.hint { "A session leaves a trail here: " kbd { "gridlatch ev charge" } }
                        } @else {
                            p { "No event matches." }
                            p.hint { a href="/events" { "Show all events" } }
                        }
                    }
                } @else {
                    (events(list, EventStyle::Full))
                }
            }
        },
    )]
}

fn form(view: &View<'_>) -> Markup {
    let filter = view.filter;
    html! {
        form.filter method="get" action="/events" {
            div {
                label for="severity" { "At least" }
                select #severity name="severity" {
                    option value="" { "any severity" }
                    @for severity in SEVERITIES {
                        option value=(severity.as_str()) selected[filter.severity == Some(severity)] { (severity.as_str()) }
                    }
                }
            }
            div.wide {
                label for="code" { "Code" }
                input #code type="text" name="code" list="codes" maxlength="64" placeholder="any, e.g. tls.unknown_ca" autocomplete="off" spellcheck="false"
                    value=[filter.code.map(|c| c.as_str())];
                datalist #codes { @for row in catalogue::all() { option value=(row.code) {} } }
            }
            div {
                label for="station" { "Station" }
                select #station name="station" {
                    option value="" { "all" }
                    @for station in view.stations {
                        option value=(station) selected[filter.station.as_ref() == Some(station)] { (station) }
                    }
                    @if let Some(station) = &filter.station {
                        @if !view.stations.contains(station) { option value=(station) selected { (station) } }
                    }
                }
            }
            div.row { button { "Show" } @if !filter.is_empty() { a.button.quiet href="/events" { "Clear" } } }
        }
    }
}

fn query(filter: &EventFilter) -> String {
    let mut out = String::new();
    for (name, value) in filter.query() {
        let _ = write!(
            out,
            "{}{name}={}",
            if out.is_empty() { "" } else { "&" },
            encode(&value)
        );
    }
    out
}
