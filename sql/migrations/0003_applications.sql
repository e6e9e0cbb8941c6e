-- Docker nodes, Git repositories, applications, deployments, webhooks.

CREATE TABLE nodes (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id           uuid,                               -- NULL: belongs to the platform, usable by binding
    scope_id         uuid NOT NULL REFERENCES scopes (id),
    name             varchar(63) NOT NULL CHECK (name ~ '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$'),
    kind             varchar(10) NOT NULL CHECK (kind IN ('local', 'unix', 'tcp', 'ssh')),
    url              varchar(2048) NOT NULL,             -- unix:///..., tcp://host:port, ssh://user@host:port
    tls_ca           text,                               -- certificates are public; the key is not
    tls_cert         text,
    tls_key_sealed   bytea,
    tls_server_name  varchar(253),
    credentials_sealed bytea,                            -- ssh key or password
    host_key         text,                               -- pinned
    is_default       boolean NOT NULL DEFAULT false,
    state            varchar(20) NOT NULL DEFAULT 'connecting'
                     CHECK (state IN ('setup_pending', 'connecting', 'ready', 'unreachable', 'incompatible', 'error')),
    state_reason     text NOT NULL DEFAULT '',
    error            jsonb,
    engine           jsonb NOT NULL DEFAULT '{}',        -- id, version, apiVersion, os, arch, cpus, memory, storage driver
    capabilities     jsonb NOT NULL DEFAULT '{}',        -- what this engine lacks, with the reason
    labels           jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    maintenance      boolean NOT NULL DEFAULT false,
    last_seen_at     timestamptz,
    clock_offset_ms  bigint,
    version          bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (org_id, scope_id) REFERENCES scopes (org_id, id)
);
CREATE UNIQUE INDEX nodes_name_key ON nodes (scope_id, name);
CREATE UNIQUE INDEX nodes_one_default ON nodes (is_default) WHERE is_default;
CREATE INDEX nodes_page_idx ON nodes (updated_at, id);
CREATE TRIGGER nodes_touch BEFORE UPDATE OF name, kind, url, tls_ca, tls_cert, tls_key_sealed, tls_server_name,
    credentials_sealed, host_key, is_default, labels, maintenance, scope_id ON nodes
    FOR EACH ROW EXECUTE FUNCTION df_touch();

CREATE TABLE repositories (
    id                    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id                uuid NOT NULL,
    scope_id              uuid NOT NULL REFERENCES scopes (id),
    name                  varchar(63) NOT NULL CHECK (name ~ '^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$'),
    provider              varchar(20) NOT NULL DEFAULT 'generic' CHECK (provider IN
                              ('generic', 'github', 'gitlab', 'gitea', 'forgejo', 'gogs', 'bitbucket', 'bitbucket-server')),
    url                   varchar(2048) NOT NULL,
    default_branch        varchar(255) NOT NULL DEFAULT '',
    auth_type             varchar(20) NOT NULL DEFAULT 'none' CHECK (auth_type IN ('none', 'token', 'basic', 'ssh-key')),
    username              varchar(255) NOT NULL DEFAULT '',
    credentials_sealed    bytea,
    ssh_public_key        text,
    host_key              text,                          -- pinned, one known_hosts line per key
    tls_ca                text,
    hook_id               varchar(64) UNIQUE,            -- the public part of the webhook URL
    webhook_secret_sealed bytea,
    poll_interval_s       integer NOT NULL DEFAULT 60 CHECK (poll_interval_s = 0 OR poll_interval_s BETWEEN 10 AND 86400),
    state                 varchar(20) NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'ready', 'error')),
    last_poll_at          timestamptz,
    next_poll_at          timestamptz NOT NULL DEFAULT now(),
    last_fetch_at         timestamptz,
    refs                  jsonb NOT NULL DEFAULT '{}',   -- last commit per ref in use: {"refs/heads/main":"<hex>"}
    failures              integer NOT NULL DEFAULT 0,
    error                 jsonb,
    size_bytes            bigint,
    version               bigint NOT NULL DEFAULT 1,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (org_id, scope_id) REFERENCES scopes (org_id, id),
    UNIQUE (org_id, id)
);
CREATE UNIQUE INDEX repositories_name_key ON repositories (scope_id, name);
CREATE INDEX repositories_page_idx ON repositories (org_id, updated_at, id);
CREATE INDEX repositories_poll_idx ON repositories (next_poll_at) WHERE poll_interval_s > 0;
CREATE TRIGGER repositories_touch BEFORE UPDATE OF name, provider, url, default_branch, auth_type, username,
    credentials_sealed, ssh_public_key, host_key, tls_ca, hook_id, webhook_secret_sealed, poll_interval_s, scope_id
    ON repositories FOR EACH ROW EXECUTE FUNCTION df_touch();

