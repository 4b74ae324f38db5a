//! What the ledger says it has appended: see [`ledger::ingest::APPENDED_CHANNEL`].

use events::id::OrgId;
use ledger::recent::Families;

/// A commit of the ledger, or several of an org.
pub struct Appended {
    /// The org.
    pub org_id: OrgId,
    /// The families of the events; none where they are not known.
    families: Families,
}

impl Appended {
    /// Events of these families.
    pub fn of(org_id: OrgId, families: Families) -> Self {
        Self { org_id, families }
    }

    /// Reads one of the notices that a notification holds.
    pub fn read(notice: &str) -> Option<Self> {
        let (org_id, families) = match notice.split_once(':') {
            Some((org_id, families)) => (org_id, Some(families.split('+').map(str::to_owned).collect())),
            None => (notice, None),
        };
        Some(Self { org_id: org_id.parse().ok()?, families })
    }

    /// Whether it may hold something for a projection that reads these families; all when there are none.
    pub fn concerns(&self, read: &[&str]) -> bool {
        let Some(families) = &self.families else { return true };
        read.is_empty() || families.iter().any(|family| read.contains(&family.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORG: &str = "66cd429a-130f-56db-9b86-69c54c398a7a";

    #[test]
    fn a_projection_is_concerned_by_the_families_that_it_reads() {
        let appended = Appended::read(&format!("{ORG}:run+step")).unwrap();
        assert_eq!(appended.org_id.to_string(), ORG);
        assert!(appended.concerns(&["step"]) && appended.concerns(&[]));
        assert!(!appended.concerns(&["org", "user"]));
    }

    #[test]
    fn a_ledger_that_names_no_families_may_mean_any() {
        assert!(Appended::read(ORG).unwrap().concerns(&["user"]));
    }

    #[test]
    fn what_names_no_org_is_no_notice() {
        assert!(Appended::read("").is_none() && Appended::read("everything:run").is_none());
    }
}
