-- Live status: tickets for browsers, tokens that can be revoked, events that grow old.
-- Additive: a program that does not know of it goes on as before.

-- A token names the generation that it was issued in; one of an earlier generation is revoked.
ALTER TABLE users
    ADD COLUMN token_generation integer NOT NULL DEFAULT 0
               CONSTRAINT users_token_generation_not_negative CHECK (token_generation >= 0),
    ADD COLUMN revoked_at timestamptz;

-- Whose tokens were revoked not long ago: what every api looks at each second.
CREATE INDEX users_by_revoked_at ON users (revoked_at) WHERE revoked_at IS NOT NULL;

-- A ticket opens one WebSocket, for whoever cannot send a header. Only its digest is kept.
CREATE TABLE socket_tickets (
    digest           bytea PRIMARY KEY CONSTRAINT socket_tickets_digest_length CHECK (octet_length(digest) = 32),
    user_id          uuid NOT NULL CONSTRAINT socket_tickets_user_exists REFERENCES users,
    token_generation integer NOT NULL,
    token_expires_at timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL
);

CREATE INDEX socket_tickets_by_expires_at ON socket_tickets (expires_at);

-- For what is forgotten when it is old, and for operators who watch everybody's. Not CONCURRENTLY (rule 5):
-- nothing was released before this file, so there is no shop whose events could make anybody wait.
CREATE INDEX events_by_created_at ON events (created_at);
