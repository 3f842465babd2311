//! Codes of the area "cable": control pilot, SLAC matching, SDP discovery, the TCP port of the station.

codes! {
    PLUGGED_IN = "cable.plugged_in", Info, Nobody, "A vehicle was plugged in.", causes: [], remedy: "Nothing.";
    UNPLUGGED = "cable.unplugged", Info, Nobody, "The vehicle was unplugged.", causes: [], remedy: "Nothing.";
    REMOTE_START_EXPIRED = "cable.remote_start_expired", Notice, Nobody, "A start ordered by the platform found no vehicle in time and was given up.",
        causes: ["nobody plugged in", "the vehicle plugged in and did not ask for an external identification", "the order named another EVSE"],
        remedy: "Start again once the vehicle is plugged in; the waiting time is the station's EVConnectionTimeOut.";
    SLAC_MATCHED = "slac.matched", Info, Nobody, "SLAC matching found the station at the other end of this cable.", causes: [], remedy: "Nothing.";
    SLAC_MATCH_TIMEOUT = "slac.match_timeout", Warning, Vehicle, "SLAC matching did not finish in time.",
        causes: ["the vehicle stopped answering", "strong disturbance on the power line", "a vehicle without high-level communication"],
        remedy: "Unplug and plug in again; if it recurs with one vehicle, record the link and compare the SLAC timing.",
        aliases: ["Match Timeout"];
    NO_INTERFACE = "cable.no_interface", Warning, Operator, "The network interface that was named cannot be used.",
        causes: ["a misspelt name", "the interface is down and has no IPv6 address", "IPv6 is switched off"],
        remedy: "List the interfaces with `ip -6 addr` and name one that has a link-local address.";
    SDP_ANSWERED = "sdp.answered", Info, Nobody, "A discovery request was answered with the address of the station.", causes: [], remedy: "Nothing.";
    SDP_BAD_FIELD = "sdp.bad_field", Warning, Vehicle, "A discovery request carried a field the standard does not know; it was not answered.",
        causes: ["a scanner on the link", "a defective vehicle", "transport UDP requested, which ISO 15118 does not have"],
        remedy: "If a real vehicle sends it, report the bytes to its maker; otherwise treat the link as hostile.";
    SDP_NO_TLS_REFUSED = "sdp.no_tls_refused", Warning, Vehicle, "A vehicle asked for a connection without TLS, which this station's policy forbids.",
        causes: ["the vehicle has no TLS", "somebody tries to downgrade the connection"],
        remedy: "Allow plain EIM sessions in the station's policy (`gridlatch up --allow-plaintext`) if such vehicles must charge here; Plug & Charge stays impossible without TLS.";
    SDP_RATE_LIMITED = "sdp.rate_limited", Warning, Vehicle, "Too many discovery requests; further ones are ignored for a while.",
        causes: ["a vehicle in a retry loop", "a flood meant to keep others from being served"],
        remedy: "Nothing for a single vehicle; if it persists, unplug it and look at the capture.";
    SLAC_FAILED = "slac.failed", Warning, Vehicle, "SLAC matching ended without a match.",
        causes: ["the vehicle chose another station", "no attenuation was measured", "frames out of order, as in an attempt to get the network key without being measured"],
        remedy: "Unplug and plug in again; the event says which step failed.";
    SDP_MALFORMED = "sdp.malformed", Warning, Vehicle, "A datagram on the discovery port is no discovery request; it was dropped.",
        causes: ["a scanner on the link", "a defective vehicle", "a length that does not match the datagram"],
        remedy: "Nothing if it stays rare; otherwise record the link and treat it as hostile.";
    SECOND_CONNECTION_REFUSED = "cable.second_connection_refused", Warning, Network, "A second connection to an EVSE was refused; the running session was not touched.",
        causes: ["a foreign device on the power line network of this outlet", "a vehicle that reconnects without closing its first connection"],
        remedy: "If it was not the vehicle itself, treat the link as hostile.";
    STATION_INOPERATIVE = "station.inoperative", Critical, Operator, "The station refuses to charge because it cannot offer TLS as its policy demands.",
        causes: ["the certificate or key of the station is missing, expired or unreadable", "the certificate and the key do not belong together"],
        remedy: "Install a valid certificate for the station; it never falls back to a connection without TLS.";
    HOMEPLUG_BAD_FRAME = "slac.bad_frame", Warning, Vehicle, "A HomePlug management frame was short or contradicts ISO 15118-3; it was ignored.",
        causes: ["a defective modem", "a hostile frame on the power line", "a HomePlug version this program does not know"],
        remedy: "Record the link; if a real modem sends it, report the bytes to its maker.";
    SLAC_NO_MATCH = "slac.no_match", Warning, Network, "The vehicle found no charging station on the cable.",
        causes: ["the cable is not plugged in", "the station is switched off or already matched", "the measured attenuation is too high: another cable's station answered"],
        remedy: "Unplug and plug in again; look at the station's state.";
    SDP_NO_ANSWER = "sdp.no_answer", Warning, Station, "No station answered the vehicle's discovery requests.",
        causes: ["the station demands TLS and the vehicle asked for none, or the other way round", "the station is not running", "the wrong network interface"],
        remedy: "Check that the station runs, that the interface is right, and whether its policy allows the kind of connection that was asked for.";
    SDP_ANSWER_REFUSED = "sdp.answer_refused", Warning, Station, "An answer to discovery was not usable; the vehicle ignored it.",
        causes: ["a defective station", "somebody else on the link answers discovery"],
        remedy: "Record the link and look at who answered.";
    SDP_DOWNGRADE_REFUSED = "sdp.downgrade_refused", Error, Station, "The station offered a connection without TLS to a vehicle that demands TLS; the vehicle refused.",
        causes: ["the station has no TLS or could not load its key", "somebody tries to downgrade the connection"],
        remedy: "Look at the station's certificates; without TLS only external identification in ISO 15118-2 is possible.";
    PORT_REFUSED = "cable.port_refused", Error, Station, "The station's TCP port could not be connected to.",
        causes: ["another vehicle is connected", "the station stopped after answering discovery", "a firewall"],
        remedy: "Unplug, wait a few seconds and plug in again.";
    OUTLET_BUSY = "cable.outlet_busy", Warning, Operator, "The outlet is not there or another vehicle is plugged into it.",
        causes: ["another simulated vehicle is still plugged in", "the station is not running"],
        remedy: "Unplug the other vehicle, or choose another EVSE.";
}
