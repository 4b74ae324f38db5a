//! Which org an old `org_id` is.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use anyhow::{Context, bail};
use events::id::{OrgId, SHARED_ORG};

/// What one `--org-map` gives: a pair, or a file of pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrgMapping {
    One(String, OrgId),
    File(PathBuf),
}

impl FromStr for OrgMapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((old, new)) = text.rsplit_once('=') else { return Ok(Self::File(text.into())) };
        // A file's name may have an equals sign in it too.
        match new.trim().parse() {
            Ok(org_id) => Ok(Self::One(old.trim().to_owned(), org_id)),
            Err(_) if std::path::Path::new(text).exists() => Ok(Self::File(text.into())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Old ids and the orgs that they are.
#[derive(Clone, Debug, Default)]
pub struct OrgMap(BTreeMap<String, OrgId>);

impl OrgMap {
    /// All pairs that are given.
    pub fn of(mappings: Vec<OrgMapping>) -> anyhow::Result<Self> {
        let mut map = Self::default();
        for mapping in mappings {
            match mapping {
                OrgMapping::One(old, org_id) => map.add(old, org_id)?,
                OrgMapping::File(path) => {
                    map.add_file(&path).with_context(|| format!("--org-map {}", path.display()))?
                }
            }
        }
        Ok(map)
    }

    fn add(&mut self, old: String, org_id: OrgId) -> anyhow::Result<()> {
        if org_id == SHARED_ORG {
            bail!("old org {old:?} is mapped to the shared org, which has no runs; give another");
        }
        match self.0.insert(old.clone(), org_id) {
            Some(other) if other != org_id => bail!("old org {old:?} is mapped twice, to {other} and to {org_id}"),
            _ => Ok(()),
        }
    }

    fn add_file(&mut self, path: &std::path::Path) -> anyhow::Result<()> {
        let reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path);
        let mut reader =
            reader.context("it cannot be opened; give OLD=ORG, or a CSV file with the columns legacy,org_id")?;
        let header = reader.headers()?.clone();
        let place = |name: &str| {
            header.iter().position(|column| column.trim_start_matches('\u{feff}').eq_ignore_ascii_case(name))
        };
        let (Some(old), Some(new)) = (place("legacy"), place("org_id")) else {
            bail!("line 1: its columns have to be legacy,org_id");
        };
        for record in reader.records() {
            let record = record?;
            let line = record.position().map_or(0, csv::Position::line);
            let org_id = record[new].parse().with_context(|| format!("line {line}"))?;
            self.add(record[old].to_owned(), org_id).with_context(|| format!("line {line}"))?;
        }
        Ok(())
    }

    /// The org that this old id is.
    pub fn get(&self, old: &str) -> Option<OrgId> {
        self.0.get(old.trim()).copied()
    }

    /// The orgs, each once, with one of their old ids.
    pub fn orgs(&self) -> BTreeMap<OrgId, &str> {
        self.0.iter().map(|(old, org_id)| (*org_id, old.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORG: &str = "8f1c2a4e-0b7d-4c55-9d2e-6a1f3b5c7d90";
    const OTHER: &str = "8f1c2a4e-0b7d-4c55-9d2e-6a1f3b5c7d91";

    fn of(texts: &[&str]) -> anyhow::Result<OrgMap> {
        let mappings = texts.iter().map(|text| text.parse::<OrgMapping>().map_err(anyhow::Error::msg));
        OrgMap::of(mappings.collect::<Result<_, _>>()?)
    }

    #[test]
    fn pairs_and_files_are_read_alike() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("legacy,org_id\n 7 ,{OTHER}\n\"a,b\",{ORG}\n")).unwrap();
        let map = of(&[&format!("x=y={ORG}"), file.path().to_str().unwrap()]).unwrap();
        let found = ["x=y", "7", "a,b", "8"].map(|old| map.get(old).map(|org_id| org_id.to_string()));
        assert_eq!(found, [Some(ORG.to_owned()), Some(OTHER.to_owned()), Some(ORG.to_owned()), None]);
        assert_eq!(map.orgs().len(), 2);
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
