//! Campaigns: roots and certificates of many stations, step by step; who is done, who waits, who refused and why.

use gridlatch_store::{CampaignRow, CampaignStation};
use gridlatch_vocab::Code;
use maud::{Markup, html};

use super::Regions;
use crate::certificates::{Campaign, Which};
use crate::format::{encode, light, minute, station_href};
use crate::layout::{Frame, Nav, code_link, empty, page, region};
use crate::model::Light;

/// Stations of one page.
pub(crate) const PER_PAGE: u32 = 50;

/// Results a station can have.
pub(crate) const STATES: [&str; 6] = ["waiting", "sent", "done", "already", "refused", "failed"];

/// The steps of a root's rollover, as `gridlatch pki rollover` names them.
const STEPS: [&str; 5] = ["publish", "cross-link", "distribute", "switch", "retire"];

/// Which step a campaign is, counted from nought; `None` for one that takes something back.
fn step(row: &CampaignRow) -> Option<usize> {
    let step = match row.campaign.action.as_str() {
        _ if row.campaign.id.ends_with(".undo") => return None,
        "install" => 2,
        "renew" => 3,
        "remove" => 4,
        _ => return None,
    };
    Some(step)
}

/// What the campaign does, in a few words.
fn what(row: &CampaignRow) -> Markup {
    let campaign = &row.campaign;
    let does = match campaign.action.as_str() {
        "install" => "installs",
        "renew" => "renews",
        "remove" => "removes",
        other => other,
    };
    html! { (does) " " span.mono { (campaign.usage) } }
}

fn state(row: &CampaignRow) -> Markup {
    let kind = match row.state.as_str() {
        "running" => Light::Busy,
        "done" if row.counts.refused + row.counts.failed > 0 => Light::Caution,
        "done" => Light::Good,
        _ => Light::Bad,
    };
    light(kind, &row.state)
}

fn result(state: &str) -> Markup {
    let kind = match state {
        "done" | "already" => Light::Good,
        "sent" => Light::Busy,
        "refused" | "failed" => Light::Bad,
        _ => Light::Off,
    };
    light(kind, state)
}

fn count(row: &CampaignRow, state: &str) -> u64 {
    let counts = row.counts;
    match state {
        "waiting" => counts.waiting,
        "sent" => counts.sent,
        "done" => counts.done,
        "already" => counts.already,
        "refused" => counts.refused,
        "failed" => counts.failed,
        _ => STATES.iter().map(|state| count(row, state)).sum(),
    }
}

