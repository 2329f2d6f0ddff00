//! Alexa Voice Service v20160207 as machines without I/O.
