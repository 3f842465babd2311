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
}
