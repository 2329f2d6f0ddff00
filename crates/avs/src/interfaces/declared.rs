//! Interfaces which a device declares and the session serves: it acts on their messages before they get here.

use super::{Handling, Interface, Known, Turn};
use crate::exception::Refusal;
use crate::message::Directive;

/// An interface without a part in the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declared {
    namespace: &'static str,
    version: &'static str,
    directives: &'static [Known],
}

/// Answers to capability reports.
pub(super) const ALEXA: Declared =
    Declared { namespace: "Alexa", version: "3", directives: &[Known::on_arrival("EventProcessed")] };

/// Moves to another gateway.
pub(super) const API_GATEWAY: Declared = Declared {
    namespace: "Alexa.ApiGateway",
    version: "1.0",
    directives: &[Known::on_arrival("SetGateway")],
};

impl Interface for Declared {
    fn namespace(&self) -> &'static str {
        self.namespace
    }

    fn version(&self) -> &'static str {
        self.version
    }

    fn directives(&self) -> &'static [Known] {
        self.directives
    }

    fn on_directive(&mut self, _directive: &Directive, _turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        Ok(Handling::Done)
    }
}
