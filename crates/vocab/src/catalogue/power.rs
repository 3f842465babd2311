//! Codes of the area "power": the contactor, the permit, the meter, set-points.

codes! {
    CONTACTOR_CLOSED = "power.contactor_closed", Info, Nobody, "The contactor closed under a valid permit.", causes: [], remedy: "Nothing.";
    CONTACTOR_OPENED = "power.contactor_opened", Info, Nobody, "The contactor opened.", causes: [], remedy: "Nothing.";
    PERMIT_LAPSED = "power.permit_lapsed", Critical, Station, "The power permit was not renewed in time; the contactor was opened.",
        causes: ["the process that holds the session hung or died", "the machine is overloaded"],
        remedy: "Look at the station's log just before this event; the session has to be started again.";
}
