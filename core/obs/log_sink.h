/* Private: where finished lines go. Bounded queue, one writer thread, stderr and a rotated file. */
#pragma once
#include "core/obs/log.h"

/** Take over the outputs; starts the writer thread at the first call. */
MUST_CHECK err_t log_sink_setup(const struct log_conf *conf);
/** Queue one line (with its newline). False: dropped. Before setup it is written to stderr directly. */
bool log_sink_put(const char *line, size_t n);
void log_sink_flush(void);
uint64_t log_sink_dropped(void);
uint64_t log_sink_write_errors(void);