-- An application is a scope itself (scopes.id = applications.id); scope_id is the project or folder it hangs in.
-- version counts configuration, status_version counts what the reconciler found; an ETag needs both, If-Match the first.
CREATE TABLE applications (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id            uuid NOT NULL REFERENCES organizations (id),
    scope_id          uuid NOT NULL REFERENCES scopes (id),
    name              varchar(255) NOT NULL,
    namespace         varchar(255) NOT NULL DEFAULT 'default',
    description       text NOT NULL DEFAULT '',
    labels            jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    repository_config jsonb NOT NULL DEFAULT '{}',
    docker_config     jsonb NOT NULL DEFAULT '{}',
    environments      jsonb NOT NULL DEFAULT '[]',
    policies          jsonb NOT NULL DEFAULT '[]',
    notifications     jsonb NOT NULL DEFAULT '{}',
    status            jsonb NOT NULL DEFAULT '{}',       -- summary for people: resources, counts, last error
    origin            varchar(10) NOT NULL DEFAULT 'api' CHECK (origin IN ('api', 'git', 'adopted')),
    repository_id     uuid,
    target_revision   varchar(255) NOT NULL DEFAULT '',  -- branch, tag or commit; '' = the default branch
    path              varchar(4096) NOT NULL DEFAULT '',
    compose_files     text[] NOT NULL DEFAULT '{}' CHECK (cardinality(compose_files) <= 32),
    manifest          jsonb,                             -- the document of .dockflow/applications it was made from
    manifest_path     varchar(4096),
    manifest_line     integer,
    manifest_column   integer,
    environment       varchar(255) NOT NULL DEFAULT 'default',
    node_id           uuid REFERENCES nodes (id),
    project_name      varchar(255) NOT NULL,             -- compose project on the engine
    variables         jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(variables) = 'object'),
    sync_policy       jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(sync_policy) = 'object'),
    suspended         boolean NOT NULL DEFAULT false,
    deleting          boolean NOT NULL DEFAULT false,
    sync_status       varchar(20) NOT NULL DEFAULT 'Unknown' CHECK (sync_status IN ('Synced', 'OutOfSync', 'Unknown')),
    health_status     varchar(20) NOT NULL DEFAULT 'Unknown' CHECK (health_status IN
                          ('Healthy', 'Progressing', 'Degraded', 'Suspended', 'Missing', 'Unknown')),
    status_reasons    jsonb NOT NULL DEFAULT '[]',
    desired_commit    varchar(64),
    deployed_commit   varchar(64),
    fenced_commit     varchar(64),                       -- failed its health gate: auto-sync never applies it again
    current_job_id    uuid REFERENCES jobs (id) ON DELETE SET NULL,
    last_deployment_id uuid,
    last_synced_at    timestamptz,
    observed_at       timestamptz,
    sync_failures     integer NOT NULL DEFAULT 0,
    next_sync_at      timestamptz,
    version           bigint NOT NULL DEFAULT 1,
    status_version    bigint NOT NULL DEFAULT 1,
    created_by        uuid,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (id) REFERENCES scopes (id),
    FOREIGN KEY (org_id, repository_id) REFERENCES repositories (org_id, id)
);
CREATE UNIQUE INDEX applications_name_key ON applications (scope_id, name);
CREATE UNIQUE INDEX applications_project_key ON applications (node_id, project_name) WHERE node_id IS NOT NULL;
CREATE INDEX applications_page_idx ON applications (org_id, updated_at, id);
CREATE INDEX applications_all_page_idx ON applications (updated_at, id);
CREATE INDEX applications_repository_idx ON applications (repository_id);
CREATE INDEX applications_due_idx ON applications (next_sync_at) WHERE next_sync_at IS NOT NULL;
CREATE TRIGGER applications_scope BEFORE INSERT OR UPDATE OF name, scope_id ON applications
    FOR EACH ROW EXECUTE FUNCTION df_leaf_scope('application');
