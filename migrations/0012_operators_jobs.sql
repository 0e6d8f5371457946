-- What operators ask of jobs and workers: an index for each of their lists, and what a worker has been doing lately.
-- Additive: a program that does not know of it goes on as before, and a worker of before says nothing of itself.
-- Not CONCURRENTLY (rule 5): nothing was released before this file, so there is no shop that could be kept waiting.

-- `jobs list --sort updated`; `jobs prune` goes through those that ended first.
CREATE INDEX jobs_by_updated_at ON jobs (updated_at, id);

-- `jobs list --sort error` and the failures of `jobs top`. Few have an error while all is well.
CREATE INDEX jobs_with_error ON jobs (updated_at, id) WHERE last_error IS NOT NULL;

-- `jobs history`: what came of attempts, and which refunds are done.
CREATE INDEX payment_attempts_by_created_at ON payment_attempts (created_at, payment_id);
CREATE INDEX refunds_done ON refunds (refunded_at, payment_id) WHERE refunded_at IS NOT NULL;

-- What each heartbeat tells: attempts that were settled since the worker began, and of the time since the heartbeat
-- before (so many seconds) how many were settled, and how many jobs began by how late they were, in the buckets of
-- `common/src/jobs/lateness.rs`.
ALTER TABLE workers
    ADD COLUMN settled        bigint NOT NULL DEFAULT 0 CONSTRAINT workers_settled_not_negative CHECK (settled >= 0),
    ADD COLUMN lately_seconds double precision NOT NULL DEFAULT 0
               CONSTRAINT workers_lately_seconds_not_negative CHECK (lately_seconds >= 0),
    ADD COLUMN lately_settled bigint NOT NULL DEFAULT 0
               CONSTRAINT workers_lately_settled_not_negative CHECK (lately_settled >= 0),
    ADD COLUMN lately_started integer[] NOT NULL DEFAULT '{}';
