//! Codes of the area "host": the process itself: start, stop, configuration, disk.

codes! {
    STARTED = "host.started", Info, Nobody, "A role of this process is up.", causes: [], remedy: "Nothing.";
    STOPPING = "host.stopping", Info, Nobody, "The process was asked to stop and is stopping in order.", causes: [], remedy: "Nothing.";
    LOG_WRITE_FAILED = "host.log_write_failed", Critical, Operator, "The security log could not be written.",
        causes: ["the disk is full", "the folder is not writable"],
        remedy: "Free space or fix the permissions of the data folder; events since then are on the console only.";
}
