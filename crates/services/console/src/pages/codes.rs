//! The catalogue of codes for people: the list, and the page of one code.

use gridlatch_vocab::catalogue::{self, Blame};
use gridlatch_vocab::{Code, Event, Row};
use maud::{Markup, html};

use crate::format::{encode, severity};
use crate::layout::{EventStyle, Frame, Nav, events, page};

/// Everything that can happen, by area.
pub(crate) fn list() -> Markup {
    let mut areas: Vec<(&str, Vec<&'static Row>)> = Vec::new();
    for row in catalogue::all() {
        let area = row.code.split_once('.').map_or(row.code, |(area, _)| area);
        match areas.iter_mut().find(|(known, _)| *known == area) {
            Some((_, rows)) => rows.push(row),
            None => areas.push((area, vec![row])),
        }
    }
    let body = html! {
        div.pagehead {
            h1 { "Codes" }
            p.dim { "Every event carries one of these. On the command line: " kbd { "gridlatch explain CODE" } }
        }
        @for (area, rows) in &areas {
            section.card aria-labelledby={ "h-" (area) } {
                h2 id={ "h-" (area) } { (area) }
                div.scroll {
                    table.codes {
                        thead { tr { th { "Code" } th { "Severity" } th { "What happened" } } }
                        tbody {
                            @for row in rows {
                                tr {
                                    td { a.code href={ "/codes/" (encode(row.code)) } { (row.code) } }
                                    td { (severity(row.severity)) }
                                    td { (row.what) }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    let frame = Frame {
        title: "Codes",
        nav: Nav::Codes,
        live: None,
        reload: false,
    };
    page(&frame, &body)
}

/// One code: what, who, why, what to do; and its latest occurrences.
pub(crate) fn one(code: Code, latest: &[Event]) -> Markup {
    let row = code.row();
    let body = html! {
        div.pagehead {
            p.crumbs { a href="/codes" { "Codes" } }
            h1.mono { (row.code) }
            p.statusline { (severity(row.severity)) span.dim { "points at " (blame(row.blame)) } }
        }
        div.split {
            div.stack {
                section.card.prose {
                    h2 { "What happened" }
                    p { (row.what) }
                    @if !row.causes.is_empty() {
                        h2 { "Likely causes" }
                        ol { @for cause in row.causes { li { (cause) } } }
                    }
                    h2 { "What to do" }
                    p { (row.remedy) }
                    @if !row.aliases.is_empty() {
                        h2 { "Also known as" }
                        ul { @for alias in row.aliases { li.mono { (alias) } } }
                    }
                    p.dim { "On the command line: " kbd { "gridlatch explain " (row.code) } }
                }
            }
            div.stack {
                section.card aria-labelledby="h-events" {
                    div.cardhead { h2 #h-events { "Latest occurrences" } a href={ "/events?code=" (encode(row.code)) } { "All" } }
                    (events(latest, EventStyle::Short))
                }
            }
        }
    };
    let frame = Frame {
        title: row.code,
        nav: Nav::Codes,
        live: None,
        reload: false,
    };
    page(&frame, &body)
}

fn blame(blame: Blame) -> &'static str {
    match blame {
        Blame::Nobody => "nobody: this is how it should go",
        Blame::Vehicle => "the vehicle",
        Blame::Station => "the charging station",
        Blame::Platform => "the platform",
        Blame::Pki => "whoever issues or installs certificates",
        Blame::Operator => "the operator: configuration, command or permissions",
        Blame::Network => "the wire between the parties",
    }
}
