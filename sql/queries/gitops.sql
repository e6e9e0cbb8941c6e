-- name: gitops_app_load
SELECT a.id, a.name, a.org_id, a.scope_id, a.project_name, a.path, a.target_revision, to_json(a.compose_files)::text, a.variables::text,
       a.sync_policy::text, a.suspended, a.deleting, a.node_id, n.name, r.id, r.url, r.default_branch, r.auth_type, r.username, r.host_key,
       r.tls_ca, r.credentials_sealed, a.desired_commit, a.deployed_commit, a.fenced_commit, a.last_deployment_id, a.sync_status,
       a.health_status, a.version, coalesce(n.maintenance, false), a.sync_failures, r.refs->>'HEAD',
       (SELECT d.commit_id FROM deployments d WHERE d.id = a.last_deployment_id), n.scope_id
  FROM applications a LEFT JOIN repositories r ON r.id = a.repository_id LEFT JOIN nodes n ON n.id = a.node_id
 WHERE a.id = $1;

-- name: gitops_last_rendered
SELECT rendered_spec::text FROM deployments WHERE id = $1 AND rendered_spec IS NOT NULL;

-- name: gitops_deployment_for_rollback
SELECT commit_id, revision, image_digests::text, status FROM deployments WHERE id = $1 AND application_id = $2;

-- name: gitops_deployment_of_job
SELECT id, commit_id, removed_networks FROM deployments WHERE job_id = $1 ORDER BY created_at DESC LIMIT 1;

-- name: gitops_deployment_insert
INSERT INTO deployments (id, org_id, application_id, number, version, status, docker_host, node_id, repository_id, revision, commit_id, commit_author,
       commit_message, committed_at, trigger, triggered_by, job_id, fence, rollback_of, started_at, environment)
SELECT $1, a.org_id, a.id, coalesce((SELECT max(number) FROM deployments d WHERE d.application_id = a.id), 0) + 1, left($3, 12), 'planning',
       coalesce(n.name, ''), a.node_id, a.repository_id, $4, $3, left($5, 255), $6, to_timestamp($7::float8 / 1000), $8, $9, $10, $11, $12, now(), a.environment
  FROM applications a LEFT JOIN nodes n ON n.id = a.node_id WHERE a.id = $2;

-- name: gitops_deployment_resume
UPDATE deployments SET fence = $2, status = 'planning', updated_at = now() WHERE id = $1;

-- name: gitops_deployment_planned
UPDATE deployments SET status = 'running', plan = $2::jsonb, rendered_spec = $3::jsonb, updated_at = now() WHERE id = $1 AND fence = $4;

-- name: gitops_deployment_removed
UPDATE deployments SET removed_networks = $2::jsonb WHERE id = $1 AND fence = $3;

-- name: gitops_ops_clear
DELETE FROM deployment_ops WHERE deployment_id = $1 AND state <> 'succeeded';

-- name: gitops_ops_insert
INSERT INTO deployment_ops (deployment_id, op_id, ordinal, kind, object, cause, fence)
SELECT $1, o->>'id', row_number() OVER (), o->>'kind', left(coalesce(o->>'object', ''), 255), coalesce(o->'cause', '[]'), $3
  FROM jsonb_array_elements($2::jsonb) o
ON CONFLICT (deployment_id, op_id) DO UPDATE SET state = 'pending', fence = excluded.fence, error = NULL, started_at = NULL, finished_at = NULL;

-- name: gitops_op_state
UPDATE deployment_ops SET state = $3::text, error = $4::jsonb, after = coalesce($5::jsonb, after), fence = $6,
       attempt = attempt + CASE WHEN $3::text = 'running' THEN 1 ELSE 0 END,
       started_at = CASE WHEN $3::text = 'running' THEN now() ELSE started_at END,
       finished_at = CASE WHEN $3::text IN ('succeeded', 'failed', 'skipped', 'cancelled') THEN now() END
 WHERE deployment_id = $1 AND op_id = $2;

-- name: gitops_deployment_finish
UPDATE deployments SET status = $2, error = $3::jsonb, image_digests = coalesce($4::jsonb, image_digests), removed_networks = NULL,
       finished_at = now(), updated_at = now()
 WHERE id = $1 AND fence = $5;

