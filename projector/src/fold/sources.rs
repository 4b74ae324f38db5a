use std::collections::BTreeMap;

/// How many events about one subject each source has sent, and how many it says it has.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    counts: BTreeMap<Box<str>, Count>,
    weight: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    events: u64,
    sequence_max: u64,
}

impl Sources {
    /// Counts one event. `sequence` is the emitter's own count, where it keeps one.
    pub fn count(&mut self, source: &str, sequence: Option<u64>) {
        if !self.counts.contains_key(source) {
            self.counts.insert(source.into(), Count::default());
            self.weight += source.len() + 64;
        }
        if let Some(count) = self.counts.get_mut(source) {
            count.events += 1;
            count.sequence_max = count.sequence_max.max(sequence.unwrap_or(0));
        }
    }

    /// Whether a source has sent more events than have arrived.
    pub fn events_missing(&self) -> bool {
        self.counts.values().any(|count| count.sequence_max > count.events)
    }

    /// About how many bytes of memory this holds beside its own size.
    pub fn weight(&self) -> usize {
        self.weight
    }
}
