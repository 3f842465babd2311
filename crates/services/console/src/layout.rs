//! The frame around every page, and the small parts all pages share.

use gridlatch_vocab::Event;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::assets;
use crate::format::{clock, moment, severity, station_href};

/// Which entry of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nav {
    Overview,
    Sessions,
    Events,
    Certificates,
    Codes,
    None,
}

/// What a page needs of its frame.
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    pub(crate) nav: Nav,
    /// Where the page's live updates come from.
    pub(crate) live: Option<String>,
    /// Reload without script. Not on pages with forms: it would take away what somebody is typing.
    pub(crate) reload: bool,
}

/// A whole page.
pub(crate) fn page(frame: &Frame<'_>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (frame.title) " \u{b7} Gridlatch" }
                link rel="icon" href=(assets::icon_href()) type="image/svg+xml";
                link rel="stylesheet" href=(assets::css_href());
                script src=(assets::js_href()) defer {}
                @if frame.reload {
                    noscript { meta http-equiv="refresh" content="10"; }
                }
            }
            body data-live=[frame.live.as_deref()] {
                a.skip href="#main" { "Skip to content" }
                header.top {
                    a.brand href="/" { (PreEscaped(assets::MARK)) span { "Gridlatch" } }
                    nav aria-label="Main" {
                        (entry("/", "Overview", frame.nav == Nav::Overview))
                        (entry("/sessions", "Sessions", frame.nav == Nav::Sessions))
                        (entry("/events", "Events", frame.nav == Nav::Events))
                        (entry("/certificates", "Certificates", frame.nav == Nav::Certificates))
                        (entry("/codes", "Codes", frame.nav == Nav::Codes))
                    }
                    @if frame.live.is_some() {
                        div.live-state #live-state role="status" {
                            noscript {
                                @if frame.reload { "Reloads every 10 s" } @else { "Reload to see changes" }
                            }
                        }
                    }
                }
                main #main tabindex="-1" { (body) }
            }
        }
    }
}

fn entry(href: &str, label: &str, current: bool) -> Markup {
    html! { a href=(href) aria-current=[current.then_some("page")] { (label) } }
}

/// A part of a page that live updates replace, named so that the stream and the page agree.
pub(crate) fn region(name: &str, content: &Markup) -> Markup {
    html! { div.region data-region=(name) { (content) } }
}

/// A figure with its name above it.
pub(crate) fn stat(label: &str, value: &Markup, note: &Markup) -> Markup {
    html! {
        div.stat {
            dt { (label) }
            dd { div.value { (value) } @if !note.0.is_empty() { div.note { (note) } } }
        }
    }
}

/// How wide an event list may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventStyle {
    /// Beside other things: time of day, no fields.
    Short,
    /// On its own: date and time, fields to unfold.
    Full,
}

/// Events, newest first.
pub(crate) fn events(events: &[Event], style: EventStyle) -> Markup {
    html! {
        @if events.is_empty() {
            div.empty { p { "No events." } }
        } @else {
            ol class=(if style == EventStyle::Short { "events short" } else { "events" }) {
                @for event in events {
                    li data-key={ (event.at.unix_millis()) "-" (event.code) "-" (event.source) } {
                        div.when {
                            @if style == EventStyle::Short { (clock(event.at)) } @else { (moment(event.at)) }
                        }
                        div.sevcell { (severity(event.severity)) }
                        div.what {
                            div.head {
                                (code_link(event.code))
                                @if let Some(station) = &event.station {
                                    a.where href=(station_href(station)) {
                                        (station) @if let Some(evse) = event.evse { " \u{b7} EVSE " (evse) }
                                    }
                                }
                                @if style == EventStyle::Full { span.source { (event.source) } }
                            }
                            div.message { (event.message) }
                            @if style == EventStyle::Full && !event.fields.is_empty() {
                                details {
                                    summary { "Particulars" }
                                    dl.facts {
                                        @for (key, value) in &event.fields {
                                            div { dt { (key) } dd.mono { (plain(value)) } }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A link to the page that explains a code.
pub(crate) fn code_link(code: gridlatch_vocab::Code) -> Markup {
    html! { a.code href={ "/codes/" (crate::format::encode(code.as_str())) } { (code) } }
}

/// A JSON value as text: strings without quotes.
pub(crate) fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Why nothing is shown, and the command that changes that.
pub(crate) fn empty(what: &str, hint: &str, command: Option<&str>) -> Markup {
    html! {
        div.empty {
            p { (what) }
            p.hint { (hint) @if let Some(command) = command { " " kbd { (command) } } }
        }
    }
}
