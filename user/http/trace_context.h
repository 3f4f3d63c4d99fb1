/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/fields.h"

/*
 * The fields traceparent and tracestate of a request (W3C Trace Context): which trace it belongs to, and
 * which span of it sent it. Pure: random numbers are arguments.
 */
enum {
	TRACE_PARENT_BYTES = 55, /* "00-", 32 digits, '-', 16 digits, "-01" */
	TRACE_ID_DIGITS = 32,
	TRACE_ID_AT = 3, /* in a traceparent; the span's id, and the flags, follow */
	TRACE_SPAN_AT = 36,
	TRACE_SPAN_DIGITS = 16,
	TRACE_SAMPLED = 1, /* the flag: the sender may have recorded its span */
	TRACE_RANDOM = 2, /* the flag of level 2: the id of the trace is random */
	TRACE_STATE_MEMBERS = 32,
};

struct trace_context {
	uint64_t trace_id[2]; /* most significant first; not both 0 */
	uint64_t span_id; /* not 0 */
	uint8_t flags; /* those that are known */
};

/*
 * Reads a value. False: it is no traceparent, and the trace begins anew (3.2.2.3). Of a version that is not
 * known the members of version 00 are read, whatever follows them (4.3).
 */
bool trace_context_parse(struct span value, struct trace_context *ret);
/* Reads the fields of a request. False: there is none, or more than one, or it is malformed. */
bool trace_context_find(const struct fields *fields, struct trace_context *ret);
/* Writes version 00; no terminator. */
void trace_context_write(const struct trace_context *context, char out[TRACE_PARENT_BYTES]);
/* True for a list of members as 3.3.1 has it: up to 32 members key=value, each key once. It may be empty. */
bool trace_state_is_valid(struct span value);
/* Reads up to 16 digits of an id; only those of lower case count. False: another character. */
bool trace_number(const char *at, size_t digits, uint64_t *ret);
/* An id of a span; `random`: any number. */
static inline uint64_t trace_span_id(uint64_t random)
{
	return random ? random : 1;
}
