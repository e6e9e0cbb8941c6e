-- Git repositories, for handlers/repositories.c, webhooks.c and core/gitops/manifest_apply.c.

-- name: repositories_seen
SELECT r.id, r.scope_id, r.version, r.name FROM repositories r WHERE r.id = $1;

-- name: repositories_json
SELECT df_json(r)::text, r.version FROM repositories r WHERE r.id = $1;

-- name: repositories_project
-- Repositories and applications live in projects and folders.
SELECT org_id FROM scopes WHERE id = $1 AND kind IN ('project', 'folder');

-- name: repositories_insert
INSERT INTO repositories (id, org_id, scope_id, name, url, default_branch, auth_type, username, credentials_sealed, host_key, tls_ca,
       hook_id, poll_interval_s, provider, configured_by, configured_token, next_poll_at)
SELECT $1, s.org_id, s.id, $3, $4, $5, $6, $7, $8::bytea, $9, $10, $11, $12::integer, $13, $14::uuid, $15::uuid, now() + interval '10 seconds' FROM scopes s WHERE s.id = $2;

-- name: repositories_lock
SELECT df_json(r)::text, r.version, r.name, r.url, r.auth_type, r.credentials_sealed IS NOT NULL, r.host_key, r.scope_id
  FROM repositories r WHERE r.id = $1 FOR UPDATE;

-- name: repositories_update
-- $5 true: the whole authentication is replaced; $11 true: the CA.
UPDATE repositories SET name = coalesce($2, name), url = coalesce($3, url), default_branch = coalesce($4, default_branch),
       auth_type = CASE WHEN $5::boolean THEN $6 ELSE auth_type END, username = CASE WHEN $5::boolean THEN $7 ELSE username END,
       credentials_sealed = CASE WHEN $5::boolean THEN $8::bytea ELSE credentials_sealed END,
       host_key = CASE WHEN $5::boolean THEN $9 ELSE host_key END, poll_interval_s = coalesce($10::integer, poll_interval_s),
       tls_ca = CASE WHEN $11::boolean THEN $12 ELSE tls_ca END, configured_by = $13::uuid, configured_token = $14::uuid,
       next_poll_at = now() + interval '10 seconds',
       manifest_commit = NULL, failures = 0,
       state = CASE WHEN $3 IS NOT NULL OR $5::boolean OR $11::boolean THEN 'pending' ELSE state END,
       error = CASE WHEN $3 IS NOT NULL OR $5::boolean OR $11::boolean THEN NULL ELSE error END
 WHERE id = $1;

-- name: repositories_secret
UPDATE repositories SET webhook_secret_sealed = $2::bytea WHERE id = $1;

-- name: repositories_delete
DELETE FROM repositories WHERE id = $1;

-- name: repositories_apps
SELECT count(*), min(name) FROM applications WHERE repository_id = $1;
