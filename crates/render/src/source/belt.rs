//! The belt on which decoded sound comes to the render thread: bounded, in order, from any number of threads to one.
//!
//! The render thread never waits here, not even for the moment in which somebody else puts a piece down: it goes before
//! other threads, so that one it waited for might never get a processor. What it cannot have now it has a tick later.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SendError, TryRecvError, TrySendError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// How often one that waits for room looks whether anybody is left to make it.
const LOOK: Duration = Duration::from_millis(500);

/// Both ends of a belt with room for so many pieces.
pub(crate) fn belt<T>(room: usize) -> (Giver<T>, Taker<T>) {
    let state = State { pieces: VecDeque::with_capacity(room), waiting: 0, over: false };
    let (state, gone) = (Mutex::new(state), AtomicBool::new(false));
    let belt = Arc::new(Belt { room: room.max(1), state, taken: Condvar::new(), gone });
    (Giver(Arc::new(Last(Arc::clone(&belt)))), Taker(belt))
}

struct Belt<T> {
    room: usize,
    state: Mutex<State<T>>,
    taken: Condvar,
    /// The taker has gone.
    gone: AtomicBool,
}

struct State<T> {
    pieces: VecDeque<T>,
    /// How many wait for room.
    waiting: usize,
    /// No giver is left.
    over: bool,
}

impl<T> Belt<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_abandoned(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }
}

/// Where pieces are put down.
pub(crate) struct Giver<T>(Arc<Last<T>>);

impl<T> Clone for Giver<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Ends with the last giver.
struct Last<T>(Arc<Belt<T>>);

impl<T> Drop for Last<T> {
    fn drop(&mut self) {
        self.0.lock().over = true;
    }
}

impl<T> Giver<T> {
    /// Puts a piece down, waiting for room; gives it back when nobody will take it.
    pub(crate) fn send(&self, piece: T) -> Result<(), SendError<T>> {
        let belt = &self.0.0;
        let mut state = belt.lock();
        while state.pieces.len() >= belt.room && !belt.is_abandoned() {
            state.waiting += 1;
            // The taker goes without waiting for us: its farewell may come between our look and our sleep.
            (state, _) = belt.taken.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        if belt.is_abandoned() {
            return Err(SendError(piece));
        }
        state.pieces.push_back(piece);
        Ok(())
    }

    /// The same where there is room at once.
    pub(crate) fn try_send(&self, piece: T) -> Result<(), TrySendError<T>> {
        let belt = &self.0.0;
        let mut state = belt.lock();
        if belt.is_abandoned() {
            return Err(TrySendError::Disconnected(piece));
        }
        if state.pieces.len() >= belt.room {
            return Err(TrySendError::Full(piece));
        }
        state.pieces.push_back(piece);
        Ok(())
    }
}

/// Where they are taken.
pub(crate) struct Taker<T>(Arc<Belt<T>>);

impl<T> Taker<T> {
    /// The next piece, if it can be had without waiting for anybody.
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut state = match self.0.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::WouldBlock) => return Err(TryRecvError::Empty),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        };
        let Some(piece) = state.pieces.pop_front() else {
            return Err(if state.over { TryRecvError::Disconnected } else { TryRecvError::Empty });
        };
        let waited_for = state.waiting > 0;
        drop(state);
        if waited_for {
            self.0.taken.notify_one();
        }
        Ok(piece)
    }
}

impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        // What is left goes with the last giver.
        self.0.gone.store(true, Ordering::Release);
        self.0.taken.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_is_put_down_is_taken_in_order_and_the_end_comes_last() {
        let (giver, taker) = belt(4);
        let other = giver.clone();
        let given = thread::spawn(move || (0..10_000).all(|piece| other.send(piece).is_ok()));
        let mut next = 0;
        while next < 10_000 {
            match taker.try_recv() {
                Ok(piece) => {
                    assert_eq!(piece, next);
                    next += 1;
                }
                Err(TryRecvError::Empty) => thread::yield_now(),
                Err(TryRecvError::Disconnected) => panic!("a giver is left"),
            }
        }
        assert!(given.join().unwrap());
        assert!((0..4).all(|piece| giver.try_send(piece).is_ok()));
        assert!(matches!(giver.try_send(4), Err(TrySendError::Full(4))));
        drop(giver);
        assert_eq!((0..4).map(|_| taker.try_recv().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(taker.try_recv(), Err(TryRecvError::Disconnected));
    }

    #[test]
    fn one_that_waits_for_room_is_told_when_nobody_will_take_it() {
        let (giver, taker) = belt(1);
        assert!(giver.send(1).is_ok());
        let waits = thread::spawn(move || giver.send(2).is_err());
        while taker.0.lock().waiting == 0 {
            thread::yield_now();
        }
        drop(taker);
        assert!(waits.join().unwrap());
    }

    #[test]
    fn the_taker_never_waits_for_a_giver() {
        let (giver, taker) = belt(4);
        assert!(giver.send(1).is_ok());
        let held = giver.0.0.lock();
        assert_eq!(taker.try_recv(), Err(TryRecvError::Empty), "somebody is just putting a piece down");
        drop(held);
        assert_eq!(taker.try_recv(), Ok(1));
    }
}
