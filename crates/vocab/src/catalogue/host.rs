//! Codes of the area "host": the process itself: start, stop, configuration, disk.

codes! {
    STARTED = "host.started", Info, Nobody, "A role of this process is up.", causes: [], remedy: "Nothing.";
    STOPPING = "host.stopping", Info, Nobody, "The process was asked to stop and is stopping in order.", causes: [], remedy: "Nothing.";
    STATION_PROCESS_UP = "host.station_process_up", Info, Nobody, "The process of a station is up, under its memory limit.", causes: [], remedy: "Nothing.";
    STATION_PROCESS_ENDED = "host.station_process_ended", Critical, Operator, "The process of a station ended without being asked; its contactors are open and it is started again.",
        causes: ["it reached its memory limit (signal 6)", "somebody or the system's out-of-memory killer ended it (signal 9)", "a defect"],
        remedy: "Read the events of that station just before; a repetition with one vehicle is an attack or a defect, report it with the capture.";
    STATION_PROCESS_REFUSED = "host.station_process_refused", Critical, Operator, "What the process of a station said is no event and was not believed; the process was ended.",
        causes: ["a defect", "the process was taken over through its charging cable"],
        remedy: "Treat the station as compromised until its capture and log have been read.";
    LOG_WRITE_FAILED = "host.log_write_failed", Critical, Operator, "The security log could not be written.",
        causes: ["the disk is full", "the folder is not writable"],
        remedy: "Free space or fix the permissions of the data folder; events since then are on the console only.";
}
