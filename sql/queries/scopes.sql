-- Organizations, teams, projects, folders, for handlers/organizations.c, teams.c and projects.c.

-- name: organizations_json
SELECT df_json(o) FROM organizations o WHERE o.id = $1::uuid;

-- name: organizations_get
SELECT id, id, version FROM organizations WHERE id = $2::uuid OR name = $1 LIMIT 1;

-- name: organizations_insert
INSERT INTO organizations (id, name, display_name, description) VALUES ($1, $2, $3, $4);

-- name: organizations_lock
SELECT df_json(o), o.version, o.name FROM organizations o WHERE o.id = $1::uuid FOR UPDATE;

-- name: organizations_update
UPDATE organizations SET name = coalesce($2, name), display_name = coalesce($3, display_name), description = coalesce($4, description)
 WHERE id = $1::uuid;

-- name: organizations_delete
DELETE FROM organizations WHERE id = $1::uuid;

-- name: organizations_member_add
INSERT INTO organization_members (org_id, user_id) VALUES ($1::uuid, $2::uuid) ON CONFLICT DO NOTHING;

-- name: organizations_member_remove
DELETE FROM organization_members WHERE org_id = $1::uuid AND user_id = $2::uuid;

-- name: organizations_member_leave_teams
DELETE FROM team_members WHERE user_id = $2::uuid AND team_id IN (SELECT id FROM teams WHERE org_id = $1::uuid);

-- name: organizations_member_unbind
DELETE FROM role_bindings b USING scopes s
 WHERE b.scope_id = s.id AND s.org_id = $1::uuid AND b.subject_kind = 'user' AND b.subject_id = $2::uuid;

-- name: teams_json
SELECT df_json(t) FROM teams t WHERE t.id = $1::uuid;

-- name: teams_get
SELECT id, org_id, version FROM teams WHERE id = $1::uuid;

-- name: teams_insert
INSERT INTO teams (id, org_id, name, display_name, description) VALUES ($1, $2, $3, $4, $5);

-- name: teams_lock
SELECT df_json(t), t.version, t.name FROM teams t WHERE t.id = $1::uuid FOR UPDATE;

-- name: teams_update
UPDATE teams SET name = coalesce($2, name), display_name = coalesce($3, display_name), description = coalesce($4, description)
 WHERE id = $1::uuid;

-- name: teams_delete
DELETE FROM teams WHERE id = $1::uuid;

-- name: teams_member_add
INSERT INTO team_members (team_id, user_id) VALUES ($1::uuid, $2::uuid) ON CONFLICT DO NOTHING;

-- name: teams_member_remove
DELETE FROM team_members WHERE team_id = $1::uuid AND user_id = $2::uuid;

-- name: projects_json
SELECT df_json(p) FROM projects p WHERE p.id = $1::uuid;

-- name: projects_get
SELECT id, org_id, version FROM projects WHERE id = $1::uuid;

-- name: projects_insert
INSERT INTO projects (id, org_id, team_id, name, display_name, description) VALUES ($1, $2, $3, $4, $5, $6);

-- name: projects_lock
SELECT df_json(p), p.version, p.name FROM projects p WHERE p.id = $1::uuid FOR UPDATE;

-- name: projects_update
UPDATE projects SET name = coalesce($2, name), display_name = coalesce($3, display_name), description = coalesce($4, description)
 WHERE id = $1::uuid;

-- name: projects_delete
DELETE FROM projects WHERE id = $1::uuid;

-- name: folders_json
SELECT df_json(f) FROM folders f WHERE f.id = $1::uuid;

-- name: folders_get
SELECT id, org_id, version FROM folders WHERE id = $1::uuid;

-- name: folders_insert
INSERT INTO folders (id, scope_id, name, display_name) VALUES ($1, $2, $3, $4);

-- name: folders_lock
SELECT df_json(f), f.version, f.name FROM folders f WHERE f.id = $1::uuid FOR UPDATE;

-- name: folders_update
UPDATE folders SET name = coalesce($2, name), display_name = coalesce($3, display_name) WHERE id = $1::uuid;

-- name: folders_delete
DELETE FROM folders WHERE id = $1::uuid;
