//! Josev's car charges at our station.
