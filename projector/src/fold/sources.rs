use std::collections::BTreeMap;

/// How many events about one subject each source has sent, and how many it says it has.
#[derive(Clone, Debug, Default)]
pub struct Sources(BTreeMap<Box<str>, Count>);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    events: u64,
    sequence_max: u64,
}

impl Sources {
    /// Counts one event. `sequence` is the emitter's own count, where it keeps one.
    pub fn count(&mut self, source: &str, sequence: Option<u64>) {
        if !self.0.contains_key(source) {
            self.0.insert(source.into(), Count::default());
        }
        if let Some(count) = self.0.get_mut(source) {
            count.events += 1;
            count.sequence_max = count.sequence_max.max(sequence.unwrap_or(0));
        }
    }

    /// Whether a source has sent more events than have arrived.
    pub fn events_missing(&self) -> bool {
        self.0.values().any(|count| count.sequence_max > count.events)
    }
}
