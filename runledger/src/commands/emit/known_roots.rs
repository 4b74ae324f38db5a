//! `--root`: the roots that the source's ledgers are known to have, from elsewhere than the replay itself.

use std::str::FromStr;

use anyhow::{Context, bail};
use events::id::OrgId;
use ledger::merkle::Hash;

use crate::output;

/// The root of an org, or of one that is not named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRoot {
    org_id: Option<OrgId>,
    root: Hash,
}

impl FromStr for KnownRoot {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (org_id, root) = match text.split_once('=') {
            Some((org_id, root)) => (Some(org_id.parse().context("before = stands an org's id")?), root),
            None => (None, text),
        };
        let digits = root.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            bail!("a root has 64 hexadecimal digits");
        }
        let mut hash = Hash::default();
        for (byte, pair) in hash.iter_mut().zip(root.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair)?, 16)?;
        }
        Ok(Self { org_id, root: hash })
    }
}

/// The roots that were given, and which of them were seen.
pub struct KnownRoots(Vec<(KnownRoot, bool)>);

impl KnownRoots {
    pub fn of(roots: Vec<KnownRoot>) -> Self {
        Self(roots.into_iter().map(|root| (root, false)).collect())
    }

    /// The roots that an org may have: those given for it, else those that are nobody's; none if it may have any.
    pub fn of_org(&self, org_id: OrgId) -> Vec<Hash> {
        let given = |whose| self.0.iter().filter(move |(known, _)| known.org_id == whose).map(|(known, _)| known.root);
        let own: Vec<Hash> = given(Some(org_id)).collect();
        if own.is_empty() { given(None).collect() } else { own }
    }

    /// An org has this root.
    pub fn see(&mut self, org_id: OrgId, root: &Hash) {
        let seen = self.0.iter_mut().filter(|(known, _)| known.org_id.is_none_or(|whose| whose == org_id));
        seen.filter(|(known, _)| known.root == *root).for_each(|(_, seen)| *seen = true);
    }

    /// Those that no org has.
    pub fn unseen(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter(|(_, seen)| !seen).map(|(known, _)| match known.org_id {
            Some(org_id) => format!("org {org_id} with root {}", output::hex(&known.root)),
            None => format!("an org with root {}", output::hex(&known.root)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_an_orgs_or_anybodys_and_has_64_digits() {
        let (org_id, root) = (OrgId::generate(), "0a".repeat(32));
        let named: KnownRoot = format!("{org_id}={root}").parse().unwrap();
        assert_eq!(named, KnownRoot { org_id: Some(org_id), root: [10; 32] });
        assert_eq!(root.to_uppercase().parse::<KnownRoot>().unwrap(), KnownRoot { org_id: None, root: [10; 32] });
        for wrong in
            ["", "0a", &format!("{root}0"), &format!("x={root}"), &"ä".repeat(32), &format!("{}+1", &root[2..])]
        {
            assert!(wrong.parse::<KnownRoot>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_org_with_roots_of_its_own_may_have_no_other() {
        let (one, other) = (OrgId::generate(), OrgId::generate());
        let known = |org_id, byte| KnownRoot { org_id, root: [byte; 32] };
        let mut roots = KnownRoots::of(vec![known(Some(one), 1), known(None, 2)]);
        assert_eq!((roots.of_org(one), roots.of_org(other)), (vec![[1; 32]], vec![[2; 32]]));
        roots.see(other, &[2; 32]);
        assert_eq!(roots.unseen().count(), 1);
        roots.see(other, &[1; 32]);
        assert_eq!(roots.unseen().count(), 1);
    }
}
