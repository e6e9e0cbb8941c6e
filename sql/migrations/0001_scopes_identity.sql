-- Scope tree, users, sessions, tokens, roles.
--
-- Conventions of every migration: ids are UUIDs given by the application (version 7); times are timestamptz; `version`
-- counts changes of what a person configures (ETag, If-Match); `scope_id` is the scope a row hangs in; `*_sealed` is
-- ciphertext of the keyring, `*_hash` a digest, and nothing else in here may be a usable credential.

-- Row bookkeeping: bumps version and updated_at when anything really changed.
CREATE FUNCTION df_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW IS DISTINCT FROM OLD THEN
        NEW.version := OLD.version + 1;
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END $$;

-- Authorization epoch: every change that can alter a decision bumps it in the same transaction; instances reload on the
-- notification and poll the row as a backstop. The row lock also serialises such changes ("never remove the last admin").
CREATE TABLE authz_epoch (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    epoch      bigint NOT NULL DEFAULT 1,
    changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO authz_epoch DEFAULT VALUES;

CREATE FUNCTION df_authz_bump() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    e bigint;
BEGIN
    UPDATE authz_epoch SET epoch = epoch + 1, changed_at = now() RETURNING epoch INTO e;
    PERFORM pg_notify('df_authz', 'epoch:' || e);
    RETURN NULL;
END $$;

-- Scopes: platform > organization > (team >) project > folder* > application > environment. Rows are made, renamed, moved
-- and removed by triggers of the tables below them (same id); `path` holds all ancestors and the scope itself, root first.
CREATE TABLE scopes (
    id         uuid PRIMARY KEY,
    kind       varchar(20) NOT NULL CHECK (kind IN
                   ('platform', 'organization', 'team', 'project', 'folder', 'application', 'environment')),
    parent_id  uuid REFERENCES scopes (id),
    org_id     uuid,
    name       varchar(63) NOT NULL CHECK (name ~ '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$'),
    path       uuid[] NOT NULL CHECK (cardinality(path) BETWEEN 1 AND 16),
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'platform') = (parent_id IS NULL)),
    CHECK ((kind = 'platform') = (org_id IS NULL)),
    UNIQUE (org_id, id)
);
CREATE UNIQUE INDEX scopes_name_key ON scopes (parent_id, kind, name);
CREATE INDEX scopes_parent_idx ON scopes (parent_id);
CREATE INDEX scopes_path_idx ON scopes USING gin (path);

CREATE FUNCTION df_scope_place() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p scopes;
BEGIN
    IF NEW.kind = 'platform' THEN
        NEW.path := ARRAY[NEW.id];
        RETURN NEW;
    END IF;
    SELECT * INTO p FROM scopes WHERE id = NEW.parent_id FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'parent scope % does not exist', NEW.parent_id
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'scopes_parent_id_fkey';
    END IF;
    IF NOT (CASE NEW.kind
                WHEN 'organization' THEN p.kind = 'platform'
                WHEN 'team' THEN p.kind = 'organization'
                WHEN 'project' THEN p.kind IN ('organization', 'team')
                WHEN 'folder' THEN p.kind IN ('project', 'folder')
                WHEN 'application' THEN p.kind IN ('project', 'folder')
                WHEN 'environment' THEN p.kind = 'application'
            END) THEN
        RAISE EXCEPTION 'a % cannot be placed in a %', NEW.kind, p.kind
            USING ERRCODE = 'check_violation', CONSTRAINT = 'scopes_parent_kind';
    END IF;
    IF NEW.id = ANY (p.path) THEN
        RAISE EXCEPTION 'a scope cannot be moved below itself'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'scopes_no_cycle';
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.org_id IS DISTINCT FROM p.org_id THEN
        RAISE EXCEPTION 'a scope cannot be moved to another organization'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'scopes_org_fixed';
    END IF;
    NEW.org_id := CASE WHEN NEW.kind = 'organization' THEN NEW.id ELSE p.org_id END;
    NEW.path := p.path || NEW.id;
    RETURN NEW;
END $$;
CREATE TRIGGER scopes_place BEFORE INSERT OR UPDATE OF parent_id ON scopes
    FOR EACH ROW EXECUTE FUNCTION df_scope_place();

