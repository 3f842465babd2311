//! Certificates: what breaks and when, who holds what, and the campaigns that change it.

use std::fmt::Write as _;

use gridlatch_vocab::{StationId, Timestamp};
use maud::{Markup, html};

use super::timeline::{self, date, until};
use super::{Regions, campaign};
use crate::certificates::{Certificates, Shown};
use crate::format::{encode, light, minute, station_href};
use crate::layout::{Frame, Nav, code_link, empty, page, region, stat};
use crate::model::Light;
use crate::trust::{BreakRow, CertificateRow, HolderRow, TrustPicture};

/// Holders of one page.
const PER_PAGE: usize = 25;
/// Breaks listed.
const BREAKS: usize = 50;
/// Campaigns shown.
const CAMPAIGNS: usize = 20;
/// Names of one list of names.
const NAMES: usize = 4;

pub(crate) fn render(view: &Certificates) -> Markup {
    let query = query(&view.shown, view.shown.from);
    let body = html! {
        div.pagehead.withorder {
            h1 { "Certificates" }
            form method="post" action="/certificates/ask" {
                button.quiet { "Ask all stations" }
            }
        }
        @for (name, content) in &parts(view, true) { (region(name, content)) }
    };
    let frame = Frame {
        title: "Certificates",
        nav: Nav::Certificates,
        live: Some(format!("/live/certificates{query}")),
        reload: false,
    };
    page(&frame, &body)
}

/// As live updates bring them.
pub(crate) fn regions(view: &Certificates) -> Regions {
    parts(view, false)
}

/// `fresh`: on a page that was just opened a single holder is unfolded; an update leaves open what is open.
fn parts(view: &Certificates, fresh: bool) -> Regions {
    let picture = match &view.picture {
        Ok(picture) => picture,
        Err(reason) => {
            return vec![
                (
                    "summary",
                    html! { div.banner.bad role="alert" { p { (reason) } } },
                ),
                ("campaigns", campaigns(view)),
            ];
        }
    };
    vec![
        ("summary", summary(picture)),
        ("breaks", breaks(picture)),
        ("campaigns", campaigns(view)),
        ("holders", holders(picture, &view.shown, fresh)),
    ]
}

fn summary(picture: &TrustPicture) -> Markup {
    let stations = || picture.holders.iter().filter(|one| one.station.is_some());
    let all = stations().count();
    let said = stations().filter(|one| one.failure.is_none()).count();
    let refusing = stations().filter(|one| !one.refused.is_empty()).count();
    let broken = picture.breaks.iter().filter(|one| one.at <= picture.at).count();
    let next = picture.breaks.iter().find(|one| one.at > picture.at);
    html! {
        dl.stats {
            (stat("Broken now", &html! { @if broken > 0 { (light(Light::Bad, &broken.to_string())) } @else { (light(Light::Good, "nothing")) } }, &html! {}))
            (stat("Breaks next", &html! {
                @match next { Some(one) => (until(picture.at, one.at)), None => "nothing known" }
            }, &html! { @if let Some(one) = next { (date(one.at)) } }))
            (stat("Stations answered", &html! { (said) span.of { " of " (all) } }, &html! {
                @if let Some((asked, of)) = picture.asking { "asking: " (asked) " of " (of) }
            }))
            (stat("Stations refusing", &html! { (refusing) }, &html! {}))
        }
    }
}

fn breaks(picture: &TrustPicture) -> Markup {
    let soon = timeline::on_line(picture);
    let later = picture.breaks.len() - soon.len();
    html! {
        section.card aria-labelledby="h-breaks" {
            div.cardhead {
                h2 #h-breaks { "What breaks if nothing is done" }
                span.dim { "the next " (timeline::DAYS) " days" }
            }
            @if soon.is_empty() {
                (empty("Nothing breaks, as far as is known.", "What stations hold is known once they were asked.", None))
            } @else {
                (timeline::render(picture))
                ol.breaks { @for (number, one) in soon.iter().take(BREAKS).enumerate() { (broken(picture.at, number, one)) } }
            }
            @if soon.len() > BREAKS || later > 0 {
                p.dim {
                    @if soon.len() > BREAKS { (soon.len() - BREAKS) " more within this time. " }
                    @if later > 0 { (later) " later. " }
                    "All of it: " kbd { "gridlatch pki forecast --platform --until 3650d" }
                }
            }
        }
    }
}

