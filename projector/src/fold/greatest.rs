use super::Stamp;

/// The value that came with the greatest key.
#[derive(Clone, Debug)]
pub struct Greatest<K, V>(Option<(K, V)>);

/// The value of the latest event: last writer wins.
pub type Latest<V> = Greatest<Stamp, V>;

impl<K, V> Default for Greatest<K, V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: Ord, V> Greatest<K, V> {
    /// Takes the value if its key is greater than any before.
    pub fn offer(&mut self, key: K, value: V) {
        if self.0.as_ref().is_none_or(|(greatest, _)| key > *greatest) {
            self.0 = Some((key, value));
        }
    }

    /// [`offer`](Self::offer) for a field that may be absent: an absent value replaces nothing.
    pub fn offer_some(&mut self, key: K, value: Option<V>) {
        if let Some(value) = value {
            self.offer(key, value);
        }
    }

    /// The value, if there has been any.
    pub fn get(&self) -> Option<&V> {
        self.0.as_ref().map(|(_, value)| value)
    }

    /// The key that it came with.
    pub fn key(&self) -> Option<&K> {
        self.0.as_ref().map(|(key, _)| key)
    }
}
