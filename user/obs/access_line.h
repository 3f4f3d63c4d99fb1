/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/clock.h"
#include "user/base/log.h"
#include "user/obs/record.h"

/*
 * One access log line from one record:
 *
 * 2026-01-31T23:59:59.123456Z<TAB>info<TAB>request gateway=… … duration=12ms … close_reason=ok
 * {"level":"info","time":"…","scope":"request","gateway":"…",…}
 *
 * Fields without a value are left out. In text, a value with a blank, a quote, a backslash or a byte outside
 * of printable ASCII is quoted, and such bytes are escaped (\", \\, \xNN): a line is always one line of
 * ASCII, whatever a client sends. In JSON they are escaped (json_quote_ascii()).
 */
enum access_field {
#define ACCESS_FIELD(id, name, explanation, ...) ACCESS_##id,
#include "user/obs/access_fields.def"
#undef ACCESS_FIELD
	ACCESS_FIELD_COUNT,
};

/* Bit (1 << field) for each name of the list that is a field; unknown names are ignored. */
uint64_t access_fields_mask(const struct span *name_list, uint32_t name_count);

struct span access_field_name(enum access_field field);
/* Values of fields: "12ms", "0.250ms" (empty: 0), and the class of a reason (empty: no trouble). */
enum { ACCESS_TIME_BYTES = 24 };
struct span access_duration(char out[ACCESS_TIME_BYTES], uint64_t ms);
struct span access_micros(char out[ACCESS_TIME_BYTES], uint32_t us);
struct span access_class(enum end_reason reason);

/* The date of the last line, reused by all lines of the same second. Zeroed before the first use. */
struct access_time {
	uint64_t second;
	char text[CLOCK_RFC3339_BYTES];
};

/* A field that a policy adds. Borrowed during the call. */
struct access_extra {
	struct span name; /* needs no quotes: letters, digits and ._-/ */
	struct span value;
	bool is_plain; /* a number, true or false: no quotes in JSON either */
};

struct access_extras {
	const struct access_extra *list;
	uint32_t count;
};

/*
 * Returns the length with the newline, 0 if line and NUL exceed `size`. `removed`: a mask as above. extras:
 * at the end of the line; NULL: none.
 */
size_t access_line(char *out, size_t size, enum log_format format, const struct stream_record *record,
		   const struct access_extras *extras, uint64_t wall_us, uint64_t removed,
		   struct access_time *time);
