-- Roles and bindings, for handlers/roles.c and handlers/bindings.c.

-- name: roles_json
SELECT df_json(r) FROM roles r WHERE r.id = $1::uuid;

-- name: roles_by_ref
-- By id or by name.
SELECT id, name, version, built_in FROM roles WHERE id::text = $1 OR name = $1 LIMIT 1;

-- name: roles_ids
-- Ids of the named (or numbered) roles; fewer than asked for = one does not exist.
SELECT id FROM roles WHERE name = ANY ($1::text[]) OR id::text = ANY ($1::text[]);

-- name: roles_insert
INSERT INTO roles (id, name, type, description, permissions, inherited_roles)
VALUES ($1, $2, CASE WHEN $5 = '{}' THEN 'custom' ELSE 'composite' END, $3, $4::jsonb, $5::text::uuid[]);

-- name: roles_lock
SELECT df_json(r), r.version, r.built_in, r.name FROM roles r WHERE r.id = $1::uuid FOR UPDATE;

-- name: roles_update
UPDATE roles SET name = $2, type = CASE WHEN $5 = '{}' THEN 'custom' ELSE 'composite' END, description = $3, permissions = $4::jsonb,
       inherited_roles = $5::text::uuid[]
 WHERE id = $1::uuid;

-- name: roles_delete
DELETE FROM roles WHERE id = $1::uuid;

-- name: bindings_json
SELECT df_json(b) FROM role_bindings b WHERE b.id = $1::uuid;

-- name: bindings_get
SELECT b.scope_id, b.role_id, b.effect, b.subject_kind, b.subject_id FROM role_bindings b WHERE b.id = $1::uuid;

-- name: bindings_insert
INSERT INTO role_bindings (id, subject_kind, subject_id, role_id, scope_id, effect, expires_at, created_by)
VALUES ($1, $2, $3::uuid, $4, $5, $6, $7::timestamptz, $8);

-- name: bindings_join_org
-- Who has a role inside an organization is a member of it.
INSERT INTO organization_members (org_id, user_id)
SELECT s.org_id, $2::uuid FROM scopes s WHERE s.id = $1::uuid AND s.org_id IS NOT NULL
ON CONFLICT DO NOTHING;

-- name: bindings_delete
DELETE FROM role_bindings WHERE id = $1::uuid RETURNING id;

-- name: bindings_of_team
SELECT role_id, scope_id FROM role_bindings WHERE subject_kind = 'team' AND subject_id = $1::uuid;
