-- Nodes, repositories, applications, deployments and tasks as the API shows them; task events; who vouches for a repository.

-- Applications made from manifests of a repository have the rights of the person who last configured it.
ALTER TABLE repositories ADD COLUMN configured_by uuid;
ALTER TABLE repositories ADD COLUMN manifest_commit varchar(64);   -- default branch commit whose manifests were applied
ALTER TABLE repositories ADD COLUMN manifest_error jsonb;          -- {"code","message","details":{"file","line","column"}}

CREATE FUNCTION df_deployment_status(s text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE s WHEN 'planning' THEN 'pending' WHEN 'verifying' THEN 'running' WHEN 'rolled_back' THEN 'rolledBack' ELSE s END
$$;

-- The part of a node that does not change by itself; the caller adds what the fleet knows.
CREATE FUNCTION df_json(n nodes) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', n.id, 'scopeId', n.scope_id, 'name', n.name, 'url', n.url, 'kind', n.kind,
        'isDefault', n.is_default, 'maintenance', n.maintenance, 'labels', n.labels, 'tls', n.tls_ca IS NOT NULL,
        'createdAt', df_time(n.created_at), 'updatedAt', df_time(n.updated_at), 'version', n.version)
$$;

CREATE FUNCTION df_json(r repositories) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', r.id, 'name', r.name, 'url', r.url, 'projectId', r.scope_id, 'scopeId', r.scope_id,
        'provider', r.provider, 'branch', r.default_branch,
        'authType', CASE r.auth_type WHEN 'ssh-key' THEN 'ssh' WHEN 'basic' THEN 'token' ELSE r.auth_type END,
        'username', r.username, 'hostKey', r.host_key, 'hasCredentials', r.credentials_sealed IS NOT NULL,
        'tlsCaSet', coalesce(r.tls_ca, '') <> '', 'webhookUrl', '/api/v1/hooks/' || r.hook_id,
        'webhookSecretSet', r.webhook_secret_sealed IS NOT NULL, 'pollSeconds', r.poll_interval_s,
        'lastPolledAt', df_time(r.last_poll_at),
        'lastCommit', coalesce(r.refs ->> CASE WHEN r.default_branch = '' THEN 'HEAD' ELSE r.default_branch END,
                               (SELECT min(x.value) FROM jsonb_each_text(r.refs) x)),
        'refs', r.refs,
        'state', CASE WHEN r.state = 'error' OR r.manifest_error IS NOT NULL THEN 'error' WHEN r.state = 'ready' THEN 'ok' ELSE 'pending' END,
        'error', coalesce(r.error, r.manifest_error), 'createdAt', df_time(r.created_at), 'updatedAt', df_time(r.updated_at),
        'version', r.version)
$$;

CREATE FUNCTION df_json(a applications) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', a.id, 'name', a.name, 'projectId', a.scope_id, 'scopeId', a.id, 'projectName', a.project_name,
        'description', a.description, 'labels', a.labels, 'origin', a.origin,
        'repository', (SELECT json_build_object('id', r.id, 'name', r.name, 'url', r.url) FROM repositories r WHERE r.id = a.repository_id),
        'branch', a.target_revision, 'path', a.path, 'composeFiles', a.compose_files,
        'manifestPath', a.manifest_path, 'manifestLine', a.manifest_line,
        'node', (SELECT json_build_object('id', n.id, 'name', n.name) FROM nodes n WHERE n.id = a.node_id),
        'environment', json_build_object('name', a.environment, 'variables', a.variables),
        'syncPolicy', json_build_object('automated', coalesce((a.sync_policy->>'automated')::boolean, false),
            'prune', coalesce((a.sync_policy->>'prune')::boolean, false),
            'selfHeal', coalesce((a.sync_policy->>'selfHeal')::boolean, false),
            'allowEmpty', coalesce((a.sync_policy->>'allowEmpty')::boolean, false)),
        'suspended', a.suspended, 'deleting', a.deleting,
        'sync', json_build_object('status', a.sync_status, 'desiredCommit', a.desired_commit, 'deployedCommit', a.deployed_commit,
            'fencedCommit', a.fenced_commit, 'comparedAt', df_time(a.observed_at), 'reasons', a.status_reasons),
        'health', json_build_object('status', a.health_status, 'reasons', a.status_reasons),
        'operation', (SELECT json_build_object('taskId', j.id, 'kind', j.kind, 'state', j.state, 'startedAt', df_time(j.started_at))
                        FROM jobs j WHERE j.id = a.current_job_id),
        'lastDeployment', (SELECT json_build_object('id', d.id, 'number', d.number, 'commit', d.commit_id,
                                      'status', df_deployment_status(d.status), 'finishedAt', df_time(d.finished_at))
                             FROM deployments d WHERE d.id = a.last_deployment_id),
        'error', a.status->'error', 'createdAt', df_time(a.created_at), 'updatedAt', df_time(a.updated_at), 'version', a.version)
$$;

-- The configuration alone: for audit rows, where statuses would only be noise.
CREATE FUNCTION df_config(a applications) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('name', a.name, 'projectId', a.scope_id, 'repositoryId', a.repository_id, 'branch', a.target_revision,
        'path', a.path, 'composeFiles', a.compose_files, 'nodeId', a.node_id, 'environment', a.environment,
        'variables', (SELECT coalesce(json_agg(k ORDER BY k), '[]') FROM jsonb_object_keys(a.variables) k),
        'syncPolicy', a.sync_policy, 'suspended', a.suspended)
