CREATE TYPE old_status AS ENUM ('COMPLETED', 'failed', 'In_Progress', 'queued', 'Aborted', 'vanished', 'SKIPPED');
CREATE TABLE workflow_trace (
    trace_id serial PRIMARY KEY, org_id int, workflow_id varchar(80), user_id int, status old_status, channel text,
    external_id text, start_time timestamp, end_time timestamp, error_message text, config_snapshot text,
    created_at timestamp, updated_at timestamptz, tenant_note text);
CREATE TABLE workflow_steps (
    step_id bigint, trace_id bigint, node_id text, step_number smallint, step_name text, status text, retry_count int,
    start_time timestamptz, end_time timestamptz, input_data json, output_data jsonb, error_message text,
    created_at timestamptz);
CREATE TABLE workflow_events (
    event_id bigserial, trace_id bigint, step_id bigint, event_type text, payload jsonb, created_at timestamptz);
CREATE TABLE workflow_trace_screenshot (
    screenshot_id uuid DEFAULT gen_random_uuid(), trace_id bigint, step_id bigint, uri text, captured_at timestamptz);
CREATE TABLE workflow_trace_context (
    context_id int, trace_id bigint, key text, value json, created_at timestamptz, creator text);
CREATE TABLE workflow_trace_endpoint (
    trace_endpoint_id int, trace_id bigint, endpoint_id text, used_at timestamptz);
CREATE TABLE workflow_data_bindings (
    binding_id int, trace_id bigint, step_id bigint, name text, value text, created_at timestamptz);

INSERT INTO workflow_trace VALUES
    (1, 7, 'Eligibility', 3, 'COMPLETED', 'web', 'CLM-1', '2016-03-01 09:00', '2016-03-01 09:05', NULL, '{"n": 1.10}',
        '2016-03-01 09:00', NULL, '=cmd()'),
    -- Ends before it starts; nobody knows who, what, or over which channel.
    (2, 7, NULL, NULL, 'failed', NULL, NULL, '2016-03-01 10:00', '2016-03-01 09:00', NULL, NULL, '2016-03-01 09:59', NULL, NULL),
    -- Ten years old, and nothing but what it has to have.
    (3, 7, NULL, NULL, 'queued', NULL, NULL, NULL, NULL, NULL, NULL, '2015-11-20 00:00', NULL, NULL),
    (4, 7, 'x', 1, 'In_Progress', 'WEB', '', NULL, '2016-01-01 00:00', 'odd', 'no json', '2016-01-01', '2016-01-02', NULL),
    (5, 7, NULL, NULL, 'SKIPPED', NULL, repeat('x', 600), NULL, NULL, NULL, '[1]', NULL, '2016-01-02', NULL),
    (6, 9, NULL, NULL, 'COMPLETED', NULL, NULL, NULL, NULL, NULL, NULL, '2016-01-01', NULL, NULL),
    (7, NULL, NULL, NULL, 'COMPLETED', NULL, NULL, NULL, NULL, NULL, NULL, '2016-01-01', NULL, NULL),
    (8, 7, NULL, NULL, 'vanished', NULL, NULL, NULL, NULL, NULL, NULL, '2016-01-01', NULL, NULL),
    (9, 7, NULL, NULL, 'Aborted', NULL, NULL, NULL, NULL, NULL, '{"a":1,"a":2}', '2016-01-01', NULL, NULL),
    (10, 7, NULL, NULL, 'COMPLETED', NULL, NULL, '1970-01-01', '1970-01-01', '', NULL, '1970-01-01', NULL, NULL);
INSERT INTO workflow_steps VALUES
    (101, 1, 'login', 1, 'Log in', 'success', NULL, '2016-03-01 09:00+00', '2016-03-01 09:01+00', '{"a": 1e2}', '[1.50]',
        NULL, '2016-03-01 09:00+00'),
    (102, 1, NULL, 2, NULL, 'timeout', 3, '2016-03-01 09:01+00', '2016-03-01 09:02+00', NULL, '{"half": 1}', 'no answer', NULL),
    -- One number, twice.
    (103, 2, NULL, 1, NULL, 'skipped', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (104, 2, NULL, 1, NULL, 'canceled', -1, NULL, NULL, '[]', NULL, NULL, NULL),
    (105, 77, NULL, 1, NULL, 'completed', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (106, 1, NULL, NULL, NULL, 'lost', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (107, NULL, NULL, NULL, NULL, 'completed', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (108, 4, NULL, NULL, NULL, 'running', NULL, NULL, NULL, '"\u0000"', NULL, 'last time: busy', NULL),
    (109, 4, NULL, NULL, NULL, 'completed', NULL, NULL, 'infinity', NULL, NULL, NULL, '2016-01-01');
INSERT INTO workflow_events (trace_id, step_id, event_type, payload, created_at) VALUES
    (1, 101, 'click', '{"x": 1.0}', '2016-03-01 09:00:30+00'),
    (1, NULL, 'note', NULL, '2016-03-01 09:00:30+00'),
    (1, 999, 'click', NULL, '2016-03-01 09:00:30+00'),
    (88, 101, 'click', NULL, '2016-03-01 09:00:30+00'),
    (1, 101, 'click', NULL, NULL),
    (1, 101, NULL, 'null', '2016-03-01 09:00:31+00');
INSERT INTO workflow_trace_screenshot (trace_id, step_id, uri, captured_at) VALUES
    (1, 101, 's3://shots/1', '2016-03-01 09:00:40+00'), (1, NULL, 's3://shots/2', '2016-03-01 09:00:41+00');
INSERT INTO workflow_trace_context VALUES
    (1, 1, 'payer', '"Red Valley"', '2016-03-01 09:00+00', 'x'),
    (2, 1, 'payer', '"Blue Harbor"', '2016-03-01 09:00+00', 'x'),
    (3, 1, 'legacy', 'null', '2016-03-01 09:00+00', 'x'),
    (4, 1, 'bad', '"\ud800"', '2016-03-01 09:00+00', 'x');
INSERT INTO workflow_trace_endpoint VALUES (1, 1, 'Portal 4', '2016-03-01 09:00:10+00');
INSERT INTO workflow_data_bindings VALUES
    (1, 1, NULL, 'claim', '{"n": 1.10}', '2016-03-01 09:00+00'),
    (2, 1, 101, 'claim', 'CLM-1', '2016-03-01 09:00+00');
