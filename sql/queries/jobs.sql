-- Jobs: see core/jobs. Every write of a worker names its fence; times are the database's.

-- name: jobs_enqueue
-- $14 true: an equal job (kind, key) that waits already is returned instead of a second one, and waits no longer than that would.
WITH same AS (
    SELECT id FROM jobs WHERE $14::boolean AND state = 'queued' AND kind = $2 AND key = $3 AND NOT cancel_requested
     ORDER BY id LIMIT 1
), sooner AS (
    UPDATE jobs SET run_at = now() + $9::bigint * interval '1 ms'
     WHERE id = (SELECT id FROM same) AND state = 'queued' AND run_at > now() + $9::bigint * interval '1 ms'
), made AS (
    INSERT INTO jobs (id, kind, key, org_id, scope_id, object_kind, object_id, priority, run_at, max_attempts, payload,
                      created_by, request_id, token_id)
    SELECT $1::uuid, $2, $3, coalesce($4::uuid, (SELECT org_id FROM scopes WHERE id = $5::uuid)), $5::uuid, $6, $7,
           $8::smallint, now() + $9::bigint * interval '1 ms', $10::integer, $11::jsonb, $12::uuid, $13, $15::uuid
     WHERE NOT EXISTS (SELECT FROM same)
    RETURNING id
)
SELECT id, true AS made FROM made UNION ALL SELECT id, false FROM same;

-- name: jobs_claim_lock
SELECT pg_advisory_xact_lock(4462, 3);

-- name: jobs_claim
-- $1 owner, $2 lease in ms, $3 kinds, $4 free slots of each kind here, $5 how many at most, $6 running per organization at
-- most, $7 ready jobs looked at per organization. Organizations take turns: the one with the least running comes first.
WITH RECURSIVE orgs (org) AS (
    (SELECT coalesce(org_id, '00000000-0000-0000-0000-000000000000') FROM jobs WHERE state = 'queued'
      ORDER BY coalesce(org_id, '00000000-0000-0000-0000-000000000000') LIMIT 1)
    UNION ALL
    SELECT (SELECT coalesce(org_id, '00000000-0000-0000-0000-000000000000') FROM jobs
             WHERE state = 'queued' AND coalesce(org_id, '00000000-0000-0000-0000-000000000000') > o.org
             ORDER BY coalesce(org_id, '00000000-0000-0000-0000-000000000000') LIMIT 1)
      FROM orgs o WHERE o.org IS NOT NULL
), slots AS (
    SELECT k.kind, k.free FROM unnest($3::text[], $4::integer[]) AS k (kind, free) WHERE k.free > 0
), running AS (
    SELECT coalesce(org_id, '00000000-0000-0000-0000-000000000000') AS org, count(*) AS n
      FROM jobs WHERE state = 'running' GROUP BY 1
), ready AS (
    SELECT c.*, o.org, coalesce(r.n, 0) AS busy
      FROM orgs o
      LEFT JOIN running r ON r.org = o.org
     CROSS JOIN LATERAL (
        SELECT j.id, j.kind, j.key, j.priority, j.run_at FROM jobs j
         WHERE j.state = 'queued' AND coalesce(j.org_id, '00000000-0000-0000-0000-000000000000') = o.org
           AND j.run_at <= now() AND j.kind IN (SELECT kind FROM slots)
           AND (j.key IS NULL OR NOT EXISTS (SELECT FROM jobs k WHERE k.key = j.key AND k.state = 'running'))
         ORDER BY j.priority DESC, j.run_at, j.id LIMIT $7::integer) c
     WHERE o.org IS NOT NULL
), one_per_key AS (
    SELECT *, row_number() OVER (PARTITION BY coalesce(key, id::text) ORDER BY priority DESC, run_at, id) AS in_key
      FROM ready
), turns AS (
    SELECT *, busy + row_number() OVER (PARTITION BY org ORDER BY priority DESC, run_at, id) AS turn
      FROM one_per_key WHERE in_key = 1
), kinds AS (
    SELECT *, row_number() OVER (PARTITION BY kind ORDER BY turn, priority DESC, run_at, id) AS in_kind
      FROM turns WHERE turn <= $6::integer
), picked AS (
    SELECT k.id FROM kinds k JOIN slots s ON s.kind = k.kind
     WHERE k.in_kind <= s.free ORDER BY k.turn, k.priority DESC, k.run_at, k.id LIMIT $5::integer
)
UPDATE jobs j
   SET state = 'running', lease_owner = $1, lease_until = clock_timestamp() + $2::bigint * interval '1 ms',
       fence = nextval('job_fence_seq'), attempt = attempt + 1, started_at = coalesce(started_at, now()), updated_at = now()
  FROM picked p
 WHERE j.id = p.id AND j.state = 'queued'
RETURNING j.id, j.kind, j.key, j.org_id, j.scope_id, j.object_kind, j.object_id, j.fence, j.attempt, j.max_attempts,
          j.payload::text, j.created_by, j.request_id, j.steps::text, j.cancel_requested, j.log_lines, j.token_id;

-- name: jobs_heartbeat
-- Rows that do not come back are lost.
UPDATE jobs j SET lease_until = clock_timestamp() + $3::bigint * interval '1 ms'
  FROM unnest($1::uuid[], $2::bigint[]) AS h (id, fence)
 WHERE j.id = h.id AND j.fence = h.fence AND j.state = 'running'
RETURNING j.id, j.cancel_requested;

-- name: jobs_assert_fence
SELECT cancel_requested FROM jobs WHERE id = $1 AND fence = $2 AND state = 'running' FOR NO KEY UPDATE;