CREATE FUNCTION df_scope_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE scopes SET path = NEW.path || path[array_position(path, NEW.id) + 1:]
     WHERE path @> ARRAY[NEW.id] AND id <> NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER scopes_moved AFTER UPDATE OF parent_id ON scopes
    FOR EACH ROW WHEN (OLD.parent_id IS DISTINCT FROM NEW.parent_id) EXECUTE FUNCTION df_scope_moved();
CREATE TRIGGER scopes_authz AFTER INSERT OR DELETE OR UPDATE OF parent_id, name ON scopes
    FOR EACH STATEMENT EXECUTE FUNCTION df_authz_bump();

-- The root. Its id is fixed so that code may name it.
INSERT INTO scopes (id, kind, name) VALUES ('00000000-0000-7000-8000-000000000000', 'platform', 'platform');

CREATE FUNCTION df_scope_put(p_id uuid, p_kind text, p_parent uuid, p_name text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    o uuid;
BEGIN
    INSERT INTO scopes (id, kind, parent_id, name) VALUES (p_id, p_kind, p_parent, p_name) RETURNING org_id INTO o;
    RETURN o;
END $$;

CREATE FUNCTION df_scope_drop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM scopes WHERE id = OLD.id;
    RETURN NULL;
END $$;

CREATE TABLE organizations (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name         varchar(63) NOT NULL UNIQUE,
    display_name varchar(255) NOT NULL DEFAULT '',
    description  text NOT NULL DEFAULT '',
    settings     jsonb NOT NULL DEFAULT '{}',
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (id) REFERENCES scopes (id)
);
CREATE INDEX organizations_page_idx ON organizations (updated_at, id);

CREATE TABLE teams (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id       uuid NOT NULL REFERENCES organizations (id),
    name         varchar(63) NOT NULL,
    display_name varchar(255) NOT NULL DEFAULT '',
    description  text NOT NULL DEFAULT '',
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (org_id, name),
    UNIQUE (org_id, id),
    FOREIGN KEY (id) REFERENCES scopes (id)
);
CREATE INDEX teams_page_idx ON teams (org_id, updated_at, id);

-- A project hangs in its team when it has one, else in the organization; its name is unique in the organization.
CREATE TABLE projects (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id       uuid NOT NULL REFERENCES organizations (id),
    team_id      uuid,
    name         varchar(63) NOT NULL,
    display_name varchar(255) NOT NULL DEFAULT '',
    description  text NOT NULL DEFAULT '',
    settings     jsonb NOT NULL DEFAULT '{}',
    quota        jsonb NOT NULL DEFAULT '{}',
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (org_id, name),
    UNIQUE (org_id, id),
    FOREIGN KEY (org_id, team_id) REFERENCES teams (org_id, id),
    FOREIGN KEY (id) REFERENCES scopes (id)
);
CREATE INDEX projects_page_idx ON projects (org_id, updated_at, id);

CREATE TABLE folders (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id       uuid NOT NULL REFERENCES organizations (id),
    scope_id     uuid NOT NULL REFERENCES scopes (id),
    name         varchar(63) NOT NULL,
    display_name varchar(255) NOT NULL DEFAULT '',
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (scope_id, name),
    FOREIGN KEY (id) REFERENCES scopes (id)
);
CREATE INDEX folders_page_idx ON folders (org_id, updated_at, id);

CREATE FUNCTION df_organization_scope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM df_scope_put(NEW.id, 'organization', '00000000-0000-7000-8000-000000000000', NEW.name);
    ELSIF NEW.name <> OLD.name THEN
        UPDATE scopes SET name = NEW.name WHERE id = NEW.id;
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION df_team_scope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM df_scope_put(NEW.id, 'team', NEW.org_id, NEW.name);
    ELSIF NEW.name <> OLD.name THEN
        UPDATE scopes SET name = NEW.name WHERE id = NEW.id;
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION df_project_scope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM df_scope_put(NEW.id, 'project', coalesce(NEW.team_id, NEW.org_id), NEW.name);
    ELSIF NEW.team_id IS DISTINCT FROM OLD.team_id THEN
        UPDATE scopes SET name = NEW.name, parent_id = coalesce(NEW.team_id, NEW.org_id) WHERE id = NEW.id;
    ELSIF NEW.name <> OLD.name THEN
        UPDATE scopes SET name = NEW.name WHERE id = NEW.id;
    END IF;
    RETURN NEW;
END $$;
-- Folders and applications: both have (scope_id, org_id); the kind is the trigger's argument.
CREATE FUNCTION df_leaf_scope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.org_id := df_scope_put(NEW.id, TG_ARGV[0], NEW.scope_id, NEW.name);
    ELSIF NEW.scope_id <> OLD.scope_id THEN
        UPDATE scopes SET name = NEW.name, parent_id = NEW.scope_id WHERE id = NEW.id;
    ELSIF NEW.name <> OLD.name THEN
        UPDATE scopes SET name = NEW.name WHERE id = NEW.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER organizations_scope BEFORE INSERT OR UPDATE OF name ON organizations
    FOR EACH ROW EXECUTE FUNCTION df_organization_scope();
CREATE TRIGGER organizations_scope_drop AFTER DELETE ON organizations FOR EACH ROW EXECUTE FUNCTION df_scope_drop();
CREATE TRIGGER organizations_touch BEFORE UPDATE ON organizations FOR EACH ROW EXECUTE FUNCTION df_touch();
CREATE TRIGGER teams_scope BEFORE INSERT OR UPDATE OF name ON teams FOR EACH ROW EXECUTE FUNCTION df_team_scope();
CREATE TRIGGER teams_scope_drop AFTER DELETE ON teams FOR EACH ROW EXECUTE FUNCTION df_scope_drop();
CREATE TRIGGER teams_touch BEFORE UPDATE ON teams FOR EACH ROW EXECUTE FUNCTION df_touch();
CREATE TRIGGER projects_scope BEFORE INSERT OR UPDATE OF name, team_id ON projects
    FOR EACH ROW EXECUTE FUNCTION df_project_scope();
CREATE TRIGGER projects_scope_drop AFTER DELETE ON projects FOR EACH ROW EXECUTE FUNCTION df_scope_drop();
CREATE TRIGGER projects_touch BEFORE UPDATE ON projects FOR EACH ROW EXECUTE FUNCTION df_touch();
CREATE TRIGGER folders_scope BEFORE INSERT OR UPDATE OF name, scope_id ON folders
    FOR EACH ROW EXECUTE FUNCTION df_leaf_scope('folder');
CREATE TRIGGER folders_scope_drop AFTER DELETE ON folders FOR EACH ROW EXECUTE FUNCTION df_scope_drop();
CREATE TRIGGER folders_touch BEFORE UPDATE ON folders FOR EACH ROW EXECUTE FUNCTION df_touch();

-- Users are global; organizations see their members. username and email are stored as typed, compared folded.
CREATE TABLE users (
    id                   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    username             varchar(255) NOT NULL CHECK (username <> ''),
    email                varchar(255) NOT NULL CHECK (email <> ''),
    full_name            varchar(255) NOT NULL DEFAULT '',
    kind                 varchar(20) NOT NULL DEFAULT 'human' CHECK (kind IN ('human', 'service')),
    owner_id             uuid REFERENCES users (id) ON DELETE CASCADE, -- of a service account: it dies with its owner
    password_hash        text,                                         -- PHC string; NULL = no password login
    password_changed_at  timestamptz,
    must_change_password boolean NOT NULL DEFAULT false,
    is_active            boolean NOT NULL DEFAULT true,
    failed_logins        integer NOT NULL DEFAULT 0 CHECK (failed_logins >= 0),
    last_failed_login    timestamptz,
    locked_until         timestamptz,
    mfa_enabled          boolean NOT NULL DEFAULT false,
    mfa_secret_sealed    bytea,
    mfa_last_step        bigint NOT NULL DEFAULT 0,                    -- a TOTP step is used once
    mfa_recovery_hashes  bytea[] NOT NULL DEFAULT '{}',
    preferences          jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(preferences) = 'object'),
    last_login           timestamptz,
    last_login_ip        inet,
    authz_epoch          bigint NOT NULL DEFAULT 1,                    -- tokens with an older one are refused
    version              bigint NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_username_key ON users (lower(username));
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
CREATE INDEX users_page_idx ON users (updated_at, id);
CREATE INDEX users_owner_idx ON users (owner_id) WHERE owner_id IS NOT NULL;
-- Logins and failures are not configuration: only these columns count as a new version.
CREATE TRIGGER users_touch BEFORE UPDATE OF username, email, full_name, owner_id, password_hash, must_change_password,
    is_active, mfa_enabled, preferences, authz_epoch ON users FOR EACH ROW EXECUTE FUNCTION df_touch();
CREATE TRIGGER users_authz AFTER DELETE OR UPDATE OF is_active, authz_epoch, must_change_password ON users
    FOR EACH STATEMENT EXECUTE FUNCTION df_authz_bump();

CREATE TABLE organization_members (
    org_id     uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, user_id)
);
CREATE INDEX organization_members_user_idx ON organization_members (user_id);
CREATE TRIGGER organization_members_authz AFTER INSERT OR DELETE ON organization_members
    FOR EACH STATEMENT EXECUTE FUNCTION df_authz_bump();