fn broken(now: Timestamp, number: usize, one: &BreakRow) -> Markup {
    let kind = if one.at <= now {
        Light::Bad
    } else if timeline::days(now, one.at) <= 30 {
        Light::Caution
    } else {
        Light::Busy
    };
    html! {
        li id={ "break-" (number) } {
            div.when { (light(kind, &until(now, one.at))) @if one.at > now { div.dim { (date(one.at)) } } }
            div.what {
                div.head { span.strong { (one.kind) } (code_link(one.cause)) }
                div.message { (one.message) }
                div.who { "shown by " (names(&one.shown_by)) @if !one.refused_by.is_empty() { "; refused by " (names(&one.refused_by)) } }
                div.who { "What to do: " (one.remedy) }
            }
        }
    }
}

/// Some names, stations with links, and how many more.
fn names(all: &[String]) -> Markup {
    html! {
        @for (index, name) in all.iter().take(NAMES).enumerate() {
            @if index > 0 { ", " }
            @match name.strip_prefix("station ").and_then(|id| id.parse::<StationId>().ok()) {
                Some(id) => a href=(station_href(&id)) { (name) },
                None => (name),
            }
        }
        @if all.len() > NAMES { " and " (all.len() - NAMES) " more" }
    }
}

fn campaigns(view: &Certificates) -> Markup {
    html! {
        section.card aria-labelledby="h-campaigns" {
            h2 #h-campaigns { "Campaigns" }
            @if view.campaigns.is_empty() {
                (empty("No root or certificate was distributed yet.", "A root's rollover begins with", Some("gridlatch pki rollover prepare")))
            } @else {
                @let most = view.campaigns.len().min(CAMPAIGNS);
                (campaign::table(&view.campaigns[..most]))
                @if view.campaigns.len() > CAMPAIGNS {
                    p.dim { "Earlier ones: " kbd { "gridlatch pki rollover campaigns" } }
                }
            }
        }
    }
}

fn holders(picture: &TrustPicture, shown: &Shown, fresh: bool) -> Markup {
    let wanted = shown.find.to_lowercase();
    let found: Vec<&HolderRow> = picture
        .holders
        .iter()
        .filter(|one| one.name.to_lowercase().contains(&wanted))
        .collect();
    let rows: Vec<&HolderRow> = found.iter().skip(shown.from).take(PER_PAGE).copied().collect();
    let to = shown.from.saturating_add(PER_PAGE);
    html! {
        section.card aria-labelledby="h-holders" {
            div.cardhead {
                h2 #h-holders { "Who holds what" }
                @if found.len() > PER_PAGE || !shown.find.is_empty() {
                    span.dim { @if rows.is_empty() { "none" } @else { (shown.from + 1) " to " (shown.from + rows.len()) } " of " (found.len()) }
                }
            }
            @if picture.holders.len() > PER_PAGE || !shown.find.is_empty() {
                form.filter.pad method="get" action="/certificates" {
                    div.wide {
                        label for="find" { "Name contains" }
                        input #find type="text" name="find" maxlength="64" autocomplete="off" spellcheck="false" value=(shown.find);
                    }
                    div.row { button { "Show" } @if !shown.find.is_empty() { a.button.quiet href="/certificates" { "Clear" } } }
                }
            }
            @if rows.is_empty() {
                @if picture.holders.is_empty() {
                    (empty("Nobody is known yet.", "Start the platform with two simulated stations:", Some("gridlatch up")))
                } @else {
                    (empty("Nobody here has such a name.", "The list ends before it, or the name is another.", None))
                }
            } @else {
                div.holders {
                    div.holderhead aria-hidden="true" { span { "Who" } span { "Breaks next" } span { "Holds" } span { "As of" } }
                    @for one in &rows { (holder(picture.at, one, fresh && rows.len() == 1)) }
                }
            }
            @if picture.more {
                p.dim { "There are more than are read here: " kbd { "gridlatch pki inventory --platform" } }
            }
        }
        @if shown.from > 0 || found.len() > to {
            nav.pager aria-label="Pages" {
                @if shown.from > 0 {
                    a.button.quiet href={ "/certificates" (query(shown, shown.from.saturating_sub(PER_PAGE))) } { "\u{2190} Previous" }
                }
                @if found.len() > to { a.button.quiet rel="next" href={ "/certificates" (query(shown, to)) } { "Next \u{2192}" } }
            }
        }
    }
}

