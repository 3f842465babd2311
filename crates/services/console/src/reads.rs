//! From the store to what the pages show.

use gridlatch_host::Hub;
use gridlatch_store::{CdrRecord, EventQuery, Result, SetpointRecord, StationRecord, Store};
use gridlatch_vocab::catalogue::cable;
use gridlatch_vocab::{Event, EvseId, MilliWattHours, StationId, Timestamp, TransactionId};
use rust_decimal::Decimal;

use crate::model::{
    Energy, EventFilter, Evse, Fact, Overview, Registers, Sample, Session, SessionDetail, Station,
};
use crate::pages::session::events_since;
use crate::plot;
use crate::{ConsoleState, bill, proof};

/// The most running sessions one page shows.
const RUNNING: u32 = 200;
/// Events beside other things.
pub(crate) const EVENTS: usize = 25;
/// Events on the page of a session.
pub(crate) const SESSION_EVENTS: usize = 200;
/// Samples read at once, and how often at most: a session longer than that shows its beginning until the live
/// samples arrive.
const SAMPLES: u32 = 5_000;
const SAMPLE_PAGES: usize = 40;

pub(crate) async fn overview(store: &Store, hub: &Hub, now: Timestamp) -> Result<Overview> {
    let running = store.session_running(RUNNING).await?;
    let midnight = Timestamp(
        now.0
            .to_offset(time::UtcOffset::UTC)
            .replace_time(time::Time::MIDNIGHT),
    );
    let (imported, exported) = store.energy_since(midnight).await?;
    let mut stations: Vec<Station> = store.station_list().await?.into_iter().map(station_of).collect();
    for session in running {
        let session = session_of(session);
        if let Some(station) = stations.iter_mut().find(|s| s.id == session.station) {
            place(station, session);
        }
    }
    Ok(Overview {
        stations,
        today: Energy {
            since: midnight,
            imported,
            exported,
        },
        finished: store
            .session_finished(None, 10)
            .await?
            .into_iter()
            .map(session_of)
            .collect(),
        events: events(store, hub, &EventFilter::default(), EVENTS).await?,
    })
}

pub(crate) async fn station(store: &Store, id: &StationId) -> Result<Option<Station>> {
    let Some(record) = store.station_find(id).await? else {
        return Ok(None);
    };
    let mut station = station_of(record);
    for SetpointRecord { evse, .. } in store.setpoint_list(id).await? {
        evse_of(&mut station, evse);
    }
    for session in store.session_running(RUNNING).await? {
        if session.station == *id {
            place(&mut station, session_of(session));
        }
    }
    // What the station's certificate says is known from the connection it proved it on.
    let query = EventQuery {
        station: Some(id.clone()),
        code: Some(gridlatch_vocab::catalogue::ocpp::CONNECTED),
        ..EventQuery::default()
    };
    if let Some((_, event)) = store.event_search(&query, 1).await?.into_iter().next() {
        station.proof = event
            .fields
            .iter()
            .take(12)
            .map(|(name, value)| {
                (
                    name.replace('_', " ").replace("tls", "TLS"),
                    crate::layout::plain(value),
                )
            })
            .collect();
    }
    Ok(Some(station))
}

pub(crate) async fn session(
    station: &StationId,
    transaction: &TransactionId,
    state: &ConsoleState,
) -> Result<Option<SessionDetail>> {
    let (store, hub) = (&state.store, &state.hub);
    let Some(found) = store.session_find(station, transaction).await? else {
        return Ok(None);
    };
    let mut session = session_of(found);
    if let Some(span) = store.session_registers(station, transaction).await? {
        let value = |reading: Option<(Timestamp, MilliWattHours)>| reading.map(|(_, value)| value);
        session.registers = Registers {
            first_imported: value(span.import_first).unwrap_or_default(),
            last_imported: value(span.import_last).unwrap_or_default(),
            first_exported: value(span.export_first).unwrap_or_default(),
            last_exported: value(span.export_last).unwrap_or_default(),
        };
    }
    let mut samples = Vec::new();
    let mut since = None;
    for _ in 0..SAMPLE_PAGES {
        let page = store.sample_list(station, transaction, since, SAMPLES).await?;
        let full = page.len() == SAMPLES as usize;
        since = page.last().map(|sample| sample.at);
        for sample in page {
            plot::push(&mut samples, sample_of(sample));
        }
        if !full {
            break;
        }
    }
    // The last event of a session often tells no state of charge any more; the last one told stands.
    if let Some(now) = &mut session.now
        && now.soc.is_none()
    {
        now.soc = samples.iter().rev().find_map(|sample| sample.soc);
    }
    let query = EventQuery {
        station: Some(station.clone()),
        since: Some(events_since(session.started)),
        until: session
            .ended
            .map(|at| Timestamp::from_unix_millis(at.unix_millis() + 60_000)),
        ..EventQuery::default()
    };
    let stored = store.event_search(&query, SESSION_EVENTS).await?;
    let mut events: Vec<Event> = stored.into_iter().map(|(_, event)| event).collect();
    merge(&mut events, hub.recent(SESSION_EVENTS));
    events.retain(|event| of_session(&session, event));
    only_of_its_vehicle(&session.transaction, session.evse, session.started, &mut events);
    let bill = match store.cdr_of(station, transaction).await? {
        Some(CdrRecord {
            id,
            issued_at,
            currency,
            total_excl,
            total_incl,
            document,
            jws,
            ..
        }) => {
            let mut bill = bill::of(&document, &currency, total_excl, total_incl);
            bill.cdr_href = format!("{}/cdrs/{}", state.api_base, crate::format::encode(&id));
            bill.proof = proof::of(document, jws, &state.bill_roots);
            bill.issued = Some(issued_at);
            Some(bill)
        }
        None => None,
    };
    Ok(Some(SessionDetail {
        session,
        samples,
        events,
        bill,
    }))
}

