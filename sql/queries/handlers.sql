-- Shared by all handlers.

-- name: api_scope_org
SELECT org_id FROM scopes WHERE id = $1::uuid;

-- name: api_last_admin
-- Is there an active person who owns the platform: an unlimited binding at the root, direct or through a team, of a role that
-- (with what it inherits) may give roles, change users and remove organizations, and no deny binding there?
WITH RECURSIVE eff (role_id, from_id) AS (
    SELECT id, id FROM roles
    UNION
    SELECT eff.role_id, i FROM eff JOIN roles r ON r.id = eff.from_id, unnest(r.inherited_roles) i
), powerful AS (
    SELECT eff.role_id FROM eff JOIN roles r ON r.id = eff.from_id, jsonb_array_elements_text(r.permissions) p
     WHERE p IN ('binding:create', 'user:update', 'organization:delete')
     GROUP BY eff.role_id HAVING count(DISTINCT p) = 3
), root AS (
    SELECT b.role_id, b.effect, b.expires_at, b.subject_kind, coalesce(m.user_id, b.subject_id) AS user_id
      FROM role_bindings b LEFT JOIN team_members m ON b.subject_kind = 'team' AND m.team_id = b.subject_id
     WHERE b.scope_id = '00000000-0000-7000-8000-000000000000' AND b.subject_kind IN ('user', 'team')
)
SELECT EXISTS (
    SELECT FROM users u
     WHERE u.is_active AND u.kind = 'human'
       AND EXISTS (SELECT FROM root b WHERE b.user_id = u.id AND b.effect = 'allow' AND b.expires_at IS NULL
                                        AND b.role_id IN (SELECT role_id FROM powerful))
       AND NOT EXISTS (SELECT FROM root b WHERE b.user_id = u.id AND b.effect = 'deny'));

-- name: api_idempotency_begin
-- One row: taken by us (claimed), or what the earlier request with this key left. A running one whose owner died, or which is
-- one of the claims $7 that ended without telling, is taken over.
WITH mine AS (
    INSERT INTO idempotency_keys AS k (principal_id, key, method, path, request_hash, headers)
    VALUES ($1, $2, $3, $4, decode($5, 'hex'), jsonb_build_object('claim', $6::text))
    ON CONFLICT (principal_id, key) DO UPDATE
        SET method = excluded.method, path = excluded.path, request_hash = excluded.request_hash, state = 'running',
            status = NULL, headers = excluded.headers, body = NULL, created_at = now(),
            lease_until = now() + interval '60 seconds', expires_at = now() + interval '24 hours'
      WHERE k.expires_at <= now()
         OR (k.state = 'running' AND k.request_hash = excluded.request_hash
             AND (k.lease_until <= now() OR k.headers->>'claim' = ANY (string_to_array($7, ' '))))
    RETURNING principal_id
)
SELECT EXISTS (SELECT FROM mine), k.request_hash = decode($5, 'hex') AND k.method = $3, k.state = 'done', k.status, k.headers::text, k.body
  FROM (SELECT 1) one LEFT JOIN idempotency_keys k ON k.principal_id = $1 AND k.key = $2;

-- name: api_idempotency_done
-- Twice: in the transaction of the effect with what is known of the answer then, and afterwards with the answer itself.
UPDATE idempotency_keys SET state = 'done', status = $3::integer, headers = $4::jsonb, body = $5::bytea
 WHERE principal_id = $1 AND key = $2 AND headers->>'claim' = $6;

-- name: api_idempotency_drop
DELETE FROM idempotency_keys WHERE principal_id = $1 AND key = $2 AND state = 'running' AND headers->>'claim' = $3;

-- name: api_idempotency_purge
DELETE FROM idempotency_keys WHERE ctid IN (SELECT ctid FROM idempotency_keys WHERE expires_at < now() LIMIT 5000);
