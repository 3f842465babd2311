//! One session: while it runs a moving plot, when it ended the bill and what it rests on. One page, so that
//! the bill appears where the operator was already looking.

use gridlatch_vocab::{MilliWattHours, Timestamp};
use maud::{Markup, html};
use rust_decimal::Decimal;

use super::Regions;
use super::station::{Notice, banner, setpoint_form};
use crate::format::{
    Direction, clock, duration, encode, flow, kw, kwh, moment, money, money_to, number, quantity, scale,
    session_state, station_href, stop_reason,
};
use crate::layout::{EventStyle, Frame, Nav, events, page, region, stat};
use crate::model::{Bill, Evse, Proof, Session, SessionDetail};
use crate::plot;

pub(crate) fn render(detail: &SessionDetail, notice: &Notice<'_>) -> Markup {
    let session = &detail.session;
    let mut parts = regions(detail).into_iter();
    let mut next = || parts.next().map(|(name, content)| region(name, &content));
    let body = html! {
        div.pagehead {
            p.crumbs { a href="/sessions" { "Sessions" } " / " a href=(station_href(&session.station)) { (session.station) } }
            h1 { (session.station) " \u{b7} EVSE " (session.evse) }
            @if let Some(head) = next() { (head) }
        }
        (banner(notice))
        @if let Some(figures) = next() { (figures) }
        @if let Some(plot) = next() { (plot) }
        div.split {
            div.stack {
                @if let Some(bill) = next() { (bill) }
                @if let Some(readings) = next() { (readings) }
            }
            div.stack {
                @if let Some(orders) = next() { (orders) }
                @if let Some(events) = next() { (events) }
            }
        }
    };
    let title = format!("Session on {}", session.station);
    let live = format!(
        "/live/sessions/{}/{}",
        encode(session.station.as_str()),
        encode(session.transaction.as_str())
    );
    // A finished session changes only until its bill is there.
    let settled = !session.running() && detail.bill.is_some();
    let frame = Frame {
        title: &title,
        nav: Nav::Sessions,
        live: (!settled).then_some(live),
        reload: !settled,
    };
    page(&frame, &body)
}

pub(crate) fn regions(detail: &SessionDetail) -> Regions {
    let session = &detail.session;
    vec![
        ("head", head(session)),
        ("figures", figures(detail)),
        ("plot", plotted(detail)),
        ("bill", bill(detail)),
        ("readings", readings(session)),
        ("orders", html! { @if session.running() { (orders(session)) } }),
        ("events", recent(detail)),
    ]
}

fn head(session: &Session) -> Markup {
    html! {
        p.statusline {
            (session_state(session))
            span.dim { "started " (moment(session.started)) }
            @if let Some(ended) = session.ended {
                span.dim { "ended " (moment(ended)) }
                @if let Some(reason) = &session.stop_reason { span.dim { (stop_reason(reason)) } }
            }
        }
    }
}

fn figures(detail: &SessionDetail) -> Markup {
    let session = &detail.session;
    let (into, back) = session.energy();
    let now = session.now.as_ref();
    html! {
        dl.stats {
            @if session.running() {
                @match session.power() {
                    Some(power) => (stat("Power now", &flow(power), &html! { (Direction::of(power).words()) })),
                    None => (stat("Power now", &html! { "\u{2013}" }, &html! { "no sample yet" })),
                }
                (stat(
                    "Set-point",
                    &match now.and_then(|n| n.setpoint) {
                        Some(power) => kw(power),
                        None => html! { span.dim { "none" } },
                    },
                    &html! {},
                ))
            }
            (stat(
                "State of charge",
                &match now.and_then(|n| n.soc) {
                    Some(soc) => html! {
                        (quantity(&format!("{:.0}", soc.0), "%"))
                        meter.soc min="0" max="100" value={ (format!("{:.0}", soc.0.clamp(0.0, 100.0))) } { (format!("{:.0} %", soc.0)) }
                    },
                    None => html! { span.dim { "not told" } },
                },
                &html! {},
            ))
            (stat("Into the vehicle", &kwh(into), &html! {}))
            (stat("Back to the grid", &kwh(back), &html! {}))
            (stat(
                if session.running() { "Running for" } else { "Took" },
                &match (session.ended, now) {
                    (Some(ended), _) => html! { (duration(session.started, ended)) },
                    (None, Some(now)) => html! { (duration(session.started, now.at)) },
                    (None, None) => html! { "\u{2013}" },
                },
                &html! {},
            ))
            @if let Some(bill) = &detail.bill {
                (stat("Bill", &money(bill.total, &bill.currency), &html! { @if bill.total.is_sign_negative() { "in the driver's favour" } @else { "taxes included" } }))
            }
        }
    }
}

fn plotted(detail: &SessionDetail) -> Markup {
    let session = &detail.session;
    html! {
        section.card aria-labelledby="h-plot" {
            h2 #h-plot { "Power" }
            (plot::figure(&detail.samples, session.started, session.running()))
        }
    }
}

fn bill(detail: &SessionDetail) -> Markup {
    html! {
        section.card aria-labelledby="h-bill" {
            @match &detail.bill {
                Some(bill) => { (bill_table(bill)) }
                None => {
                    h2 #h-bill { "Bill" }
                    p.dim.pad {
                        @if detail.session.running() { "Comes when the session ends." }
                        @else { "Being made. If it does not appear within a minute, look for an event of the platform below." }
                    }
                }
            }
        }
    }
}

