//! The device machine against directives, signals and a virtual clock. Every event it sends in any of these tests is
//! checked against the message catalogue.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod alerts;
mod alerts_ending;
mod alerts_restart;
mod alerts_sounding;
mod alerts_support;
mod audio_player;
mod audio_queue;
mod bluetooth;
mod catalogue;
mod conformance;
mod dialogs;
mod equalizer;
mod estate;
mod inputs;
mod notifications;
mod outbox;
mod payloads;
mod remote;
mod scenarios;
mod speaker;
mod speech_recognizer;
mod speech_synthesizer;
mod speech_walks;
mod support;
mod system;
mod template_runtime;
mod trackers;
mod walks;
