-- How values look in the API, in one place.

CREATE FUNCTION df_time(t timestamptz) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- Is a scope inside one of the granted subtrees and outside every denied one?
CREATE FUNCTION df_visible(scope uuid, granted uuid[], denied uuid[]) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT EXISTS (SELECT FROM scopes s WHERE s.id = scope AND s.path && granted AND NOT s.path && denied)
$$;

-- Rows as the API shows them: df_json(row). Never a secret in here: these texts also go into the audit log.
CREATE FUNCTION df_json(u users) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', u.id, 'username', u.username, 'email', u.email, 'fullName', u.full_name, 'kind', u.kind,
        'active', u.is_active, 'mustChangePassword', u.must_change_password, 'mfaEnabled', u.mfa_enabled,
        'lastLoginAt', df_time(u.last_login), 'createdAt', df_time(u.created_at), 'updatedAt', df_time(u.updated_at),
        'version', u.version)
$$;

CREATE FUNCTION df_json(r roles) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', r.id, 'name', r.name, 'type', r.type, 'description', r.description,
        'permissions', r.permissions,
        'inherits', (SELECT coalesce(json_agg(i.name ORDER BY i.name), '[]') FROM roles i WHERE i.id = ANY (r.inherited_roles)),
        'builtIn', r.built_in, 'createdAt', df_time(r.created_at), 'updatedAt', df_time(r.updated_at), 'version', r.version)
$$;

CREATE FUNCTION df_json(b role_bindings) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', b.id,
        'subjectKind', CASE WHEN b.subject_kind = 'user' AND u.kind = 'service' THEN 'serviceAccount' ELSE b.subject_kind END,
        'subjectId', b.subject_id,
        'subjectName', coalesce(u.username, (SELECT t.name FROM teams t WHERE t.id = b.subject_id), b.subject_name),
        'role', (SELECT r.name FROM roles r WHERE r.id = b.role_id), 'roleId', b.role_id,
        'scopeId', b.scope_id, 'scopeKind', s.kind, 'scopeName', s.name, 'effect', b.effect,
        'expiresAt', df_time(b.expires_at), 'createdAt', df_time(b.created_at))
      FROM scopes s LEFT JOIN users u ON b.subject_kind = 'user' AND u.id = b.subject_id
     WHERE s.id = b.scope_id
$$;

CREATE FUNCTION df_json(o organizations) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', o.id, 'scopeId', o.id, 'name', o.name, 'displayName', o.display_name,
        'description', o.description, 'createdAt', df_time(o.created_at), 'updatedAt', df_time(o.updated_at),
        'version', o.version)
$$;

CREATE FUNCTION df_json(t teams) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', t.id, 'scopeId', t.id, 'name', t.name, 'organizationId', t.org_id,
        'displayName', t.display_name, 'description', t.description,
        'members', (SELECT coalesce(json_agg(json_build_object('id', m.id, 'username', m.username, 'fullName', m.full_name)
                                             ORDER BY m.username), '[]')
                      FROM (SELECT u.id, u.username, u.full_name FROM team_members tm JOIN users u ON u.id = tm.user_id
                             WHERE tm.team_id = t.id ORDER BY u.username LIMIT 1000) m),
        'createdAt', df_time(t.created_at), 'updatedAt', df_time(t.updated_at), 'version', t.version)
$$;

CREATE FUNCTION df_json(p projects) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', p.id, 'scopeId', p.id, 'name', p.name, 'organizationId', p.org_id, 'teamId', p.team_id,
        'displayName', p.display_name, 'description', p.description, 'createdAt', df_time(p.created_at),
        'updatedAt', df_time(p.updated_at), 'version', p.version)
$$;

CREATE FUNCTION df_json(f folders) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', f.id, 'scopeId', f.id, 'name', f.name, 'organizationId', f.org_id,
        'projectId', (SELECT p.id FROM scopes s JOIN scopes p ON p.id = ANY (s.path) AND p.kind = 'project' WHERE s.id = f.id),
        'parentId', (SELECT s.id FROM scopes s WHERE s.id = f.scope_id AND s.kind = 'folder'),
        'displayName', f.display_name, 'createdAt', df_time(f.created_at), 'updatedAt', df_time(f.updated_at),
        'version', f.version)
$$;

CREATE FUNCTION df_json(l audit_logs) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('seq', l.seq, 'chain', l.chain, 'id', l.id, 'time', df_time(l.created_at),
        'actor', json_build_object('id', l.user_id, 'name', l.actor_name, 'kind', l.actor_kind),
        'action', l.action, 'resourceType', l.resource_type, 'resourceId', l.resource_id, 'resourceName', l.resource_name,
        'scopeId', l.scope_id, 'outcome', l.outcome, 'errorCode', l.error_code, 'ip', host(l.ip_address),
        'userAgent', l.user_agent, 'requestId', l.request_id, 'details', l.details, 'before', l.before, 'after', l.after,
        'hash', encode(l.hash, 'hex'))
$$;

-- What happened lately, for people. Other topics than activity.new carry states of objects: their payload is the detail.
CREATE FUNCTION df_json(e events) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('seq', e.seq, 'topic', e.topic,
        'object', json_build_object('kind', e.object_kind, 'id', e.object_id,
                                    'name', coalesce(e.payload->>'name', e.payload #>> '{object,name}', '')),
        'actor', e.payload->'actor', 'text', coalesce(e.payload->>'text', e.topic), 'time', df_time(e.created_at),
        'details', coalesce(e.payload->'details', CASE WHEN e.topic = 'activity.new' THEN NULL ELSE e.payload END))
$$;

CREATE INDEX sessions_revoked_idx ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- A new account exists for decisions, too.
CREATE TRIGGER users_authz_new AFTER INSERT ON users FOR EACH STATEMENT EXECUTE FUNCTION df_authz_bump();