CREATE TABLE team_members (
    team_id    uuid NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_user_idx ON team_members (user_id);
CREATE TRIGGER team_members_authz AFTER INSERT OR DELETE ON team_members
    FOR EACH STATEMENT EXECUTE FUNCTION df_authz_bump();

-- One row per login. The refresh token is rotated in place: current and previous digest; anything else presented for this
-- family is a reuse. The row is the authority for every access token that names it.
CREATE TABLE sessions (
    id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id             uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    family              uuid NOT NULL,
    refresh_hash        bytea NOT NULL,
    prev_refresh_hash   bytea,
    refresh_counter     bigint NOT NULL DEFAULT 0,
    rotated_at          timestamptz,
    authenticated_at    timestamptz NOT NULL DEFAULT now(), -- last proof of password or factor (step-up)
    mfa_at              timestamptz,
    device_hash         bytea,
    ip_address          inet,
    user_agent          text NOT NULL DEFAULT '' CHECK (length(user_agent) <= 512),
    created_at          timestamptz NOT NULL DEFAULT now(),
    last_used_at        timestamptz NOT NULL DEFAULT now(),
    idle_expires_at     timestamptz NOT NULL,
    absolute_expires_at timestamptz NOT NULL,
    revoked_at          timestamptz,
    revoke_reason       varchar(63)
);
CREATE UNIQUE INDEX sessions_family_key ON sessions (family);
CREATE UNIQUE INDEX sessions_refresh_key ON sessions (refresh_hash);
CREATE INDEX sessions_prev_refresh_idx ON sessions (prev_refresh_hash) WHERE prev_refresh_hash IS NOT NULL;
CREATE INDEX sessions_user_idx ON sessions (user_id, created_at);
CREATE INDEX sessions_expiry_idx ON sessions (absolute_expires_at);

CREATE TABLE api_tokens (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id       uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name          varchar(255) NOT NULL,
    prefix        varchar(16) NOT NULL,
    token_hash    bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    scopes        jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(scopes) = 'array'), -- permissions it is narrowed to
    scope_id      uuid REFERENCES scopes (id) ON DELETE CASCADE,                      -- subtree it is narrowed to
    allowed_cidrs cidr[] NOT NULL DEFAULT '{}' CHECK (cardinality(allowed_cidrs) <= 64),
    expires_at    timestamptz NOT NULL,
    last_used_at  timestamptz,
    last_used_ip  inet,
    revoked_at    timestamptz,
    revoke_reason varchar(63),
    created_by    uuid,
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX api_tokens_name_key ON api_tokens (user_id, lower(name)) WHERE revoked_at IS NULL;
CREATE INDEX api_tokens_page_idx ON api_tokens (user_id, updated_at, id);
CREATE TRIGGER api_tokens_touch BEFORE UPDATE OF name, scopes, scope_id, allowed_cidrs, expires_at, revoked_at ON api_tokens
    FOR EACH ROW EXECUTE FUNCTION df_touch();

-- Streams opened with a session or token end when it does: tell every instance which one.
CREATE FUNCTION df_credential_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('df_authz', TG_ARGV[0] || ':' || OLD.id);
    RETURN NULL;
END $$;
CREATE TRIGGER sessions_revoked AFTER UPDATE OF revoked_at ON sessions
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL)
    EXECUTE FUNCTION df_credential_revoked('session');