-- name: gitops_app_deploying
-- A rollback ($5) does not change what Git wants. Failures are counted per commit: a new one gets its own tries.
UPDATE applications SET current_job_id = $2, health_status = 'Progressing', last_deployment_id = $4,
       desired_commit = CASE WHEN $5::boolean THEN coalesce(desired_commit, $3::text) ELSE $3::text END,
       sync_failures = CASE WHEN $3::text = (SELECT d.commit_id FROM deployments d WHERE d.id = applications.last_deployment_id)
                            THEN sync_failures ELSE 0 END
 WHERE id = $1;

-- name: gitops_app_deployed
UPDATE applications SET current_job_id = NULL, sync_status = $2, health_status = $3, deployed_commit = $4::text, status_reasons = $5::jsonb,
       sync_failures = 0, last_synced_at = now(), observed_at = now(), status = status - 'error' - 'errorOf',
       fenced_commit = CASE WHEN $6::text <> '' THEN $6::text WHEN fenced_commit = $4::text THEN NULL ELSE fenced_commit END
 WHERE id = $1;

-- name: gitops_app_failed
UPDATE applications SET current_job_id = NULL, sync_status = 'OutOfSync', health_status = $2, status_reasons = $3::jsonb, sync_failures = sync_failures + 1,
       observed_at = now(), status = status || jsonb_build_object('error', $4::jsonb, 'errorOf', 'sync'), fenced_commit = CASE WHEN $5 <> '' THEN $5 ELSE fenced_commit END
 WHERE id = $1;

-- name: gitops_app_idle
UPDATE applications SET current_job_id = NULL WHERE id = $1 AND current_job_id = $2;

-- name: gitops_app_status
-- A comparison takes back what a comparison found wrong. What a sync failed for stays until one succeeds, nothing is left to do, or
-- another commit is wanted.
WITH said AS (
    SELECT CASE WHEN $6::jsonb IS NOT NULL THEN status || jsonb_build_object('error', $6::jsonb, 'errorOf', 'comparison')
                WHEN status->>'errorOf' = 'sync' AND $2 <> 'Synced' AND desired_commit IS NOT DISTINCT FROM coalesce($5, desired_commit)
                THEN status ELSE status - 'error' - 'errorOf' END AS status
      FROM applications WHERE id = $1
)
UPDATE applications a SET sync_status = $2, health_status = $3, status_reasons = $4::jsonb, desired_commit = coalesce($5, desired_commit),
       observed_at = now(), status = said.status
  FROM said
 WHERE a.id = $1 AND (sync_status, health_status, status_reasons, coalesce(desired_commit, ''), a.status)
       IS DISTINCT FROM ($2, $3, $4::jsonb, coalesce($5, desired_commit, ''), said.status);

-- name: gitops_app_event
SELECT json_build_object('id', a.id, 'name', a.name, 'projectId', a.scope_id, 'sync', json_build_object('status', a.sync_status,
         'desiredCommit', a.desired_commit, 'deployedCommit', a.deployed_commit, 'fencedCommit', a.fenced_commit, 'comparedAt', df_time(a.observed_at), 'reasons',
         a.status_reasons), 'health', json_build_object('status', a.health_status, 'reasons', a.status_reasons),
         'operation', CASE WHEN j.id IS NULL THEN NULL ELSE json_build_object('taskId', j.id, 'kind', j.kind, 'state', j.state, 'startedAt', df_time(j.started_at)) END,
         'error', a.status->'error', 'version', a.version, 'updatedAt', df_time(a.updated_at))
  FROM applications a LEFT JOIN jobs j ON j.id = a.current_job_id WHERE a.id = $1;

-- name: gitops_deployment_event
SELECT json_build_object('deploymentId', d.id, 'applicationId', d.application_id, 'number', d.number, 'status', d.status, 'error', d.error,
         'commit', json_build_object('sha', d.commit_id, 'author', d.commit_author, 'message', d.commit_message),
         'startedAt', df_time(d.started_at), 'finishedAt', df_time(d.finished_at))
  FROM deployments d WHERE d.id = $1;

-- name: gitops_history_purge
DELETE FROM deployments WHERE application_id = $1 AND finished_at IS NOT NULL AND number <=
       (SELECT max(number) FROM deployments WHERE application_id = $1) - $2::bigint
   AND id <> coalesce((SELECT last_deployment_id FROM applications WHERE id = $1), '00000000-0000-0000-0000-000000000000');

