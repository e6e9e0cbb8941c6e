# Generated sources: prepared statements, migrations, embedded UI.  All land in ${DF_GEN_DIR}, which
# is an include root, as gen/<folder>/<file>.
set(PY3 /usr/bin/python3)

file(GLOB sql_files CONFIGURE_DEPENDS
  "${CMAKE_SOURCE_DIR}/sql/queries/*.sql" "${CMAKE_SOURCE_DIR}/sql/migrations/*.sql")
set(sql_out "${DF_GEN_DIR}/core/pg/statements.h" "${DF_GEN_DIR}/core/pg/statements.c"
  "${DF_GEN_DIR}/core/pg/migrations.c")
add_custom_command(
  OUTPUT "${DF_GEN_DIR}/sql.stamp"
  BYPRODUCTS ${sql_out}
  COMMAND ${PY3} "${CMAKE_SOURCE_DIR}/cmake/gen_sql.py" --sql "${CMAKE_SOURCE_DIR}/sql"
          --out "${DF_GEN_DIR}/core/pg"
  COMMAND ${CMAKE_COMMAND} -E touch "${DF_GEN_DIR}/sql.stamp"
  DEPENDS ${sql_files} "${CMAKE_SOURCE_DIR}/cmake/gen_sql.py"
  COMMENT "SQL: statements and migrations"
  VERBATIM)

file(GLOB_RECURSE ui_files CONFIGURE_DEPENDS "${DF_UI_DIR}/*")
set(ui_out "${DF_GEN_DIR}/server/static_assets.h" "${DF_GEN_DIR}/server/static_assets.c")
add_custom_command(
  OUTPUT "${DF_GEN_DIR}/ui.stamp"
  BYPRODUCTS ${ui_out}
  COMMAND ${PY3} "${CMAKE_SOURCE_DIR}/cmake/embed_ui.py" --ui "${DF_UI_DIR}" --out "${DF_GEN_DIR}/server"
  COMMAND ${CMAKE_COMMAND} -E touch "${DF_GEN_DIR}/ui.stamp"
  DEPENDS ${ui_files} "${CMAKE_SOURCE_DIR}/cmake/embed_ui.py"
  COMMENT "UI: embed ${DF_UI_DIR}"
  VERBATIM)

add_custom_target(df_gen DEPENDS "${DF_GEN_DIR}/sql.stamp" "${DF_GEN_DIR}/ui.stamp")

# A folder of generated C joins the static library of the same name (cmake/Module.cmake).
set_source_files_properties(${sql_out} ${ui_out} PROPERTIES GENERATED TRUE)
set_property(GLOBAL PROPERTY DF_GENERATED_core_pg
  "${DF_GEN_DIR}/core/pg/statements.c" "${DF_GEN_DIR}/core/pg/migrations.c")
set_property(GLOBAL PROPERTY DF_GENERATED_df_server "${DF_GEN_DIR}/server/static_assets.c")

# A query that nothing uses is a mistake as much as a missing one (which does not compile).
if(NOT DF_ALLOW_UNUSED_SQL)
  add_custom_target(df_check_sql ALL
    COMMAND ${PY3} "${CMAKE_SOURCE_DIR}/cmake/gen_sql.py" --sql "${CMAKE_SOURCE_DIR}/sql"
            --check-used "${CMAKE_SOURCE_DIR}"
    COMMENT "SQL: every named query is used"
    VERBATIM)
endif()