CREATE TRIGGER applications_scope_drop AFTER DELETE ON applications FOR EACH ROW EXECUTE FUNCTION df_scope_drop();

CREATE FUNCTION df_application_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    IF (NEW.name, NEW.namespace, NEW.scope_id, NEW.description, NEW.labels, NEW.repository_config, NEW.docker_config,
        NEW.environments, NEW.policies, NEW.notifications, NEW.repository_id, NEW.target_revision, NEW.path,
        NEW.compose_files, NEW.manifest, NEW.environment, NEW.node_id, NEW.project_name, NEW.variables, NEW.sync_policy,
        NEW.suspended, NEW.deleting)
       IS DISTINCT FROM
       (OLD.name, OLD.namespace, OLD.scope_id, OLD.description, OLD.labels, OLD.repository_config, OLD.docker_config,
        OLD.environments, OLD.policies, OLD.notifications, OLD.repository_id, OLD.target_revision, OLD.path,
        OLD.compose_files, OLD.manifest, OLD.environment, OLD.node_id, OLD.project_name, OLD.variables, OLD.sync_policy,
        OLD.suspended, OLD.deleting) THEN
        NEW.version := OLD.version + 1;
    END IF;
    NEW.status_version := OLD.status_version + 1;
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER applications_touch BEFORE UPDATE ON applications FOR EACH ROW EXECUTE FUNCTION df_application_touch();

-- One row per attempt to converge. `version` is what was deployed, for people (tag or short commit).
CREATE TABLE deployments (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id          uuid NOT NULL,
    application_id  uuid NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    number          bigint NOT NULL,                     -- 1, 2, 3 ... per application
    environment     varchar(255) NOT NULL DEFAULT 'default',
    version         varchar(255) NOT NULL DEFAULT '',
    status          varchar(50) NOT NULL DEFAULT 'pending' CHECK (status IN
                        ('pending', 'planning', 'running', 'verifying', 'succeeded', 'failed', 'cancelled', 'rolled_back')),
    docker_host     varchar(255) NOT NULL DEFAULT '',    -- node name at that time
    containers      jsonb NOT NULL DEFAULT '[]',
    logs            jsonb NOT NULL DEFAULT '[]',         -- summary lines; the full log is in deployment_logs
    metrics         jsonb NOT NULL DEFAULT '{}',
    node_id         uuid REFERENCES nodes (id) ON DELETE SET NULL,
    repository_id   uuid REFERENCES repositories (id) ON DELETE SET NULL,
    revision        varchar(255) NOT NULL DEFAULT '',
    commit_id       varchar(64),
    commit_author   varchar(255),
    commit_message  text,
    committed_at    timestamptz,
    trigger         varchar(20) NOT NULL DEFAULT 'manual' CHECK (trigger IN
                        ('manual', 'api', 'webhook', 'poll', 'self-heal', 'rollback', 'auto-rollback', 'schedule', 'dependency')),
    triggered_by    uuid,
    job_id          uuid REFERENCES jobs (id) ON DELETE SET NULL,
    fence           bigint NOT NULL DEFAULT 0,           -- of the job that last wrote here
    rendered_spec   jsonb,
    image_digests   jsonb NOT NULL DEFAULT '{}',         -- {"web":{"ref":"...","digest":"sha256:..."}}
    plan            jsonb,
    verdicts        jsonb NOT NULL DEFAULT '[]',
    result          jsonb,
    error           jsonb,
    rollback_of     uuid REFERENCES deployments (id) ON DELETE SET NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    duration_ms     bigint GENERATED ALWAYS AS
                        ((extract(epoch FROM finished_at - started_at) * 1000)::bigint) STORED,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (application_id, number)
);
CREATE INDEX deployments_page_idx ON deployments (org_id, updated_at, id);
CREATE INDEX deployments_app_idx ON deployments (application_id, created_at DESC, id);
CREATE INDEX deployments_job_idx ON deployments (job_id);
CREATE INDEX deployments_rollback_idx ON deployments (rollback_of) WHERE rollback_of IS NOT NULL;
ALTER TABLE applications ADD FOREIGN KEY (last_deployment_id) REFERENCES deployments (id) ON DELETE SET NULL;

