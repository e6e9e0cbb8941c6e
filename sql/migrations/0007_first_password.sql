-- The random first password is good for half an hour; NULL: the password is somebody's own.

ALTER TABLE users ADD COLUMN first_password_until timestamptz;

CREATE FUNCTION df_first_password() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.first_password_until IS NOT DISTINCT FROM OLD.first_password_until THEN
        NEW.first_password_until := NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER users_first_password BEFORE UPDATE OF password_hash ON users FOR EACH ROW
    WHEN (NEW.password_hash IS DISTINCT FROM OLD.password_hash) EXECUTE FUNCTION df_first_password();
