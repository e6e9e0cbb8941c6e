-- Webhooks, for handlers/webhooks.c.

-- name: webhooks_repository
SELECT id, scope_id, webhook_secret_sealed::text, provider, org_id FROM repositories WHERE hook_id = $1;

-- name: webhooks_delivery
-- No row: this delivery was here before.
INSERT INTO webhook_deliveries (id, org_id, repository_id, provider, delivery_id, event, state, body_sha256, body_size, summary, ip_address, processed_at)
VALUES ($1, $2::uuid, $3, $4, $5, $6, $7, decode($8, 'hex'), $9::bigint, $10::jsonb, $11::inet, now())
ON CONFLICT (repository_id, provider, delivery_id) DO NOTHING
RETURNING id;

-- name: webhooks_purge
DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries WHERE received_at < now() - interval '30 days' LIMIT 1000);
