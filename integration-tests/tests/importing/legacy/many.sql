CREATE TABLE workflow_trace (
    trace_id bigint PRIMARY KEY, org_id int, workflow_id text, status text, start_time timestamptz, end_time timestamptz,
    created_at timestamptz, updated_at timestamptz, error_message text);
CREATE TABLE workflow_steps (
    step_id bigint PRIMARY KEY, trace_id bigint, step_number int, status text, start_time timestamptz,
    end_time timestamptz, output_data jsonb, updated_at timestamptz);
CREATE TABLE workflow_events (
    event_id bigint PRIMARY KEY, trace_id bigint, step_id bigint, event_type text, payload jsonb, created_at timestamptz);
INSERT INTO workflow_trace
    SELECT n, 7, 'w' || n % 5, 'completed', at, at + interval '5 minutes', at, at + interval '5 minutes'
    FROM generate_series(:from, :to) n, LATERAL (SELECT timestamptz '2020-01-01' + n * interval '1 minute' AS at) t;
INSERT INTO workflow_steps
    SELECT trace_id * 10 + n, trace_id, n, 'success', start_time, end_time, jsonb_build_object('n', n), end_time
    FROM workflow_trace, generate_series(1, 2) n;
INSERT INTO workflow_events
    SELECT step_id, trace_id, step_id, 'click', jsonb_build_object('step', step_id), start_time FROM workflow_steps;
