//! What is to be looked at: each key waits at most once, and nobody gets a key that somebody works on.
//!
//! Keys that have little to do share a step, and one such group is in hand at a time: what comes meanwhile shares the next
//! one, so that groups grow with the load instead of getting in each other's way. One that takes long does not hold up the
//! others. A key that has much to do is alone, and as many of them are in hand as there are workers.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::timeout};

/// How long a group may be the only one that shares a step.
const TURN_MAX: Duration = Duration::from_millis(500);

/// A queue of keys without doubles.
pub struct Queue<K> {
    inner: Mutex<Inner<K>>,
    changed: Notify,
}

struct Inner<K> {
    order: VecDeque<K>,
    keys: HashMap<K, Place>,
    /// The group that shares a step, by its number, and since when it is in hand.
    sharing: Option<(u64, Instant)>,
    /// How many groups have shared a step.
    groups: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Waiting,
    InHand,
    /// In hand, and pushed again since.
    InHandAndDue,
}

/// Keys for one step; whoever gets them says of each when it is [`done`](Queue::done).
pub struct Group<'q, K> {
    keys: Vec<K>,
    /// Where the next group may share a step once this one is dropped, and its number there.
    shared_in: Option<(&'q Queue<K>, u64)>,
}

impl<K> Group<'_, K> {
    /// The keys, in the order in which they have waited.
    pub fn keys(&self) -> &[K] {
        &self.keys
    }
}

impl<K> Drop for Group<'_, K> {
    fn drop(&mut self) {
        if let Some((queue, number)) = self.shared_in {
            // Of one that took long, the next has the turn already.
            queue.lock().sharing.take_if(|(sharing, _)| *sharing == number);
            queue.changed.notify_waiters();
        }
    }
}

impl<K> Queue<K> {
    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash> Queue<K> {
    /// An empty queue.
    pub fn new() -> Self {
        let inner = Inner { order: VecDeque::new(), keys: HashMap::new(), sharing: None, groups: 0 };
        Self { inner: Mutex::new(inner), changed: Notify::new() }
    }

    /// Asks for the keys to be looked at from now on. What is pushed at once is there for whoever takes the first.
    pub fn push(&self, keys: impl IntoIterator<Item = K>) {
        let mut inner = self.lock();
        for key in keys {
            match inner.keys.get(&key) {
                None => inner.enqueue(key),
                Some(Place::InHand) => {
                    inner.keys.insert(key, Place::InHandAndDue);
                }
                Some(Place::Waiting | Place::InHandAndDue) => {}
            }
        }
        self.changed.notify_waiters();
    }

    /// The key that has waited longest, with others that are like it, so many in all. What is alone comes alone.
    pub async fn next(
        &self,
        keys_max: usize,
        is_alone: impl Fn(&K) -> bool,
        are_alike: impl Fn(&K, &K) -> bool,
    ) -> Group<'_, K> {
        let mut changed = pin!(self.changed.notified());
        loop {
            // From here on no change is missed.
            changed.as_mut().enable();
            if let Some((keys, number)) = self.lock().take(keys_max, &is_alone, &are_alike) {
                return Group { keys, shared_in: number.map(|number| (self, number)) };
            }
            // Nobody says that a group takes long.
            let _ = timeout(TURN_MAX, changed.as_mut()).await;
            changed.set(self.changed.notified());
        }
    }

    /// The key is out of hand; `again` puts it at the end, so that the others get their turn.
    pub fn done(&self, key: K, again: bool) {
        let mut inner = self.lock();
        if inner.keys.remove(&key) == Some(Place::InHandAndDue) || again {
            inner.enqueue(key);
            self.changed.notify_waiters();
        }
    }
}

impl<K: Copy + Eq + Hash> Inner<K> {
    fn enqueue(&mut self, key: K) {
        self.keys.insert(key, Place::Waiting);
        self.order.push_back(key);
    }

