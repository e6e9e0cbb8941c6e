# tests/unit/<module>/test_*.c: each file one cmocka program, linked with the module's own target.
# A folder may have a CMakeLists.txt that calls df_unit_tests() itself with more to link.

# Tests may be long and keep their data on the (ordinary) stack.  A library of its own, because flags of
# libraries come after the target's, in the order of linking.
add_library(df_test_flags INTERFACE)
target_compile_options(df_test_flags INTERFACE -Wno-frame-larger-than -Wno-missing-prototypes)

# What runs on threads of our own: work pool and lanes, DNS (test_net), watchdog and fibers across threads, log sink, password
# lane. `ctest --preset tsan -L threads` runs them under ThreadSanitizer; not the Git lane's children, whose memory is limited.
set(DF_THREADED_TESTS async/test_pool async/test_work async/test_net async/test_fiber async/test_proc async/test_wait
  obs/test_log crypto/test_password)

# df_unit_tests([MODULE <name>] [DEPS ...] [LIBS ...] [SOURCES <helper files>])
function(df_unit_tests)
  cmake_parse_arguments(T "" "MODULE;DIR" "DEPS;LIBS;SOURCES" ${ARGN})
  if(NOT T_DIR)
    set(T_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  if(NOT T_MODULE)
    get_filename_component(T_MODULE "${T_DIR}" NAME)
  endif()
  set(own core_${T_MODULE} df_${T_MODULE})
  list(TRANSFORM T_SOURCES PREPEND "${T_DIR}/" REGEX "^[^/]")
  file(GLOB files CONFIGURE_DEPENDS "${T_DIR}/test_*.c")
  foreach(file IN LISTS files)
    get_filename_component(name "${file}" NAME_WE)
    set(target "${T_MODULE}_${name}")
    add_executable(${target} "${file}" ${T_SOURCES})
    df_own_code(${target})
    df_link(${target} PRIVATE "${own};${T_DEPS};core_async;core_base" PRIVATE "cmocka;${T_LIBS}")
    target_link_libraries(${target} PRIVATE df_test_flags)
    set_target_properties(${target} PROPERTIES
      OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/unit/${T_MODULE}")
    add_test(NAME ${T_MODULE}/${name} COMMAND ${target} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    set(labels unit)
    if("${T_MODULE}/${name}" IN_LIST DF_THREADED_TESTS)
      list(APPEND labels threads)
    endif()
    set_tests_properties(${T_MODULE}/${name} PROPERTIES LABELS "${labels}" TIMEOUT 30)
    if(DF_SANITIZE STREQUAL "thread") # children of some tests log, which takes a thread
      set_tests_properties(${T_MODULE}/${name} PROPERTIES
        ENVIRONMENT "TSAN_OPTIONS=die_after_fork=0 halt_on_error=1" TIMEOUT 120)
    endif()
  endforeach()
endfunction()

# tests/fuzz/fuzz_*.c: each file one libFuzzer program over all of core/.
function(df_fuzz_targets)
  file(GLOB files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_*.c")
  foreach(file IN LISTS files)
    get_filename_component(name "${file}" NAME_WE)
    add_executable(${name} "${file}")
    df_own_code(${name})
    df_link(${name} PRIVATE "df_handlers;df_server;${DF_CORE}" PRIVATE third_party::llhttp)
    target_link_libraries(${name} PRIVATE df_test_flags)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/fuzz")
  endforeach()
endfunction()

if(BUILD_TESTING)
  file(GLOB folders LIST_DIRECTORIES true CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/unit/*")
  foreach(folder IN LISTS folders)
    if(EXISTS "${folder}/CMakeLists.txt")
      get_filename_component(name "${folder}" NAME)
      add_subdirectory("${folder}" "${CMAKE_BINARY_DIR}/tests-unit/${name}")
    elseif(IS_DIRECTORY "${folder}")
      df_unit_tests(DIR "${folder}")
    endif()
  endforeach()
  # tests/conformance/<module>/*.c: one program <module>-conformance, which takes a folder of cases.
  file(GLOB folders LIST_DIRECTORIES true CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/conformance/*")
  foreach(folder IN LISTS folders)
    get_filename_component(name "${folder}" NAME)
    file(GLOB sources CONFIGURE_DEPENDS "${folder}/*.c")
    if(EXISTS "${folder}/CMakeLists.txt")
      add_subdirectory("${folder}" "${CMAKE_BINARY_DIR}/tests-conformance/${name}")
    elseif(sources)
      df_program(NAME ${name}-conformance SOURCES ${sources} DEPS core_${name} core_base)
      target_link_libraries(${name}-conformance PRIVATE df_test_flags)
    endif()
  endforeach()

  if(DF_SANITIZE STREQUAL "fuzzer")
    df_fuzz_targets()
  endif()
endif()
