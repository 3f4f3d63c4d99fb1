/* SPDX-License-Identifier: Apache-2.0 */
/* The command line options; constant once the workers run. */
#ifndef HTTPBIN_OPTIONS_H
#define HTTPBIN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum listen_mode {
	MODE_HTTP,
	MODE_TCP_ECHO,
	MODE_TCP_SOURCE,
	MODE_TCP_SINK,
	MODE_TCP_DISCARD,
	MODE_TCP_RESET
};

struct options {
	const char *addr; /* NULL: any, IPv6 and IPv4 */
	const char *unix_path; /* NULL: TCP */
	const char *name; /* NULL: no x-origin */
	unsigned port;
	unsigned workers;
	enum listen_mode mode;
	uint64_t mode_bytes; /* for source, discard and reset mode */
	uint64_t rate_bytes_per_s; /* reading in sink, discard and reset mode; 0: no limit */
	uint64_t keep_alive_s; /* 0: no limit, no Keep-Alive field */
	uint64_t close_idle_ms; /* 0: no limit */
	bool has_date;
	bool is_quiet;
};

/* Fills *ret. 0: continue; otherwise the exit status of the program plus one (1 for --help). */
int options_parse(int argc, char **argv, struct options *ret);

#endif
