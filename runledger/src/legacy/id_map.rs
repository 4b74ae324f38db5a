//! Which org an old `org_id` is, and the same of other ids.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, bail};
use events::id::{InvalidId, OrgId, PayerId, SHARED_ORG, TaskTypeId};

/// An id that old ones are mapped to.
pub trait Mapped: Copy + Ord + FromStr<Err = InvalidId> + std::fmt::Display + std::fmt::Debug {
    /// What its column is called in a file of pairs.
    const COLUMN: &str;
}

impl Mapped for OrgId {
    const COLUMN: &str = "org_id";
}

impl Mapped for PayerId {
    const COLUMN: &str = "payer_id";
}

impl Mapped for TaskTypeId {
    const COLUMN: &str = "task_type_id";
}

/// What one flag such as `--org-map` gives: a pair, or a file of pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdMapping<T> {
    One(String, T),
    File(PathBuf),
}

impl<T: Mapped> FromStr for IdMapping<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((old, new)) = text.rsplit_once('=') else { return Ok(Self::File(text.into())) };
        // A file's name may have an equals sign in it too.
        match new.trim().parse() {
            Ok(id) => Ok(Self::One(old.trim().to_owned(), id)),
            Err(_) if Path::new(text).exists() => Ok(Self::File(text.into())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Old ids and what they are.
#[derive(Clone, Debug)]
pub struct IdMap<T>(BTreeMap<String, T>);

/// Old orgs and the orgs that they are.
pub type OrgMap = IdMap<OrgId>;

impl<T: Mapped> IdMap<T> {
    /// All pairs that are given.
    pub fn of(mappings: Vec<IdMapping<T>>) -> anyhow::Result<Self> {
        let mut map = Self(BTreeMap::new());
        for mapping in mappings {
            match mapping {
                IdMapping::One(old, id) => map.add(old, id)?,
                IdMapping::File(path) => {
                    map.add_file(&path).with_context(|| format!("the file of ids {}", path.display()))?;
                }
            }
        }
        Ok(map)
    }

    fn add(&mut self, old: String, id: T) -> anyhow::Result<()> {
        match self.0.insert(old.clone(), id) {
            Some(other) if other != id => bail!("old {} {old:?} is mapped twice, to {other} and to {id}", T::COLUMN),
            _ => Ok(()),
        }
    }

    fn add_file(&mut self, path: &Path) -> anyhow::Result<()> {
        let reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path);
        let columns = format!("legacy,{}", T::COLUMN);
        let mut reader = reader
            .with_context(|| format!("it cannot be opened; give OLD=ID, or a CSV file with the columns {columns}"))?;
        let header = reader.headers()?.clone();
        let place = |name: &str| {
            header.iter().position(|column| column.trim_start_matches('\u{feff}').eq_ignore_ascii_case(name))
        };
        let (Some(old), Some(new)) = (place("legacy"), place(T::COLUMN)) else {
            bail!("line 1: its columns have to be {columns}");
        };
        for record in reader.records() {
            let record = record?;
            let line = record.position().map_or(0, csv::Position::line);
            let id = record[new].parse().with_context(|| format!("line {line}"))?;
            self.add(record[old].to_owned(), id).with_context(|| format!("line {line}"))?;
        }
        Ok(())
    }

    /// What this old id is.
    pub fn get(&self, old: &str) -> Option<T> {
        self.0.get(old.trim()).copied()
    }

    /// What old ids are mapped to, each once, with one of the old ids.
    pub fn ids(&self) -> BTreeMap<T, &str> {
        self.0.iter().map(|(old, id)| (*id, old.as_str())).collect()
    }
}

impl OrgMap {
    /// The same, if no old org is everyone.
    pub fn of_tenants(self) -> anyhow::Result<Self> {
        match self.0.iter().find(|(_, org_id)| **org_id == SHARED_ORG) {
            Some((old, _)) => bail!("old org {old:?} is mapped to the shared org, which is nobody's; give another"),
            None => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORG: &str = "8f1c2a4e-0b7d-4c55-9d2e-6a1f3b5c7d90";
    const OTHER: &str = "8f1c2a4e-0b7d-4c55-9d2e-6a1f3b5c7d91";

    fn of(texts: &[&str]) -> anyhow::Result<OrgMap> {
        let mappings = texts.iter().map(|text| text.parse::<IdMapping<OrgId>>().map_err(anyhow::Error::msg));
        OrgMap::of(mappings.collect::<Result<_, _>>()?)?.of_tenants()
    }

    #[test]
    fn pairs_and_files_are_read_alike() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("legacy,org_id\n 7 ,{OTHER}\n\"a,b\",{ORG}\n")).unwrap();
        let map = of(&[&format!("x=y={ORG}"), file.path().to_str().unwrap()]).unwrap();
        let found = ["x=y", "7", "a,b", "8"].map(|old| map.get(old).map(|org_id| org_id.to_string()));
        assert_eq!(found, [Some(ORG.to_owned()), Some(OTHER.to_owned()), Some(ORG.to_owned()), None]);
        assert_eq!(map.ids().len(), 2);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        let shared = format!("7={SHARED_ORG}");
        for (texts, complaint) in [
            (vec![format!("7={ORG}"), format!("7={OTHER}")], "mapped twice"),
            (vec![shared], "shared org"),
            (vec!["7=acme".to_owned()], "acme"),
            (vec!["/nowhere/orgs.csv".to_owned()], "/nowhere/orgs.csv"),
        ] {
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            let error = format!("{:#}", of(&texts).unwrap_err());
            assert!(error.contains(complaint), "{error}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("legacy,org_id\n7,{ORG}\n8,none\n")).unwrap();
        let error = format!("{:#}", of(&[file.path().to_str().unwrap()]).unwrap_err());
        assert!(error.contains("line 3") && error.contains("none"), "{error}");
    }
}
