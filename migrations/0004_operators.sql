-- What operators need after faults. Additive: a program that does not know of it goes on as before.

-- Why an operator has given the job's order up. While it is set, the worker voids instead of charging.
ALTER TABLE jobs ADD COLUMN give_up text;

-- While there is a row, no worker starts a job.
CREATE TABLE queue_pause (
    only_row  boolean PRIMARY KEY DEFAULT true CONSTRAINT queue_pause_has_one_row CHECK (only_row),
    reason    text CONSTRAINT queue_pause_reason_length CHECK (char_length(reason) BETWEEN 1 AND 200),
    paused_at timestamptz NOT NULL DEFAULT now()
);
