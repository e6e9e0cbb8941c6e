/* Functions that project code may not use, with what to use instead. Force-included into every C file of ours.
 * A deprecation (an error under -Werror) rather than a poisoned name: struct members may share the name, system headers
 * and third-party headers that call them still compile, and glibc's fortified inlines stay intact. The headers that
 * declare them come first so that the attribute lands on the real declaration. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* clang refuses the attribute once glibc has inlined the function; every gcc build enforces the list */
#if !(defined(__clang__) && defined(__OPTIMIZE__))

#define DF_BANNED(instead) __attribute__((deprecated("banned, " instead)))

/* unbounded or silently truncating copies */
char *strcpy(char *, const char *) DF_BANNED("use struct buf or arena_strdup");
char *strncpy(char *, const char *, size_t) DF_BANNED("use struct buf, arena_strndup or memcpy");
char *stpcpy(char *, const char *) DF_BANNED("use struct buf");
char *strcat(char *, const char *) DF_BANNED("use struct buf or arena_printf");
char *strncat(char *, const char *, size_t) DF_BANNED("use struct buf or arena_printf");
int sprintf(char *, const char *, ...) DF_BANNED("use snprintf, buf_printf or arena_printf");
int vsprintf(char *, const char *, va_list) DF_BANNED("use vsnprintf, buf_printf or arena_vprintf");

/* hidden state, no errors, undefined on overflow */
char *strtok(char *, const char *) DF_BANNED("use str_cut");
char *strtok_r(char *, const char *, char **) DF_BANNED("use str_cut");
int atoi(const char *) DF_BANNED("use str_to_i64");
long atol(const char *) DF_BANNED("use str_to_i64");
long long atoll(const char *) DF_BANNED("use str_to_i64");
double atof(const char *) DF_BANNED("use json_parse or strtod with an end check");
int sscanf(const char *, const char *, ...) DF_BANNED("use str_cut and str_to_i64");
int fscanf(FILE *, const char *, ...) DF_BANNED("use str_cut and str_to_i64");
int scanf(const char *, ...) DF_BANNED("use str_cut and str_to_i64");

/* the stack is a small fiber stack */
#undef alloca
void *alloca(size_t) DF_BANNED("fiber stacks are small: use the arena");

/* a shell in between */
int system(const char *) DF_BANNED("use proc_spawn with an argv");
FILE *popen(const char *, const char *) DF_BANNED("use proc_spawn with an argv");

/* static results, local time zones */
struct tm *gmtime(const time_t *) DF_BANNED("use time_rfc3339");
struct tm *localtime(const time_t *) DF_BANNED("everything is UTC: use time_rfc3339");
struct tm *localtime_r(const time_t *, struct tm *) DF_BANNED("everything is UTC: use time_rfc3339");
char *ctime(const time_t *) DF_BANNED("use time_rfc3339");
char *ctime_r(const time_t *, char *) DF_BANNED("use time_rfc3339");
char *asctime(const struct tm *) DF_BANNED("use time_rfc3339");
char *asctime_r(const struct tm *, char *) DF_BANNED("use time_rfc3339");
time_t mktime(struct tm *) DF_BANNED("everything is UTC: use time_parse_rfc3339");

/* guessable values, racy names */
int rand(void) DF_BANNED("use random_bytes");
void srand(unsigned) DF_BANNED("use random_bytes");
long random(void) DF_BANNED("use random_bytes");
char *tmpnam(char[L_tmpnam]) DF_BANNED("use mkstemp or mkdtemp");
char *tempnam(const char *, const char *) DF_BANNED("use mkstemp or mkdtemp");
char *mktemp(char *) DF_BANNED("use mkstemp or mkdtemp");

/* the environment is read by core/conf alone and never changed while threads run */
int putenv(char *) DF_BANNED("pass the environment to proc_spawn");

#endif
