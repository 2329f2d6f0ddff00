//! An AVS of our own on loopback, for tests, demos and people without an account.
