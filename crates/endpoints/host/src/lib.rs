//! Endpoints on this machine: virtual speakers and the sound card.
