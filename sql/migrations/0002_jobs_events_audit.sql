-- Long work, domain events, audit chain.

-- Jobs. A worker owns a running job while lease_until is ahead (database time); `fence` grows with every claim and every
-- write of the worker names it, so that a worker which lost its lease changes nothing.
CREATE SEQUENCE job_fence_seq;
CREATE TABLE jobs (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind             varchar(63) NOT NULL CHECK (kind ~ '^[a-z0-9][a-z0-9._-]*$'),
    key              varchar(255),                       -- at most one running job per key; NULL: no such rule
    org_id           uuid,
    scope_id         uuid REFERENCES scopes (id) ON DELETE SET NULL,
    object_kind      varchar(50),                        -- what it is about, for lists ("application", "node")
    object_id        varchar(255),
    state            varchar(10) NOT NULL DEFAULT 'queued'
                     CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    priority         smallint NOT NULL DEFAULT 0,        -- higher first
    run_at           timestamptz NOT NULL DEFAULT now(),
    lease_until      timestamptz,
    lease_owner      varchar(100),
    fence            bigint NOT NULL DEFAULT 0,
    attempt          integer NOT NULL DEFAULT 0,
    max_attempts     integer NOT NULL DEFAULT 1 CHECK (max_attempts BETWEEN 1 AND 100),
    handovers        integer NOT NULL DEFAULT 0,         -- leases given back or expired; does not use up attempts
    payload          jsonb NOT NULL DEFAULT '{}',
    progress         jsonb NOT NULL DEFAULT '{}',        -- {"percent":0..100,"message":""}
    steps            jsonb NOT NULL DEFAULT '[]',        -- [{"name","state","startedAt","finishedAt","message"}]
    result           jsonb,
    error            jsonb,                              -- {"code","message","details",...}
    cancel_requested boolean NOT NULL DEFAULT false,
    cancel_reason    varchar(255),
    created_by       uuid,                               -- originator: rights are checked again when it runs
    request_id       varchar(63),
    log_lines        integer NOT NULL DEFAULT 0,
    log_dropped      integer NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL DEFAULT now(),
    started_at       timestamptz,
    finished_at      timestamptz,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'running') = (lease_until IS NOT NULL)),
    CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX jobs_one_running_per_key ON jobs (key) WHERE state = 'running' AND key IS NOT NULL;
CREATE INDEX jobs_queue_idx ON jobs (coalesce(org_id, '00000000-0000-0000-0000-000000000000'), priority DESC, run_at, id)
    WHERE state = 'queued';
CREATE INDEX jobs_due_idx ON jobs (run_at) WHERE state = 'queued';
CREATE INDEX jobs_queue_key_idx ON jobs (key, id) WHERE state = 'queued' AND key IS NOT NULL;
CREATE INDEX jobs_lease_idx ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_running_idx ON jobs (kind, org_id) WHERE state = 'running';
CREATE INDEX jobs_object_idx ON jobs (object_kind, object_id, created_at DESC);
CREATE INDEX jobs_page_idx ON jobs (org_id, updated_at, id);
CREATE INDEX jobs_scope_idx ON jobs (scope_id);
CREATE INDEX jobs_finished_idx ON jobs (finished_at) WHERE finished_at IS NOT NULL;

-- "new": something may be claimable; "cancel:<id>": its worker must stop; "done:<id>": waiters may look.
CREATE FUNCTION df_job_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'queued' AND (TG_OP = 'INSERT' OR OLD.state <> 'queued' OR NEW.run_at < OLD.run_at) THEN
        PERFORM pg_notify('df_jobs', 'new');
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.cancel_requested AND NOT OLD.cancel_requested AND NEW.state = 'running' THEN
            PERFORM pg_notify('df_jobs', 'cancel:' || NEW.id);
        END IF;
        IF NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL THEN
            PERFORM pg_notify('df_jobs', 'done:' || NEW.id);
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_notify AFTER INSERT OR UPDATE OF state, cancel_requested, run_at ON jobs
    FOR EACH ROW EXECUTE FUNCTION df_job_notify();

