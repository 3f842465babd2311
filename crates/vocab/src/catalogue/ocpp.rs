//! Codes of the area "ocpp": the OCPP connection and its messages, on either side.

codes! {
    CONNECTED = "ocpp.connected", Info, Nobody, "A charging station connected to the platform and proved its identity.", causes: [], remedy: "Nothing.";
    DISCONNECTED = "ocpp.disconnected", Notice, Nobody, "The OCPP connection of a charging station ended.", causes: [], remedy: "Nothing if it comes back; otherwise check the station's network.";
    CALLERROR_SECURITY = "ocpp.callerror_security", Error, Station, "An OCPP message was refused for a security reason.",
        causes: ["the station's certificate does not belong to the id it claims", "a message that its security profile does not allow"],
        remedy: "Check which certificate the station presents and which id it connects as.",
        aliases: ["OCPP_CALLERROR_SECURITY_VIOLATION"];
    ANSWER_UNASKED = "ocpp.answer_unasked", Warning, Network, "An OCPP answer arrived under a message id that nobody asked with.",
        causes: ["the answer came long after its time", "a peer that mixes up connections", "a forged answer"],
        remedy: "Compare the clocks and time limits of both sides; if it repeats, capture the connection.";
    BOOT_ACCEPTED = "ocpp.boot_accepted", Info, Nobody, "The platform accepted a charging station that reported its start.", causes: [], remedy: "Nothing.";
    BOOT_REFUSED = "ocpp.boot_refused", Warning, Platform, "The platform did not accept a charging station yet; it asks again after the interval the platform gave.",
        causes: ["the station is not registered at the platform", "the platform still provisions it"],
        remedy: "Register the station at the platform.";
    CALL_REFUSED = "ocpp.call_refused", Warning, Platform, "An OCPP call was answered with an error.",
        causes: ["the other side does not support the action", "the content was refused"],
        remedy: "Read the error code in the event; it names the side and the field.";
    CALL_REPEATED = "ocpp.call_repeated", Notice, Network, "An OCPP call arrived again under its message id and was not handled twice.",
        causes: ["the sender lost the answer and repeated the call"],
        remedy: "Nothing; if it happens often, check the network.";
    CALL_TIMED_OUT = "ocpp.call_timed_out", Warning, Network, "An OCPP call was not answered in time.",
        causes: ["the other side is overloaded", "the connection is dead but not closed"],
        remedy: "Nothing if it recovers; transaction messages are repeated until they are answered.";
    CONNECT_FAILED = "ocpp.connect_failed", Warning, Network, "The charging station could not connect to its platform.",
        causes: ["the platform is down or cannot be reached", "TLS was refused on one side", "the platform does not know the station"],
        remedy: "Read the reason in the event; the station keeps trying and keeps its transactions.";
    FRAME_BOUND = "ocpp.frame_bound", Error, Network, "An OCPP frame broke a hard bound (size or nesting), and the connection was closed.",
        causes: ["a hostile peer", "a station that sends reports in one piece"],
        remedy: "Find out who sent it; the bounds are 64 KiB for 1.6, 256 KiB for 2.x, and 16 levels.";
    FRAME_MALFORMED = "ocpp.frame_malformed", Warning, Network, "A WebSocket message was not an OCPP frame.",
        causes: ["a broken or hostile peer", "a peer of another OCPP version"],
        remedy: "Check the negotiated subprotocol and the peer's firmware.";
    MESSAGE_ID_REUSED = "ocpp.message_id_reused", Error, Network, "Two different OCPP calls used the same message id; the second was refused.",
        causes: ["a peer that does not make unique ids", "a replayed and changed message"],
        remedy: "If it repeats, treat the peer as compromised.";
    OFFLINE_REPLAYED = "ocpp.offline_replayed", Notice, Nobody, "Transaction messages that waited for the connection were delivered.", causes: [], remedy: "Nothing.";
    PAYLOAD_REFUSED = "ocpp.payload_refused", Warning, Network, "An OCPP message breaks its schema and was refused.",
        causes: ["a peer of another OCPP version", "a faulty or hostile peer"],
        remedy: "The event names the field and the rule it breaks.";
    SCHEMA_TOLERATED = "ocpp.schema_tolerated", Notice, Station, "An OCPP message breaks its schema in a way that loses nothing and was accepted.",
        causes: ["firmware with over-long serial numbers, vendor properties or local times"],
        remedy: "Tell the maker; the event names the field.";
    TOO_MANY_CALLS = "ocpp.too_many_calls", Warning, Network, "A peer had more OCPP calls under way than allowed; the excess was refused.",
        causes: ["a peer that does not wait for answers", "flooding"],
        remedy: "Check the peer; OCPP-J allows one call under way in each direction.";
    TRANSACTION_GIVEN_UP = "ocpp.transaction_given_up", Critical, Platform, "The platform refused a transaction message for good, so a bill may lack it.",
        causes: ["the platform answers an error to every attempt"],
        remedy: "The message is kept in the station's store with the state 'refused': settle it by hand.";
    UNKNOWN_ACTION = "ocpp.unknown_action", Warning, Network, "An OCPP message names an action its version does not have.",
        causes: ["a vendor extension", "a peer of another OCPP version"],
        remedy: "Check the negotiated subprotocol.";
}
