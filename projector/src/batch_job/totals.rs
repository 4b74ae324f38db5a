use crate::fold::Status;

/// How many rows of a batch are in each status, kept up to date so that nobody needs to walk all rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct Totals {
    pub pending: i32,
    pub running: i32,
    pub completed: i32,
    pub failed: i32,
    pub skipped: i32,
}

impl Totals {
    /// All rows.
    pub fn total(&self) -> i32 {
        self.pending + self.running + self.completed + self.failed + self.skipped
    }

    /// Rows that have not ended.
    pub fn open(&self) -> i32 {
        self.pending + self.running
    }

    /// A row has changed; one that was not there before has no status to come from.
    pub fn change(&mut self, from: Option<Status>, to: Option<Status>) {
        if let Some(count) = from.and_then(|status| self.count(status)) {
            *count -= 1;
        }
        if let Some(count) = to.and_then(|status| self.count(status)) {
            *count += 1;
        }
    }

    /// Of the statuses, rows have these.
    fn count(&mut self, status: Status) -> Option<&mut i32> {
        match status {
            Status::Pending => Some(&mut self.pending),
            Status::Running => Some(&mut self.running),
            Status::Completed => Some(&mut self.completed),
            Status::Failed => Some(&mut self.failed),
            Status::Skipped => Some(&mut self.skipped),
            Status::Cancelled | Status::Timeout => None,
        }
    }
}
