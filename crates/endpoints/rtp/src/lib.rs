//! RTP and AES67: the hub sends, whoever listens hears.
