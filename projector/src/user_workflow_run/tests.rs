//! Each rule of the contract's fold, given events and then rows.

use super::{Rows, RunRow, StepRow, UserWorkflowRun};
use crate::{
    fold::{LIST_ELEMENTS_MAX, Status},
    projection::{FoldEvent, Projection},
    story::{Told, fold, id, on, recorded, rows_of},
};

fn run_of(story: impl IntoIterator<Item = Told>) -> RunRow {
    let [run] = rows_of::<UserWorkflowRun>(story).runs.try_into().unwrap();
    run
}

fn steps_of(story: impl IntoIterator<Item = Told>) -> Vec<StepRow> {
    rows_of::<UserWorkflowRun>(story).steps
}

fn step_of(story: impl IntoIterator<Item = Told>) -> StepRow {
    let [step] = steps_of(story).try_into().unwrap();
    step
}

fn failed(time: &'static str) -> Told {
    on("run.failed", time).with(r#""error_message":"portal is down","error_details":{"http":503}"#)
}

fn flags<const N: usize>(flags: [&'static str; N]) -> crate::fold::Flags {
    flags.into()
}

mod status {
    use super::*;

    #[test]
    fn a_created_run_is_pending_and_a_started_one_running() {
        assert_eq!(run_of([on("run.created", "10:00:00")]).status, Status::Pending);
        assert_eq!(run_of([on("run.started", "10:00:00"), on("run.created", "10:00:05")]).status, Status::Running);
    }

    #[test]
    fn an_end_beats_a_start_whatever_the_clocks_say() {
        let run = run_of([on("run.completed", "10:00:00"), on("run.started", "10:00:09")]);
        assert_eq!(run.status, Status::Completed);
    }

    #[test]
    fn of_several_ends_the_latest_wins_and_the_run_is_flagged() {
        let run = run_of([on("run.started", "10:00:00"), on("run.completed", "10:00:02"), failed("10:00:01")]);
        assert_eq!((run.status, run.error_message), (Status::Completed, None));
        assert_eq!(run.flags, flags(["several_ends"]));
    }

    #[test]
    fn of_two_ends_at_one_time_the_greater_event_id_wins() {
        let end = |type_of_end, id| on(type_of_end, "10:00:02").id(id);
        let run = run_of([on("run.started", "10:00:00"), end("run.cancelled", 9), end("run.completed", 8)]);
        assert_eq!(run.status, Status::Cancelled);
    }

    #[test]
    fn every_end_has_its_status() {
        let message = r#""error_message":"x""#;
        for (type_of_end, status) in [
            ("run.completed", "completed"),
            ("run.failed", "failed"),
            ("run.cancelled", "cancelled"),
            ("run.timed_out", "timeout"),
        ] {
            assert_eq!(run_of([on(type_of_end, "10:00:00").with(message)]).status.as_str(), status);
        }
        for (type_of_end, status) in
            [("step.completed", "completed"), ("step.failed", "failed"), ("step.skipped", "skipped")]
        {
            assert_eq!(step_of([on(type_of_end, "10:00:00").step(1).with(message)]).status.as_str(), status);
        }
    }

    #[test]
    fn a_later_attempt_of_a_step_beats_the_end_of_an_earlier_one() {
        let story = [
            on("step.started", "10:00:00").step(1),
            on("step.failed", "10:00:09").step(1).with(r#""attempt":0,"error_message":"busy""#),
            on("step.retried", "10:00:02").step(1).with(r#""attempt":1,"error_message":"busy""#),
        ];
        let retried = step_of(story.clone());
        assert_eq!((retried.status, retried.retry_count), (Status::Pending, 1));
        assert_eq!(retried.error_message.as_deref(), Some("busy"));
        assert_eq!(retried.ended_at, None);

        let again = on("step.started", "10:00:03").step(1).with(r#""attempt":1"#);
        let again = step_of(story.into_iter().chain([again]));
        assert_eq!((again.status, again.error_message), (Status::Running, None));
    }

    #[test]
    fn a_step_that_is_known_by_its_log_alone_is_pending() {
        let step = step_of([on("step.event_logged", "10:00:00").step(1).with(r#""event":{"say":"hello"}"#)]);
        assert_eq!((step.status, step.retry_count), (Status::Pending, 0));
    }
}

mod times {
    use super::*;

    #[test]
    fn a_duration_is_from_the_earliest_start_to_the_end_in_whole_milliseconds() {
        let run = run_of([
            on("run.started", "10:00:05"),
            on("run.started", "10:00:00.0001"),
            on("run.completed", "10:00:07.0009999"),
        ]);
        assert_eq!(run.duration_ms, Some(7_000));
        assert_eq!(run.flags, flags([]));
    }

    #[test]
    fn an_end_before_the_start_has_no_duration_even_if_it_is_microseconds() {
        let run = run_of([on("run.started", "10:00:00.000002"), on("run.completed", "10:00:00.000001")]);
        assert_eq!(run.duration_ms, None);
        assert_eq!(run.flags, flags(["event_after_end", "negative_duration"]));
    }

    #[test]
    fn an_end_without_a_start_is_flagged() {
        let run = run_of([failed("10:00:00")]);
        assert_eq!((run.started_at, run.duration_ms), (None, None));
        assert_eq!(run.flags, flags(["no_start"]));
    }

    #[test]
    fn a_run_s_times_and_their_flags_come_from_its_steps_too() {
        let run = run_of([
            on("run.started", "10:00:00"),
            on("run.completed", "10:00:05"),
            on("step.started", "1999-12-31T23:59:59").step(1),
            on("step.completed", "10:00:06").step(1),
        ]);
        assert_eq!(run.created_at.to_rfc3339(), "1999-12-31T23:59:59+00:00");
        assert_eq!(run.updated_at.to_rfc3339(), "2026-03-01T10:00:06+00:00");
        assert_eq!(run.flags, flags(["event_after_end", "implausible_time"]));
    }

    #[test]
    fn a_step_before_its_run_makes_a_pending_run() {
        let run = run_of([on("step.started", "10:00:01").step(1), on("step.completed", "10:00:02").step(1)]);
        assert_eq!((run.status, run.started_at, run.ended_at), (Status::Pending, None, None));
        assert_eq!((run.updated_at - run.created_at).num_seconds(), 1);
        assert_eq!(run.flags, flags([]));
    }

    #[test]
    fn two_ends_of_one_attempt_are_flagged_and_those_of_two_attempts_are_not() {
        let end = |attempt: i32| on("step.completed", "10:00:09").step(1).with(&format!("\"attempt\":{attempt}"));
        let start = || on("step.started", "10:00:00").step(1);
        assert_eq!(step_of([start(), end(0), end(1)]).flags, flags([]));
        assert_eq!(step_of([start(), end(1), end(0), end(0)]).flags, flags(["several_ends"]));
    }
}

mod columns {
    use super::*;

    #[test]
    fn a_column_has_its_latest_value_and_an_absent_or_null_one_replaces_nothing() {
        let run = run_of([
            on("run.created", "10:00:00").with(r#""channel":"voice","external_id":"A-1","config_snapshot":{"v":1}"#),
            on("run.started", "10:00:01").with(r#""channel":"web","external_id":null,"config_snapshot":{}"#),
        ]);
        assert_eq!((run.channel.as_deref(), run.external_id.as_deref()), (Some("web"), Some("A-1")));
        assert_eq!(run.config_snapshot, "{}");
    }

    #[test]
    fn every_attribute_of_a_run_has_its_column() {
        let attributes = format!(
            r#""workflow_id":"{}","workflow_revision":3,"created_by":"{}","parent_run_id":"{}","legacy_trace_id":-9"#,
            id(1),
            id(2),
            id(3)
        );
        let run = run_of([on("run.created", "10:00:00").with(&attributes)]);
        assert_eq!(run.workflow_id.map(|workflow| workflow.uuid()), Some(id(1)));
        assert_eq!(run.workflow_revision, Some(3));
        assert_eq!(run.created_by.map(|user| user.uuid()), Some(id(2)));
        assert_eq!(run.parent_run_id.map(|parent| parent.uuid()), Some(id(3)));
        assert_eq!(run.legacy_trace_id, Some(-9));
    }

    #[test]
    fn context_is_settled_key_by_key() {
        let context = |time, context| on("run.context_added", time).with(context);
        let run = run_of([
            context("10:00:02", r#""context":{"payer":"late","claim":1.10}"#),
            on("run.started", "10:00:01").with(r#""context":{"payer":"early","member":"m"}"#),
            on("run.completed", "10:00:03").with(r#""context":{"done":true}"#),
        ]);
        assert_eq!(run.context, r#"{"claim":1.10,"done":true,"member":"m","payer":"late"}"#);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let run = run_of([on("run.started", "10:00:00").with(r#""context":{"n":123456789012345678.900}"#)]);
        assert_eq!(run.context, r#"{"n":123456789012345678.900}"#);
    }

    #[test]
    fn columns_without_a_value_are_empty_or_null() {
        let run = run_of([on("run.created", "10:00:00")]);
        assert_eq!(
            (run.context.as_str(), run.config_snapshot.as_str(), run.endpoints_used.as_str()),
            ("{}", "{}", "[]")
        );
        assert_eq!((run.error_message, run.error_details), (None, None));
        let step = step_of([on("step.created", "10:00:00").step(1)]);
        assert_eq!((step.metadata.as_str(), step.events.as_str(), step.screenshots.as_str()), ("{}", "[]", "[]"));
        assert_eq!((step.input_data, step.output_data, step.error_details), (None, None, None));
    }

    #[test]
    fn error_columns_are_the_winning_event_s() {
        let run = run_of([on("run.started", "10:00:00"), failed("10:00:01")]);
        assert_eq!(run.error_message.as_deref(), Some("portal is down"));
        assert_eq!(run.error_details.as_deref(), Some(r#"{"http":503}"#));
        let cancelled = on("run.cancelled", "10:00:02").with(r#""reason":"no longer wanted""#);
        let run = run_of([on("run.started", "10:00:00"), failed("10:00:01"), cancelled]);
        assert_eq!((run.error_message.as_deref(), run.error_details), (Some("no longer wanted"), None));
    }

    #[test]
    fn output_is_that_of_a_winning_completion_only() {
        let done = on("step.completed", "10:00:01").step(1).with(r#""output_data":{"eligible":true}"#);
        let failed = on("step.failed", "10:00:02").step(1).with(r#""error_message":"x""#);
        assert_eq!(step_of([done.clone()]).output_data.as_deref(), Some(r#"{"eligible":true}"#));
        assert_eq!(step_of([done, failed]).output_data, None);
    }

    #[test]
    fn input_is_that_of_the_latest_start_of_the_latest_attempt_even_if_it_has_none() {
        let start = |time, fields| on("step.started", time).step(1).with(fields);
        let second = start("10:00:01", r#""attempt":1,"input_data":{"try":2}"#);
        let first = start("10:00:09", r#""attempt":0,"input_data":{"try":1}"#);
        assert_eq!(step_of([second.clone(), first]).input_data.as_deref(), Some(r#"{"try":2}"#));
        assert_eq!(step_of([second, start("10:00:02", r#""attempt":1"#)]).input_data, None);
    }

    #[test]
    fn a_protected_value_is_carried_on_unopened() {
        let protected = r#"{"$protected":{"v":1,"alg":"A256GCM","kid":"k","ct":"…"}}"#;
        let run = run_of([on("run.started", "10:00:00").with(&format!(r#""context":{{"member":{protected}}}"#))]);
        assert_eq!(run.context, format!(r#"{{"member":{protected}}}"#));
    }
}

mod lists {
    use super::*;

    #[test]
    fn elements_stand_in_the_order_in_which_they_happened() {
        let logged = |time, n: i32| on("step.event_logged", time).step(1).with(&format!(r#""event":{{"n":{n}}}"#));
        let step = step_of([logged("10:00:02", 2), logged("10:00:01", 1)]);
        assert_eq!(
            step.events,
            format!(
                r#"[{{"n":1,"time":"2026-03-01T10:00:01.000000Z","event_id":"{}"}},{{"n":2,"time":"2026-03-01T10:00:02.000000Z","event_id":"{}"}}]"#,
                id(2),
                id(1)
            )
        );
    }

    #[test]
    fn a_list_keeps_its_latest_thousand_and_says_so() {
        let shot = |n: usize| {
            let time = format!("10:{:02}:{:02}", n / 60, n % 60);
            on("step.screenshot_captured", time).step(1).with(&format!(r#""screenshot":{{"uri":"s3://shots/{n}"}}"#))
        };
        let full = step_of((0..LIST_ELEMENTS_MAX).map(shot));
        assert_eq!(full.flags, flags([]));
        let over = step_of((0..LIST_ELEMENTS_MAX + 2).map(shot));
        assert_eq!(over.flags, flags(["list_truncated"]));
        assert!(over.screenshots.starts_with(r#"[{"uri":"s3://shots/2","#));
    }

    #[test]
    fn screenshots_of_both_versions_stand_in_one_list_in_the_order_of_time_and_sending() {
        let both = r#""screenshots":[{"uri":"s3://b"},{"uri":"s3://a","time":"mine"}]"#;
        let step = step_of([
            on("step.screenshot_captured", "10:00:02").version(2).step(1).with(both),
            on("step.screenshot_captured", "10:00:01").step(1).with(r#""screenshot":{"uri":"s3://z","n":1.0}"#),
        ]);
        let element = |sent: &str, second, event| {
            format!(r#"{{{sent},"time":"2026-03-01T10:00:0{second}.000000Z","event_id":"{}"}}"#, id(event))
        };
        let elements = [
            element(r#""n":1.0,"uri":"s3://z""#, 1, 2),
            element(r#""uri":"s3://b""#, 2, 1),
            element(r#""uri":"s3://a""#, 2, 1),
        ];
        assert_eq!(step.screenshots, format!("[{}]", elements.join(",")));
    }

    #[test]
    fn the_limit_of_a_list_may_fall_within_an_event() {
        let shots = |event: usize| {
            let shots: Vec<_> = (0..3).map(|n| format!(r#"{{"uri":"s3://shots/{event}/{n}"}}"#)).collect();
            let time = format!("10:{:02}:{:02}", event / 60, event % 60);
            let shots = format!(r#""screenshots":[{}]"#, shots.join(","));
            on("step.screenshot_captured", time).version(2).step(1).with(&shots)
        };
        let over = step_of((0..LIST_ELEMENTS_MAX.div_ceil(3)).map(shots));
        assert_eq!(over.flags, flags(["list_truncated"]));
        assert!(over.screenshots.starts_with(r#"[{"uri":"s3://shots/0/2","#));
    }

    #[test]
    fn endpoints_are_a_list_of_the_run() {
        let endpoint = format!(r#""endpoint":{{"endpoint_id":"{}","kind":"portal"}}"#, id(5));
        let run = run_of([on("run.endpoint_used", "10:00:00").with(&endpoint)]);
        assert!(run.endpoints_used.contains(r#""kind":"portal","time":"2026-03-01T10:00:00.000000Z""#));
    }
}

mod corrections {
    use super::*;

    fn retracted(time: &'static str) -> Told {
        on("run.retracted", time).with(r#""reason":"sent twice""#)
    }

    fn story() -> [Told; 3] {
        [on("run.started", "10:00:00"), on("step.started", "10:00:01").step(1), on("run.completed", "10:00:02")]
    }

    #[test]
    fn a_retracted_run_has_no_rows() {
        let rows = rows_of::<UserWorkflowRun>(story().into_iter().chain([retracted("11:00:00")]));
        assert_eq!((rows.runs, rows.steps), (vec![], vec![]));
        assert_eq!(rows.retracted, [(crate::story::subject().org_id, id(0xB).try_into().unwrap())]);
        let without = rows_of::<UserWorkflowRun>(story());
        assert_eq!((rows.withheld_runs, rows.withheld_steps), (without.runs, without.steps));
    }

    #[test]
    fn a_reinstated_run_has_the_rows_that_it_would_have_had() {
        let before = rows_of::<UserWorkflowRun>(story());
        let corrected = [retracted("11:00:00"), on("run.reinstated", "11:00:01")];
        assert_eq!(rows_of::<UserWorkflowRun>(story().into_iter().chain(corrected)), before);
    }

    #[test]
    fn of_a_retraction_and_a_reinstatement_the_later_wins_and_at_one_time_the_greater_id() {
        let is_retracted =
            |corrections: [Told; 2]| rows_of::<UserWorkflowRun>(story().into_iter().chain(corrections)).runs.is_empty();
        assert!(!is_retracted([retracted("11:00:00"), on("run.reinstated", "11:00:01")]));
        assert!(is_retracted([retracted("11:00:02"), on("run.reinstated", "11:00:01")]));
        assert!(!is_retracted([retracted("11:00:00").id(8), on("run.reinstated", "11:00:00").id(9)]));
        assert!(is_retracted([retracted("11:00:00").id(9), on("run.reinstated", "11:00:00").id(8)]));
    }

    #[test]
    fn corrections_count_as_sent_and_touch_no_time_and_no_flag() {
        let corrections =
            [retracted("09:00:00").sent_by("urn:desk", 1), on("run.reinstated", "11:00:00").sent_by("urn:desk", 2)];
        let run = run_of(story().into_iter().chain(corrections.clone()));
        assert_eq!(run, run_of(story()));
        assert_eq!(run.flags, flags([]));
        let [_, late] = corrections;
        assert_eq!(run_of(story().into_iter().chain([late])).flags, flags(["events_missing"]));
    }

    #[test]
    fn a_run_of_corrections_alone_has_no_row() {
        let rows = rows_of::<UserWorkflowRun>([retracted("10:00:00"), on("run.reinstated", "11:00:00")]);
        assert_eq!(rows, Rows::default());
    }

    #[test]
    fn what_happens_while_a_run_is_retracted_shows_when_it_is_reinstated() {
        let later = [on("step.started", "10:00:03").step(2), on("run.reinstated", "12:00:00")];
        let events = recorded(story().into_iter().chain([retracted("11:00:00")]).chain(later));
        let mut state = UserWorkflowRun::default();
        let mut take = |events: &[_]| {
            for event in events {
                state.apply(FoldEvent::read::<UserWorkflowRun>(event).unwrap());
            }
            let mut rows = Rows::default();
            state.take_rows(crate::story::subject(), &crate::story::lookups(), &mut rows);
            let withheld = (rows.withheld_runs.len(), rows.withheld_steps.len());
            (rows.runs.len(), rows.steps.len(), rows.retracted.len(), withheld)
        };
        assert_eq!(take(&events[..3]), (1, 1, 0, (0, 0)));
        assert_eq!(take(&events[3..4]), (0, 0, 1, (1, 0)));
        assert_eq!(take(&events[4..5]), (0, 0, 0, (1, 1)));
        assert_eq!(take(&events[5..]), (1, 2, 0, (0, 0)));
    }
}

mod oddities {
    use super::*;

    #[test]
    fn two_steps_with_one_number_are_flagged_on_the_run_while_they_share_it() {
        let created =
            |step, number: i32| on("step.created", "10:00:00").step(step).with(&format!("\"step_number\":{number}"));
        let story = [created(1, 7), created(2, 7), created(3, 8)];
        assert_eq!(run_of(story.clone()).flags, flags(["step_number_reused"]));
        assert!(steps_of(story.clone()).iter().all(|step| step.flags.is_empty()));
        let renumbered = on("step.started", "10:00:01").step(2).with(r#""step_number":9"#);
        assert_eq!(run_of(story.into_iter().chain([renumbered])).flags, flags([]));
    }

    #[test]
    fn an_unknown_channel_is_kept_and_flagged() {
        let run = run_of([on("run.created", "10:00:00").with(r#""channel":"telex""#)]);
        assert_eq!((run.channel.as_deref(), run.flags), (Some("telex"), flags(["unknown_channel"])));
    }

    #[test]
    fn a_gap_in_a_source_s_own_count_is_flagged() {
        let story = |last| {
            [
                on("run.created", "10:00:00").sent_by("urn:intake", 1),
                on("run.started", "10:00:01").sent_by("urn:worker", 1),
                on("step.started", "10:00:02").step(1).sent_by("urn:worker", last),
            ]
        };
        assert_eq!(run_of(story(2)).flags, flags([]));
        let rows = rows_of::<UserWorkflowRun>(story(3));
        assert_eq!(rows.runs[0].flags, flags(["events_missing"]));
        assert_eq!(rows.steps[0].flags, flags([]));
    }

    #[test]
    fn events_of_other_families_about_the_run_fill_the_count_and_nothing_else() {
        let run = run_of([
            on("run.created", "10:00:00").sent_by("urn:worker", 1),
            on("custom.noted", "09:00:00").sent_by("urn:worker", 2),
            on("run.started", "10:00:01").sent_by("urn:worker", 3),
        ]);
        assert_eq!(run.flags, flags([]));
        assert_eq!(run.created_at.to_rfc3339(), "2026-03-01T10:00:00+00:00");
        assert_eq!(rows_of::<UserWorkflowRun>([on("custom.noted", "09:00:00")]).runs, []);
    }

    #[test]
    fn an_unfoldable_event_is_flagged_and_the_row_made_of_the_others() {
        let poison = on("run.failed", "09:00:00").data(r#"{"error_message":7}"#);
        let run = run_of([on("run.started", "10:00:00"), poison.clone()]);
        assert_eq!((run.status, run.flags), (Status::Running, flags(["unfoldable_event"])));
        assert_eq!(run.created_at.to_rfc3339(), "2026-03-01T10:00:00+00:00");
        assert_eq!(rows_of::<UserWorkflowRun>([poison]).runs, []);
    }

    #[test]
    fn an_unfoldable_event_of_a_step_is_flagged_on_that_step_and_makes_no_row_of_its_own() {
        let poison = |step| on("step.completed", "10:00:01").step(step).with(r#""attempt":"none""#);
        let started = |step| on("step.started", "10:00:00").step(step);
        let rows = rows_of::<UserWorkflowRun>([started(1), started(2), poison(2), poison(3)]);
        let steps: Vec<_> = rows.steps.iter().map(|step| (step.step_id.uuid(), step.flags.clone())).collect();
        assert_eq!(steps, [(id(1), flags([])), (id(2), flags(["unfoldable_event"]))]);
        assert_eq!(rows.steps[1].updated_at.to_rfc3339(), "2026-03-01T10:00:00+00:00");
        assert_eq!(rows.runs[0].flags, flags(["unfoldable_event"]));
    }

    #[test]
    fn only_what_names_a_step_in_a_step_event_is_taken_for_one() {
        let started = || on("step.started", "10:00:00").step(1);
        let named = r#"{"step_id":"00000000-0000-0000-0000-000000000001","error_message":7}"#;
        let no_id = r#"{"step_id":"1","error_message":"x"}"#;
        for (event_type, data) in [("run.failed", named), ("step.failed", no_id), ("step.failed", "[]")] {
            assert_eq!(step_of([started(), on(event_type, "10:00:01").data(data)]).flags, flags([]), "{data}");
        }
        assert_eq!(step_of([started(), on("step.failed", "10:00:01").data(named)]).flags, flags(["unfoldable_event"]));
    }

    #[test]
    fn json_that_the_tables_could_not_hold_is_unfoldable() {
        let poison = on("run.context_added", "10:00:01").data(r#"{"context":{"n":1e400}}"#);
        assert_eq!(run_of([on("run.started", "10:00:00"), poison]).flags, flags(["unfoldable_event"]));
    }

    #[test]
    fn a_newer_version_or_type_of_the_family_is_not_guessed_at() {
        for newer in [on("run.started", "10:00:00").version(2), on("step.teleported", "10:00:00")] {
            let [event] = recorded([newer]).try_into().unwrap();
            assert!(FoldEvent::read::<UserWorkflowRun>(&event).is_err());
        }
    }
}

#[test]
fn only_what_changed_becomes_rows() {
    let events = recorded([
        on("step.started", "10:00:00").step(1),
        on("step.started", "10:00:01").step(2),
        on("step.completed", "10:00:02").step(2),
    ]);
    let mut state = UserWorkflowRun::default();
    let take = |state: &mut UserWorkflowRun| {
        let mut rows = Rows::default();
        state.take_rows(crate::story::subject(), &crate::story::lookups(), &mut rows);
        rows
    };
    for event in &events[..2] {
        state.apply(FoldEvent::read::<UserWorkflowRun>(event).unwrap());
    }
    assert_eq!(take(&mut state).steps.len(), 2);
    state.apply(FoldEvent::read::<UserWorkflowRun>(&events[2]).unwrap());
    state.apply(FoldEvent::read::<UserWorkflowRun>(&events[0]).unwrap());
    let rows = take(&mut state);
    assert_eq!((rows.runs.len(), rows.steps.len()), (1, 1));
    assert_eq!(rows.steps, fold::<UserWorkflowRun>(&events).steps[1..]);
    assert_eq!(take(&mut state), Rows::default());
}

#[test]
fn sources_and_step_numbers_weigh_something() {
    let weight = |story: Vec<Told>| {
        let mut state = UserWorkflowRun::default();
        for event in &recorded(story) {
            state.apply(FoldEvent::read::<UserWorkflowRun>(event).unwrap());
        }
        state.weight()
    };
    let long: &'static str = "s".repeat(1_000).leak();
    let sent = |sources: [&'static str; 2]| sources.map(|source| on("run.started", "10:00:00").sent_by(source, 1));
    assert!(weight(sent(["urn:a", long]).into()) >= weight(sent(["urn:a", "urn:a"]).into()) + long.len());

    let numbered = |from: i32| {
        let number = move |n| on("step.created", "10:00:00").step(1).with(&format!("\"step_number\":{n}"));
        (0..100).map(|n| number(n * from)).collect::<Vec<_>>()
    };
    assert!(weight(numbered(1)) >= weight(numbered(0)) + 99 * 16);
}
