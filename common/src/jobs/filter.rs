//! Which jobs: one filter, for the list and for everything that is done to many at once.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sqlx::{Postgres, QueryBuilder};

use super::{JobState, Task};
use crate::id::OrderId;

/// Which jobs are meant: those to which all of this applies. An empty one means all.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct JobFilter {
    /// Only those that do this.
    pub task: Option<Task>,
    /// Only these states; all if there are none.
    pub states: Vec<JobState>,
    /// Only those whose last error contains this, in whatever case.
    pub error: Option<String>,
    /// Only this order's.
    pub order: Option<OrderId>,
    /// Only those that were made longer ago than this.
    pub older_than: Option<Duration>,
    /// Only those whose payload contains this JSON, as `@>` of PostgreSQL means it.
    pub payload: Option<Value>,
}

impl JobFilter {
    /// Ends a `… WHERE …` over jobs `j` with what they must fulfil.
    pub(super) fn push(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(task) = self.task {
            query.push(" AND j.kind = ").push_bind(task.kind());
        }
        match self.states.as_slice() {
            [] => {}
            // So that an index by state gives its jobs in their order.
            [state] => {
                query.push(" AND j.state = ").push_bind(*state);
            }
            states => {
                query.push(" AND j.state = ANY(").push_bind(states.to_vec()).push(")");
            }
        }
        if let Some(error) = &self.error {
            // Not LIKE, in which some characters of an error would mean something else.
            query.push(" AND j.last_error IS NOT NULL AND strpos(lower(j.last_error), lower(");
            query.push_bind(error.clone()).push(")) > 0");
        }
        if let Some(order) = self.order {
            query.push(" AND j.order_id = ").push_bind(order);
        }
        if let Some(age) = self.older_than {
            query.push(" AND j.created_at < now() - interval '1 second' * ").push_bind(age.as_secs_f64());
        }
        if let Some(payload) = &self.payload {
            query.push(" AND j.payload @> ").push_bind(payload.clone());
        }
    }
}
