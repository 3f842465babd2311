//! The Python `ocpp` package as a charge point at our platform.
