//! What can be set about rendering.

use std::time::Duration;

/// Times and names of the renderer. The defaults suit a Raspberry Pi as well as a big machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderConfig {
    /// How often the render thread looks what is to be handed out; about a block.
    pub tick: Duration,
    /// How much earlier than an endpoint's lead blocks are handed out: what a late wake-up of the thread may cost.
    pub margin: Duration,
    /// How much of a feed must be decoded before its first frame gets a due time.
    pub prebuffer: Duration,
    /// How much must be decoded again before a stalled feed goes on.
    pub recover: Duration,
    /// How long a source may give nothing at its beginning before it has failed; in mid-stream it may take three times
    /// as long.
    pub source_timeout: Duration,
    /// What HTTP servers are told we are.
    pub user_agent: String,
}

impl Default for RenderConfig {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(8),
            margin: Duration::from_millis(20),
            prebuffer: Duration::from_millis(200),
            recover: Duration::from_millis(500),
            source_timeout: Duration::from_secs(10),
            user_agent: concat!("antiphon/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}