fn bill_table(bill: &Bill) -> Markup {
    html! {
        div.cardhead {
            h2 #h-bill { "Bill" }
            span.files {
                @if bill.proof.signed { a href={ (bill.cdr_href) "/signed" } download { "Signed bill" } }
                @if bill.proof.record { a href={ (bill.cdr_href) "/readings" } download { "Meter record (OCMF)" } }
                a href=(bill.cdr_href) { "OCPI CDR (JSON)" }
            }
        }
        @let digits = bill.lines.iter().map(|line| scale(line.amount)).max().unwrap_or(2);
        div.scroll {
            table.bill #bill {
                thead { tr { th { "For" } th.num { "Quantity" } th.num { "Price" } th.num { "Amount" } } }
                tbody {
                    @for line in &bill.lines {
                        tr {
                            td { (line.what) @if let Some(from) = line.from { span.dim { " from " (clock(from)) } } }
                            td.num { @if !line.quantity.is_empty() { (quantity(&line.quantity, &line.unit)) } }
                            td.num { @if let Some(price) = line.price { (money(price, &bill.currency)) } }
                            td.num { (money_to(line.amount, &bill.currency, digits)) }
                        }
                    }
                }
                tfoot {
                    (sum("Total without taxes", bill.net, bill, digits))
                    @for (name, amount) in &bill.taxes { (sum(name, *amount, bill, digits)) }
                    tr.total {
                        th scope="row" colspan="3" { @if bill.total.is_sign_negative() { "Total, to be paid out" } @else { "Total" } }
                        td.num { (money(bill.total, &bill.currency)) }
                    }
                }
            }
        }
        (proof(&bill.proof))
        @if let Some(issued) = bill.issued { p.dim.pad { "Issued " (moment(issued)) } }
    }
}

/// Who stands behind the bill, checked while the page was made.
fn proof(proof: &Proof) -> Markup {
    html! {
        @if !proof.rows.is_empty() {
            dl.facts.proof #proof {
                @for row in &proof.rows {
                    div {
                        dt { (row.what) }
                        dd {
                            @match row.holds {
                                Ok(()) => { strong.good { "verified" } " " (row.says) }
                                Err(code) => { strong.bad { "not verified" } " " (row.says) " " a href={ "/codes/" (code.as_str()) } { (code) } }
                            }
                            @if let Some((of, fingerprint)) = &row.fingerprint { div.dim { (of) " " span.mono { (fingerprint) } } }
                        }
                    }
                }
            }
        }
    }
}

fn sum(name: &str, amount: Decimal, bill: &Bill, digits: u32) -> Markup {
    html! { tr { th scope="row" colspan="3" { (name) } td.num { (money_to(amount, &bill.currency, digits)) } } }
}

/// The registers the bill rests on.
fn readings(session: &Session) -> Markup {
    let r = &session.registers;
    let last = session.ended.or_else(|| session.now.as_ref().map(|now| now.at));
    html! {
        section.card aria-labelledby="h-readings" {
            h2 #h-readings { "Meter readings" }
            @if session.doubtful {
                div.banner.bad { p { strong { "A register went down during this session." } " No meter does that: check the meter before this bill is sent." } }
            }
            div.scroll {
                table.readings {
                    thead { tr { th { "Register" } th.num { "At start" } th.num { @if session.running() { "Latest" } @else { "At end" } } th.num { "Difference" } } }
                    tbody {
                        (reading("Import (into the vehicle)", r.first_imported, r.last_imported))
                        (reading("Export (back to the grid)", r.first_exported, r.last_exported))
                    }
                    tfoot { tr {
                        th scope="row" { "Read" }
                        td.num { (moment(session.started)) }
                        td.num { @if let Some(at) = last { (moment(at)) } }
                        td {}
                    } }
                }
            }
            dl.facts {
                div { dt { "Transaction" } dd.mono { (session.transaction) } }
                @if let Some(kind) = &session.identified_by { div { dt { "Identified by" } dd { (kind) } } }
            }
        }
    }
}

fn reading(name: &str, first: MilliWattHours, last: MilliWattHours) -> Markup {
    let register = |value: MilliWattHours| quantity(&number(value.watt_hours() / 1000.0, 3), "kWh");
    html! {
        tr { th scope="row" { (name) } td.num { (register(first)) } td.num { (register(last)) } td.num.strong { (register(last.since(first))) } }
    }
}

/// What can be ordered while it runs.
fn orders(session: &Session) -> Markup {
    let evse = Evse {
        id: session.evse,
        kind: None,
        connectors: Vec::new(),
        running: Some(session.clone()),
    };
    let base = station_href(&session.station);
    html! {
        section.card.orders aria-labelledby="h-orders" {
            h2 #h-orders { "Control" }
            div.forms {
                (setpoint_form(&base, &evse, Some(&session.transaction)))
                form method="post" action={ (base) "/stop" } {
                    input type="hidden" name="evse" value=(session.evse);
                    input type="hidden" name="transaction" value=(session.transaction);
                    span.label { "Stop this session" }
                    div.row { button { "Stop" } span.dim { "ends it in order; the bill follows" } }
                }
            }
        }
    }
}

fn recent(detail: &SessionDetail) -> Markup {
    html! {
        section.card aria-labelledby="h-events" {
            h2 #h-events { "Steps and events" }
            (events(&detail.events, EventStyle::Short))
        }
    }
}

/// Where the page of a session that started at `started` begins to look for events: a little earlier, so that
/// matching, discovery and TLS are on it.
pub(crate) fn events_since(started: Timestamp) -> Timestamp {
    Timestamp::from_unix_millis(started.unix_millis() - 30_000)
}
