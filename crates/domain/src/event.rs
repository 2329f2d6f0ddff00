//! What can have happened in the hub, told to surfaces.
