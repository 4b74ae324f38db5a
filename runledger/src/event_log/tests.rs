use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
};

use events::{Event, Payload, catalogue};
use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use super::*;

const HEADER: &str = "case_id,activity,lifecycle,resource,timestamp,state\n";

fn log(path: &Path) -> EventLog {
    EventLog {
        path: path.to_owned(),
        names: ColumnNames::default(),
        delimiter: b',',
        time_format: None,
        now: events::time::parse("2026-03-01T00:00:00Z").unwrap(),
        on_read: Arc::new(|_| {}),
    }
}

/// A log file in a directory of its own, and its rejects file.
struct Fixture {
    dir: TempDir,
    log: EventLog,
}

impl Fixture {
    fn of(name: &str, content: impl AsRef<[u8]>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        Self { dir, log: log(&path) }
    }

    fn survey(&self) -> Result<Survey, LogError> {
        self.log.survey(&mut Rejects::new(self.dir.path().join("rejects.csv")))
    }

    fn error(&self) -> String {
        self.survey().unwrap_err().to_string()
    }

    fn rejects(&self) -> Vec<(u64, String, String)> {
        let Ok(mut file) = csv::Reader::from_path(self.dir.path().join("rejects.csv")) else { return Vec::new() };
        file.deserialize().map(Result::unwrap).collect()
    }

    fn events(&self) -> Vec<Event> {
        events_of(&self.log, &self.survey().unwrap())
    }
}

fn target(org: &str, survey: &Survey) -> Target {
    let org_id = Target::org_of(org).unwrap();
    Target {
        org_id,
        import_id: Target::import_id(org_id, survey.digest),
        endings: Endings::usual_and([("Rejected".to_owned(), Ending::Failed)]),
    }
}

fn events_of(log: &EventLog, survey: &Survey) -> Vec<Event> {
    let target = target("a", survey);
    let mut events = vec![target.registration("a", survey.earliest).unwrap()];
    log.each_case(survey, |case, lines| -> anyhow::Result<()> {
        events.extend(Run::events_of(&target, &case, lines)?);
        Ok(())
    })
    .unwrap();
    events
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

fn types(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.event_type.as_str()).collect()
}

fn activities_by_number(events: &[Event]) -> Vec<(i32, String)> {
    let created = events.iter().filter_map(|event| match catalogue::decode(&event.event_type, 1, &event.data) {
        Ok(Payload::StepCreated(created)) => Some(created),
        _ => None,
    });
    created
        .map(|step| (step.step_number.unwrap(), step.metadata.unwrap().get("activity").unwrap().to_string()))
        .collect()
}

#[test]
fn a_case_is_a_run_and_a_line_a_step() {
    let log = Fixture::of(
        "log.csv",
        format!(
            "{HEADER}A,NEW,complete,ResA,2012-12-16 19:33:10,open\nA,FIN,complete,,2013-12-15 19:00:37,closed\n\
             A,BILLED,complete,ResB,2013-12-19 03:44:31,\n"
        ),
    );
    let events = log.events();
    let step = ["step.created", "step.completed"];
    let expected = [&["org.registered", "run.started"][..], &step, &step, &step, &["run.completed"]].concat();
    assert_eq!(types(&events), expected);
    let times: Vec<_> = events.iter().map(|event| events::time::format(event.occurred_at)).collect();
    assert_eq!(times[1], "2012-12-16T19:33:10Z");
    assert_eq!(times[8], "2013-12-19T03:44:31Z");
    let Ok(Payload::RunStarted(started)) = catalogue::decode("run.started", 1, &events[1].data) else { panic!() };
    assert_eq!(started.0.external_id.unwrap().as_str(), "A");
    assert!(log.rejects().is_empty());
    assert!(!log.dir.path().join("rejects.csv").exists());
}

