/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/body.h"

#include <string.h>

void body_start(struct body *body, const struct request *request)
{
	buffer_clear(&body->trailer);
	body->length = 0;
	body->chunks = 0;
	body->extensions = 0;
	body->left = request->framing == FRAMING_LENGTH ? request->length : 0;
	body->phase = request->framing == FRAMING_CHUNKED ? PHASE_SIZE : PHASE_LENGTH;
	if (body->phase == PHASE_LENGTH && body->left == 0)
		body->phase = PHASE_DONE;
}

bool body_is_done(const struct body *body)
{
	return body->phase == PHASE_DONE;
}

struct text body_trailer(const struct body *body)
{
	return (struct text){ body->trailer.data, body->trailer.end };
}

void body_take(struct body *body, size_t size)
{
	body->left -= size;
	body->length += size;
	if (body->left == 0)
		body->phase = body->phase == PHASE_LENGTH ? PHASE_DONE : PHASE_DATA_END;
}

static const char *size_parse(struct body *body, struct text line)
{
	size_t digits = 0;
	uint64_t number = 0;

	for (; digits < line.size; digits++) {
		char c = line.at[digits];
		unsigned value;

		if (c >= '0' && c <= '9')
			value = (unsigned)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = (unsigned)((c | 0x20) - 'a') + 10;
		else
			break;
		if (number >> 59)
			return "chunk size is too large";
		number = number * 16 + value;
	}
	if (digits == 0)
		return "chunk size is not a hexadecimal number";
	if (digits < line.size) {
		if (line.at[digits] != ';')
			return "byte that is not allowed after a chunk size";
		for (size_t i = digits; i < line.size; i++) {
			unsigned char c = (unsigned char)line.at[i];

			if ((c < 0x20 && c != '\t') || c == 0x7f)
				return "control byte in a chunk extension";
		}
		body->extensions++;
	}
	body->left = number;
	body->chunks += number > 0;
	body->phase = number > 0 ? PHASE_DATA : PHASE_TRAILER;
	return NULL;
}

static const char *trailer_line(struct body *body, struct text line)
{
	struct text name, value;
	const char *why;

	if (line.size == 0) {
		body->phase = PHASE_DONE;
		return NULL;
	}
	why = field_split(line, &name, &value);
	if (why)
		return why;
	if (text_is_nocase(name, "content-length") || text_is_nocase(name, "transfer-encoding") ||
	    text_is_nocase(name, "host") || text_is_nocase(name, "connection"))
		return "framing or routing field in the trailer";
	if (body->trailer.end + line.size + 2 > BODY_TRAILER_MAX)
		return "trailer is too large";
	buffer_add_text(&body->trailer, line);
	buffer_puts(&body->trailer, "\r\n");
	return NULL;
}

/* Handles a line of framing; BODY_DATA means "continue". */
static enum body_step line_step(struct body *body, const char *data, size_t size, size_t *used,
				const char **ret_why)
{
	const char *lf = size ? memchr(data, '\n', size) : NULL;
	struct text line;
	const char *why = NULL;

	if (!lf) {
		if (size > BODY_CHUNK_LINE_MAX)
			why = "chunk or trailer line is too long";
		*ret_why = why;
		return why ? BODY_BAD : BODY_MORE;
	}
	line = (struct text){ data, (size_t)(lf - data) };
	*used += line.size + 1;
	if (line.size == 0 || memchr(data, '\r', line.size) != lf - 1)
		why = "chunk or trailer line does not end with CRLF";
	line.size -= 1;
	if (!why && body->phase == PHASE_SIZE)
		why = size_parse(body, line);
	else if (!why && body->phase == PHASE_TRAILER)
		why = trailer_line(body, line);
	*ret_why = why;
	return why ? BODY_BAD : BODY_DATA;
}

enum body_step body_next(struct body *body, const char *data, size_t size, size_t *ret_used, size_t *ret_size,
			 const char **ret_why)
{
	size_t used = 0;
	enum body_step step;

	*ret_used = 0;
	for (;;) {
		switch (body->phase) {
		case PHASE_DONE:
			return BODY_END;
		case PHASE_LENGTH:
		case PHASE_DATA:
			*ret_size = body->left < size - used ? (size_t)body->left : size - used;
			return *ret_size > 0 ? BODY_DATA : BODY_MORE;
		case PHASE_DATA_END:
			if (size - used >= 1 && data[used] != '\r')
				goto bad;
			if (size - used < 2)
				return BODY_MORE;
			if (data[used + 1] != '\n')
				goto bad;
			used += 2;
			body->phase = PHASE_SIZE;
			break;
		case PHASE_SIZE:
		case PHASE_TRAILER:
			step = line_step(body, data + used, size - used, &used, ret_why);
			if (step != BODY_DATA)
				return step;
			break;
		}
		*ret_used = used;
	}
bad:
	*ret_why = "chunk data is not followed by CRLF";
	return BODY_BAD;
}
