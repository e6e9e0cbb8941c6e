-- Applications, for handlers/applications*.c and core/gitops/manifest_apply.c.

-- name: applications_by_id
SELECT a.id, a.name, a.version, a.scope_id FROM applications a WHERE a.id = $1::uuid;

-- name: applications_by_name
-- A name is unique in its project only: what the caller may see decides.
SELECT a.id, a.name, a.version, a.scope_id FROM applications a WHERE a.name = $1 ORDER BY a.id LIMIT 100;

-- name: applications_json
SELECT df_json(a)::text, a.version, df_config(a)::text FROM applications a WHERE a.id = $1;

-- name: applications_repository
SELECT r.id, r.scope_id, r.org_id, r.default_branch FROM repositories r WHERE r.id = $1;

-- name: applications_insert
-- The Compose project is called like the application, unless that name is taken on the node.
INSERT INTO applications (id, scope_id, name, repository_id, target_revision, path, compose_files, node_id, environment, variables, sync_policy,
       description, labels, created_by, project_name)
SELECT $1::uuid, $2::uuid, $3::text, $4::uuid, $5, $6, ARRAY (SELECT jsonb_array_elements_text($7::jsonb)), $8::uuid, $9, $10::jsonb, $11::jsonb, $12, $13::jsonb, $14::uuid,
       CASE WHEN EXISTS (SELECT FROM applications o WHERE o.node_id = $8::uuid AND o.project_name = $3::text)
            THEN $3::text || '-' || right($1::text, 6) ELSE $3::text END;

-- name: applications_lock
SELECT df_config(a)::text, a.version, a.name, a.origin, a.manifest_path, a.node_id, a.deployed_commit, a.scope_id, a.repository_id, a.current_job_id, a.org_id, a.deleting
  FROM applications a WHERE a.id = $1 FOR UPDATE;

-- name: applications_update
UPDATE applications SET name = coalesce($2, name), scope_id = coalesce($3::uuid, scope_id), repository_id = coalesce($4::uuid, repository_id),
       target_revision = coalesce($5, target_revision), path = coalesce($6, path),
       compose_files = CASE WHEN $7::jsonb IS NULL THEN compose_files ELSE ARRAY (SELECT jsonb_array_elements_text($7::jsonb)) END,
       node_id = coalesce($8::uuid, node_id), environment = coalesce($9, environment), variables = coalesce($10::jsonb, variables),
       sync_policy = CASE WHEN $15::boolean THEN $11::jsonb ELSE sync_policy || coalesce($11::jsonb, '{}') END,
       description = coalesce($12, description), labels = coalesce($13::jsonb, labels), suspended = coalesce($14::boolean, suspended), sync_failures = 0
 WHERE id = $1;

-- name: applications_deleting
UPDATE applications SET deleting = true WHERE id = $1;

-- name: applications_deployment
SELECT d.id, d.commit_id, d.status, d.number FROM deployments d WHERE d.id = $1::uuid AND d.application_id = $2::uuid;