fn query(shown: &Shown, from: usize) -> String {
    let mut out = String::new();
    if !shown.find.is_empty() {
        let _ = write!(out, "?find={}", encode(&shown.find));
    }
    if from > 0 {
        let _ = write!(out, "{}from={from}", if out.is_empty() { '?' } else { '&' });
    }
    out
}

fn holder(now: Timestamp, one: &HolderRow, open: bool) -> Markup {
    let anchors = one.certificates.iter().filter(|row| row.anchor).count();
    let others = one.certificates.len() - anchors;
    html! {
        details.holder data-key=(one.name) open[open] {
            summary {
                span.who {
                    span.strong { (one.name) }
                    @if one.connected == Some(false) { " " (light(Light::Off, "away")) }
                    @if !one.refused.is_empty() { " " (light(Light::Bad, &format!("refused {}", one.refused.len()))) }
                    @if !one.drift.is_empty() { " " (light(Light::Caution, "differs")) }
                }
                span { @match one.next {
                    Some((at, _)) if at <= now => (light(Light::Bad, "now")),
                    Some((at, _)) => (until(now, at)),
                    None => span.dim { "nothing known" },
                } }
                span.dim { (anchors) " roots, " (others) " in chains" }
                span.dim { @match one.as_of { Some(at) => (minute(at)), None => "never" } }
            }
            div.holding {
                @if let Some(failure) = &one.failure { p { (light(Light::Caution, "It did not answer when it was last asked")) " " (failure) } }
                @for text in &one.drift { p { (light(Light::Caution, "Differs from most of its kind")) " " (text) } }
                @for refused in &one.refused {
                    p {
                        (light(Light::Bad, "Refused")) " " (refused.what) ", " (minute(refused.at)) ", campaign "
                        a href={ "/certificates/campaigns/" (encode(&refused.campaign)) } { (refused.campaign) } ": " (refused.message)
                        @if let Some(code) = refused.code { " " (code_link(code)) }
                    }
                }
                @for usage in &one.unknown { p { (light(Light::Caution, "Unknown")) " It names a certificate that nobody here knows: " (usage) } }
                @if one.certificates.is_empty() { p.dim { "Nothing that is known." } } @else { (certificates(now, &one.certificates)) }
                @if let Some(station) = &one.station { p { a href=(station_href(station)) { "Open station " (station) } } }
            }
        }
    }
}

fn certificates(now: Timestamp, rows: &[CertificateRow]) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { th { "Kind" } th { "Subject, SHA-256" } th.opt { "Issuer" } th.num { "Ends on" } th.num { "Days left" } } }
                tbody {
                    @for row in rows {
                        tr {
                            td.wrap { (row.kind) div.dim { @if row.anchor { "trusts" } @else { "shows" } } }
                            td.wrap { @if row.subject.is_empty() { span.dim { "a person's: not kept" } } @else { (row.subject) }
                                @if let Some(short) = row.fingerprint.get(..8) { div.dim.mono title=(row.fingerprint) { (short) } }
                            }
                            td.wrap.opt { (row.issuer) }
                            td.num { @if let Some(at) = row.not_after { (date(at)) } @else { "?" } }
                            td.num { @if let Some(at) = row.not_after { (left(now, at)) } }
                        }
                    }
                }
            }
        }
    }
}

fn left(now: Timestamp, end: Timestamp) -> Markup {
    match timeline::days(now, end) {
        days if days < 0 => light(Light::Bad, "ended"),
        days if days <= 30 => light(Light::Caution, &days.to_string()),
        days => html! { (days) },
    }
}
