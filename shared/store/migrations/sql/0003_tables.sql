-- The model that a user chose; '' is the one that the settings say.
ALTER TABLE users ADD COLUMN mode TEXT DEFAULT '' NOT NULL;
CREATE INDEX users_app_id_id ON users (app_id, id);

-- What is shown of the whole installation: its one row tells how often the live configuration was changed, and has a
-- word sealed with the secret key, by which a wrong key is known.
CREATE TABLE installation (
    id BOOLEAN DEFAULT true NOT NULL,
    version BIGINT DEFAULT '0' NOT NULL,
    seal TEXT,
    CONSTRAINT installation_pk PRIMARY KEY (id),
    CONSTRAINT installation_one CHECK (id)
);
INSERT INTO installation DEFAULT VALUES;

CREATE TABLE live_settings (
    section TEXT NOT NULL,
    key TEXT NOT NULL,
    value JSONB NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT live_settings_pk PRIMARY KEY (section, key)
);

CREATE TABLE mcp_servers (
    name TEXT NOT NULL,
    server JSONB NOT NULL,
    disabled BOOLEAN DEFAULT false NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT mcp_servers_pk PRIMARY KEY (name)
);

CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    old JSONB,
    new JSONB,
    CONSTRAINT audit_pk PRIMARY KEY (id)
);
CREATE INDEX audit_created_at ON audit (created_at, id);

-- The tokens that a user used in a time are summed along this index.
DROP INDEX ledger_owner;
CREATE INDEX ledger_owner ON ledger (owner, created_at, id) INCLUDE (kind, tokens);