-- name: jobs_progress
UPDATE jobs SET progress = coalesce($3::jsonb, progress), steps = coalesce($4::jsonb, steps), updated_at = now()
 WHERE id = $1 AND fence = $2 AND state = 'running';

-- name: jobs_log_add
-- $3: [{"at","level","step","line"}], $4 how many, $5 how many were left out.
WITH j AS (
    UPDATE jobs SET log_lines = log_lines + $4::integer, log_dropped = log_dropped + $5::integer, updated_at = now()
     WHERE id = $1 AND fence = $2 AND state = 'running'
    RETURNING id, log_lines - $4::integer AS base
)
INSERT INTO job_log (job_id, seq, at, level, step, line)
SELECT j.id, j.base + l.n, (l.v ->> 'at')::timestamptz, l.v ->> 'level', l.v ->> 'step', l.v ->> 'line'
  FROM j, jsonb_array_elements($3::jsonb) WITH ORDINALITY AS l (v, n);

-- name: jobs_finish
UPDATE jobs SET state = $3, result = $4::jsonb, error = $5::jsonb, steps = coalesce($6::jsonb, steps),
       finished_at = clock_timestamp(), lease_until = NULL, lease_owner = NULL, updated_at = now()
 WHERE id = $1 AND fence = $2 AND state = 'running'
RETURNING id;

-- name: jobs_retry
UPDATE jobs SET state = 'queued', run_at = clock_timestamp() + $3::bigint * interval '1 ms', error = $4::jsonb,
       lease_until = NULL, lease_owner = NULL, updated_at = now()
 WHERE id = $1 AND fence = $2 AND state = 'running'
RETURNING id;

-- name: jobs_release
-- Hand-over at shutdown: somebody else goes on at once, no attempt is used up.
UPDATE jobs SET state = 'queued', run_at = clock_timestamp(), attempt = attempt - 1, handovers = handovers + 1,
       lease_until = NULL, lease_owner = NULL, updated_at = now()
 WHERE id = $1 AND fence = $2 AND state = 'running'
RETURNING id;

-- name: jobs_reap
-- Expired leases. A job that took its worker down again and again is given up.
WITH dead AS (
    SELECT id, cancel_requested, handovers >= $1::integer AS hopeless FROM jobs
     WHERE state = 'running' AND lease_until < clock_timestamp()
     ORDER BY lease_until LIMIT 100 FOR UPDATE SKIP LOCKED
)
UPDATE jobs j
   SET state = CASE WHEN d.cancel_requested THEN 'cancelled' WHEN d.hopeless THEN 'failed' ELSE 'queued' END,
       finished_at = CASE WHEN d.cancel_requested OR d.hopeless THEN clock_timestamp() END,
       error = CASE WHEN d.cancel_requested THEN jsonb_build_object('code', 'CANCELLED', 'message', 'cancelled')
                    WHEN d.hopeless THEN jsonb_build_object('code', 'LEASE_LOST', 'message',
                         'the server stopped ' || j.handovers + 1 || ' times while this ran; it will not be tried again')
                    ELSE j.error END,
       attempt = greatest(j.attempt - 1, 0), handovers = j.handovers + 1, run_at = clock_timestamp(),
       lease_until = NULL, lease_owner = NULL, updated_at = now()
  FROM dead d WHERE j.id = d.id
RETURNING j.id, j.kind, j.state;

-- name: jobs_cancel
-- A waiting job ends here; a running one is told.
UPDATE jobs
   SET cancel_requested = true, cancel_reason = coalesce(cancel_reason, $2),
       state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
       finished_at = CASE WHEN state = 'queued' THEN clock_timestamp() END,
       error = CASE WHEN state = 'queued' THEN jsonb_build_object('code', 'CANCELLED', 'message', coalesce($2, 'cancelled'))
                    ELSE error END,
       updated_at = now()
 WHERE id = $1 AND state IN ('queued', 'running')
RETURNING state;

-- name: jobs_state
SELECT state FROM jobs WHERE id = $1;

-- name: jobs_get_json
SELECT json_build_object(
           'id', id, 'kind', kind, 'key', key, 'orgId', org_id, 'scopeId', scope_id, 'objectKind', object_kind,
           'objectId', object_id, 'state', state, 'priority', priority, 'attempt', attempt, 'maxAttempts', max_attempts,
           'progress', progress, 'steps', steps, 'result', result, 'error', error, 'cancelRequested', cancel_requested,
           'cancelReason', cancel_reason, 'createdBy', created_by, 'requestId', request_id, 'logLines', log_lines,
           'logDropped', log_dropped,
           'runAt', to_char(run_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           'createdAt', to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           'startedAt', to_char(started_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           'finishedAt', to_char(finished_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           'updatedAt', to_char(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
  FROM jobs WHERE id = $1;

-- name: jobs_log_json
-- Lines after $2, at most $3.
SELECT coalesce(json_agg(l), '[]') FROM (
    SELECT json_build_object('seq', seq, 'at', to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'level', level,
                             'step', step, 'line', line) AS l
      FROM job_log WHERE job_id = $1 AND seq > $2::integer ORDER BY seq LIMIT $3::integer) t;

-- name: jobs_next_due
SELECT (extract(epoch FROM min(run_at) - clock_timestamp()) * 1000)::bigint FROM jobs
 WHERE state = 'queued' AND kind = ANY ($1::text[]) AND run_at > now();

-- name: jobs_purge
DELETE FROM jobs WHERE id IN (
    SELECT id FROM jobs WHERE finished_at < now() - $1::bigint * interval '1 s' ORDER BY finished_at LIMIT 1000);
