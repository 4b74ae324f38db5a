//! Which tables there are, and which of their columns mean something here. All but the required ones may be absent.

/// A column that is read.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub is_required: bool,
    /// Whether it has to be of an integer type: tables are merged by it, or a read model keeps it as a number.
    pub is_integer: bool,
}

/// An old table.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    pub name: &'static str,
    /// Its primary key.
    pub key: &'static str,
    pub columns: &'static [Column],
    /// Whether what else its rows have goes along with them.
    pub keeps_extra: bool,
    /// By which columns its rows are read in order, before the key.
    pub order: &'static [&'static str],
}

/// The column that says which trace a row belongs to.
pub const TRACE_ID: &str = "trace_id";

const fn column(name: &'static str) -> Column {
    Column { name, is_required: false, is_integer: false }
}

const fn required(name: &'static str) -> Column {
    Column { name, is_required: true, is_integer: false }
}

const fn key(name: &'static str) -> Column {
    Column { name, is_required: true, is_integer: true }
}

const fn integer(name: &'static str) -> Column {
    Column { name, is_required: false, is_integer: true }
}

pub static TRACE: Table = Table {
    name: "workflow_trace",
    key: TRACE_ID,
    columns: &[
        key(TRACE_ID),
        required("org_id"),
        column("workflow_id"),
        column("user_id"),
        required("status"),
        column("channel"),
        column("external_id"),
        column("start_time"),
        column("end_time"),
        column("error_message"),
        column("config_snapshot"),
        required("created_at"),
        column("updated_at"),
    ],
    keeps_extra: true,
    order: &[TRACE_ID],
};

pub static STEPS: Table = Table {
    name: "workflow_steps",
    key: "step_id",
    columns: &[
        key("step_id"),
        key(TRACE_ID),
        column("node_id"),
        column("step_number"),
        column("step_name"),
        required("status"),
        column("retry_count"),
        column("start_time"),
        column("end_time"),
        column("input_data"),
        column("output_data"),
        column("error_message"),
        column("created_at"),
        column("updated_at"),
    ],
    keeps_extra: true,
    order: &[TRACE_ID],
};

pub static EVENTS: Table = Table {
    name: "workflow_events",
    key: "event_id",
    columns: &[
        required("event_id"),
        key(TRACE_ID),
        integer("step_id"),
        column("event_type"),
        column("payload"),
        required("created_at"),
    ],
    keeps_extra: true,
    order: &[TRACE_ID],
};

pub static SCREENSHOTS: Table = Table {
    name: "workflow_trace_screenshot",
    key: "screenshot_id",
    columns: &[
        required("screenshot_id"),
        key(TRACE_ID),
        integer("step_id"),
        required("uri"),
        column("sha256"),
        required("captured_at"),
    ],
    keeps_extra: true,
    order: &[TRACE_ID],
};

pub static CONTEXT: Table = Table {
    name: "workflow_trace_context",
    key: "context_id",
    columns: &[required("context_id"), key(TRACE_ID), required("key"), column("value"), required("created_at")],
    keeps_extra: false,
    order: &[TRACE_ID],
};

pub static ENDPOINTS: Table = Table {
    name: "workflow_trace_endpoint",
    key: "trace_endpoint_id",
    columns: &[required("trace_endpoint_id"), key(TRACE_ID), required("endpoint_id"), required("used_at")],
    keeps_extra: true,
    order: &[TRACE_ID],
};

pub static BINDINGS: Table = Table {
    name: "workflow_data_bindings",
    key: "binding_id",
    columns: &[
        required("binding_id"),
        key(TRACE_ID),
        integer("step_id"),
        required("name"),
        column("value"),
        required("created_at"),
    ],
    keeps_extra: false,
    order: &[TRACE_ID],
};

/// Those of runs: first the traces, then what belongs to traces.
pub static TABLES: [&Table; 7] = [&TRACE, &STEPS, &EVENTS, &SCREENSHOTS, &CONTEXT, &ENDPOINTS, &BINDINGS];

/// The flat table of field requirements.
pub static REQUIREMENTS: Table = Table {
    name: "field_requirement",
    key: "field_requirement_id",
    columns: &[
        required("field_requirement_id"),
        column("org_id"),
        column("payer_id"),
        required("task_type_id"),
        required("field_name"),
        column("requirement"),
        column("is_required"),
        column("rule"),
        column("pattern"),
        column("allowed_values"),
        column("min_value"),
        column("max_value"),
        column("help_text"),
        required("created_at"),
        column("updated_at"),
        column("is_active"),
    ],
    keeps_extra: false,
    order: &[],
};