-- Log lines of a job, bounded by the writer (jobs.log_lines, jobs.log_dropped).
CREATE TABLE job_log (
    job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    seq    integer NOT NULL,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    level  varchar(10) NOT NULL DEFAULT 'info' CHECK (level IN ('debug', 'info', 'warning', 'error')),
    step   varchar(100) NOT NULL DEFAULT '',
    line   text NOT NULL CHECK (length(line) <= 8192),
    PRIMARY KEY (job_id, seq)
);

-- Outbox. Rows are written in the transaction of the change they tell about. `seq` is given at commit, under a lock, so
-- that it grows in commit order: a reader that has seen n will never meet a smaller one later. NOTIFY already serialises
-- the commits of transactions that use it, so this lock costs nothing more.
CREATE SEQUENCE events_seq;
CREATE TABLE events (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    seq         bigint UNIQUE,
    topic       varchar(63) NOT NULL CHECK (topic ~ '^[a-z0-9][a-z0-9._-]*$'),
    org_id      uuid,
    scope_id    uuid,                                    -- who may see it; no reference: the event outlives its scope
    object_kind varchar(50) NOT NULL DEFAULT '',
    object_id   varchar(255) NOT NULL DEFAULT '',
    payload     jsonb NOT NULL DEFAULT '{}' CHECK (pg_column_size(payload) <= 262144),
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX events_age_idx ON events (created_at);

CREATE FUNCTION df_event_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(4462, 1);
    UPDATE events SET seq = nextval('events_seq') WHERE id = NEW.id;
    PERFORM pg_notify('df_events', '');
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER events_commit AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION df_event_commit();

-- Audit: one gapless hash chain per organization (chain = its id; the platform's own chain = the root scope's id).
-- The row of audit_heads is the lock of its chain, and an anchor that shows a cut tail.
CREATE TABLE audit_heads (
    chain      uuid PRIMARY KEY,
    seq        bigint NOT NULL CHECK (seq >= 0),
    hash       bytea NOT NULL CHECK (length(hash) = 32),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE audit_logs (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    chain         uuid NOT NULL,
    seq           bigint NOT NULL CHECK (seq > 0),
    org_id        uuid,
    scope_id      uuid,
    user_id       uuid,                                  -- no reference: the record outlives the user
    actor_kind    varchar(20) NOT NULL DEFAULT 'user' CHECK (actor_kind IN ('user', 'service', 'token', 'system', 'anonymous')),
    actor_name    varchar(255) NOT NULL DEFAULT '',
    session_id    uuid,
    token_id      uuid,
    action        varchar(100) NOT NULL CHECK (action ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)+$'),
    resource_type varchar(50),
    resource_id   varchar(255),
    resource_name varchar(255),
    outcome       varchar(10) NOT NULL DEFAULT 'success' CHECK (outcome IN ('intent', 'success', 'failure', 'denied')),
    error_code    varchar(63),
    details       jsonb,
    before        jsonb,
    after         jsonb,
    ip_address    inet,
    user_agent    text,
    request_id    varchar(63),
    created_at    timestamptz NOT NULL,
    prev_hash     bytea NOT NULL CHECK (length(prev_hash) = 32),
    hash          bytea NOT NULL CHECK (length(hash) = 32),
    mac           bytea,                                 -- HMAC of hash with the audit key, when the keyring is open
    mac_key_id    varchar(64),
    UNIQUE (chain, seq)
);
CREATE INDEX idx_audit_user_created ON audit_logs (user_id, created_at DESC);
CREATE INDEX idx_audit_action_created ON audit_logs (action, created_at DESC);
CREATE INDEX idx_audit_resource ON audit_logs (resource_type, resource_id, created_at DESC);
CREATE INDEX audit_logs_page_idx ON audit_logs (chain, created_at DESC, id);
CREATE INDEX audit_logs_time_idx ON audit_logs (created_at DESC, id);
CREATE INDEX audit_logs_request_idx ON audit_logs (request_id);

CREATE FUNCTION df_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION df_append_only();
CREATE TRIGGER audit_logs_no_truncate BEFORE TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION df_append_only();