CREATE TRIGGER sessions_deleted AFTER DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION df_credential_revoked('session');
CREATE TRIGGER api_tokens_revoked AFTER UPDATE OF revoked_at ON api_tokens
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL)
    EXECUTE FUNCTION df_credential_revoked('token');
CREATE TRIGGER api_tokens_deleted AFTER DELETE ON api_tokens FOR EACH ROW EXECUTE FUNCTION df_credential_revoked('token');

-- Attempts are counted here before a password is hashed: one atomic upsert per key ("account:<id>", "ip:<net>", ...).
CREATE TABLE login_throttle (
    key           varchar(255) PRIMARY KEY,
    attempts      integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    window_start  timestamptz NOT NULL DEFAULT now(),
    blocked_until timestamptz,
    last_attempt  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_throttle_age_idx ON login_throttle (last_attempt);

-- Roles: permissions is an array of "resource:verb"; a composite role also has what inherited_roles have.
CREATE TABLE roles (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name            varchar(255) NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    type            varchar(50) NOT NULL CHECK (type IN ('fine-grained', 'composite', 'custom')),
    description     text NOT NULL DEFAULT '',
    permissions     jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(permissions) = 'array'),
    inherited_roles uuid[] NOT NULL DEFAULT '{}' CHECK (cardinality(inherited_roles) <= 32),
    metadata        jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    built_in        boolean NOT NULL DEFAULT false,
    org_id          uuid REFERENCES organizations (id) ON DELETE CASCADE, -- NULL: usable everywhere
    version         bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX roles_page_idx ON roles (updated_at, id);
CREATE FUNCTION df_role_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM roles WHERE OLD.id = ANY (inherited_roles)) THEN
            RAISE EXCEPTION 'role % is inherited by another role', OLD.name
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'roles_inherited';
        END IF;
        RETURN OLD;
    END IF;
    IF EXISTS (SELECT FROM unnest(NEW.inherited_roles) i WHERE NOT EXISTS (SELECT FROM roles WHERE id = i)) THEN
        RAISE EXCEPTION 'an inherited role does not exist'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'roles_inherited';
    END IF;
    -- Only an update can close a loop: a new role cannot be inherited yet.
    IF EXISTS (WITH RECURSIVE up (id) AS (
                   SELECT unnest(NEW.inherited_roles)
                   UNION
                   SELECT i FROM up JOIN roles r ON r.id = up.id, unnest(r.inherited_roles) i)
               SELECT FROM up WHERE id = NEW.id) THEN
        RAISE EXCEPTION 'role % would inherit itself', NEW.name
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'roles_no_cycle';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER roles_check BEFORE DELETE OR INSERT OR UPDATE OF inherited_roles ON roles
    FOR EACH ROW EXECUTE FUNCTION df_role_check();
