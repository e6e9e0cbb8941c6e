"""Every named query is one that PostgreSQL accepts on the migrated schema."""
import importlib.util

import psycopg2

from conftest import ROOT


def load_generator():
    spec = importlib.util.spec_from_file_location("gen_sql", ROOT / "cmake/gen_sql.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_query_prepares(server, db):
    bad = []
    connection = psycopg2.connect(db.url)
    connection.autocommit = True
    cursor = connection.cursor()
    for query in load_generator().read_queries(ROOT / "sql/queries"):
        try:
            cursor.execute(f"PREPARE t_{query.name} AS {query.text}")
        except psycopg2.Error as e:
            bad.append((query.where, query.name, str(e).splitlines()[0]))
    connection.close()
    assert bad == []
