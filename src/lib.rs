//! Antiphon: a multi-room audio hub.
