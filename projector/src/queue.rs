//! What is to be looked at: each key waits at most once, and nobody gets a key that somebody works on.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;

/// A queue of keys without doubles.
pub struct Queue<K> {
    inner: Mutex<Inner<K>>,
    waiting: Semaphore,
}

struct Inner<K> {
    order: VecDeque<K>,
    keys: HashMap<K, Place>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Waiting,
    InHand,
    /// In hand, and pushed again since.
    InHandAndDue,
}

impl<K: Copy + Eq + Hash> Queue<K> {
    /// An empty queue.
    pub fn new() -> Self {
        let inner = Inner { order: VecDeque::new(), keys: HashMap::new() };
        Self { inner: Mutex::new(inner), waiting: Semaphore::new(0) }
    }

    /// Asks for the key to be looked at from now on.
    pub fn push(&self, key: K) {
        let mut inner = self.lock();
        match inner.keys.get(&key) {
            None => self.enqueue(&mut inner, key),
            Some(Place::InHand) => {
                inner.keys.insert(key, Place::InHandAndDue);
            }
            Some(Place::Waiting | Place::InHandAndDue) => {}
        }
    }

    /// The key that has waited longest. Whoever gets it says when it is [`done`](Self::done).
    pub async fn next(&self) -> K {
        loop {
            if let Ok(permit) = self.waiting.acquire().await {
                permit.forget();
            }
            let mut inner = self.lock();
            if let Some(key) = inner.order.pop_front() {
                inner.keys.insert(key, Place::InHand);
                return key;
            }
        }
    }

    /// The key is out of hand; `again` puts it at the end, so that the others get their turn.
    pub fn done(&self, key: K, again: bool) {
        let mut inner = self.lock();
        if inner.keys.remove(&key) == Some(Place::InHandAndDue) || again {
            self.enqueue(&mut inner, key);
        }
    }

    fn enqueue(&self, inner: &mut Inner<K>, key: K) {
        inner.keys.insert(key, Place::Waiting);
        inner.order.push_back(key);
        self.waiting.add_permits(1);
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn next(queue: &Queue<u8>) -> Option<u8> {
        queue.next().now_or_never()
    }

    #[test]
    fn a_key_waits_once_and_in_turn() {
        let queue = Queue::new();
        [1, 2, 1].into_iter().for_each(|key| queue.push(key));
        assert_eq!([next(&queue), next(&queue), next(&queue)], [Some(1), Some(2), None]);
    }

    #[test]
    fn a_key_in_hand_is_handed_out_again_only_after_it_is_done() {
        let queue = Queue::new();
        queue.push(1);
        assert_eq!(next(&queue), Some(1));
        queue.push(1);
        assert_eq!(next(&queue), None);
        queue.done(1, false);
        assert_eq!(next(&queue), Some(1));
        queue.done(1, false);
        assert_eq!(next(&queue), None);
    }

    #[test]
    fn a_key_that_wants_more_goes_behind_the_others() {
        let queue = Queue::new();
        [1, 2].into_iter().for_each(|key| queue.push(key));
        assert_eq!(next(&queue), Some(1));
        queue.done(1, true);
        assert_eq!([next(&queue), next(&queue)], [Some(2), Some(1)]);
    }
}
