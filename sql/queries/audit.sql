-- Audit chain: see core/audit.

-- name: audit_next
-- Takes the chain's lock (the row of audit_heads) and gives every value back in the form in which it will be read later.
WITH head AS (
    INSERT INTO audit_heads AS h (chain, seq, hash) VALUES ($1, 1, decode(repeat('00', 32), 'hex'))
    ON CONFLICT (chain) DO UPDATE SET seq = h.seq + 1, updated_at = now()
    RETURNING seq, hash
)
SELECT seq, encode(hash, 'hex'), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
       $2::uuid::text, $3::uuid::text, $4::uuid::text, $5::uuid::text, $6::jsonb::text, $7::jsonb::text, $8::jsonb::text,
       host($9::inet)
  FROM head;

-- name: audit_insert
WITH h AS (UPDATE audit_heads SET hash = decode($26, 'hex'), updated_at = now() WHERE chain = $2 RETURNING chain)
INSERT INTO audit_logs (id, chain, seq, org_id, scope_id, user_id, actor_kind, actor_name, session_id, token_id, action,
                        resource_type, resource_id, resource_name, outcome, error_code, details, before, after,
                        ip_address, user_agent, request_id, created_at, prev_hash, hash, mac, mac_key_id)
SELECT $1::uuid, h.chain, $3::bigint, $4::uuid, $5::uuid, $6::uuid, $7, $8, $9::uuid, $10::uuid, $11, $12, $13, $14, $15, $16,
       $17::jsonb, $18::jsonb, $19::jsonb, $20::inet, $21, $22,
       timestamptz 'epoch' + $23::bigint * interval '1 microsecond', decode($24, 'hex'), decode($26, 'hex'),
       decode($25, 'hex'), $27
  FROM h;

-- name: audit_page
SELECT seq, encode(prev_hash, 'hex'), encode(hash, 'hex'), (extract(epoch FROM created_at) * 1000000)::bigint, id, org_id,
       scope_id, user_id, actor_kind, actor_name, session_id, token_id, action, resource_type, resource_id, resource_name,
       outcome, error_code, details::text, before::text, after::text, host(ip_address), user_agent, request_id,
       encode(mac, 'hex'), mac_key_id
  FROM audit_logs WHERE chain = $1 AND seq > $2 ORDER BY seq LIMIT $3::integer;

-- name: audit_head
SELECT seq, encode(hash, 'hex') FROM audit_heads WHERE chain = $1;
