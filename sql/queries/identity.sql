-- name: identity_user_count
SELECT count(*) FROM users;

-- name: identity_user_insert
INSERT INTO users (id, username, email, full_name, password_hash, password_changed_at, must_change_password, kind, owner_id,
       first_password_until)
VALUES ($1, $2, $3, $4, $5, now(), $6::boolean, 'human', NULL, now() + $7::integer * interval '1 second');

-- name: identity_first_password_over
SELECT id FROM users WHERE first_password_until < now() AND is_active AND kind = 'human' AND username = $1;

-- name: identity_first_password_renew
-- One instance only: the others find it renewed.
UPDATE users SET password_hash = $2, password_changed_at = now(), must_change_password = true,
       first_password_until = now() + $3::integer * interval '1 second'
 WHERE id = $1 AND first_password_until < now();

-- name: identity_bind_role
INSERT INTO role_bindings (id, subject_kind, subject_id, role_id, scope_id)
SELECT $1, 'user', $2, r.id, $4 FROM roles r WHERE r.name = $3
ON CONFLICT DO NOTHING;

-- name: identity_user_by_login
SELECT id, username, email, password_hash, is_active, must_change_password, authz_epoch, coalesce(first_password_until < now(), false)
  FROM users WHERE kind = 'human' AND (lower(username) = lower($1) OR lower(email) = lower($1)) LIMIT 1;

-- name: identity_user_by_id
SELECT id, username, email, password_hash, is_active, must_change_password, authz_epoch, coalesce(first_password_until < now(), false)
  FROM users WHERE id = $1;

-- name: identity_login_ok
UPDATE users SET last_login = now(), last_login_ip = $2::inet, failed_logins = 0 WHERE id = $1;

-- name: identity_login_failed
UPDATE users SET failed_logins = failed_logins + 1, last_failed_login = now() WHERE id = $1;

-- name: identity_throttle_take
INSERT INTO login_throttle AS t (key, attempts) VALUES ($1, 1)
ON CONFLICT (key) DO UPDATE SET
    attempts = CASE WHEN t.window_start < now() - make_interval(secs => $2::int) THEN 1 ELSE t.attempts + 1 END,
    window_start = CASE WHEN t.window_start < now() - make_interval(secs => $2::int) THEN now() ELSE t.window_start END,
    last_attempt = now()
RETURNING attempts, ceil(extract(epoch FROM window_start + make_interval(secs => $2::int) - now()))::int;

-- name: identity_throttle_reset
DELETE FROM login_throttle WHERE key = $1;

-- name: identity_throttle_purge
DELETE FROM login_throttle WHERE last_attempt < now() - interval '1 day';

-- name: identity_session_insert
INSERT INTO sessions (id, user_id, family, refresh_hash, ip_address, user_agent, idle_expires_at, absolute_expires_at)
VALUES ($1, $2, $3, $4::bytea, $5::inet, left($6, 512), now() + make_interval(hours => $7::int), now() + make_interval(days => $8::int));

-- name: identity_session_rotate
UPDATE sessions SET refresh_hash = $2::bytea, prev_refresh_hash = refresh_hash, rotated_at = now(),
       refresh_counter = refresh_counter + 1, last_used_at = now(), ip_address = $4::inet,
       idle_expires_at = least(now() + make_interval(hours => $5::int), absolute_expires_at)
 WHERE family = $1 AND refresh_hash = $3::bytea AND revoked_at IS NULL AND idle_expires_at > now() AND absolute_expires_at > now()
RETURNING id, user_id;

-- name: identity_session_by_family
SELECT id, user_id, refresh_hash = $2::bytea, prev_refresh_hash = $2::bytea AND rotated_at > now() - interval '10 seconds',
       revoked_at IS NOT NULL, idle_expires_at <= now() OR absolute_expires_at <= now()
  FROM sessions WHERE family = $1;

-- name: identity_session_revoke
UPDATE sessions SET revoked_at = now(), revoke_reason = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL;

-- name: identity_session_revoke_others
UPDATE sessions SET revoked_at = now(), revoke_reason = $3 WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL;

