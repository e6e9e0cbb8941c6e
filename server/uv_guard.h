/* The guard around h2o's use of libuv (link-time wrapping): see uv_guard.c. */
#pragma once
struct conn;
/** The connection whose callback is running, for guards that h2o calls without one; NULL outside. */
struct conn *guard_current(void);
void uv_guard_forget(struct conn *c); /* before its memory goes */