/// Whether an event belongs on the page of a session: it names the transaction, or it happened at that EVSE
/// while the session was there, or it is about the station as a whole.
pub(crate) fn of_session(session: &Session, event: &Event) -> bool {
    if let Some(transaction) = &event.transaction {
        return *transaction == session.transaction && event.station.as_ref() == Some(&session.station);
    }
    event.station.as_ref() == Some(&session.station)
        && event.evse.is_none_or(|evse| evse == session.evse)
        && event.at >= events_since(session.started)
        && session
            .ended
            .is_none_or(|end| event.at.unix_millis() <= end.unix_millis() + 60_000)
}

/// Takes away what another vehicle did at the same EVSE shortly before or after: a vehicle's time begins when it is
/// plugged in.
fn only_of_its_vehicle(
    transaction: &TransactionId,
    evse: EvseId,
    started: Timestamp,
    events: &mut Vec<Event>,
) {
    let plugged = |event: &&Event| event.code == cable::PLUGGED_IN && event.evse == Some(evse);
    let own = events
        .iter()
        .filter(plugged)
        .map(|event| event.at)
        .filter(|at| *at <= started)
        .max();
    let next = events
        .iter()
        .filter(plugged)
        .map(|event| event.at)
        .filter(|at| *at > started)
        .min();
    events.retain(|event| {
        event.transaction.as_ref() == Some(transaction)
            || own.is_none_or(|own| event.at >= own) && next.is_none_or(|next| event.at < next)
    });
}

/// Sessions of a list page, and the cursor of the next one.
pub(crate) async fn sessions(
    store: &Store,
    before: Option<i64>,
    limit: u32,
) -> Result<(Vec<Session>, Option<i64>)> {
    let mut found = store.session_finished(before, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|session| session.number);
    let mut sessions: Vec<Session> = if before.is_none() {
        let mut running = store.session_running(RUNNING).await?;
        running.reverse();
        running.into_iter().map(session_of).collect()
    } else {
        Vec::new()
    };
    sessions.extend(found.into_iter().map(session_of));
    Ok((sessions, next))
}

/// The latest events: those of the store, and those so fresh that the store does not have them yet.
pub(crate) async fn events(
    store: &Store,
    hub: &Hub,
    filter: &EventFilter,
    limit: usize,
) -> Result<Vec<Event>> {
    let stored = store.event_search(&query(filter, None), limit).await?;
    let mut events: Vec<Event> = stored.into_iter().map(|(_, event)| event).collect();
    let mut fresh = hub.recent(limit);
    fresh.retain(|event| filter.admits(event));
    merge(&mut events, fresh);
    events.truncate(limit);
    Ok(events)
}

/// One page of the event list and the cursor of the next.
pub(crate) async fn event_page(
    store: &Store,
    filter: &EventFilter,
    before: Option<i64>,
    limit: usize,
) -> Result<(Vec<Event>, Option<i64>)> {
    let mut found = store.event_search(&query(filter, before), limit + 1).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(number, _)| *number);
    Ok((found.into_iter().map(|(_, event)| event).collect(), next))
}

fn query(filter: &EventFilter, before: Option<i64>) -> EventQuery {
    EventQuery {
        before,
        station: filter.station.clone(),
        code: filter.code,
        severity: filter.severity,
        ..EventQuery::default()
    }
}

/// Adds events that are not there yet and sorts newest first.
pub(crate) fn merge(events: &mut Vec<Event>, fresh: Vec<Event>) {
    for event in fresh {
        let known = |e: &Event| e.at == event.at && e.code == event.code && e.message == event.message;
        if !events.iter().any(known) {
            events.push(event);
        }
    }
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
}

pub(crate) fn sample_of(sample: gridlatch_store::Sample) -> Sample {
    Sample {
        at: sample.at,
        power: sample.power,
        imported: sample.imported,
        exported: sample.exported,
        soc: sample.soc,
        setpoint: sample.setpoint,
    }
}

