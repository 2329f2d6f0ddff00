//! Finds endpoints: mDNS and configuration, merged into what appeared, changed and went.
