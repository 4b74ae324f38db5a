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

    /// Asks for the keys to be looked at from now on. What is pushed at once is there for whoever takes the first.
    pub fn push(&self, keys: impl IntoIterator<Item = K>) {
        let mut inner = self.lock();
        for key in keys {
            match inner.keys.get(&key) {
                None => self.enqueue(&mut inner, key),
                Some(Place::InHand) => {
                    inner.keys.insert(key, Place::InHandAndDue);
                }
                Some(Place::Waiting | Place::InHandAndDue) => {}
            }
        }
    }

    /// The key that has waited longest, and others that `may_join` it, so many in all, in the order in which they have
    /// waited. Whoever gets them says of each when it is [`done`](Self::done).
    pub async fn next(&self, keys_max: usize, may_join: impl Fn(&K, &K) -> bool) -> Vec<K> {
        loop {
            if let Ok(permit) = self.waiting.acquire().await {
                permit.forget();
            }
            let mut inner = self.lock();
            let Some(first) = inner.order.pop_front() else { continue };
            let mut group = vec![first];
            inner.order.retain(|key| {
                let joins = group.len() < keys_max && may_join(&first, key);
                if joins {
                    group.push(*key);
                }
                !joins
            });
            inner.keys.extend(group.iter().map(|key| (*key, Place::InHand)));
            self.waiting.forget_permits(group.len() - 1);
            return group;
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
        queue.next(1, |_, _| true).now_or_never().map(|group| group[0])
    }

    #[test]
    fn a_key_waits_once_and_in_turn() {
        let queue = Queue::new();
        queue.push([1, 2, 1]);
        assert_eq!([next(&queue), next(&queue), next(&queue)], [Some(1), Some(2), None]);
    }

    #[test]
    fn a_key_in_hand_is_handed_out_again_only_after_it_is_done() {
        let queue = Queue::new();
        queue.push([1]);
        assert_eq!(next(&queue), Some(1));
        queue.push([1]);
        assert_eq!(next(&queue), None);
        queue.done(1, false);
        assert_eq!(next(&queue), Some(1));
        queue.done(1, false);
        assert_eq!(next(&queue), None);
    }

    #[test]
    fn a_key_that_wants_more_goes_behind_the_others() {
        let queue = Queue::new();
        queue.push([1, 2]);
        assert_eq!(next(&queue), Some(1));
        queue.done(1, true);
        assert_eq!([next(&queue), next(&queue)], [Some(2), Some(1)]);
    }

    #[test]
    fn keys_are_handed_out_together_with_those_that_may_join_them() {
        let queue = Queue::new();
        queue.push([1, 2, 3, 5, 7, 4]);
        let next = |keys_max| queue.next(keys_max, |first, other| first % 2 == other % 2).now_or_never();
        assert_eq!(next(3), Some(vec![1, 3, 5]));
        assert_eq!(next(3), Some(vec![2, 4]));
        queue.push([3]);
        assert_eq!((next(3), next(3)), (Some(vec![7]), None));
        queue.done(3, false);
        assert_eq!((next(3), next(3)), (Some(vec![3]), None));
    }
}