#[test]
fn steps_are_numbered_in_the_order_of_time_however_lines_interleave() {
    let log = Fixture::of(
        "log.csv",
        "case,activity,time\nA,third,2020-01-03\nB,one,2020-01-01\nA,first,2020-01-01\nA,second,2020-01-01\n\
         B,two,2020-01-02\nA,fourth,2020-01-03\n",
    );
    let events = log.events();
    let run_of = |name: &str| {
        let external_id = format!("\"external_id\":{name:?}");
        events.iter().find(|event| event.data.contains(&external_id)).unwrap().subject_id
    };
    let of_a: Vec<_> = events.iter().filter(|event| event.subject_id == run_of("A")).cloned().collect();
    let expected = ["\"first\"", "\"second\"", "\"third\"", "\"fourth\""];
    assert_eq!(activities_by_number(&of_a), (1..).zip(expected.map(str::to_owned)).collect::<Vec<_>>());
}

#[test]
fn the_context_is_what_the_lines_of_a_case_agree_on() {
    let log = Fixture::of(
        "log.csv",
        "case,activity,time,speciality,state\nA,NEW,2020-01-01,K,open\nA,FIN,2020-01-02,,closed\n",
    );
    let started = log.events().into_iter().find(|event| event.event_type == "run.started").unwrap();
    assert!(started.data.contains(r#""context":{"speciality":"K"}"#), "{}", started.data);
}

#[test]
fn what_ends_a_case_ends_its_run() {
    for (activity, ended) in [
        ("BILLED", Some("run.completed")),
        ("delete", Some("run.cancelled")),
        ("REJECTED", Some("run.failed")),
        ("STORNO", None),
    ] {
        let log = Fixture::of("log.csv", format!("case,activity,time\nA,NEW,2020-01-01\nA,{activity},2020-01-02\n"));
        let last = log.events().pop().unwrap();
        assert_eq!(last.event_type, ended.unwrap_or("step.completed"), "{activity}");
    }
}

#[test]
fn importing_twice_gives_the_same_events() {
    let content =
        format!("{HEADER}A,NEW,complete,,2020-01-01,\nA,NEW,complete,,2020-01-01,\nB,NEW,complete,,2020-01-01,\n");
    let first = Fixture::of("log.csv", &content).events();
    assert_eq!(first, Fixture::of("log.csv", gzip(content.as_bytes())).events());
    let ids: BTreeSet<_> = first.iter().map(|event| event.event_id).collect();
    assert_eq!(ids.len(), first.len());
}

#[test]
fn a_start_and_its_completion_are_one_step() {
    let trace = |status: &str, time: &str| {
        format!(
            "<event><string key=\"concept:name\" value=\"Ask &amp; wait\"/><string key=\"lifecycle:transition\" \
             value=\"{status}\"/><date key=\"time:timestamp\" value=\"2020-01-01T{time}:00.000+01:00\"/></event>"
        )
    };
    let log = Fixture::of(
        "log.xes.gz",
        gzip(
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<log xes.version=\"1.0\">\n<string key=\"concept:name\" value=\"l\"/>\
                 <trace><string key=\"concept:name\" value=\"A\"/><string key=\"payer\" value=\"P\"/>{}{}{}{}</trace>\n</log>",
                trace("start", "09:00"),
                trace("suspend", "09:30"),
                trace("complete", "10:00"),
                trace("ate_abort", "11:00"),
            )
            .as_bytes(),
        ),
    );
    let events = log.events();
    let first = ["step.created", "step.started", "step.event_logged", "step.completed"];
    assert_eq!(types(&events[2..]), [&first[..], &["step.created", "step.failed"]].concat());
    assert_eq!(events::time::format(events[1].occurred_at), "2020-01-01T08:00:00Z");
    assert!(events[1].data.contains("\"payer\":\"P\""));
    assert_eq!(activities_by_number(&events)[0], (1, "\"Ask & wait\"".to_owned()));
}

#[test]
fn every_event_passes_the_door() {
    let log = Fixture::of(
        "log.csv",
        "case,activity,time,note\n\"A\u{202e}\"\"\n<b>\",\"=1+1, \u{1b}[31m\",2020-01-01,\"multi\nline\"\nB,end,1990-01-01,\n",
    );
    for event in log.events() {
        let (subject, headers) = (events::wire::subject(&event), events::wire::to_headers(&event));
        let message = events::wire::Message {
            subject: subject.as_bytes(),
            headers: headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect(),
            payload: event.data.as_bytes().clone(),
        };
        assert_eq!(events::wire::admit(&message, log.log.now), Ok(event));
    }
}

#[test]
fn bad_lines_are_put_aside_with_number_and_reason_and_the_rest_is_imported() {
    let long = "x".repeat(LINE_BYTES_MAX * 3);
    let id = "y".repeat(600);
    let log = Fixture::of(
        "log.csv",
        format!(
            "{HEADER},NEW,complete,,2020-01-01,\nA,NEW,complete,,2020-02-30,\r\n\nA,{long},complete,,2020-01-01,\n\
             A,NEW,complete,,2020-01-01,open\nA,NEW\n{id},NEW,complete,,2020-01-01,\nA,,complete,,2020-01-01,\n\
             A,NEW,complete,,2999-01-01,\n\"A\nB\",NEW,,,,\nA,\0,,,2020-01-01,\nA,FIN,,,2020-01-02,\"never closed\n"
        ),
    );
    let survey = log.survey().unwrap();
    assert_eq!((survey.lines, survey.rejected, survey.cases.len()), (1, 10, 1));
    let rejects = log.rejects();
    let expected = [
        (2, "case id"),
        (3, "2020-02-30"),
        (5, "longer than 1048576"),
        (7, "it has 2 fields, the header 6"),
        (8, "600 bytes"),
        (9, "activity"),
        (10, "future"),
        (11, "time"),
        (13, "NUL"),
        (14, "closing quote"),
    ];
    assert_eq!(rejects.len(), expected.len(), "{rejects:?}");
    for ((line, reason, raw), (number, part)) in rejects.iter().zip(expected) {
        assert!(*line == number && reason.contains(part), "{line}: {reason}");
        assert!(raw.len() <= 1024, "{line}");
    }
    assert_eq!(rejects[1].2, "A,NEW,complete,,2020-02-30,");
}

#[test]
fn a_line_that_is_not_utf8_is_put_aside_with_its_column() {
    let log = Fixture::of("log.csv", b"case,activity,time\nA,\xFF,2020-01-01\nA,x,2020-01-01\n");
    assert_eq!(log.survey().unwrap().rejected, 1);
    let mut file = csv::Reader::from_path(log.dir.path().join("rejects.csv")).unwrap();
    let record = file.byte_records().next().unwrap().unwrap();
    assert_eq!((&record[0], &record[1]), (&b"2"[..], &b"column 3: not UTF-8"[..]));
}

#[test]
fn a_truncated_gzip_file_is_named_with_line_and_column() {
    let lines: String = (0..20_000).map(|n| format!("case{n},activity {},2020-01-01\n", n * 7919 % 1000)).collect();
    let mut packed = gzip(format!("case,activity,time\n{lines}").as_bytes());
    packed.truncate(packed.len() / 2);
    let error = Fixture::of("log.csv.gz", packed).error();
    assert!(error.contains("truncated") && error.contains("line ") && error.contains("column "), "{error}");
}

#[test]
fn a_missing_column_names_the_columns_that_are_there() {
    let error = Fixture::of("log.csv", "id,activity,time\n1,x,2020-01-01\n").error();
    assert!(
        error.contains(
            r#"no column for the case; the columns are "id", "activity", "time"; say which it is with --case"#
        ),
        "{error}"
    );
    let mut log = Fixture::of("log.csv", "id,activity,time\n1,x,2020-01-01\n");
    log.log.names.case = Some("name".to_owned());
    assert!(log.error().contains(r#"no column "name" for the case"#), "{}", log.error());
    log.log.names.case = Some("ID".to_owned());
    assert_eq!(log.survey().unwrap().lines, 1);
}

#[test]
fn a_wrong_delimiter_is_guessed_at() {
    let mut log = Fixture::of("log.csv", "\u{feff}case;activity;time\n1;x;2020-01-01\n");
    let error = log.error();
    assert!(error.contains("pass --delimiter ';'"), "{error}");
    log.log.delimiter = b';';
    assert_eq!(log.survey().unwrap().lines, 1);
}

#[test]
fn files_that_are_no_logs_are_refused() {
    let empty = Fixture::of("log.csv", "");
    assert!(empty.error().contains("is empty"));
    assert!(Fixture::of("log.csv", HEADER).error().contains("is empty"));
    assert!(Fixture::of("log.csv", b"\xFF\xFEc\0a\0\n").error().contains("line 1 column 1: the header is not UTF-8"));
    assert!(Fixture::of("log.csv", "x".repeat(LINE_BYTES_MAX + 1)).error().contains("header is longer"));
    assert!(Fixture::of("log.csv", "case,activity,time\n,,\n").error().contains("line 2: it has no case id"));
    assert!(log(empty.dir.path()).survey(&mut Rejects::new("x".into())).unwrap_err().to_string().contains("directory"));
    assert!(
        log(Path::new("/nowhere.csv"))
            .survey(&mut Rejects::new("x".into()))
            .unwrap_err()
            .to_string()
            .contains("/nowhere.csv")
    );
}

#[test]
fn broken_xes_is_named_with_line_and_column() {
    for (content, part) in [
        ("<log>\n<trace>\n<event>".to_owned(), "line 3 column 8: it ends within <log><trace><event>"),
        ("<log>\n<trace>\n</log>".to_owned(), "line 3"),
        (format!("<log>\n<string key=\"x\" value=\"{}\"/></log>", "x".repeat(LINE_BYTES_MAX)), "beyond line 2 column"),
        ("<log>\n<trace>\n<string key=x/></trace></log>".to_owned(), "line 3"),
    ] {
        let error = Fixture::of("log.xes", &content).error();
        assert!(error.contains(part), "{error}");
    }
    let bytes = b"<log>\n<trace><string key=\"concept:name\" value=\"\xFF\"/></trace></log>";
    let error = Fixture::of("log.xes", bytes).error();
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn an_xes_event_without_a_time_is_put_aside() {
    let log = Fixture::of(
        "log.xes",
        "<log>\n<trace><string key=\"concept:name\" value=\"A\"/>\n<event><string key=\"concept:name\" value=\"x\"/></event>\n\
         <event><string key=\"concept:name\" value=\"y\"/><date key=\"time:timestamp\" value=\"2020-01-01\"/></event></trace></log>",
    );
    assert_eq!(log.survey().unwrap().lines, 1);
    let rejects = log.rejects();
    assert_eq!((rejects[0].0, rejects[0].2.as_str()), (3, "case:concept:name=A; concept:name=x"));
}

#[test]
fn a_log_is_called_after_its_file() {
    assert_eq!(name_of(Path::new("../data/hospital-billing.csv.gz")), "hospital-billing");
    assert_eq!(name_of(Path::new("Log.XES")), "Log");
    assert_eq!(name_of(Path::new(".csv")), ".csv");
}

#[test]
fn the_hospital_billing_log_is_read_whole() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/hospital-billing.csv.gz");
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let rejects = dir.path().join("rejects.csv");
    let log = EventLog { now: Utc::now(), ..log(&path) };
    let survey = log.survey(&mut Rejects::new(rejects.clone())).unwrap();
    assert_eq!((survey.cases.len(), survey.lines, survey.rejected), (9_999, 49_950, 1));
    let rejects = std::fs::read_to_string(rejects).unwrap();
    assert!(rejects.starts_with("line,reason,raw\n214,"), "{rejects}");
    let mut by_type: BTreeMap<String, usize> = BTreeMap::new();
    for event in events_of(&log, &survey) {
        *by_type.entry(event.event_type).or_default() += 1;
    }
    assert_eq!((by_type["run.started"], by_type["step.created"], by_type["step.completed"]), (9_999, 49_950, 49_950));
    assert!(by_type["run.completed"] > 5_000 && by_type["run.cancelled"] > 500, "{by_type:?}");
}
