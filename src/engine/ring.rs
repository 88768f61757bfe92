//! The way between two threads: a bounded ring for one writer and one reader, and a flag that says whether the reader sleeps.
//!
//! A reader that is awake is never rung, so under load an exchange costs neither a lock nor a system call nor an allocation.

use atomic_waker::AtomicWaker;
use rtrb::{Consumer, Producer, RingBuffer};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::Waker;

/// A sleeper's bell. Several writers may ring it.
#[derive(Default)]
pub struct Bell {
    sleeping: AtomicBool,
    waker: AtomicWaker,
}

impl Bell {
    /// Wakes the reader if it sleeps.
    #[inline]
    pub fn ring(&self) {
        // The writer's "there is something" must be visible before it looks whether the reader sleeps, and the reader's
        // "I sleep" before it looks for the last time: each side has a full fence between the two.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// The reader is about to sleep; it must look at its rings once more after this, and `stay_awake` if there is something.
    pub fn about_to_sleep(&self, waker: &Waker) {
        self.waker.register(waker);
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The reader does not sleep after all.
    pub fn stay_awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }
}

/// The writing end.
pub struct Sender<T> {
    ring: RefCell<Producer<T>>,
    /// What did not fit; it goes first as soon as there is room.
    overflow: RefCell<VecDeque<T>>,
    bell: Arc<Bell>,
}

/// The reading end.
pub struct Receiver<T>(RefCell<Consumer<T>>);

/// A way of `capacity` places to the reader who owns `bell`.
pub fn channel<T>(capacity: usize, bell: Arc<Bell>) -> (Sender<T>, Receiver<T>) {
    let (producer, consumer) = RingBuffer::new(capacity);
    (Sender { ring: RefCell::new(producer), overflow: RefCell::default(), bell }, Receiver(RefCell::new(consumer)))
}

impl<T> Sender<T> {
    /// Sends and rings.
    #[inline]
    pub fn send(&self, item: T) {
        self.push(item);
        self.bell.ring();
    }

    /// Sends without ringing; `ring` must follow.
    #[inline]
    pub fn push(&self, item: T) {
        let mut overflow = self.overflow.borrow_mut();
        let mut ring = self.ring.borrow_mut();
        while let Some(waiting) = overflow.pop_front() {
            if let Err(rtrb::PushError::Full(waiting)) = ring.push(waiting) {
                overflow.push_front(waiting);
                overflow.push_back(item);
                return;
            }
        }
        if let Err(rtrb::PushError::Full(item)) = ring.push(item) {
            overflow.push_back(item);
        }
    }

    /// Wakes the reader if it sleeps.
    #[inline]
    pub fn ring(&self) {
        self.bell.ring();
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // The reader is to see that nobody writes any more: the writing end goes first, or a reader that is quick looks too
        // early and sleeps for ever.
        drop(self.ring.replace(RingBuffer::new(1).0));
        self.bell.ring();
    }
}

impl<T> Receiver<T> {
    /// The next item, if there is one.
    #[inline]
    pub fn receive(&self) -> Option<T> {
        self.0.borrow_mut().pop().ok()
    }

    /// True if the writer is gone for good.
    pub fn is_abandoned(&self) -> bool {
        self.0.borrow().is_abandoned()
    }

    /// True if nothing is there now.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_arrives_in_order_even_when_the_ring_is_full() {
        let bell = Arc::new(Bell::default());
        let (sender, receiver) = channel(4, bell);
        for i in 0..3 {
            sender.send(i);
        }
        let mut seen = Vec::new();
        seen.extend(receiver.receive());
        for i in 3..20 {
            sender.send(i);
        }
        let mut next = 20;
        while seen.len() < 20 {
            while let Some(item) = receiver.receive() {
                seen.push(item);
            }
            sender.send(next);
            next += 1;
        }
        assert!(seen.windows(2).all(|w| w[0] + 1 == w[1]));
    }

    #[test]
    fn a_sleeping_reader_is_woken_once() {
        let bell = Bell::default();
        bell.ring();
        bell.about_to_sleep(Waker::noop());
        bell.ring();
        assert!(!bell.sleeping.load(Ordering::Relaxed));
    }
}
