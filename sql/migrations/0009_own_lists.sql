-- Sessions and API tokens as the API shows them to their owner.

CREATE FUNCTION df_session_json(s sessions, current uuid) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', s.id, 'createdAt', df_time(s.created_at), 'lastUsedAt', df_time(s.last_used_at), 'ip', host(s.ip_address),
        'userAgent', s.user_agent, 'current', s.id = current)
$$;

CREATE FUNCTION df_json(t api_tokens) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', t.id, 'name', t.name, 'prefix', t.prefix, 'scopes', t.scopes, 'scopeId', t.scope_id,
        'cidrs', t.allowed_cidrs, 'expiresAt', df_time(t.expires_at), 'lastUsedAt', df_time(t.last_used_at),
        'createdAt', df_time(t.created_at))
$$;