fn href(id: &str, which: &Which) -> String {
    let mut out = format!("/certificates/campaigns/{}", encode(id));
    for (index, (name, value)) in [("state", &which.state), ("after", &which.after)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .enumerate()
    {
        out.push(if index == 0 { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        out.push_str(&encode(value));
    }
    out
}

/// A link to a campaign's page, to the stations in one state.
fn link(row: &CampaignRow, state: &str, content: &Markup) -> Markup {
    let which = Which {
        state: state.to_owned(),
        after: String::new(),
    };
    html! { a href=(href(&row.campaign.id, &which)) { (content) } }
}

fn number(row: &CampaignRow, state: &str) -> Markup {
    match count(row, state) {
        0 => html! { span.dim { "0" } },
        some => link(row, state, &html! { (some) }),
    }
}

fn progress(row: &CampaignRow) -> Markup {
    let all = count(row, "");
    let over = all - row.counts.waiting - row.counts.sent;
    html! {
        progress max=(all.max(1)) value=(over) aria-label={ (row.campaign.id) ": " (over) " of " (all) " stations have a result" } {}
        span.dim { (over) " of " (all) }
    }
}

/// The latest campaigns as a table.
pub(crate) fn table(rows: &[CampaignRow]) -> Markup {
    html! {
        div.scroll {
            table.campaigns {
                thead { tr {
                    th { "Campaign" } th { "State" } th.opt { "Stations with a result" } th.num { "Done" } th.num { "Waiting" }
                    th.num { "Refused" } th.num { "Failed" } th.opt { "Step" } th.opt { "Started" }
                } }
                tbody {
                    @for row in rows {
                        tr data-key=(row.campaign.id) {
                            td.wrap { (link(row, "", &html! { span.strong { (row.campaign.id) } })) div.dim { (what(row)) } }
                            td { (state(row)) }
                            td.opt { div.progress { (progress(row)) } }
                            td.num { (row.counts.done + row.counts.already) }
                            td.num {
                                (row.counts.waiting + row.counts.sent)
                                @if row.counts.offline > 0 { div.dim { (row.counts.offline) " away" } }
                            }
                            td.num { (number(row, "refused")) }
                            td.num { (number(row, "failed")) }
                            td.opt {
                                @match step(row) {
                                    Some(step) => { (STEPS[step]) div.dim { (step + 1) " of " (STEPS.len()) } }
                                    None => { "undo" }
                                }
                            }
                            td.opt { (minute(row.campaign.at)) }
                        }
                    }
                }
            }
        }
    }
}

pub(crate) fn render(view: &Campaign) -> Markup {
    let row = &view.row;
    let body = html! {
        div.pagehead {
            p.crumbs { a href="/certificates" { "Certificates" } }
            h1 { "Campaign " (row.campaign.id) }
            p.dim { (what(row)) " at " (count(row, "")) " stations, " (row.campaign.at_once) " at a time; stops at "
                (row.campaign.stop_after) " failures. Started by " (row.campaign.asked_by) ", " (minute(row.campaign.at)) "." }
        }
        (steps(row))
        @for (name, content) in &regions(view) { (region(name, content)) }
        (pager(view))
    };
    let frame = Frame {
        title: &row.campaign.id,
        nav: Nav::Certificates,
        live: Some(format!("/live{}", href(&row.campaign.id, &view.which))),
        reload: true,
    };
    page(&frame, &body)
}

/// Where in the rollover this is.
fn steps(row: &CampaignRow) -> Markup {
    let Some(now) = step(row) else {
        return html! {};
    };
    html! {
        ol.steps aria-label="Steps of a root's rollover" {
            @for (index, step) in STEPS.iter().enumerate() {
                li aria-current=[(index == now).then_some("step")] { (index + 1) ". " (step) }
            }
        }
    }
}

pub(crate) fn regions(view: &Campaign) -> Regions {
    vec![("counts", counts(view)), ("stations", stations(view))]
}

fn counts(view: &Campaign) -> Markup {
    let row = &view.row;
    html! {
        p.statusline { (state(row)) span.progress { (progress(row)) }
            @if row.state == "stopped" {
                span.dim { "Go on: " kbd { "gridlatch pki rollover resume " (row.campaign.id) } }
            }
        }
        nav.tabs aria-label="By result" {
            @for state in core::iter::once("").chain(STATES) {
                @let which = Which { state: state.to_owned(), after: String::new() };
                @let all = count(row, state);
                @if all > 0 || state.is_empty() || state == view.which.state {
                    a href=(href(&row.campaign.id, &which)) aria-current=[(state == view.which.state).then_some("page")] {
                        @if state.is_empty() { "all" } @else { (state) } " " span.dim { (all) }
                    }
                }
            }
        }
    }
}

fn stations(view: &Campaign) -> Markup {
    let most = usize::try_from(PER_PAGE).unwrap_or(usize::MAX);
    html! {
        section.card aria-label="Stations" {
            @if view.stations.is_empty() {
                (empty("No station here.", "None has this result, or the list ends before it.", None))
            } @else {
                div.scroll {
                    table {
                        thead { tr { th { "Station" } th { "Result" } th { "Why" } th.opt { "Tries" } th.opt { "When" } } }
                        tbody { @for one in view.stations.iter().take(most) { (station(one)) } }
                    }
                }
            }
        }
    }
}

fn station(one: &CampaignStation) -> Markup {
    let code = one.code.as_deref().and_then(Code::find);
    html! {
        tr data-key=(one.station) {
            td { a.strong href=(station_href(&one.station)) { (one.station) } }
            td { (result(&one.state)) @if !one.connected && matches!(one.state.as_str(), "waiting" | "sent") { div.dim { "away" } } }
            td.wrap {
                @if let Some(message) = &one.message { div { (message) } }
                @if let Some(code) = code.filter(|_| !matches!(one.state.as_str(), "done" | "already")) { (code_link(code)) }
                @if one.message.is_none() && code.is_none() { span.dim { "\u{2013}" } }
            }
            td.opt { (one.attempts) }
            td.opt { @if let Some(at) = one.at { (minute(at)) } @else { span.dim { "\u{2013}" } } }
        }
    }
}

fn pager(view: &Campaign) -> Markup {
    let most = usize::try_from(PER_PAGE).unwrap_or(usize::MAX);
    let last = view
        .stations
        .get(most.saturating_sub(1))
        .filter(|_| view.stations.len() > most);
    let to = |after: &str| {
        href(
            &view.row.campaign.id,
            &Which {
                after: after.to_owned(),
                ..view.which.clone()
            },
        )
    };
    html! {
        @if !view.which.after.is_empty() || last.is_some() {
            nav.pager aria-label="Pages" {
                @if !view.which.after.is_empty() { a.button.quiet href=(to("")) { "\u{2190} First" } }
                @if let Some(last) = last { a.button.quiet rel="next" href=(to(last.station.as_str())) { "Next \u{2192}" } }
            }
        }
    }
}
