//! Our car charges at Josev's station.
