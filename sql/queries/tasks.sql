-- Tasks, for handlers/tasks.c and ws_tasks.c.

-- name: tasks_seen
SELECT j.id, coalesce(j.scope_id, '00000000-0000-7000-8000-000000000000'), j.state, j.kind, j.created_by FROM jobs j WHERE j.id = $1;

-- name: tasks_json
SELECT df_json(j)::text, j.state FROM jobs j WHERE j.id = $1;

-- name: tasks_log
SELECT json_build_object('seq', seq, 'time', df_time(at), 'level', level, 'step', step, 'text', line)::text, seq
  FROM job_log WHERE job_id = $1 AND seq > $2::integer ORDER BY seq LIMIT $3::integer;
