//! The bugs that can be planted.

/// A bug: each breaks one thing that the shop's promise stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A claim's lease is given up at once, and nobody looks for the jobs of dead workers.
    PopWithoutLease,
    /// A settlement asks neither for the token nor for the states of the job and the order.
    NoTokenInSettle,
    /// A job is put on the schedule before the commit only, and nobody looks for due jobs.
    EnqueueBeforeCommitOnly,
    /// Nobody looks for due jobs, nor for those of dead workers.
    NoReconcile,
    /// A charge that was not answered is not looked up, and charged again under another key.
    NewKeyAfterUnknown,
    /// A failed order gives its stock back twice.
    StockReleasedTwice,
    /// An order is given up without the gateway's promise that its key is dead.
    FailWithoutVoid,
    /// An idempotency key is written after the order's commit.
    KeyOutsideTransaction,
    /// Running jobs are taken whatever the heartbeat of their worker says.
    TakeoverOfLiveJobs,
    /// An order is answered before its commit.
    AnswerBeforeCommit,
    /// An order is cancelled also while it is being charged.
    CancelIgnoresOpenKey,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::PopWithoutLease,
        Self::NoTokenInSettle,
        Self::EnqueueBeforeCommitOnly,
        Self::NoReconcile,
        Self::NewKeyAfterUnknown,
        Self::StockReleasedTwice,
        Self::FailWithoutVoid,
        Self::KeyOutsideTransaction,
        Self::TakeoverOfLiveJobs,
        Self::AnswerBeforeCommit,
        Self::CancelIgnoresOpenKey,
    ];

    /// As `SHOP_BREAK` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PopWithoutLease => "pop_without_lease",
            Self::NoTokenInSettle => "no_token_in_settle",
            Self::EnqueueBeforeCommitOnly => "enqueue_before_commit_only",
            Self::NoReconcile => "no_reconcile",
            Self::NewKeyAfterUnknown => "new_key_after_unknown",
            Self::StockReleasedTwice => "stock_released_twice",
            Self::FailWithoutVoid => "fail_without_void",
            Self::KeyOutsideTransaction => "key_outside_transaction",
            Self::TakeoverOfLiveJobs => "takeover_of_live_jobs",
            Self::AnswerBeforeCommit => "answer_before_commit",
            Self::CancelIgnoresOpenKey => "cancel_ignores_open_key",
        }
    }
}
