//! Codes of the area "cable": control pilot, SLAC matching, SDP discovery, the TCP port of the station.

codes! {
    PLUGGED_IN = "cable.plugged_in", Info, Nobody, "A vehicle was plugged in.", causes: [], remedy: "Nothing.";
    UNPLUGGED = "cable.unplugged", Info, Nobody, "The vehicle was unplugged.", causes: [], remedy: "Nothing.";
    SLAC_MATCHED = "slac.matched", Info, Nobody, "SLAC matching found the station at the other end of this cable.", causes: [], remedy: "Nothing.";
    SLAC_MATCH_TIMEOUT = "slac.match_timeout", Warning, Vehicle, "SLAC matching did not finish in time.",
        causes: ["the vehicle stopped answering", "strong disturbance on the power line", "a vehicle without high-level communication"],
        remedy: "Unplug and plug in again; if it recurs with one vehicle, record the link and compare the SLAC timing.",
        aliases: ["Match Timeout"];
    SDP_ANSWERED = "sdp.answered", Info, Nobody, "A discovery request was answered with the address of the station.", causes: [], remedy: "Nothing.";
    SDP_BAD_FIELD = "sdp.bad_field", Warning, Vehicle, "A discovery request carried a field the standard does not know; it was not answered.",
        causes: ["a scanner on the link", "a defective vehicle", "transport UDP requested, which ISO 15118 does not have"],
        remedy: "If a real vehicle sends it, report the bytes to its maker; otherwise treat the link as hostile.";
    SDP_NO_TLS_REFUSED = "sdp.no_tls_refused", Warning, Vehicle, "A vehicle asked for a connection without TLS, which this station's policy forbids.",
        causes: ["the vehicle has no TLS", "somebody tries to downgrade the connection"],
        remedy: "Allow plain EIM sessions in the station's policy (`allow-plaintext-eim`) if such vehicles must charge here; Plug & Charge stays impossible without TLS.";
    SDP_RATE_LIMITED = "sdp.rate_limited", Warning, Vehicle, "Too many discovery requests; further ones are ignored for a while.",
        causes: ["a vehicle in a retry loop", "a flood meant to keep others from being served"],
        remedy: "Nothing for a single vehicle; if it persists, unplug it and look at the capture.";
}
