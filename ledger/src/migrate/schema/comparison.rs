//! What was found in a database, held against what is expected of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Difference, Object};
use crate::migrate::MissingIndex;

/// How every partition of `ledger.event` is called where its org does not matter.
const PARTITION: &str = "event_ORG";
/// Where the whole of them stands.
const WHOLE: &str = "event";
/// A table beside the schema that nobody reads but its owner and the projector, or that holds readers to an org.
const BESIDE: &str = "beside the schema";

/// Definitions by object and kind.
type Description = BTreeMap<(String, String), String>;

/// What was found so far.
pub struct Comparison<'a> {
    expected: Description,
    /// What is expected of each partition.
    of_partition: Description,
    generation_tables: HashSet<&'a str>,
    found: Description,
    /// What those objects are part of that no migration makes.
    relations: HashMap<(String, String), String>,
    partitions: BTreeMap<String, Description>,
}

impl<'a> Comparison<'a> {
    /// With these lines, as [`super::describe`] writes them, and these tables beside the schema.
    pub fn with(expected: &str, generation_tables: &'a [String]) -> Self {
        let lines = expected.lines().filter_map(|line| {
            let mut parts = line.splitn(3, " | ");
            let (kind, object) = (parts.next()?, parts.next()?);
            Some(((object.to_owned(), kind.to_owned()), parts.next()?.to_owned()))
        });
        let (of_partition, expected) = lines.partition(|((object, _), _)| object.contains(PARTITION));
        Self {
            expected,
            of_partition,
            generation_tables: generation_tables.iter().map(String::as_str).collect(),
            found: Description::new(),
            relations: HashMap::new(),
            partitions: BTreeMap::new(),
        }
    }

    /// Something that was found.
    pub fn add(&mut self, it: Object) {
        if self.is_understood(&it) {
            return;
        }
        let key = (it.object, it.kind);
        if let Some(partition) = it.partition {
            self.partitions.entry(partition).or_default().insert(key, it.definition);
            return;
        }
        if !self.expected.contains_key(&key) {
            self.relations.insert(key.clone(), it.relation);
        }
        self.found.insert(key, it.definition);
    }

    /// Whether it comes and goes while services run, and is as it should be.
    fn is_understood(&self, it: &Object) -> bool {
        let is_rest = it.object.starts_with("ledger.event_") && it.object.ends_with("_rest");
        it.kind == "table" && it.definition == BESIDE && (is_rest || self.generation_tables.contains(&*it.object))
    }

    /// What differs, but indexes of partitions that are known to be missing.
    pub fn differences(&self, missing_indexes: &[MissingIndex]) -> Vec<Difference> {
        let mut differences = compare(&self.expected, &self.found);
        differences.retain(|it| it.expected.is_some() || self.is_ours(it));
        let of_whole: HashSet<_> = differences.iter().cloned().collect();
        for (partition, found) in &self.partitions {
            let of_partition = compare(&self.of_partition, found).into_iter().filter(|it| {
                // What was done to the whole was done to each of its partitions.
                !of_whole.contains(&it.clone().of(WHOLE))
                    && !missing_indexes.iter().any(|missing| is_told(it, partition, missing))
            });
            differences.extend(of_partition.map(|it| it.of(partition)));
        }
        differences
    }

    /// Whether something that no migration makes is there at our cost: in a schema of ours, or on a thing of ours.
    fn is_ours(&self, it: &Difference) -> bool {
        let key = (it.object.clone(), it.kind.clone());
        let Some(relation) = self.relations.get(&key) else { return true };
        let is_known = || self.expected.keys().any(|(object, _)| object == relation);
        it.kind != "extension" && (!relation.starts_with("public.") || relation != &it.object && is_known())
    }
}

fn compare(expected: &Description, found: &Description) -> Vec<Difference> {
    let lacking = expected.iter().filter(|(key, definition)| found.get(*key) != Some(*definition));
    let surplus = found.iter().filter(|(key, _)| !expected.contains_key(*key));
    let mut differences: Vec<_> = lacking
        .map(|(key, definition)| difference(key, Some(definition), found.get(key)))
        .chain(surplus.map(|(key, definition)| difference(key, None, Some(definition))))
        .collect();
    differences.sort();
    differences
}

fn difference((object, kind): &(String, String), expected: Option<&String>, found: Option<&String>) -> Difference {
    Difference { object: object.clone(), kind: kind.clone(), expected: expected.cloned(), found: found.cloned() }
}

