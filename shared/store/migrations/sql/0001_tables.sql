-- The tables. What a column means stands in shared/store/models.py.

CREATE TABLE apps (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    mode TEXT NOT NULL,
    settings JSONB DEFAULT '{}' NOT NULL,
    disabled BOOLEAN DEFAULT false NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT apps_pk PRIMARY KEY (id),
    CONSTRAINT apps_name_key UNIQUE (name)
);

CREATE TABLE api_keys (
    id UUID NOT NULL,
    sha256 BYTEA NOT NULL,
    prefix TEXT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    app_id UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT api_keys_pk PRIMARY KEY (id),
    CONSTRAINT api_keys_sha256_key UNIQUE (sha256),
    CONSTRAINT api_keys_prefix_key UNIQUE (prefix),
    CONSTRAINT api_keys_app_id_fk FOREIGN KEY(app_id) REFERENCES apps (id)
);

CREATE TABLE idempotency_keys (
    app_id UUID NOT NULL,
    user_id TEXT NOT NULL,
    key TEXT NOT NULL,
    body_sha256 TEXT NOT NULL,
    run_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_pk PRIMARY KEY (app_id, user_id, key),
    CONSTRAINT idempotency_keys_app_id_fk FOREIGN KEY(app_id) REFERENCES apps (id)
);

CREATE TABLE users (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    app_id UUID NOT NULL,
    user_id TEXT NOT NULL,
    token BIGINT DEFAULT '0' NOT NULL,
    avail_token BIGINT DEFAULT '0' NOT NULL,
    current_conversation UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT users_pk PRIMARY KEY (id),
    CONSTRAINT users_avail_token_check CHECK (avail_token >= 0),
    CONSTRAINT users_app_id_fk FOREIGN KEY(app_id) REFERENCES apps (id)
);
CREATE UNIQUE INDEX users_app_id_user_id_key ON users (app_id, user_id);

CREATE TABLE conversations (
    id UUID NOT NULL,
    app_id UUID NOT NULL,
    owner BIGINT NOT NULL,
    surface TEXT NOT NULL,
    name TEXT NOT NULL,
    inputs JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT conversations_pk PRIMARY KEY (id),
    CONSTRAINT conversations_app_id_fk FOREIGN KEY(app_id) REFERENCES apps (id),
    CONSTRAINT conversations_owner_fk FOREIGN KEY(owner) REFERENCES users (id)
);
CREATE INDEX conversations_owner ON conversations (owner, updated_at, id);

CREATE TABLE ledger (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    owner BIGINT NOT NULL,
    kind TEXT NOT NULL,
    amount BIGINT NOT NULL,
    run_id UUID,
    call INTEGER DEFAULT '1' NOT NULL,
    provider TEXT,
    model TEXT,
    prompt_tokens BIGINT DEFAULT '0' NOT NULL,
    completion_tokens BIGINT DEFAULT '0' NOT NULL,
    tokens BIGINT DEFAULT '0' NOT NULL,
    price NUMERIC,
    currency TEXT,
    estimated BOOLEAN DEFAULT false NOT NULL,
    note TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT ledger_pk PRIMARY KEY (id),
    CONSTRAINT ledger_owner_fk FOREIGN KEY(owner) REFERENCES users (id)
);
CREATE INDEX ledger_owner ON ledger (owner, id);
CREATE UNIQUE INDEX ledger_run_id_call_kind_key ON ledger (run_id, call, kind);

CREATE TABLE messages (
    id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    app_id UUID NOT NULL,
    owner BIGINT NOT NULL,
    record_type TEXT NOT NULL,
    query TEXT NOT NULL,
    answer TEXT DEFAULT '' NOT NULL,
    state TEXT NOT NULL,
    error_code TEXT,
    error TEXT,
    usage JSONB,
    tokens BIGINT DEFAULT '0' NOT NULL,
    context_tokens BIGINT DEFAULT '0' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT messages_pk PRIMARY KEY (id),
    CONSTRAINT messages_conversation_id_fk FOREIGN KEY(conversation_id) REFERENCES conversations (id),
    CONSTRAINT messages_app_id_fk FOREIGN KEY(app_id) REFERENCES apps (id),
    CONSTRAINT messages_owner_fk FOREIGN KEY(owner) REFERENCES users (id)
);
CREATE INDEX messages_conversation ON messages (conversation_id, created_at, id);

CREATE TABLE runs (
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER DEFAULT '0' NOT NULL,
    app_id UUID NOT NULL,
    owner BIGINT NOT NULL,
    conversation_id UUID NOT NULL,
    message_id UUID NOT NULL,
    job JSONB NOT NULL,
    quota BOOLEAN NOT NULL,
    reserved BIGINT DEFAULT '0' NOT NULL,
    sends INTEGER DEFAULT '1' NOT NULL,
    queued_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    claim UUID,
    settlement UUID,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT runs_pk PRIMARY KEY (id),
    CONSTRAINT runs_app_id_fk FOREIGN KEY(app_id) REFERENCES apps (id),
    CONSTRAINT runs_owner_fk FOREIGN KEY(owner) REFERENCES users (id),
    CONSTRAINT runs_conversation_id_fk FOREIGN KEY(conversation_id) REFERENCES conversations (id),
    CONSTRAINT runs_message_id_fk FOREIGN KEY(message_id) REFERENCES messages (id)
);
CREATE INDEX runs_message_id ON runs (message_id);
CREATE INDEX runs_open ON runs (queued_at) WHERE state IN ('queued', 'running');

-- Updates of these do not touch indexed columns: leave room on the page for them.
ALTER TABLE users SET (fillfactor = 80);
ALTER TABLE runs SET (fillfactor = 70);
ALTER TABLE messages SET (fillfactor = 80);

INSERT INTO apps (id, name, mode) VALUES (gen_random_uuid(), 'default', 'chat');
