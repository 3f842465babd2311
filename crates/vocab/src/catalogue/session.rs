//! Codes of the area "session": the V2G charging session: setup, order of messages, timers, stop.

codes! {
    PROTOCOL_AGREED = "session.protocol_agreed", Info, Nobody, "Vehicle and station agreed on a protocol.", causes: [], remedy: "Nothing.";
    STOPPED = "session.stopped", Info, Nobody, "The charging session ended in order.", causes: [], remedy: "Nothing.";
    NO_COMMON_PROTOCOL = "session.no_common_protocol", Warning, Vehicle, "Vehicle and station have no protocol in common.",
        causes: ["the vehicle speaks DIN 70121 only", "the station is configured for one generation only"],
        remedy: "Enable another protocol at the station, or update the vehicle.",
        aliases: ["Failed_NoNegotiation"];
    OUT_OF_SEQUENCE = "session.out_of_sequence", Error, Vehicle, "A request arrived that the standard does not allow at this point; it was refused and the session ended.",
        causes: ["a defective vehicle", "an attempt to skip authorisation"],
        remedy: "Decode the session and look at the message before the refusal.",
        aliases: ["FAILED_SequenceError"];
    UNKNOWN_SESSION = "session.unknown_session", Error, Vehicle, "A request carried a session id this station did not assign.",
        causes: ["a vehicle resuming a session that is gone", "an attempt to take over a session"],
        remedy: "Unplug and plug in again.",
        aliases: ["FAILED_UnknownSession"];
    TIMEOUT = "session.timeout", Error, Vehicle, "The peer did not continue in the time the standard allows.",
        causes: ["the peer hung or crashed", "the link was lost"],
        remedy: "Unplug and plug in again; the event names the timer that ran out.";
    CONNECTED = "session.connected", Info, Nobody, "A vehicle connected to the charging port of an EVSE.", causes: [], remedy: "Nothing.";
    ESTABLISHED = "session.established", Info, Nobody, "A charging session was established and has its id.", causes: [], remedy: "Nothing.";
    PAUSED = "session.paused", Info, Nobody, "The vehicle paused the charging session.", causes: [], remedy: "Nothing.";
    STOP_REQUESTED = "session.stop_requested", Info, Nobody, "The station asked the vehicle to end the session.", causes: [], remedy: "Nothing.";
    REQUEST_REFUSED = "session.request_refused", Warning, Vehicle, "A request was in order but its content was not acceptable; it was answered FAILED.",
        causes: ["the vehicle asks for a service, a mode or a schedule this station did not offer", "charge parameters that contradict the limits of the station"],
        remedy: "The event names the request and the response code; compare them with what the station offered.";
    AUTHORIZATION_REFUSED = "session.authorization_refused", Warning, Platform, "The platform did not authorise this session.",
        causes: ["the contract or token is unknown, blocked or expired", "the platform could not be reached"],
        remedy: "The event carries the platform's reason; look the contract or token up there.";
    LOST = "session.lost", Error, Network, "The connection to the vehicle ended in the middle of a session.",
        causes: ["the vehicle was unplugged", "the vehicle's controller restarted", "the power line link broke down"],
        remedy: "Unplug and plug in again; if it recurs at one outlet, check its cable and modem.";
    STATION_REFUSED = "session.station_refused", Error, Station, "The station answered a request with a FAILED code; the vehicle ended the session.",
        causes: ["the station's policy forbids what was asked", "the contract or token may not charge here", "vehicle and station disagree about the state of the session"],
        remedy: "The event names the request and the code; look for the same session id in the station's log.";
    STATION_SILENT = "session.station_silent", Error, Station, "The station did not answer a request in the time the standard allows.",
        causes: ["the station hung or is overloaded", "the link was lost"],
        remedy: "Plug in again; if it recurs, look at the station's log at the time of the request.";
    STATION_CLOSED = "session.station_closed", Error, Station, "The station closed the connection before the session was stopped.",
        causes: ["the station refused a message without answering it", "the station was restarted", "the link was lost"],
        remedy: "Look at the station's log at the time of the last request.";
    STATION_GARBLED = "session.station_garbled", Error, Station, "The station sent bytes that are no V2G message.",
        causes: ["another schema version than it negotiated", "a damaged, oversized or hostile message"],
        remedy: "Record the session and give it to `gridlatch decode`.";
    STATION_UNEXPECTED = "session.station_unexpected", Error, Station, "The station answered something the vehicle had not asked, or under another session id.",
        causes: ["a defective station", "somebody else on the link answers too"],
        remedy: "Record the session and look at the answer that does not fit; if the session id changed, treat the link as hostile.";
    STATION_STOPPED = "session.station_stopped", Warning, Station, "The station asked to stop before any energy flowed.",
        causes: ["the station has no power to give", "the operator stopped the session", "a fault in the station"],
        remedy: "Look at the station's status; plug in again when it is available.";
    SERVICE_NOT_OFFERED = "session.service_not_offered", Warning, Station, "The station does not offer what the vehicle needs.",
        causes: ["another kind of energy transfer", "no Plug & Charge without TLS or without a contract root", "voltage limits that do not fit the battery"],
        remedy: "Choose another EVSE or other options; the event lists what the station offers.";
    CONTRACT_UNUSABLE = "session.contract_unusable", Error, Vehicle, "The vehicle could not sign with its contract key.",
        causes: ["the key does not belong to the contract certificate", "the key store refused", "the station's challenge has a wrong length"],
        remedy: "Install the contract again.";
    OWN_REQUEST_REFUSED = "session.own_request_refused", Error, Vehicle, "The vehicle's own engine refused to send a request out of order.",
        causes: ["a defect of this vehicle's software"],
        remedy: "Report it with the recorded session.";
}