fn session_of(session: gridlatch_store::Session) -> Session {
    let latest = session.latest.map(sample_of);
    let first = |register: Option<MilliWattHours>, used: MilliWattHours| {
        MilliWattHours(register.map_or(0, |register| register.0.saturating_sub(used.0)))
    };
    let first_imported = first(latest.as_ref().and_then(|s| s.imported), session.imported);
    let first_exported = first(latest.as_ref().and_then(|s| s.exported), session.exported);
    let started = session
        .started_at
        .or_else(|| latest.as_ref().map(|sample| sample.at))
        .or(session.ended_at)
        .unwrap_or(Timestamp(time::OffsetDateTime::UNIX_EPOCH));
    Session {
        registers: Registers {
            first_imported,
            last_imported: MilliWattHours(first_imported.0.saturating_add(session.imported.0)),
            first_exported,
            last_exported: MilliWattHours(first_exported.0.saturating_add(session.exported.0)),
        },
        station: session.station,
        // An event that named no EVSE is about the station as a whole.
        evse: session.evse.unwrap_or(EvseId(0)),
        transaction: session.transaction,
        started,
        ended: session.ended_at,
        state: session.charging_state,
        stop_reason: session.stop_reason,
        identified_by: session.auth_kind.map(|kind| match session.auth_label {
            Some(label) => format!("{kind} {label}"),
            None => kind,
        }),
        doubtful: session.backwards,
        now: latest,
        total: session
            .bill
            .and_then(|bill| Some((bill.total_incl.parse::<Decimal>().ok()?, bill.currency))),
    }
}

fn station_of(record: StationRecord) -> Station {
    let mut facts = Vec::new();
    let mut fact = |name: &'static str, value: Option<String>, mono: bool| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.push((
                name,
                if mono {
                    Fact::Mono(value)
                } else {
                    Fact::Text(value)
                },
            ));
        }
    };
    fact("Vendor", record.vendor, false);
    fact("Model", record.model, false);
    fact("Serial number", record.serial, true);
    fact("Firmware", record.firmware, true);
    fact("OCPP version", record.ocpp_version, false);
    if let Some(at) = record.booted_at {
        facts.push(("Booted", Fact::Time(at)));
    }
    let mut station = Station {
        id: record.id,
        connected: record.connected,
        last_seen: record.last_seen,
        facts,
        proof: Vec::new(),
        evses: Vec::new(),
    };
    for connector in record.connectors {
        evse_of(&mut station, connector.evse).connectors.push((
            connector.connector.0,
            connector.status,
            Some(connector.at),
        ));
    }
    station
}

fn place(station: &mut Station, session: Session) {
    let evse = session.evse;
    evse_of(station, evse).running = Some(session);
}

/// The EVSE with this number, added in order when it was not known.
fn evse_of(station: &mut Station, id: EvseId) -> &mut Evse {
    let index = match station.evses.binary_search_by_key(&id, |evse| evse.id) {
        Ok(index) => index,
        Err(index) => {
            station.evses.insert(
                index,
                Evse {
                    id,
                    kind: None,
                    connectors: Vec::new(),
                    running: None,
                },
            );
            index
        }
    };
    &mut station.evses[index]
}

#[cfg(test)]
mod tests {
    use gridlatch_vocab::catalogue::{session, tls};

    use super::*;

    #[test]
    fn the_page_of_a_session_shows_its_own_vehicle_only() {
        let at = |second: i64| Timestamp::from_unix_millis(second * 1_000);
        let event = |second, code, evse| {
            let event = Event::new(at(second), code, "station", "");
            let event = event.station(&"GL-1".parse().unwrap());
            match evse {
                Some(evse) => event.evse(EvseId(evse)),
                None => event,
            }
        };
        let own: TransactionId = "own".parse().unwrap();
        let mut events = vec![
            // The vehicle before.
            event(80, tls::ESTABLISHED, Some(1)),
            event(90, cable::UNPLUGGED, Some(1)),
            // This one; the transaction begins at 105.
            event(100, cable::PLUGGED_IN, Some(1)),
            event(102, tls::ESTABLISHED, Some(1)),
            event(103, tls::ESTABLISHED, None),
            event(110, session::STOPPED, Some(1)),
            // Its bill is late, the next vehicle early.
            event(120, cable::PLUGGED_IN, Some(1)),
            event(121, tls::ESTABLISHED, Some(1)),
            event(122, session::STOPPED, Some(1)).transaction(&own),
            event(95, cable::PLUGGED_IN, Some(2)),
        ];
        only_of_its_vehicle(&own, EvseId(1), at(105), &mut events);
        let seconds: Vec<i64> = events
            .iter()
            .map(|event| event.at.unix_millis() / 1_000)
            .collect();
        assert_eq!(seconds, [100, 102, 103, 110, 122]);
        // A station that does not say when a cable is plugged in: nothing is known, nothing goes.
        let mut events = vec![
            event(80, tls::ESTABLISHED, Some(1)),
            event(121, tls::ESTABLISHED, Some(1)),
        ];
        only_of_its_vehicle(&own, EvseId(1), at(105), &mut events);
        assert_eq!(events.len(), 2);
    }
}