-- name: gitops_apps_of_repo
SELECT id, target_revision FROM applications WHERE repository_id = $1 AND NOT deleting ORDER BY id LIMIT 2000;

-- name: gitops_apps_of_node
SELECT id FROM applications WHERE node_id = $1 AND NOT deleting ORDER BY id LIMIT 10000;

-- name: gitops_apps_all
SELECT id FROM applications WHERE NOT deleting AND node_id IS NOT NULL AND id > $1 ORDER BY id LIMIT 500;

-- name: gitops_repo_load
SELECT id, url, default_branch, auth_type, username, host_key, tls_ca, credentials_sealed, refs::text, poll_interval_s, scope_id
  FROM repositories WHERE id = $1;

-- name: gitops_repos_due
UPDATE repositories SET next_poll_at = now() + make_interval(secs => poll_interval_s * (0.9 + 0.2 * random()))
 WHERE id IN (SELECT id FROM repositories WHERE poll_interval_s > 0 AND next_poll_at <= now() ORDER BY next_poll_at LIMIT 50 FOR UPDATE SKIP LOCKED)
RETURNING id, scope_id;

-- name: gitops_repo_polled
UPDATE repositories SET state = 'ready', error = NULL, failures = 0, last_poll_at = now(), refs = $2::jsonb,
       last_fetch_at = CASE WHEN $3::boolean THEN now() ELSE last_fetch_at END WHERE id = $1;

-- name: gitops_repo_failed
UPDATE repositories SET state = 'error', error = $2::jsonb, failures = failures + 1, last_poll_at = now(),
       next_poll_at = now() + least(interval '30 minutes', make_interval(secs => poll_interval_s * power(2, least(failures, 6)))) WHERE id = $1;

-- name: gitops_app_delete
DELETE FROM applications WHERE id = $1;

-- name: gitops_approvals
SELECT key, permission, approved_by, approved_token FROM application_approvals WHERE application_id = $1
 ORDER BY approved_by, approved_token, key LIMIT 512;

-- name: gitops_approve
-- $2: [{key, permission, rule, message}]; $4: the API token it was done with. The newest 512 are kept.
WITH given AS (
    INSERT INTO application_approvals (application_id, key, permission, rule, message, approved_by, approved_token)
    SELECT $1::uuid, x->>'key', x->>'permission', x->>'rule', x->>'message', $3::uuid, $4::uuid FROM jsonb_array_elements($2::jsonb) x
     WHERE $4::uuid IS NULL OR EXISTS (SELECT FROM api_tokens WHERE id = $4::uuid AND revoked_at IS NULL)
    ON CONFLICT (application_id, key, approved_by, coalesce(approved_token, '00000000-0000-0000-0000-000000000000'))
    DO UPDATE SET approved_at = now()
), others AS ( -- the statement sees them as they were before it
    SELECT ctid, row_number() OVER (ORDER BY approved_at DESC, key) AS n FROM application_approvals
     WHERE application_id = $1::uuid AND NOT (approved_by = $3::uuid AND approved_token IS NOT DISTINCT FROM $4::uuid
                                              AND key IN (SELECT x->>'key' FROM jsonb_array_elements($2::jsonb) x))
)
DELETE FROM application_approvals p USING others o WHERE p.ctid = o.ctid AND o.n > 512 - jsonb_array_length($2::jsonb);

-- name: gitops_approvals_list
SELECT coalesce(json_agg(json_build_object('permission', p.permission, 'rule', p.rule, 'message', p.message, 'approvedBy',
         json_build_object('id', u.id, 'name', u.username), 'token', CASE WHEN t.id IS NOT NULL THEN json_build_object('id', t.id, 'name', t.name) END,
         'approvedAt', df_time(p.approved_at)) ORDER BY p.approved_at DESC, p.key), '[]')::text
  FROM application_approvals p JOIN users u ON u.id = p.approved_by LEFT JOIN api_tokens t ON t.id = p.approved_token WHERE p.application_id = $1;

-- name: gitops_approvals_withdraw
DELETE FROM application_approvals WHERE application_id = $1;

-- name: gitops_app_of_project
SELECT id FROM applications WHERE node_id = $1 AND project_name = $2 AND NOT deleting;