-- State of each operation of the plan, written before and after it runs.
CREATE TABLE deployment_ops (
    deployment_id uuid NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    op_id         varchar(100) NOT NULL,
    ordinal       integer NOT NULL,
    kind          varchar(40) NOT NULL,
    object        varchar(255) NOT NULL DEFAULT '',
    state         varchar(10) NOT NULL DEFAULT 'pending' CHECK (state IN
                      ('pending', 'running', 'succeeded', 'failed', 'skipped', 'cancelled')),
    cause         jsonb NOT NULL DEFAULT '[]',
    before        jsonb,
    after         jsonb,
    progress      jsonb,
    fence         bigint NOT NULL DEFAULT 0,
    attempt       integer NOT NULL DEFAULT 0,
    error         jsonb,
    started_at    timestamptz,
    finished_at   timestamptz,
    PRIMARY KEY (deployment_id, op_id)
);

CREATE TABLE deployment_logs (
    deployment_id uuid NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    seq           integer NOT NULL,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    level         varchar(10) NOT NULL DEFAULT 'info' CHECK (level IN ('debug', 'info', 'warning', 'error')),
    op_id         varchar(100) NOT NULL DEFAULT '',
    line          text NOT NULL CHECK (length(line) <= 8192),
    PRIMARY KEY (deployment_id, seq)
);

-- Deliveries of forges. An event is only a hint to look at Git, so the body's digest and what was read from it suffice.
CREATE TABLE webhook_deliveries (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id        uuid,
    repository_id uuid NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    provider      varchar(20) NOT NULL,
    delivery_id   varchar(255) NOT NULL,
    event         varchar(100) NOT NULL DEFAULT '',
    state         varchar(20) NOT NULL DEFAULT 'received' CHECK (state IN
                      ('received', 'accepted', 'ignored', 'rejected', 'failed')),
    reason        text NOT NULL DEFAULT '',
    headers       jsonb NOT NULL DEFAULT '{}',           -- without credentials
    body_sha256   bytea NOT NULL CHECK (length(body_sha256) = 32),
    body_size     bigint NOT NULL DEFAULT 0,
    summary       jsonb NOT NULL DEFAULT '{}',           -- refs, commits, pull request, actor
    ip_address    inet,
    received_at   timestamptz NOT NULL DEFAULT now(),
    processed_at  timestamptz,
    UNIQUE (repository_id, provider, delivery_id)
);
CREATE INDEX webhook_deliveries_page_idx ON webhook_deliveries (repository_id, received_at DESC, id);
CREATE INDEX webhook_deliveries_age_idx ON webhook_deliveries (received_at);