-- name: identity_revoked_recently
SELECT id, 'session' FROM sessions WHERE revoked_at > now() - make_interval(secs => $1::int)
UNION ALL
SELECT id, 'token' FROM api_tokens WHERE revoked_at > now() - make_interval(secs => $1::int);

-- name: identity_session_purge
DELETE FROM sessions WHERE absolute_expires_at < now() - interval '7 days';

-- name: identity_password_set
UPDATE users SET password_hash = $2, password_changed_at = now(), must_change_password = $3::boolean, failed_logins = 0 WHERE id = $1;

-- name: identity_signing_keys
SELECT kid, public_jwk->>'x', private_sealed, state FROM signing_keys WHERE purpose = 'access' AND state <> 'retired' ORDER BY created_at DESC;

-- name: identity_signing_key_insert
INSERT INTO signing_keys (kid, alg, purpose, public_jwk, private_sealed, state) VALUES ($1, 'EdDSA', 'access', $2::jsonb, $3::bytea, 'active')
ON CONFLICT DO NOTHING;

-- name: identity_token_insert
INSERT INTO api_tokens (id, user_id, name, prefix, token_hash, scopes, scope_id, allowed_cidrs, expires_at, created_by)
VALUES ($1, $2, $3, $4, $5::bytea, $6::jsonb, $7, $8::cidr[], now() + make_interval(days => $9::int), $2);

-- name: identity_token_use
UPDATE api_tokens t SET last_used_at = now(), last_used_ip = $2::inet
  FROM users u
 WHERE t.token_hash = $1::bytea AND u.id = t.user_id AND t.revoked_at IS NULL AND t.expires_at > now() AND u.is_active
   AND (cardinality(t.allowed_cidrs) = 0 OR $2::inet <<= ANY (t.allowed_cidrs))
RETURNING t.id, t.user_id, u.username, t.scopes::text, t.scope_id, u.authz_epoch, u.must_change_password, u.kind,
          (extract(epoch FROM t.expires_at) * 1000)::bigint;

-- name: identity_originator
-- Columns as above; with $2 NULL the person alone.
SELECT t.id, u.id, u.username, t.scopes::text, t.scope_id, u.authz_epoch, u.must_change_password, u.kind, (extract(epoch FROM t.expires_at) * 1000)::bigint
  FROM users u LEFT JOIN api_tokens t ON t.id = $2::uuid AND t.user_id = u.id AND t.revoked_at IS NULL AND t.expires_at > now()
 WHERE u.id = $1 AND u.is_active AND ($2::uuid IS NULL OR t.id IS NOT NULL);

-- name: identity_token_json
SELECT df_json(t) FROM api_tokens t WHERE t.id = $1;

-- name: identity_token_revoke
UPDATE api_tokens SET revoked_at = now(), revoke_reason = 'user' WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL;

-- name: identity_ticket_insert
INSERT INTO ws_tickets (ticket_hash, user_id, session_id, api_token_id, ip_address, path, expires_at)
VALUES ($1::bytea, $2, $3, $4, $5::inet, $6, now() + interval '30 seconds');

-- name: identity_ticket_take
DELETE FROM ws_tickets t USING users u
 WHERE t.ticket_hash = $1::bytea AND t.path IN ('', $3) AND u.id = t.user_id AND t.expires_at > now() AND u.is_active
   AND (t.api_token_id IS NULL OR EXISTS (SELECT FROM api_tokens k WHERE k.id = t.api_token_id AND k.revoked_at IS NULL AND k.expires_at > now()
       AND (cardinality(k.allowed_cidrs) = 0 OR $2::inet <<= ANY (k.allowed_cidrs))))
RETURNING t.user_id, u.username, t.session_id, t.api_token_id, u.authz_epoch, u.must_change_password,
          (SELECT scopes::text FROM api_tokens a WHERE a.id = t.api_token_id), (SELECT scope_id FROM api_tokens a WHERE a.id = t.api_token_id),
          (SELECT (extract(epoch FROM expires_at) * 1000)::bigint FROM api_tokens a WHERE a.id = t.api_token_id);

-- name: identity_ticket_purge
DELETE FROM ws_tickets WHERE expires_at < now();
