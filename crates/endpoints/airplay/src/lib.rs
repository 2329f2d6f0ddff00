//! AirPlay (RAOP) endpoints: a sender of our own.