    /// What comes next, if anything may, and the number of the group if it shares a step.
    fn take(
        &mut self,
        keys_max: usize,
        is_alone: impl Fn(&K) -> bool,
        are_alike: impl Fn(&K, &K) -> bool,
    ) -> Option<(Vec<K>, Option<u64>)> {
        let may_share = self.sharing.is_none_or(|(_, since)| since.elapsed() > TURN_MAX);
        let place = self.order.iter().position(|key| may_share || is_alone(key))?;
        let first = self.order.remove(place)?;
        let (mut keys, is_shared) = (vec![first], !is_alone(&first));
        if is_shared {
            self.groups += 1;
            self.sharing = Some((self.groups, Instant::now()));
            self.order.retain(|key| {
                let joins = keys.len() < keys_max && are_alike(&first, key) && !is_alone(key);
                if joins {
                    keys.push(*key);
                }
                !joins
            });
        }
        self.keys.extend(keys.iter().map(|key| (*key, Place::InHand)));
        Some((keys, is_shared.then_some(self.groups)))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const NOBODY: fn(&u8) -> bool = |_| false;
    const EVERYBODY: fn(&u8) -> bool = |_| true;

    fn next(queue: &Queue<u8>) -> Option<u8> {
        queue.next(1, EVERYBODY, |_, _| true).now_or_never().map(|group| group.keys()[0])
    }

    #[tokio::test]
    async fn a_key_waits_once_and_in_turn() {
        let queue = Queue::new();
        queue.push([1, 2, 1]);
        assert_eq!([next(&queue), next(&queue), next(&queue)], [Some(1), Some(2), None]);
    }

    #[tokio::test]
    async fn a_key_in_hand_is_handed_out_again_only_after_it_is_done() {
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

    #[tokio::test]
    async fn a_key_that_wants_more_goes_behind_the_others() {
        let queue = Queue::new();
        queue.push([1, 2]);
        assert_eq!(next(&queue), Some(1));
        queue.done(1, true);
        assert_eq!([next(&queue), next(&queue)], [Some(2), Some(1)]);
    }

    #[tokio::test]
    async fn keys_are_handed_out_together_with_those_that_are_alike() {
        let queue = Queue::new();
        queue.push([1, 2, 3, 5, 7, 4]);
        let next = || {
            let group = queue.next(3, NOBODY, |first, other| first % 2 == other % 2).now_or_never()?;
            Some(group.keys().to_vec())
        };
        assert_eq!(next(), Some(vec![1, 3, 5]));
        assert_eq!(next(), Some(vec![2, 4]));
        queue.push([3]);
        assert_eq!((next(), next()), (Some(vec![7]), None));
        queue.done(3, false);
        assert_eq!((next(), next()), (Some(vec![3]), None));
    }

    #[tokio::test]
    async fn one_group_is_in_hand_at_a_time_and_whoever_is_alone_beside_it() {
        let queue = Queue::new();
        queue.push([1, 2, 9]);
        let next = |keys_max| queue.next(keys_max, |key| *key == 9, |_, _| true).now_or_never();
        let group = next(1).unwrap();
        assert_eq!(group.keys(), [1]);
        assert_eq!(next(5).unwrap().keys(), [9], "2 waits for the group to be over");
        assert!(next(5).is_none());
        queue.push([3]);
        drop(group);
        assert_eq!(next(5).unwrap().keys(), [2, 3]);
    }

    #[tokio::test]
    async fn a_group_that_takes_long_does_not_hold_up_the_next_one() {
        let queue = Queue::new();
        queue.push([1, 2]);
        let next = || queue.next(1, NOBODY, |_, _| true).now_or_never();
        let slow = next().unwrap();
        assert!(next().is_none());
        queue.lock().sharing = Instant::now().checked_sub(2 * TURN_MAX).map(|since| (1, since));
        let other = next().unwrap();
        assert_eq!(other.keys(), [2]);
        queue.push([3]);
        drop(slow);
        assert!(next().is_none(), "it is the other's turn");
        drop(other);
        assert_eq!(next().unwrap().keys(), [3]);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_what_comes_and_by_the_end_of_a_group() {
        let queue = std::sync::Arc::new(Queue::new());
        let taker = |queue: std::sync::Arc<Queue<u8>>| {
            tokio::spawn(async move { queue.next(1, NOBODY, |_, _| true).await.keys().to_vec() })
        };
        let first = taker(queue.clone());
        tokio::task::yield_now().await;
        queue.push([1]);
        assert_eq!(first.await.unwrap(), [1]);
        queue.push([2, 3]);
        let group = queue.next(1, NOBODY, |_, _| true).await;
        let second = taker(queue.clone());
        tokio::task::yield_now().await;
        drop(group);
        assert_eq!(second.await.unwrap(), [3]);
    }
}
