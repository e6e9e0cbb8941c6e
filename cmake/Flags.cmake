# Language, warnings and hardening of our own code.  Third-party code gets DF_THIRD_PARTY_FLAGS only.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON) # gnu17: cleanup attributes, statement expressions
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
include(CheckPIESupported)
check_pie_supported()

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

find_program(DF_CCACHE ccache)
if(DF_CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER "${DF_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${DF_CCACHE}")
endif()

add_library(df_flags INTERFACE)

set(warn -Wall -Wextra -Werror -Wvla -Wshadow -Wformat=2 -Wundef -Wno-missing-field-initializers)
set(warn_c -Wstrict-prototypes -Wold-style-definition -Wmissing-prototypes -Wwrite-strings)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # "Written only on success" is our contract for results; gcc cannot see that an err_t says so, and
  # guesses.  Definite uses stay errors (-Wuninitialized), and locals are zeroed below anyhow.
  list(APPEND warn -Wno-maybe-uninitialized)
else()
  # clang takes a checked va_list wrapper for an unchecked format, and a variable that lives for its clean-up for unused.
  list(APPEND warn -Wno-format-nonliteral -Wno-unused-variable)
endif()
if(NOT DF_SANITIZE)
  # Sanitizers pad every local; fibers get larger stacks there instead.
  list(APPEND warn_c -Wframe-larger-than=8192)
endif()
target_compile_options(df_flags INTERFACE ${warn} "$<$<COMPILE_LANGUAGE:C>:${warn_c}>")

set(harden -fstack-protector-strong -ftrivial-auto-var-init=zero -fno-strict-aliasing -fno-common)
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
  # Before clang 16 the zeroing needs this second, ugly switch.
  if(CMAKE_C_COMPILER_VERSION VERSION_LESS 16)
    list(APPEND harden -enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang)
  endif()
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND harden -fcf-protection=branch) # no shadow stack: the fiber switch cannot keep one
endif()
if(NOT DF_SANITIZE)
  list(APPEND harden -fstack-clash-protection)
  # _FORTIFY_SOURCE needs an optimised build, and hides bugs from sanitizers.
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug" AND NOT DF_COVERAGE)
    list(APPEND harden -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
endif()
target_compile_options(df_flags INTERFACE ${harden} -fno-omit-frame-pointer)
target_compile_definitions(df_flags INTERFACE
  _GNU_SOURCE
  FAULTS_BUILT=$<BOOL:${DF_FAULTS}>
  ARENA_DEBUG=$<BOOL:${DF_ARENA_DEBUG}>
  DF_VERSION="${PROJECT_VERSION}")
target_link_options(df_flags INTERFACE -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed)

# What a sanitizer build must share with third-party archives.
set(DF_THIRD_PARTY_FLAGS "")
if(DF_SANITIZE STREQUAL "address")
  target_compile_options(df_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  target_link_options(df_flags INTERFACE -fsanitize=address,undefined)
  set(DF_THIRD_PARTY_FLAGS -fsanitize=address -fno-omit-frame-pointer)
elseif(DF_SANITIZE STREQUAL "thread")
  target_compile_options(df_flags INTERFACE -fsanitize=thread)
  target_link_options(df_flags INTERFACE -fsanitize=thread)
  set(DF_THIRD_PARTY_FLAGS -fsanitize=thread -fno-omit-frame-pointer)
elseif(DF_SANITIZE STREQUAL "fuzzer")
  target_compile_options(df_flags INTERFACE
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
  target_link_options(df_flags INTERFACE -fsanitize=address,undefined)
  set(DF_THIRD_PARTY_FLAGS -fsanitize=fuzzer-no-link,address -fno-omit-frame-pointer)
elseif(DF_SANITIZE)
  message(FATAL_ERROR "DF_SANITIZE=${DF_SANITIZE}: known are address, thread, fuzzer")
endif()

if(DF_COVERAGE)
  target_compile_options(df_flags INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(df_flags INTERFACE --coverage)
endif()