CREATE TRIGGER roles_touch BEFORE UPDATE ON roles FOR EACH ROW EXECUTE FUNCTION df_touch();
CREATE TRIGGER roles_authz AFTER INSERT OR DELETE OR UPDATE ON roles
    FOR EACH STATEMENT EXECUTE FUNCTION df_authz_bump();

-- Who has which role where (and below). A deny binding wins over every allow. Groups are names of an identity provider's claim.
CREATE TABLE role_bindings (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subject_kind varchar(20) NOT NULL CHECK (subject_kind IN ('user', 'team', 'group')), -- service accounts are users
    subject_id   uuid,
    subject_name varchar(255),
    role_id      uuid NOT NULL REFERENCES roles (id),
    scope_id     uuid NOT NULL REFERENCES scopes (id) ON DELETE CASCADE,
    effect       varchar(5) NOT NULL DEFAULT 'allow' CHECK (effect IN ('allow', 'deny')),
    expires_at   timestamptz,
    created_by   uuid,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    version      bigint NOT NULL DEFAULT 1,
    CHECK ((subject_kind = 'group') = (subject_id IS NULL)),
    CHECK ((subject_kind = 'group') = (subject_name IS NOT NULL))
);
CREATE UNIQUE INDEX role_bindings_key
    ON role_bindings (scope_id, role_id, effect, subject_kind, coalesce(subject_id::text, subject_name));
CREATE INDEX role_bindings_subject_idx ON role_bindings (subject_kind, subject_id);
CREATE INDEX role_bindings_role_idx ON role_bindings (role_id);
CREATE INDEX role_bindings_page_idx ON role_bindings (updated_at, id);
CREATE TRIGGER role_bindings_touch BEFORE UPDATE ON role_bindings FOR EACH ROW EXECUTE FUNCTION df_touch();
CREATE TRIGGER role_bindings_authz AFTER INSERT OR DELETE OR UPDATE ON role_bindings
    FOR EACH STATEMENT EXECUTE FUNCTION df_authz_bump();

