/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/*
 * A writer of JSON that prints as it goes, so that a list of a hundred thousand streams needs no tree.
 * Members come out in the order they are added, pretty-printed with two blanks, empty containers as {} and
 * []. Whole numbers keep all their digits. Lack of memory shows once, in text_error() of the text.
 */
enum { JSON_DEPTH = 32 };

struct json_writer {
	struct text *out; /* borrowed */
	uint32_t depth;
	uint32_t filled; /* bit per depth: the container there has a member */
	uint32_t arrays; /* bit per depth: it is an array */
	bool is_compact; /* without spaces and line breaks */
	struct span key; /* of the next value; data == NULL: none */
};

void json_begin(struct json_writer *w, struct text *out);
/* The same without spaces and line breaks, for programs that read it often. */
void json_begin_compact(struct json_writer *w, struct text *out);
/* For keys that are not literals: applies to the next value, whose own key argument must be NULL. */
void json_key(struct json_writer *w, struct span key);
/* key: NULL in arrays, at the top, and after json_key(). */
void json_open_object(struct json_writer *w, const char *key);
void json_open_array(struct json_writer *w, const char *key);
void json_close(struct json_writer *w);
void json_string(struct json_writer *w, const char *key, struct span value);
void json_str(struct json_writer *w, const char *key, const char *value); /* NULL: null */
void json_string_or_null(struct json_writer *w, const char *key, struct span value); /* empty: null */
void json_u64(struct json_writer *w, const char *key, uint64_t value);
void json_bool(struct json_writer *w, const char *key, bool value);
void json_null(struct json_writer *w, const char *key);
/* A value given by its text: a number, as "0.5", or other JSON. */
void json_number(struct json_writer *w, const char *key, struct span digits);
/* A value that is JSON already. */
void json_raw(struct json_writer *w, const char *key, struct span json);
void json_base64(struct json_writer *w, const char *key, struct span bytes); /* RFC 4648 4, padded */

/* A string alone, in quotes (RFC 8259 7); control bytes, and bytes that are not UTF-8, become \u00NN. */
void json_quote(struct text *out, struct span s);
/* The same for lines of a log: every byte outside printable ASCII becomes \u00NN. */
void json_quote_ascii(struct text *out, struct span s);