fn is_told(it: &Difference, partition: &str, missing: &MissingIndex) -> bool {
    it.kind == "index"
        && it.found.is_none()
        && missing.partition == partition
        && it.object.strip_prefix("ledger.event_ORG.") == Some(&missing.index)
}

impl Difference {
    /// How it differs, in a word.
    pub fn state(&self) -> &'static str {
        match (&self.expected, &self.found) {
            (Some(_), None) => "missing",
            (None, _) => "unexpected",
            (Some(_), Some(_)) => "different",
        }
    }

    /// With the name of a table in place of that of any partition.
    fn of(self, table: &str) -> Self {
        let named = |text: String| text.replace(PARTITION, table);
        Self {
            object: named(self.object),
            kind: self.kind,
            expected: self.expected.map(named),
            found: self.found.map(named),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: &str = "\
table | ledger.event | partitioned
column | ledger.event.seq | bigint
table | ledger.event_ORG | partition
column | ledger.event_ORG.seq | bigint
index | ledger.event_ORG.event_pkey | btree
table | public.run | ordinary
";

    fn found(lines: &[(&str, &str, &str, &str)], missing: &[MissingIndex]) -> Vec<String> {
        let tables = ["replaced.run".to_owned()];
        let mut comparison = Comparison::with(EXPECTED, &tables);
        for (kind, object, partition, definition) in lines {
            let relation = object.split('.').take(2).collect::<Vec<_>>().join(".");
            let partition = (!partition.is_empty()).then(|| (*partition).to_owned());
            let (kind, object, definition) = ((*kind).into(), (*object).into(), (*definition).into());
            comparison.add(Object { kind, object, relation, partition, definition });
        }
        let differences = comparison.differences(missing);
        differences.iter().map(|it| format!("{} {} {}", it.state(), it.kind, it.object)).collect()
    }

    const WHOLE: [(&str, &str, &str, &str); 3] = [
        ("table", "ledger.event", "", "partitioned"),
        ("column", "ledger.event.seq", "", "bigint"),
        ("table", "public.run", "", "ordinary"),
    ];
    const PART: [(&str, &str, &str, &str); 3] = [
        ("table", "ledger.event_ORG", "event_1", "partition"),
        ("column", "ledger.event_ORG.seq", "event_1", "bigint"),
        ("index", "ledger.event_ORG.event_pkey", "event_1", "btree"),
    ];

    #[test]
    fn any_number_of_partitions_is_as_expected_if_each_is() {
        let mut lines = WHOLE.to_vec();
        assert_eq!(found(&lines, &[]), [""; 0]);
        lines.extend(PART);
        assert_eq!(found(&lines, &[]), [""; 0]);
        lines.push(("policy", "ledger.event_ORG.open", "event_1", "FOR ALL"));
        assert_eq!(found(&lines, &[]), ["unexpected policy ledger.event_1.open"]);
    }

    #[test]
    fn what_was_done_to_all_partitions_is_told_once() {
        let added = [("column", "ledger.event.x", "", "int"), ("column", "ledger.event_ORG.x", "event_1", "int")];
        let lines = [&WHOLE[..], &PART, &added].concat();
        assert_eq!(found(&lines, &[]), ["unexpected column ledger.event.x"]);
    }

    #[test]
    fn an_index_that_migrate_has_to_build_is_left_to_be_told_by_itself() {
        let lines = [&WHOLE[..], &PART[..2]].concat();
        assert_eq!(found(&lines, &[]), ["missing index ledger.event_1.event_pkey"]);
        let missing = MissingIndex { index: "event_pkey".into(), partition: "event_1".into(), definition: "".into() };
        assert_eq!(found(&lines, &[missing]), [""; 0]);
    }

    #[test]
    fn in_public_only_what_is_ours_is_looked_at() {
        let others = [
            ("table", "public.other", "", "ordinary"),
            ("column", "public.other.x", "", "int"),
            ("column", "public.run.x", "", "int"),
            ("table", "ledger.other", "", "ordinary"),
            ("table", "replaced.run", "", BESIDE),
            ("table", "replaced.other", "", BESIDE),
        ];
        let lines = [&WHOLE[..], &others].concat();
        assert_eq!(
            found(&lines, &[]),
            ["unexpected table ledger.other", "unexpected column public.run.x", "unexpected table replaced.other"]
        );
    }
}
