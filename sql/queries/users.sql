-- Accounts, for handlers/users.c.

-- name: users_json
SELECT df_json(u) FROM users u WHERE u.id = $1::uuid;

-- name: users_seen
-- Version of a user if the caller may see it: everybody with the right at the root ($2, $3: granted and denied scopes), else as
-- a member of an organization inside the granted scopes. The scope through which it is seen comes along.
SELECT u.version, u.username, u.email, s.id
  FROM users u, scopes s
 WHERE u.id = $1::uuid
   AND (s.kind = 'platform' OR (s.kind = 'organization' AND EXISTS (SELECT FROM organization_members m WHERE m.org_id = s.id AND m.user_id = u.id)))
   AND s.path && $2::uuid[] AND NOT s.path && $3::uuid[]
 ORDER BY cardinality(s.path) LIMIT 1;

-- name: users_insert
-- Nobody may take a name under which somebody else logs in.
INSERT INTO users (id, username, email, full_name, password_hash, password_changed_at, must_change_password)
SELECT $1::uuid, $2::varchar, $3::varchar, $4::varchar, $5::text, now(), $6::boolean
 WHERE NOT EXISTS (SELECT FROM users WHERE lower(email) = lower($2) OR lower(username) = lower($3));

-- name: users_lock
SELECT df_json(u), u.version, u.is_active, u.username, u.email FROM users u WHERE u.id = $1::uuid FOR UPDATE;

-- name: users_update
UPDATE users SET email = coalesce($2, email), full_name = coalesce($3, full_name), is_active = coalesce($4::boolean, is_active),
       password_hash = coalesce($5, password_hash), password_changed_at = CASE WHEN $5 IS NULL THEN password_changed_at ELSE now() END,
       must_change_password = coalesce($6::boolean, must_change_password),
       authz_epoch = authz_epoch + CASE WHEN $7::boolean THEN 1 ELSE 0 END
 WHERE id = $1::uuid AND NOT EXISTS (SELECT FROM users o WHERE o.id <> $1::uuid AND lower(o.username) = lower($2));

-- name: users_revoke_sessions
UPDATE sessions SET revoked_at = now(), revoke_reason = $2 WHERE user_id = $1::uuid AND revoked_at IS NULL;

-- name: users_delete
DELETE FROM users WHERE id = $1::uuid;
