//! One link's configuration, complete and checked.

use std::path::PathBuf;

use antiphon_avs::session::{Secret, Stack, Timers};

use crate::tokens::TokenTimers;

/// Amazon's three gateways ("About HTTP/2 Connections with AVS").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// North America.
    Na,
    /// Europe.
    Eu,
    /// Asia, "far east".
    Fe,
}

impl Region {
    /// Reads `na`, `eu` or `fe`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "na" => Some(Self::Na),
            "eu" => Some(Self::Eu),
            "fe" => Some(Self::Fe),
            _ => None,
        }
    }

    /// The base URL, of today or as it was before 2019-05-22 (still served).
    pub fn gateway(self, legacy_hosts: bool) -> &'static str {
        match (self, legacy_hosts) {
            (Self::Na, false) => "https://alexa.na.gateway.devices.a2z.com",
            (Self::Eu, false) => "https://alexa.eu.gateway.devices.a2z.com",
            (Self::Fe, false) => "https://alexa.fe.gateway.devices.a2z.com",
            (Self::Na, true) => "https://avs-alexa-na.amazon.com",
            (Self::Eu, true) => "https://avs-alexa-eu.amazon.com",
            (Self::Fe, true) => "https://avs-alexa-fe.amazon.com",
        }
    }
}

/// All that one link needs to be told.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// The gateway to begin with, `https://host[:port]`.
    pub gateway: String,
    /// Base URL of Login with Amazon.
    pub lwa: String,
    /// Where a browser is sent to authorise a speaker.
    pub authorize: String,
    /// Whether to ask whose account a speaker belongs to.
    pub profile: bool,
    /// Language of LWA's page for codes, e.g. `de-DE`.
    pub locale: Option<String>,
    /// Base URL of the Capabilities API.
    pub capabilities: String,
    /// A PEM file with roots trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The LWA client id.
    pub client_id: String,
    /// The LWA client secret; only companion-site tokens need it.
    pub client_secret: Option<Secret>,
    /// The AVS product id.
    pub product_id: String,
    /// The device serial number, unique for each speaker: 1 to 50 alphanumerics.
    pub serial_number: String,
    /// How capabilities are declared.
    pub stack: Stack,
    /// Hosts (with a leading dot: suffixes) to which the cloud may move the device.
    pub allowed_gateways: Vec<String>,
    /// Time limits of the connection.
    pub timers: Timers,
    /// Time limits of the login.
    pub token_timers: TokenTimers,
}
