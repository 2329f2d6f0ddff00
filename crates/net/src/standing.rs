//! Tasks that would never end by themselves: they end with their owner.

use std::sync::{Mutex, PoisonError};

use tokio::task::{AbortHandle, JoinHandle};

/// Such tasks; dropping this ends them. Without it a hub that ends would wait for its open doors.
#[derive(Debug, Default)]
pub struct Standing(Mutex<Vec<AbortHandle>>);

impl Standing {
    /// One more.
    pub fn add(&self, task: &JoinHandle<()>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(task.abort_handle());
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        for task in self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}
