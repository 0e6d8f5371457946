-- Audits: a worker compares the gateway's ledger with the shop's payments. The
-- command line cannot speak to a gateway, so it asks here.
CREATE TABLE gateway_audits (
    id           uuid PRIMARY KEY,
    requested_by text NOT NULL CONSTRAINT gateway_audits_requested_by_length CHECK (char_length(requested_by) BETWEEN 1 AND 200),
    requested_at timestamptz NOT NULL DEFAULT now(),
    boot_id      uuid,
    started_at   timestamptz,
    heartbeat_at timestamptz,
    finished_at  timestamptz,
    charges      bigint NOT NULL DEFAULT 0 CONSTRAINT gateway_audits_charges_not_negative CHECK (charges >= 0),
    error        text,
    CONSTRAINT gateway_audits_started_has_worker
        CHECK ((boot_id IS NULL) = (started_at IS NULL) AND (boot_id IS NULL) = (heartbeat_at IS NULL)),
    CONSTRAINT gateway_audits_finished_was_started CHECK (finished_at IS NULL OR started_at IS NOT NULL)
);

-- One waits at most, which everybody who asks shares; and one is done at a time.
CREATE UNIQUE INDEX gateway_audits_one_waits   ON gateway_audits ((true)) WHERE boot_id IS NULL;
CREATE UNIQUE INDEX gateway_audits_one_is_done ON gateway_audits ((true)) WHERE boot_id IS NOT NULL AND finished_at IS NULL;
CREATE INDEX gateway_audits_by_end ON gateway_audits (finished_at);

-- What an audit found. `refunding` is written before the gateway is asked to give the money
-- back, so that a worker that dies in between leaves word of it.
CREATE TABLE gateway_audit_findings (
    audit_id     uuid NOT NULL CONSTRAINT gateway_audit_findings_audit_exists REFERENCES gateway_audits,
    charge_key   text NOT NULL,
    payment_id   text NOT NULL,
    amount_minor bigint NOT NULL,
    finding      text NOT NULL CONSTRAINT gateway_audit_findings_finding_known
                 CHECK (finding IN ('forgotten', 'double', 'missing', 'amount')),
    action       text NOT NULL CONSTRAINT gateway_audit_findings_action_known
                 CHECK (action IN ('refunding', 'refunded', 'reported')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (audit_id, charge_key, finding)
);

CREATE INDEX gateway_audit_findings_refunding ON gateway_audit_findings (audit_id, charge_key) WHERE action = 'refunding';
