-- Deployments, for handlers/deployments.c.

-- name: deployments_seen
SELECT d.id, d.application_id FROM deployments d WHERE d.id = $1;

-- name: deployments_json
-- The row of the list, its plan and each operation with what became of it.
SELECT (df_json(d)::jsonb || jsonb_build_object(
    'plan', d.plan, 'verdicts', d.verdicts,
    'ops', coalesce((SELECT jsonb_agg(jsonb_build_object('id', p.v->>'id', 'kind', p.v->>'kind', 'title', p.v->>'title', 'service', p.v->'service',
                                'object', p.v->'object', 'state', CASE coalesce(o.state, 'pending') WHEN 'cancelled' THEN 'skipped' ELSE coalesce(o.state, 'pending') END,
                                'startedAt', df_time(o.started_at), 'finishedAt', df_time(o.finished_at), 'error', o.error) ORDER BY p.n)
                       FROM jsonb_array_elements(coalesce(d.plan->'ops', '[]')) WITH ORDINALITY p (v, n)
                       LEFT JOIN deployment_ops o ON o.deployment_id = d.id AND o.op_id = p.v->>'id'), '[]')))::text
  FROM deployments d WHERE d.id = $1;
