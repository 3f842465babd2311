//! Codes of the area "platform": the charging network platform: REST, commands, billing.

codes! {
    BILL_ISSUED = "platform.bill_issued", Info, Nobody, "A finished transaction was priced and its charge detail record stored.", causes: [], remedy: "Nothing.";
    BILL_MISMATCH = "platform.bill_mismatch", Error, Platform, "A bill does not follow from its own lines.",
        causes: ["the stored bill was changed", "it was made by another version with other rounding"],
        remedy: "Price the transaction again from its meter values and compare.";
    BILL_REFUSED = "platform.bill_refused", Error, Platform, "A finished transaction could not be priced.",
        causes: ["there are no meter values", "amounts or periods out of any range"],
        remedy: "Read the transaction's meter values; bill it by hand.";
    METER_REGISTER_FELL = "platform.meter_register_fell", Error, Station, "A meter register fell within a transaction; the transaction is not billed.",
        causes: ["the meter was replaced or reset", "meter values were tampered with", "samples arrived under the wrong transaction"],
        remedy: "Inspect the station's meter; bill the transaction by hand from signed values.";
    METER_TIME_BACKWARDS = "platform.meter_time_backwards", Error, Station, "Meter values of a transaction are not in the order of time; the transaction is not billed.",
        causes: ["the station's clock was set back", "replayed meter values"],
        remedy: "Check the station's time source; bill the transaction by hand.";
    TARIFF_INVALID = "platform.tariff_invalid", Error, Operator, "A tariff cannot be priced.",
        causes: ["a restriction on something that is not metered", "a malformed time, date, currency or step size"],
        remedy: "Correct the tariff; the message names the problem.";
    STATION_REGISTERED = "platform.station_registered", Info, Nobody, "A charging station was registered and may connect.", causes: [], remedy: "Nothing.";
    STATION_UNKNOWN = "platform.station_unknown", Warning, Operator, "A charging station that is not registered tried to connect and was refused.",
        causes: ["the station was not registered yet", "a typing error in the station's connection address", "somebody tries ids"],
        remedy: "Register the station if it is yours; otherwise find out who holds the certificate it used.";
    IDENTITY_MISMATCH = "platform.identity_mismatch", Error, Station, "A charging station connected under an id that its certificate does not name, and was refused.",
        causes: ["a certificate installed in the wrong station", "a station that tries to pass for another one"],
        remedy: "The common name of the certificate must equal the id in the path (OCPP A00.FR.405); if both are right, treat the holder of the certificate as compromised.";
    STATION_DISPLACED = "platform.station_displaced", Warning, Station, "A second connection under the same station id took the place of the first, which was closed.",
        causes: ["the station lost its connection without noticing and came back", "two stations hold the same certificate"],
        remedy: "Nothing if it happens once; if it goes back and forth, revoke the certificate.";
    STATION_DOWNGRADE = "platform.station_downgrade", Error, Station, "A second connection under the same station id was refused because it proved its identity less strongly than the first.",
        causes: ["an attempt to take over a station's session"],
        remedy: "Find out where the connection came from.";
    STATION_SILENT = "platform.station_silent", Warning, Network, "A charging station did not answer for too long and was disconnected.",
        causes: ["the network is down", "the station lost power"],
        remedy: "Check the station's network and power.";
    NO_COMMON_VERSION = "platform.no_common_version", Warning, Station, "A charging station offered no OCPP version this platform speaks.",
        causes: ["a station that speaks OCPP 1.6 only", "a station that sends no Sec-WebSocket-Protocol"],
        remedy: "Set the station to OCPP 2.0.1 or 2.1.";
    HANDSHAKES_EXHAUSTED = "platform.handshakes_exhausted", Warning, Network, "Too many connections were waiting for their handshake; a new one was closed at once.",
        causes: ["many stations come back at the same time", "a flood of half-open connections"],
        remedy: "Nothing if it passes; otherwise limit connections per address in front of the platform.";
    CONNECTION_REFUSED = "platform.connection_refused", Warning, Network, "A connection to the OCPP port was refused before it became one.",
        causes: ["not a WebSocket request", "no complete request in time"],
        remedy: "Nothing; scanners do this. If a station does it, check its connection address.";
    RATE_LIMITED = "platform.rate_limited", Warning, Station, "A charging station sends more messages than allowed; the platform reads them more slowly.",
        causes: ["a station that repeats messages in a loop", "a long queue of offline messages"],
        remedy: "Nothing if it passes; otherwise look at the messages in the station's log.";
    AUTHORIZED = "platform.authorized", Info, Nobody, "A token or contract was accepted.", causes: [], remedy: "Nothing.";
    AUTHORIZATION_REFUSED = "platform.authorization_refused", Warning, Vehicle, "A token or contract was refused.",
        causes: ["the token or contract is not known here", "it is blocked", "the contract certificate is not valid"],
        remedy: "The event names the status the station was given and which certificate failed.";
    CONTRACT_MISMATCH = "platform.contract_mismatch", Error, Station, "The contract id of an authorisation is not the one in its certificate chain, or the hash data belong to other certificates.",
        causes: ["a defective station", "somebody tries to charge on another contract"],
        remedy: "Compare the station's log; if it recurs, treat the station as compromised.";
    TRANSACTION_STARTED = "platform.transaction_started", Info, Nobody, "A transaction began.", causes: [], remedy: "Nothing.";
    TRANSACTION_ENDED = "platform.transaction_ended", Info, Nobody, "A transaction ended.", causes: [], remedy: "Nothing.";
    TRANSACTION_DUPLICATE = "platform.transaction_duplicate", Notice, Network, "A transaction event arrived a second time and was acknowledged without counting it again.",
        causes: ["the acknowledgement was lost on the way"],
        remedy: "Nothing.";
    TRANSACTION_CONTRADICTION = "platform.transaction_contradiction", Error, Station, "A transaction event arrived under a sequence number that was used with other content; the first one stands.",
        causes: ["a station that reuses sequence numbers", "a replayed and changed message"],
        remedy: "Compare the station's own record of the transaction before paying its bill.";
    TRANSACTION_GAP = "platform.transaction_gap", Warning, Station, "Sequence numbers of a transaction are missing.",
        causes: ["the station lost events", "they are still queued at the station"],
        remedy: "Nothing if they arrive later; otherwise compare the bill with the station's meter.";
    TRANSACTION_LATE = "platform.transaction_late", Notice, Station, "A transaction event arrived after later ones and was put in its place.",
        causes: ["the station was offline"],
        remedy: "Nothing.";
    CHARGING_NEEDS = "platform.charging_needs", Info, Nobody, "A vehicle told what it needs.", causes: [], remedy: "Nothing.";
    STATION_SECURITY_EVENT = "platform.station_security_event", Warning, Station, "A charging station reported a security event of its own.",
        causes: ["the event names it"],
        remedy: "Look up the event type in OCPP part 2, appendix 1.";
    COMMAND_SENT = "platform.command_sent", Info, Nobody, "A command was sent to a charging station.", causes: [], remedy: "Nothing.";
    COMMAND_ACCEPTED = "platform.command_accepted", Info, Nobody, "A charging station accepted a command.", causes: [], remedy: "Nothing.";
    COMMAND_REFUSED = "platform.command_refused", Warning, Station, "A charging station refused a command.",
        causes: ["it cannot do it in its present state", "it does not support it"],
        remedy: "The event carries the station's reason.";
    COMMAND_TIMED_OUT = "platform.command_timed_out", Warning, Network, "A charging station did not answer a command in time.",
        causes: ["the connection was lost", "the station is overloaded"],
        remedy: "Check whether the command took effect before repeating it.";
    COMMAND_OFFLINE = "platform.command_offline", Notice, Station, "A command was not sent because the charging station is not connected.",
        causes: ["the station is offline"],
        remedy: "Send it again when the station is connected.";
    COMMAND_BUSY = "platform.command_busy", Warning, Station, "A command was not sent because too many are waiting for this charging station.",
        causes: ["the station answers slowly", "a script that does not wait for answers"],
        remedy: "Wait for the answers of earlier commands.";
    COMMAND_UNSUPPORTED = "platform.command_unsupported", Notice, Station, "A command cannot be expressed in the OCPP version this charging station speaks.",
        causes: ["a negative set-point needs OCPP 2.1"],
        remedy: "Update the station to OCPP 2.1.";
    TARIFF_CHANGED = "platform.tariff_changed", Notice, Nobody, "The tariff was changed; it applies to transactions billed from now on.", causes: [], remedy: "Nothing.";
    STORE_FAILED = "platform.store_failed", Critical, Operator, "The database refused a read or a write; the message it belongs to was not acknowledged.",
        causes: ["the disk is full", "the database server is down"],
        remedy: "Free space or start the database; stations repeat what was not acknowledged.";
    REST_UNAUTHENTICATED = "platform.rest_unauthenticated", Warning, Operator, "A request without the operator token was refused.",
        causes: ["the page was opened without its token", "somebody else on this machine or network tries the port"],
        remedy: "Open the address that `gridlatch up` prints, or send the token as `Authorization: Bearer`.";
    REST_FOREIGN_HOST = "platform.rest_foreign_host", Warning, Network, "A request for another host name was refused.",
        causes: ["a web page elsewhere tries to reach this port (DNS rebinding)", "a proxy that is not configured"],
        remedy: "Open the console under the address it prints.";
    REST_CROSS_ORIGIN = "platform.rest_cross_origin", Warning, Network, "A changing request that came from another web page was refused.",
        causes: ["a web page elsewhere tries to use the operator's cookie"],
        remedy: "Close that page.";
    REST_BAD_REQUEST = "platform.rest_bad_request", Notice, Operator, "A request could not be understood.",
        causes: ["a wrong type", "an unknown field", "a value out of range"],
        remedy: "The detail names the place; the interface is described at /api/v1/openapi.json.";
    REST_TOO_LARGE = "platform.rest_too_large", Notice, Operator, "A request body is larger than accepted.",
        causes: ["the wrong file was sent"],
        remedy: "Send at most 64 KiB.";
    REST_NOT_FOUND = "platform.rest_not_found", Notice, Operator, "What was asked for does not exist.",
        causes: ["a typing error", "it was not created yet"],
        remedy: "List what there is first.";
    REST_INTERNAL = "platform.rest_internal", Error, Platform, "A request failed inside the platform.",
        causes: ["the database refused a read or a write"],
        remedy: "Look at the platform's log just before this event.";
}
