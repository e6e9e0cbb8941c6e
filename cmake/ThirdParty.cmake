# Third-party code that is compiled here: BoringSSL, h2o, llhttp.  Each is built once per compiler,
# sanitizer and source version, by a build of its own under cmake/third_party/<name>, and kept in
# ${XDG_CACHE_HOME:-~/.cache}/dockflow/third-party/<name>-<key>, so a clean build directory costs
# nothing.  Targets: third_party::{boringssl_crypto,boringssl_ssl,h2o,h2o_wrapped,llhttp}.
set(H2O_SOURCE_DIR "" CACHE PATH "h2o sources to use instead of the distribution's source package")
set(BORINGSSL_SOURCE_DIR "" CACHE PATH "BoringSSL sources, in the layout of the Android tree")
set(LLHTTP_SOURCE_DIR /usr/share/llhttp CACHE PATH "llhttp's api.c, http.c, llhttp.c")
set(LLHTTP_INCLUDE_DIR /usr/share/include/llhttp CACHE PATH "folder of llhttp.h")

if(DEFINED ENV{XDG_CACHE_HOME})
  set(DF_CACHE_DIR "$ENV{XDG_CACHE_HOME}/dockflow/third-party")
else()
  set(DF_CACHE_DIR "$ENV{HOME}/.cache/dockflow/third-party")
endif()

# df_third_party_source(<package> <override> <ret_dir> <ret_version>)
# The unpacked Debian source package, its version as found in the changelog.
function(df_third_party_source package override ret_dir ret_version)
  if(override)
    set(${ret_dir} "${override}" PARENT_SCOPE)
    set(${ret_version} "local" PARENT_SCOPE)
    return()
  endif()
  execute_process(
    COMMAND "${CMAKE_SOURCE_DIR}/cmake/third_party/fetch.sh" ${package} "${DF_CACHE_DIR}/sources"
    OUTPUT_VARIABLE dir OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE rc)
  if(rc)
    message(FATAL_ERROR "cannot fetch the source package ${package}; "
      "give -DH2O_SOURCE_DIR= and -DBORINGSSL_SOURCE_DIR= on a machine without apt")
  endif()
  get_filename_component(version "${dir}" NAME)
  set(${ret_dir} "${dir}" PARENT_SCOPE)
  set(${ret_version} "${version}" PARENT_SCOPE)
endfunction()

# df_third_party_build(<name> <source dir> <version> <ret_prefix> [<extra cmake args>])
function(df_third_party_build name source version ret_prefix)
  set(recipe "${CMAKE_SOURCE_DIR}/cmake/third_party/${name}")
  file(GLOB_RECURSE inputs CONFIGURE_DEPENDS "${recipe}/*" "${CMAKE_SOURCE_DIR}/cmake/${name}/*.patch")
  list(SORT inputs)
  set(text "${version};${CMAKE_SYSTEM_PROCESSOR};${CMAKE_C_COMPILER_ID};${CMAKE_C_COMPILER_VERSION}")
  string(APPEND text ";${CMAKE_CXX_COMPILER_ID};${CMAKE_CXX_COMPILER_VERSION};${DF_THIRD_PARTY_FLAGS};${ARGN}")
  foreach(file IN LISTS inputs)
    file(SHA256 "${file}" sum)
    string(APPEND text ";${sum}")
  endforeach()
  string(SHA256 key "${text}")
  string(SUBSTRING "${key}" 0 20 key)
  if(version STREQUAL "local")
    # Sources of the packager's own may change under the same path: never shared between builds.
    set(prefix "${CMAKE_BINARY_DIR}/third-party/${name}-${key}")
  else()
    set(prefix "${DF_CACHE_DIR}/${name}-${key}")
  endif()
  set(${ret_prefix} "${prefix}" PARENT_SCOPE)
  if(EXISTS "${prefix}/.done")
    return()
  endif()

  message(STATUS "Building ${name} (${version}) once into ${prefix}")
  # Two builds at the same moment: each in its own work folder, the first rename wins.
  string(RANDOM LENGTH 8 nonce)
  set(work "${prefix}.work-${nonce}")
  list(JOIN DF_THIRD_PARTY_FLAGS " " flags)
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -S "${recipe}" -B "${work}/build" -G Ninja
      -DCMAKE_BUILD_TYPE=Release "-DCMAKE_C_FLAGS_RELEASE=-O2 -g1 -DNDEBUG" "-DCMAKE_CXX_FLAGS_RELEASE=-O2 -g1 -DNDEBUG"
      "-DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}" "-DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}"
      "-DCMAKE_C_FLAGS=${flags}" "-DCMAKE_CXX_FLAGS=${flags}"
      "-DSOURCE=${source}" "-DPATCHES=${CMAKE_SOURCE_DIR}/cmake/${name}"
      "-DCMAKE_INSTALL_PREFIX=${work}/out" ${ARGN}
    OUTPUT_FILE "${CMAKE_BINARY_DIR}/third-party-${name}.log"
    ERROR_FILE "${CMAKE_BINARY_DIR}/third-party-${name}.log"
    RESULT_VARIABLE rc)
  if(NOT rc)
    execute_process(
      COMMAND "${CMAKE_COMMAND}" --build "${work}/build" --target install
      OUTPUT_FILE "${CMAKE_BINARY_DIR}/third-party-${name}.log"
      ERROR_FILE "${CMAKE_BINARY_DIR}/third-party-${name}.log"
      RESULT_VARIABLE rc)
  endif()
  if(rc)
    file(REMOVE_RECURSE "${work}")
    message(FATAL_ERROR "building ${name} failed: see ${CMAKE_BINARY_DIR}/third-party-${name}.log")
  endif()
  file(WRITE "${work}/out/.done" "${version}\n")
  if(NOT EXISTS "${prefix}/.done")
    file(REMOVE_RECURSE "${prefix}")
    file(RENAME "${work}/out" "${prefix}" RESULT renamed)
  endif()
  file(REMOVE_RECURSE "${work}")
