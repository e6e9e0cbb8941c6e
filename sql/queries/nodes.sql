-- Docker nodes, for handlers/nodes.c and start_runtime.c.

-- name: nodes_all
SELECT n.id, n.scope_id, n.name, n.url, n.maintenance, n.tls_ca, n.tls_cert, n.tls_key_sealed::text, n.tls_server_name, df_json(n)::text, n.version,
       n.is_default
  FROM nodes n ORDER BY n.name, n.id LIMIT 2000;

-- name: nodes_apps_all
SELECT a.id, a.scope_id, a.name, a.node_id FROM applications a LIMIT 100000;

-- name: nodes_default
-- The node of docker.host: made on the first start, follows the configuration later.
INSERT INTO nodes (id, scope_id, name, kind, url, is_default)
SELECT $1, '00000000-0000-7000-8000-000000000000',
       CASE WHEN EXISTS (SELECT FROM nodes WHERE scope_id = '00000000-0000-7000-8000-000000000000' AND name = 'default') THEN 'local' ELSE 'default' END,
       CASE WHEN $2 LIKE 'unix:%' THEN 'local' ELSE 'tcp' END, $2, true
ON CONFLICT (is_default) WHERE is_default DO UPDATE SET url = excluded.url, kind = excluded.kind WHERE nodes.url <> excluded.url;

-- name: nodes_insert
INSERT INTO nodes (id, org_id, scope_id, name, kind, url, tls_ca, tls_cert, tls_key_sealed, tls_server_name, labels)
SELECT $1, s.org_id, s.id, $3, CASE WHEN $4 LIKE 'unix:%' THEN 'unix' ELSE 'tcp' END, $4, $5, $6, $7::bytea, $8, $9::jsonb
  FROM scopes s WHERE s.id = $2::uuid;

-- name: nodes_json
SELECT df_json(n)::text, n.version FROM nodes n WHERE n.id = $1;

-- name: nodes_lock
SELECT df_json(n)::text, n.version, n.name, n.is_default, n.url FROM nodes n WHERE n.id = $1 FOR UPDATE;

-- name: nodes_update
-- $6 true: certificates are replaced (NULL = none).
UPDATE nodes SET name = coalesce($2, name), url = coalesce($3, url),
       kind = CASE WHEN $3 IS NULL OR is_default THEN kind WHEN $3 LIKE 'unix:%' THEN 'unix' ELSE 'tcp' END,
       labels = coalesce($4::jsonb, labels), maintenance = coalesce($5::boolean, maintenance),
       tls_ca = CASE WHEN $6::boolean THEN $7 ELSE tls_ca END, tls_cert = CASE WHEN $6::boolean THEN $8 ELSE tls_cert END,
       tls_key_sealed = CASE WHEN $6::boolean THEN $9::bytea ELSE tls_key_sealed END,
       tls_server_name = CASE WHEN $6::boolean THEN $10 ELSE tls_server_name END
 WHERE id = $1;

-- name: nodes_delete
DELETE FROM nodes WHERE id = $1;

-- name: nodes_apps_on
SELECT count(*), min(name) FROM applications WHERE node_id = $1;
