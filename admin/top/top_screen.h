/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The full-screen view of headgate top, in a terminal: lists, details of one stream, keys. A gateway that
 * does not answer for a while, as during a restart, is asked again at every interval; the last list stays.
 */
struct top_options {
	const char *admin; /* address of the admin server */
	uint64_t interval_ms;
	bool is_once;
};

/* False if standard input and output are no terminal that can be drawn on; nothing was written then. */
bool top_screen_run(const struct top_options *options);
