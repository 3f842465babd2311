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
}
