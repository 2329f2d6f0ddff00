//! Snapcast: the hub is the server, a client that says hello is a speaker.