$$;

-- A row of the list; the whole one adds plan and operations.
CREATE FUNCTION df_json(d deployments) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', d.id, 'applicationId', d.application_id,
        'applicationName', (SELECT a.name FROM applications a WHERE a.id = d.application_id),
        'number', d.number, 'environment', d.environment, 'revision', d.revision, 'node', d.docker_host, 'taskId', d.job_id,
        'commit', json_build_object('sha', d.commit_id, 'author', d.commit_author, 'message', d.commit_message,
                                    'time', df_time(d.committed_at)),
        'trigger', CASE d.trigger WHEN 'poll' THEN 'auto' WHEN 'self-heal' THEN 'selfHeal' WHEN 'auto-rollback' THEN 'rollback'
                       WHEN 'schedule' THEN 'auto' WHEN 'dependency' THEN 'auto' ELSE d.trigger END,
        'user', (SELECT json_build_object('id', u.id, 'name', u.username) FROM users u WHERE u.id = d.triggered_by),
        'status', df_deployment_status(d.status), 'startedAt', df_time(d.started_at), 'finishedAt', df_time(d.finished_at),
        'durationMs', d.duration_ms, 'error', d.error, 'rollbackOf', d.rollback_of,
        'opsTotal', jsonb_array_length(coalesce(d.plan->'ops', '[]')),
        'images', (SELECT coalesce(json_object_agg(i.key, coalesce(i.value->>'digest', i.value->>'id', i.value->>'ref')), '{}')
                     FROM jsonb_each(d.image_digests) i WHERE jsonb_typeof(i.value) = 'object'))
$$;

CREATE FUNCTION df_json(j jobs) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', j.id, 'kind', j.kind, 'state', j.state, 'scopeId', j.scope_id,
        'title', CASE j.kind WHEN 'application.sync' THEN 'Sync ' WHEN 'application.refresh' THEN 'Compare '
                     WHEN 'application.delete' THEN 'Delete ' WHEN 'repository.poll' THEN 'Poll ' ELSE j.kind || ' ' END || o.name,
        'object', CASE WHEN j.object_kind IS NULL THEN NULL ELSE json_build_object('kind', j.object_kind, 'id', j.object_id, 'name', o.name) END,
        'progress', json_build_object('done', coalesce((j.progress->>'percent')::integer, CASE WHEN j.state = 'succeeded' THEN 100 ELSE 0 END),
                                      'total', 100, 'text', coalesce(j.progress->>'message', '')),
        'steps', (SELECT coalesce(json_agg(json_build_object('id', s.v->>'name', 'title', s.v->>'name', 'state', s.v->>'state',
                      'startedAt', s.v->>'startedAt', 'finishedAt', s.v->>'finishedAt',
                      'error', CASE WHEN s.v->>'state' = 'failed' AND s.v->>'message' IS NOT NULL
                                    THEN json_build_object('message', s.v->>'message') END) ORDER BY s.n), '[]')
                    FROM jsonb_array_elements(j.steps) WITH ORDINALITY s (v, n)),
        'result', CASE WHEN pg_column_size(j.result) < 32768 THEN j.result END, 'error', j.error,
        'attempt', j.attempt, 'cancelRequested', j.cancel_requested, 'createdAt', df_time(j.created_at),
        'startedAt', df_time(j.started_at), 'finishedAt', df_time(j.finished_at), 'updatedAt', df_time(j.updated_at),
        'createdBy', (SELECT json_build_object('id', u.id, 'name', u.username) FROM users u WHERE u.id = j.created_by))
      FROM (SELECT coalesce(CASE j.object_kind
                WHEN 'application' THEN (SELECT a.name FROM applications a WHERE a.id::text = j.object_id)
                WHEN 'repository' THEN (SELECT r.name FROM repositories r WHERE r.id::text = j.object_id)
                WHEN 'node' THEN (SELECT n.name FROM nodes n WHERE n.id::text = j.object_id) END, j.object_id, '') AS name) o
$$;

-- Tasks as events. What the scheduler does by itself all day long (polls, comparisons) is told only when it fails.
CREATE FUNCTION df_job_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.created_by IS NULL AND NEW.kind IN ('repository.poll', 'application.refresh') AND NEW.state <> 'failed' THEN
        RETURN NULL;
    END IF;
    INSERT INTO events (topic, org_id, scope_id, object_kind, object_id, payload)
    VALUES ('task.status', NEW.org_id, NEW.scope_id, 'task', NEW.id, df_json(NEW));
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_event_new AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION df_job_event();
CREATE TRIGGER jobs_event AFTER UPDATE OF state, steps, progress, cancel_requested ON jobs FOR EACH ROW
    WHEN ((OLD.state, OLD.steps, OLD.progress, OLD.cancel_requested) IS DISTINCT FROM
          (NEW.state, NEW.steps, NEW.progress, NEW.cancel_requested))
    EXECUTE FUNCTION df_job_event();

CREATE INDEX applications_by_name_idx ON applications (name);