CREATE FUNCTION df_subject_exists() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.subject_kind = 'user' AND NOT EXISTS (SELECT FROM users WHERE id = NEW.subject_id))
       OR (NEW.subject_kind = 'team' AND NOT EXISTS (SELECT FROM teams WHERE id = NEW.subject_id)) THEN
        RAISE EXCEPTION 'no such %', NEW.subject_kind
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'role_bindings_subject';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER role_bindings_subject BEFORE INSERT OR UPDATE OF subject_kind, subject_id ON role_bindings
    FOR EACH ROW EXECUTE FUNCTION df_subject_exists();
CREATE FUNCTION df_subject_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM role_bindings WHERE subject_kind = TG_ARGV[0] AND subject_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER users_unbind AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION df_subject_gone('user');
CREATE TRIGGER teams_unbind AFTER DELETE ON teams FOR EACH ROW EXECUTE FUNCTION df_subject_gone('team');

-- Roles a user has on the whole platform, in the plain form that other tools expect.
CREATE VIEW user_roles AS
    SELECT subject_id AS user_id, role_id, min(created_at) AS granted_at
      FROM role_bindings
     WHERE subject_kind = 'user' AND effect = 'allow' AND scope_id = '00000000-0000-7000-8000-000000000000'
     GROUP BY subject_id, role_id;

-- Keys that sign access tokens. `retiring` still verifies.
CREATE TABLE signing_keys (
    kid            varchar(64) PRIMARY KEY,
    alg            varchar(16) NOT NULL CHECK (alg IN ('EdDSA', 'ES256')),
    purpose        varchar(20) NOT NULL DEFAULT 'access' CHECK (purpose IN ('access', 'checkpoint')),
    public_jwk     jsonb NOT NULL,
    private_sealed bytea NOT NULL,
    state          varchar(10) NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'retiring', 'retired')),
    created_at     timestamptz NOT NULL DEFAULT now(),
    retired_at     timestamptz
);
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (purpose) WHERE state = 'active';

-- One-use tickets that open a WebSocket: only the digest is here.
CREATE TABLE ws_tickets (
    ticket_hash  bytea PRIMARY KEY CHECK (length(ticket_hash) = 32),
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id   uuid REFERENCES sessions (id) ON DELETE CASCADE,
    api_token_id uuid REFERENCES api_tokens (id) ON DELETE CASCADE,
    path         text NOT NULL DEFAULT '',
    ip_address   inet,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    CHECK (num_nonnulls(session_id, api_token_id) <= 1)
);
CREATE INDEX ws_tickets_expiry_idx ON ws_tickets (expires_at);
CREATE INDEX ws_tickets_user_idx ON ws_tickets (user_id);
CREATE INDEX ws_tickets_session_idx ON ws_tickets (session_id);
CREATE INDEX ws_tickets_api_token_idx ON ws_tickets (api_token_id);

-- Idempotency-Key of POST requests, per principal, 24 h. A running row is taken over when its owner is gone (lease_until).
CREATE TABLE idempotency_keys (
    principal_id  uuid NOT NULL,
    key           varchar(255) NOT NULL,
    method        varchar(10) NOT NULL,
    path          text NOT NULL,
    request_hash  bytea NOT NULL CHECK (length(request_hash) = 32),
    state         varchar(10) NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done')),
    lease_until   timestamptz NOT NULL DEFAULT now() + interval '60 seconds',
    status        integer,
    headers       jsonb,
    body          bytea CHECK (length(body) <= 1048576),
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL DEFAULT now() + interval '24 hours',
    PRIMARY KEY (principal_id, key)
);
CREATE INDEX idempotency_keys_expiry_idx ON idempotency_keys (expires_at);

-- Singletons of the platform (instance id, keyring check value, bootstrap state): small JSON documents by name.
CREATE TABLE platform_settings (
    key        varchar(100) PRIMARY KEY,
    value      jsonb NOT NULL,
    version    bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER platform_settings_touch BEFORE UPDATE ON platform_settings FOR EACH ROW EXECUTE FUNCTION df_touch();
