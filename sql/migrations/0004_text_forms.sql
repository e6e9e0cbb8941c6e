-- How values look in the API, in one place.

CREATE FUNCTION df_time(t timestamptz) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- Is a scope inside one of the granted subtrees and outside every denied one?
CREATE FUNCTION df_visible(scope uuid, granted uuid[], denied uuid[]) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT EXISTS (SELECT FROM scopes s WHERE s.id = scope AND s.path && granted AND NOT s.path && denied)
$$;
