-- Applications from the manifests of a repository, for core/gitops/manifest_apply.c.

-- name: manifests_repository
SELECT manifest_commit, configured_by, scope_id, url, manifest_error IS NOT NULL, configured_token FROM repositories WHERE id = $1;

-- name: manifests_node
-- By name: the nearest one above the repository's place, or the default node.
SELECT n.id, n.scope_id FROM nodes n JOIN scopes s ON s.id = $1 AND n.scope_id = ANY (s.path)
 WHERE CASE WHEN $2::text IS NULL THEN n.is_default ELSE n.name = $2::text END
 ORDER BY array_position(s.path, n.scope_id) DESC LIMIT 1;

-- name: manifests_find
SELECT id, origin, repository_id, node_id, deployed_commit, deleting FROM applications WHERE scope_id = $1 AND name = $2 FOR UPDATE;

-- name: manifests_insert
INSERT INTO applications (id, scope_id, name, repository_id, target_revision, path, compose_files, node_id, environment, variables, sync_policy,
       description, labels, origin, manifest, manifest_path, manifest_line, manifest_column, project_name)
SELECT $1::uuid, $2::uuid, $3::text, $4::uuid, $5, $6, ARRAY (SELECT jsonb_array_elements_text($7::jsonb)), $8::uuid, $9, $10::jsonb, $11::jsonb, $12, $13::jsonb,
       'git', $14::jsonb, $15, $16::integer, $17::integer,
       CASE WHEN EXISTS (SELECT FROM applications o WHERE o.node_id = $8::uuid AND o.project_name = $3::text)
            THEN $3::text || '-' || right($1::text, 6) ELSE $3::text END;

-- name: manifests_update
UPDATE applications SET target_revision = $2, path = $3, compose_files = ARRAY (SELECT jsonb_array_elements_text($4::jsonb)), node_id = $5::uuid,
       environment = $6, variables = $7::jsonb, sync_policy = $8::jsonb, description = $9, labels = $10::jsonb, manifest = $11::jsonb,
       manifest_path = $12, manifest_line = $13::integer, manifest_column = $14::integer
 WHERE id = $1
   AND (target_revision, path, compose_files, node_id, environment, variables, sync_policy, description, labels, manifest, manifest_path, manifest_line)
       IS DISTINCT FROM ($2, $3, ARRAY (SELECT jsonb_array_elements_text($4::jsonb)), $5::uuid, $6, $7::jsonb, $8::jsonb, $9, $10::jsonb, $11::jsonb, $12, $13::integer);

-- name: manifests_release
-- A manifest that vanished leaves its application running, to be managed by people from now on.
UPDATE applications SET origin = 'api', manifest = NULL, manifest_path = NULL, manifest_line = NULL, manifest_column = NULL
 WHERE repository_id = $1 AND origin = 'git' AND NOT name = ANY (ARRAY (SELECT jsonb_array_elements_text($2::jsonb)))
RETURNING id;

-- name: manifests_done
UPDATE repositories SET manifest_commit = $2, manifest_error = $3::jsonb WHERE id = $1;
