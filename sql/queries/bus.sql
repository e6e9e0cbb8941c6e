-- Outbox: see core/bus. seq is given at commit by a trigger, in commit order.

-- name: bus_insert
INSERT INTO events (id, topic, org_id, scope_id, object_kind, object_id, payload)
VALUES ($1, $2, (SELECT org_id FROM scopes WHERE id = $3::uuid), $3::uuid, $4, $5, $6::jsonb);

-- name: bus_since
SELECT seq, id, topic, org_id, scope_id, object_kind, object_id, payload::text,
       to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  FROM events WHERE seq > $1 ORDER BY seq LIMIT $2::integer;

-- name: bus_bounds
-- Oldest and newest event there is; the newest is also known when the table was purged to the end.
SELECT coalesce((SELECT min(seq) FROM events), 0), greatest(coalesce((SELECT max(seq) FROM events), 0), $1::bigint);

-- name: bus_purge
DELETE FROM events WHERE id IN (
    SELECT id FROM events WHERE created_at < now() - $1::bigint * interval '1 s' ORDER BY created_at LIMIT 5000);
