//! Codes of the area "power": the contactor, the permit, the meter, set-points.

codes! {
    CONTACTOR_CLOSED = "power.contactor_closed", Info, Nobody, "The contactor closed under a valid permit.", causes: [], remedy: "Nothing.";
    CONTACTOR_OPENED = "power.contactor_opened", Info, Nobody, "The contactor opened.", causes: [], remedy: "Nothing.";
    PERMIT_LAPSED = "power.permit_lapsed", Critical, Station, "The power permit was not renewed in time; the contactor was opened.",
        causes: ["the process that holds the session hung or died", "the machine is overloaded"],
        remedy: "Look at the station's log just before this event; the session has to be started again.";
    CONTACTOR_FAILED = "power.contactor_failed", Error, Station, "The contactor did not close in time after the vehicle asked for energy.",
        causes: ["the control pilot never reached state C or D", "the permit was withheld", "the contactor is defective"],
        remedy: "The event names the missing condition.",
        aliases: ["FAILED_ContactorError"];
    ISOLATION_FAULT = "power.isolation_fault", Critical, Station, "The isolation test before charging failed.",
        causes: ["damp or damaged cable or inlet", "an insulation fault in the vehicle"],
        remedy: "Take the outlet out of service and measure the insulation.";
    PERMIT_REVOKED = "power.permit_revoked", Warning, Station, "A condition for power no longer held; the contactor was opened.",
        causes: ["the control pilot left state C or D", "the authorisation was withdrawn", "a limit was exceeded"],
        remedy: "The event names the condition.";
    SETPOINT_CHANGED = "power.setpoint_changed", Info, Nobody, "The platform gave an EVSE a new set-point.", causes: [], remedy: "Nothing.";
}