endfunction()

function(df_third_party_archive target prefix archive)
  add_library(third_party::${target} STATIC IMPORTED GLOBAL)
  set_target_properties(third_party::${target} PROPERTIES IMPORTED_LOCATION "${prefix}/lib/lib${archive}.a")
  target_include_directories(third_party::${target} SYSTEM INTERFACE "${prefix}/include")
endfunction()

# --- BoringSSL
df_third_party_source(android-platform-external-boringssl "${BORINGSSL_SOURCE_DIR}" bssl_dir bssl_version)
df_third_party_build(boringssl "${bssl_dir}" "${bssl_version}" bssl_prefix)
df_third_party_archive(boringssl_crypto "${bssl_prefix}" crypto)
df_third_party_archive(boringssl_ssl "${bssl_prefix}" ssl)
target_link_libraries(third_party::boringssl_crypto INTERFACE pthread)
# BoringSSL's TLS half is C++ and uses nothing of its runtime but operator new/delete.
target_link_libraries(third_party::boringssl_ssl INTERFACE third_party::boringssl_crypto stdc++)

# --- h2o, against BoringSSL's headers
df_third_party_source(h2o "${H2O_SOURCE_DIR}" h2o_dir h2o_version)
df_third_party_build(h2o "${h2o_dir}" "${h2o_version}" h2o_prefix "-DBORINGSSL=${bssl_prefix}")
df_third_party_archive(h2o "${h2o_prefix}" h2o)
foreach(lib uv z wslay yaml)
  df_sys_lib(${lib})
endforeach()
target_compile_definitions(third_party::h2o INTERFACE H2O_USE_LIBUV=1)
target_link_libraries(third_party::h2o INTERFACE
  third_party::boringssl_ssl sys::uv sys::wslay sys::yaml sys::z m dl pthread)

# --- the guards around h2o (server/{uv,h1,h2}_guard.c): the linker sends h2o's calls of
# these functions to ours.  Any executable with df_server in it links this; -u makes sure that the
# guard is taken out of the archive, which the linker reads before h2o's.
add_library(df_h2o_wrapped INTERFACE)
add_library(third_party::h2o_wrapped ALIAS df_h2o_wrapped)
target_link_libraries(df_h2o_wrapped INTERFACE third_party::h2o)
set(DF_WRAP_uv_guard uv_write uv_read_start)
set(DF_WRAP_h1_guard phr_parse_request phr_decode_chunked)
set(DF_WRAP_h2_guard h2o_http2_decode_frame h2o_hpack_parse_headers h2o_http2__encode_rst_stream_frame)
foreach(guard uv_guard h1_guard h2_guard)
  file(GLOB present CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/server/${guard}.c")
  if(present)
    foreach(symbol IN LISTS DF_WRAP_${guard})
      target_link_options(df_h2o_wrapped INTERFACE -Wl,--wrap=${symbol} -Wl,-u,__wrap_${symbol})
    endforeach()
  endif()
endforeach()

# --- llhttp: three files, part of this build
set(llhttp_sources "${LLHTTP_SOURCE_DIR}/api.c" "${LLHTTP_SOURCE_DIR}/http.c" "${LLHTTP_SOURCE_DIR}/llhttp.c")
add_library(df_llhttp STATIC EXCLUDE_FROM_ALL ${llhttp_sources})
target_include_directories(df_llhttp SYSTEM PUBLIC "${LLHTTP_INCLUDE_DIR}")
target_compile_options(df_llhttp PRIVATE -w ${DF_THIRD_PARTY_FLAGS})
add_library(third_party::llhttp ALIAS df_llhttp)
