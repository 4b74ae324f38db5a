use std::collections::HashMap;

/// How many parts of a subject, such as the steps of a run, have each number; kept up to date so that nobody
/// needs to walk all of them.
#[derive(Debug, Default)]
pub struct Numbers {
    parts: HashMap<i32, usize>,
    reused: usize,
}

impl Numbers {
    /// A part had one number and has another.
    pub fn change(&mut self, from: Option<i32>, to: Option<i32>) {
        if from == to {
            return;
        }
        if let Some(parts) = from.and_then(|number| self.parts.get_mut(&number)) {
            *parts -= 1;
            self.reused -= usize::from(*parts == 1);
        }
        if let Some(number) = to {
            let parts = self.parts.entry(number).or_default();
            *parts += 1;
            self.reused += usize::from(*parts == 2);
        }
    }

    /// Whether several parts have one number.
    pub fn reused(&self) -> bool {
        self.reused > 0
    }

    /// About how many bytes of memory this holds beside its own size.
    pub fn weight(&self) -> usize {
        self.parts.len() * 32
    }
}
