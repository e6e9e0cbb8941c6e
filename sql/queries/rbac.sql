-- name: rbac_epoch
SELECT epoch FROM authz_epoch;

-- name: rbac_scopes
SELECT id, kind, coalesce(org_id::text, ''), name, array_to_string(path, ',') FROM scopes ORDER BY cardinality(path), id;

-- name: rbac_roles
SELECT id, name, permissions::text, array_to_string(inherited_roles, ',') FROM roles;

-- name: rbac_bindings
SELECT subject_kind, coalesce(subject_id::text, subject_name), role_id, scope_id, effect,
       coalesce((extract(epoch FROM expires_at) * 1000)::bigint, 0)
  FROM role_bindings WHERE expires_at IS NULL OR expires_at > now();

-- name: rbac_team_members
SELECT team_id, user_id FROM team_members;

-- name: rbac_users
SELECT id, username, is_active, authz_epoch FROM users;

-- name: rbac_builtin_role_put
INSERT INTO roles (id, name, type, description, permissions, built_in)
VALUES ($1, $2, 'fine-grained', $3, $4::jsonb, true)
ON CONFLICT (name) DO UPDATE SET description = excluded.description, permissions = excluded.permissions, type = excluded.type
 WHERE roles.built_in AND (roles.description, roles.permissions, roles.type)
       IS DISTINCT FROM (excluded.description, excluded.permissions, excluded.type);
