//! Codes of the area "ocpp": the OCPP connection and its messages, on either side.

codes! {
    CONNECTED = "ocpp.connected", Info, Nobody, "A charging station connected to the platform and proved its identity.", causes: [], remedy: "Nothing.";
    DISCONNECTED = "ocpp.disconnected", Notice, Nobody, "The OCPP connection of a charging station ended.", causes: [], remedy: "Nothing if it comes back; otherwise check the station's network.";
    CALLERROR_SECURITY = "ocpp.callerror_security", Error, Station, "An OCPP message was refused for a security reason.",
        causes: ["the station's certificate does not belong to the id it claims", "a message that its security profile does not allow"],
        remedy: "Check which certificate the station presents and which id it connects as.",
        aliases: ["OCPP_CALLERROR_SECURITY_VIOLATION"];
}
