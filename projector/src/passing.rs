//! Moves projections past events that do not concern them, for all orgs at once.
//!
//! Whoever has read all events of a stretch of an org knows which families are in it. Where none of them is a
//! projection's, a checkpoint of that projection that stands within the stretch goes to its end: reading the events
//! once more would give none. Who has folded what stays as it was, so the org is claimed as if nothing had been moved.
//! Called by `service`.

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use events::{
    RecordedEvent, catalogue,
    id::{OrgId, Seq},
};
use sqlx::{PgConnection, query_file};

use crate::{registry::Registration, write::column};

/// All events of an org behind `after` up to `through`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    after: Seq,
    through: Seq,
    families: BTreeSet<String>,
}

impl Stretch {
    /// Of these events, which are all that there are there.
    pub fn of<'e>(after: Seq, through: Seq, events: impl Iterator<Item = &'e RecordedEvent>) -> Self {
        let mut families = BTreeSet::new();
        for recorded in events {
            let family = catalogue::family(&recorded.event.event_type);
            if !families.contains(family) {
                families.insert(family.to_owned());
            }
        }
        Self { after, through, families }
    }

    fn concerns(&self, projection: &Registration) -> bool {
        let families = projection.families;
        families.is_empty() || families.iter().any(|family| self.families.contains(*family))
    }
}

/// What has been read lately, one stretch an org.
#[derive(Default)]
pub struct Stretches(HashMap<OrgId, Stretch>);

impl Stretches {
    /// Adds what was read of an org; what does not go on from what is known takes its place.
    pub fn add(&mut self, org_id: OrgId, read: Stretch) {
        match self.0.entry(org_id) {
            Entry::Occupied(mut known) if known.get().through == read.after => {
                let known = known.get_mut();
                known.through = read.through;
                known.families.extend(read.families);
            }
            Entry::Occupied(mut known) => {
                known.insert(read);
            }
            Entry::Vacant(vacant) => {
                vacant.insert(read);
            }
        }
    }

    /// Moves the checkpoints of projections that nothing in these stretches concerns, but for those that somebody
    /// holds. Says which moved.
    pub async fn pass(
        &self,
        conn: &mut PgConnection,
        projections: &[Registration],
    ) -> Result<Vec<Passed>, sqlx::Error> {
        let unconcerned = |(org_id, stretch): (&OrgId, _)| {
            let projections = projections.iter().filter(|projection| !Stretch::concerns(stretch, projection));
            projections.map(|projection| (projection.checkpoint(), *org_id, stretch)).collect::<Vec<_>>()
        };
        let past: Vec<_> = self.0.iter().flat_map(unconcerned).collect();
        if past.is_empty() {
            return Ok(Vec::new());
        }
        let passed = query_file!(
            "src/passing/pass.sql",
            &column(&past, |(of, ..)| of.projection) as _,
            &column(&past, |(of, ..)| of.version),
            &column(&past, |(_, org_id, _)| *org_id) as &[OrgId],
            &column(&past, |(.., stretch)| stretch.after) as &[Seq],
            &column(&past, |(.., stretch)| stretch.through) as &[Seq]
        );
        let place = |name: &str| projections.iter().position(|projection| projection.name == name);
        let passed = passed.fetch_all(conn).await?.into_iter();
        Ok(passed
            .filter_map(|row| {
                Some(Passed { projection: place(&row.projection)?, org_id: row.org_id, from: row.from, to: row.to })
            })
            .collect())
    }
}

/// A checkpoint that was moved.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// The place of the projection in the list that was asked about.
    pub projection: usize,
    /// The org.
    pub org_id: OrgId,
    /// Where it stood.
    pub from: Seq,
    /// Where it stands.
    pub to: Seq,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app_user::AppUser,
        organization::Organization,
        story::{on, recorded, subject},
        user_workflow_run::UserWorkflowRun,
    };

    fn stretch(after: i64, types: &[&'static str]) -> Stretch {
        let events = recorded(types.iter().map(|event_type| on(event_type, "10:00:00")));
        Stretch::of(Seq::new(after), Seq::new(after + events.len() as i64), events.iter())
    }

    #[test]
    fn a_stretch_concerns_those_that_read_one_of_its_families_and_those_that_read_all() {
        let stretch = stretch(0, &["run.started", "org.a_type_of_tomorrow"]);
        assert!(stretch.concerns(&Registration::of::<Organization>()));
        assert!(stretch.concerns(&Registration::of::<UserWorkflowRun>()));
        assert!(!stretch.concerns(&Registration::of::<AppUser>()));
    }

    #[test]
    fn a_stretch_goes_on_only_from_where_it_ended() {
        let (mut stretches, org_id) = (Stretches::default(), subject().org_id);
        stretches.add(org_id, stretch(0, &["run.started"]));
        stretches.add(org_id, stretch(1, &["user.updated"]));
        let families = BTreeSet::from(["run".to_owned(), "user".to_owned()]);
        assert_eq!(stretches.0[&org_id], Stretch { after: Seq::ZERO, through: Seq::new(2), families });
        stretches.add(org_id, stretch(7, &["run.started"]));
        assert_eq!(stretches.0[&org_id], stretch(7, &["run.started"]));
    }
}
