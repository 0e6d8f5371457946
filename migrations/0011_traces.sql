-- The trace of the request that made a job (W3C Trace Context), which the worker's attempts go on with.
-- Additive: a program that does not know of it leaves it out, and its jobs are done as before.

ALTER TABLE jobs
    ADD COLUMN traceparent text,
    ADD COLUMN tracestate  text,
    -- Not valid: the rows that are there have none, so nobody has to wait while they are looked at.
    ADD CONSTRAINT jobs_traceparent_form CHECK (traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$') NOT VALID,
    ADD CONSTRAINT jobs_tracestate_length CHECK (octet_length(tracestate) BETWEEN 1 AND 512) NOT VALID;
