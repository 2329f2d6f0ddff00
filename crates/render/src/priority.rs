//! Lets the render thread go before others, where the system permits it.
//!
//! A tick costs well under a millisecond, but on a busy machine an ordinary thread may wait for tens of them: more than
//! the lead of an endpoint on this machine. Permission comes with root or `LimitRTPRIO=` in the service unit.

use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tracing::debug;

/// Low among real-time priorities: before everything ordinary, behind the kernel's and the sound server's threads.
const PRIORITY: u8 = 5;

/// Raises the calling thread. Without permission it goes on as it is.
pub(crate) fn raise() {
    let Ok(priority) = ThreadPriorityValue::try_from(PRIORITY) else { return };
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    let raised =
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(priority), policy);
    if let Err(e) = raised {
        debug!(error = ?e, "the render thread has no real-time priority");
    }
}
