-- Access tokens of a quarter of an hour: the names of the keys that sign them, and the sessions that renew them.
-- Additive: a program that does not know of it goes on as before.

-- A key is derived from the secret of the api and the name here: the database never holds what could sign a token.
-- Each api looks at this table each second. A key signs from `signs_from` on, which lies ahead when it is made, so that
-- every api knows it before any of them signs with it.
CREATE TABLE signing_keys (
    kid        text PRIMARY KEY CONSTRAINT signing_keys_kid_form CHECK (kid ~ '^[0-9a-f]{16}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    signs_from timestamptz NOT NULL,
    retired_at timestamptz,
    CONSTRAINT signing_keys_sign_one_after_the_other UNIQUE (signs_from)
);

-- The first key is made here, so that apis that start together have nothing to agree on.
INSERT INTO signing_keys (kid, signs_from) VALUES (left(replace(gen_random_uuid()::text, '-', ''), 16), now());

-- A session begins with a login and ends at `expires_at` at the latest. It belongs to a generation of its user's
-- tokens: when that moves on, all earlier sessions have ended, without a word here.
CREATE TABLE sessions (
    id               uuid PRIMARY KEY,
    user_id          uuid NOT NULL CONSTRAINT sessions_user_exists REFERENCES users ON DELETE CASCADE,
    token_generation integer NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    expires_at       timestamptz NOT NULL,
    revoked_at       timestamptz,
    revoked_reason   text CONSTRAINT sessions_revoked_reason_known
                     CHECK (revoked_reason IN ('logout', 'refresh_token_reused')),
    CONSTRAINT sessions_revoked_for_a_reason CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
);

CREATE INDEX sessions_by_user       ON sessions (user_id);
CREATE INDEX sessions_by_expires_at ON sessions (expires_at);
-- Which sessions were revoked not long ago: what every api looks at each second.
CREATE INDEX sessions_by_revoked_at ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- A refresh token is good once. A used one stays until it expires, so that its second use is noticed. Only digests
-- are kept.
CREATE TABLE refresh_tokens (
    digest     bytea PRIMARY KEY CONSTRAINT refresh_tokens_digest_length CHECK (octet_length(digest) = 32),
    session_id uuid NOT NULL CONSTRAINT refresh_tokens_session_exists REFERENCES sessions ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at    timestamptz,
    expires_at timestamptz NOT NULL
);

CREATE INDEX refresh_tokens_by_session    ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_expires_at ON refresh_tokens (expires_at);

-- Of the token for which the ticket was given. A ticket of an older api has none, and opens nothing at a newer one.
ALTER TABLE socket_tickets ADD COLUMN session_id uuid;
