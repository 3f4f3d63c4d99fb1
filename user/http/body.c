/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/body.h"

#include <errno.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/text.h"
#include "user/base/char_class.h"
#include "user/http/field_name.h"
#include "user/http/wire.h"

/* The result of one framing byte: the next state, and the violation. */
struct chunk_turn {
	enum chunk_state next;
	enum http_error http_error;
};

static struct chunk_turn go(enum chunk_state next)
{
	return (struct chunk_turn){ .next = next };
}

static struct chunk_turn no(enum http_error http_error)
{
	return (struct chunk_turn){ .http_error = http_error };
}

void body_decoder_init(struct body_decoder *d, const struct body_framing *framing)
{
	*d = (struct body_decoder){ .kind = framing->kind, .chunk_state = CHUNK_SIZE_FIRST };
	if (framing->kind == BODY_LENGTH)
		d->left = framing->length;
	d->is_done = framing->kind == BODY_NONE || (framing->kind == BODY_LENGTH && d->left == 0);
}

void body_decoder_done(struct body_decoder *d)
{
	struct buf *trailers = d->is_limited ? NULL : d->trailers;

	if (trailers)
		buf_done(trailers);
	hg_free(trailers);
	d->is_limited = false;
	d->trailers = NULL;
}

/* ---- chunk lines ---- */

static struct chunk_turn chunk_digit(struct body_decoder *d, char c)
{
	if (d->left > (uint64_t)INT64_MAX >> 4)
		return no(HTTP_ERROR_CHUNK_SIZE);
	d->left = d->left << 4 | (unsigned int)octet_hex(c);
	return go(CHUNK_SIZE);
}

/* What may follow a size or a complete extension. */
static struct chunk_turn chunk_line_end(char c, enum http_error http_error)
{
	if (c == '\r')
		return go(CHUNK_SIZE_LF);
	if (c == ';')
		return go(CHUNK_EXT_NAME_FIRST);
	return no(c == '\n' ? HTTP_ERROR_CHUNK_LINE : http_error);
}

static struct chunk_turn chunk_size_lf(struct body_decoder *d, char c)
{
	if (c != '\n')
		return no(HTTP_ERROR_CHUNK_LINE);
	if (d->framing_bytes > d->payload_bytes + LIMIT_CHUNK_OVERHEAD_BYTES)
		return no(HTTP_ERROR_CHUNK_OVERHEAD);
	d->line_bytes = 0;
	return go(d->left ? CHUNK_DATA : CHUNK_TRAILER_LINE);
}

static struct chunk_turn chunk_ext_byte(enum chunk_state state, char c)
{
	bool is_token = octet_is(c, OCTET_TOKEN);

	switch (state) {
	case CHUNK_EXT_NAME_FIRST:
		return is_token ? go(CHUNK_EXT_NAME) : no(HTTP_ERROR_CHUNK_EXTENSION);
	case CHUNK_EXT_NAME:
		if (is_token)
			return go(CHUNK_EXT_NAME);
		return c == '=' ? go(CHUNK_EXT_VALUE_FIRST) : chunk_line_end(c, HTTP_ERROR_CHUNK_EXTENSION);
	case CHUNK_EXT_VALUE_FIRST:
		if (c == '"')
			return go(CHUNK_EXT_QUOTED);
		return is_token ? go(CHUNK_EXT_VALUE) : no(HTTP_ERROR_CHUNK_EXTENSION);
	case CHUNK_EXT_VALUE:
		return is_token ? go(CHUNK_EXT_VALUE) : chunk_line_end(c, HTTP_ERROR_CHUNK_EXTENSION);
	case CHUNK_EXT_QUOTED:
		if (c == '"')
			return go(CHUNK_EXT_QUOTED_END);
		if (c == '\\')
			return go(CHUNK_EXT_ESCAPED);
		return octet_is(c, OCTET_QUOTED) ? go(CHUNK_EXT_QUOTED) : no(HTTP_ERROR_CHUNK_EXTENSION);
	case CHUNK_EXT_ESCAPED:
		return octet_is(c, OCTET_TEXT) ? go(CHUNK_EXT_QUOTED) : no(HTTP_ERROR_CHUNK_EXTENSION);
	case CHUNK_EXT_QUOTED_END:
		return chunk_line_end(c, HTTP_ERROR_CHUNK_EXTENSION);
	case CHUNK_SIZE_FIRST:
	case CHUNK_SIZE:
	case CHUNK_SIZE_LF:
	case CHUNK_DATA:
	case CHUNK_DATA_CR:
	case CHUNK_DATA_LF:
	case CHUNK_TRAILER_LINE:
	case CHUNK_TRAILER_NAME:
	case CHUNK_TRAILER_VALUE:
	case CHUNK_TRAILER_LF:
	case CHUNK_END_LF:
	case CHUNK_END:
		break;
	}
	return no(HTTP_ERROR_CHUNK_EXTENSION);
}

/* ---- trailer section ---- */

/* The line rules of head_scan, RFC 9112 7.1.2: a trailer section is parsed like a header section. */
static struct chunk_turn trailer_byte(enum chunk_state state, char c)
{
	bool is_token = octet_is(c, OCTET_TOKEN);

	if (state == CHUNK_TRAILER_LINE && c == '\r')
		return go(CHUNK_END_LF);
	if (state == CHUNK_TRAILER_LINE || (state == CHUNK_TRAILER_NAME && is_token))
		return is_token ? go(CHUNK_TRAILER_NAME) : no(HTTP_ERROR_TRAILER);
	if (state == CHUNK_TRAILER_NAME)
		return c == ':' ? go(CHUNK_TRAILER_VALUE) : no(HTTP_ERROR_TRAILER);
	if (state == CHUNK_TRAILER_VALUE && c == '\r')
		return go(CHUNK_TRAILER_LF);
	if (state == CHUNK_TRAILER_VALUE)
		return octet_is(c, OCTET_TEXT) ? go(CHUNK_TRAILER_VALUE) : no(HTTP_ERROR_TRAILER);
	return c == '\n' ? go(CHUNK_TRAILER_LINE) : no(HTTP_ERROR_TRAILER);
}

/* Removes one "name: value CRLF" from a section whose lines were already checked byte by byte. */
static bool trailer_cut(struct span *rest, struct span *ret_name, struct span *ret_value)
{
	ptrdiff_t colon = span_find(*rest, ':');
	ptrdiff_t cr = span_find(*rest, '\r');

	if (colon < 0 || cr < colon)
		return false;
	*ret_name = span_first(*rest, (size_t)colon);
	*ret_value = span_trim(span_of(rest->data + colon + 1, (size_t)(cr - colon - 1)));
	*rest = span_from(*rest, (size_t)cr + 2);
	return true;
}

/* A trailer field that another parser might use for the framing or the routing of the message. */
static bool is_fatal_trailer(enum field_id id)
{
	return id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING || id == FIELD_HOST;
}

static enum http_error trailers_check(const struct body_decoder *d)
{
	struct span rest = body_trailer_bytes(d);
	struct span name;
	struct span value;
	uint32_t count = 0;

	while (trailer_cut(&rest, &name, &value)) {
		if (is_fatal_trailer(field_id_of(name)))
			return HTTP_ERROR_TRAILER;
		if (++count > LIMIT_HEADERS)
			return HTTP_ERROR_TOO_MANY_FIELDS;
	}
	return HTTP_ERROR_NONE;
}

enum http_error body_trailers(const struct body_decoder *d, struct arena *arena, struct fields *ret_trailers)
{
	struct span rest = arena_copy(arena, body_trailer_bytes(d));
	struct fields trailers;
	struct span name;
	struct span value;

	if (!rest.data)
		return HTTP_ERROR_NO_MEMORY;
	fields_init(&trailers, arena);
	while (trailer_cut(&rest, &name, &value)) {
		struct field field = { .name = name, .value = value, .id = field_id_of(name) };

		if (field_name_may_trail(&field) && fields_put(&trailers, &field) < 0)
			return HTTP_ERROR_NO_MEMORY;
	}
	*ret_trailers = trailers;
	return HTTP_ERROR_NONE;
}

/* ---- the walk ---- */

static struct chunk_turn chunk_byte(struct body_decoder *d, char c)
{
	enum chunk_state state = d->chunk_state;

	switch (state) {
	case CHUNK_SIZE_FIRST:
		return octet_is(c, OCTET_HEX) ? chunk_digit(d, c) : no(HTTP_ERROR_CHUNK_SIZE);
	case CHUNK_SIZE:
		return octet_is(c, OCTET_HEX) ? chunk_digit(d, c) : chunk_line_end(c, HTTP_ERROR_CHUNK_SIZE);
	case CHUNK_SIZE_LF:
		return chunk_size_lf(d, c);
	case CHUNK_DATA_CR:
		return c == '\r' ? go(CHUNK_DATA_LF) : no(HTTP_ERROR_CHUNK_END);
	case CHUNK_DATA_LF:
		return c == '\n' ? go(CHUNK_SIZE_FIRST) : no(HTTP_ERROR_CHUNK_END);
	case CHUNK_END_LF:
		return c == '\n' ? go(CHUNK_END) : no(HTTP_ERROR_TRAILER);
	case CHUNK_TRAILER_LINE:
	case CHUNK_TRAILER_NAME:
	case CHUNK_TRAILER_VALUE:
	case CHUNK_TRAILER_LF:
		return trailer_byte(state, c);
	case CHUNK_EXT_NAME_FIRST:
	case CHUNK_EXT_NAME:
	case CHUNK_EXT_VALUE_FIRST:
	case CHUNK_EXT_VALUE:
	case CHUNK_EXT_QUOTED:
	case CHUNK_EXT_ESCAPED:
	case CHUNK_EXT_QUOTED_END:
		return chunk_ext_byte(state, c);
	case CHUNK_DATA:
	case CHUNK_END:
		break;
	}
	return go(state);
}

static bool is_in_trailers(enum chunk_state state)
{
	return state >= CHUNK_TRAILER_LINE;
}

static bool is_in_size_line(enum chunk_state state)
{
	return state <= CHUNK_SIZE_LF || (state >= CHUNK_EXT_NAME_FIRST && state <= CHUNK_EXT_QUOTED_END);
}

/* Counts one framing byte, and checks the limits. */
static enum http_error chunk_count(struct body_decoder *d)
{
	enum chunk_state state = d->chunk_state;

	d->framing_bytes++;
	if (is_in_size_line(state) && ++d->line_bytes > LIMIT_CHUNK_LINE_BYTES + 2)
		return HTTP_ERROR_CHUNK_LINE;
	if (is_in_trailers(state) && ++d->line_bytes > LIMIT_TRAILER_BYTES)
		return HTTP_ERROR_TRAILER_TOO_LONG;
	return HTTP_ERROR_NONE;
}

/* Keeps the trailer lines in `bytes`: all but the empty line, whose CR may have come alone. */
static enum http_error trailers_keep(struct body_decoder *d, struct span bytes)
{
	int error;

	if (d->chunk_state == CHUNK_END_LF && bytes.len)
		bytes.len--;
	if (d->chunk_state == CHUNK_END)
		bytes.len = bytes.len >= 2 ? bytes.len - 2 : 0;
	if (bytes.len == 0)
		return HTTP_ERROR_NONE;
	if (d->is_limited)
		d->trailers = NULL;
	d->is_limited = false;
	if (!d->trailers)
		d->trailers = hg_calloc(1, sizeof(*d->trailers));
	if (!d->trailers)
		return HTTP_ERROR_NO_MEMORY;
	error = buf_append(d->trailers, bytes, LIMIT_TRAILER_BYTES);
	return error == 0 ? HTTP_ERROR_NONE : HTTP_ERROR_NO_MEMORY;
}

/* Walks framing bytes up to the next payload byte, the end of the message, or the end of the input. */
static enum http_error chunk_walk(struct body_decoder *d, struct span in, size_t *ret_consumed)
{
	size_t trailer_start = 0;
	size_t i;

	for (i = 0; i < in.len && d->chunk_state != CHUNK_DATA && d->chunk_state != CHUNK_END; i++) {
		enum http_error http_error = chunk_count(d);
		struct chunk_turn turn =
			http_error == HTTP_ERROR_NONE ? chunk_byte(d, in.data[i]) : no(http_error);

		*ret_consumed = i;
		if (turn.http_error != HTTP_ERROR_NONE)
			return turn.http_error;
		if (d->chunk_state == CHUNK_SIZE_LF)
			trailer_start = i + 1;
		d->chunk_state = (uint8_t)turn.next;
	}
	*ret_consumed = i;
	if (!is_in_trailers(d->chunk_state))
		return HTTP_ERROR_NONE;
	return trailers_keep(d, span_of(in.data + trailer_start, i - trailer_start));
}

static enum body_step body_refuse(struct body_decoder *d, enum http_error http_error)
{
	d->http_error = http_error;
	return BODY_BAD;
}

static enum body_step body_payload(struct body_decoder *d, struct span in, size_t *ret_consumed,
				   struct span *ret_payload)
{
	struct span payload = in;

	if (d->kind == BODY_LENGTH || d->kind == BODY_CHUNKED) {
		if (payload.len > d->left)
			payload.len = (size_t)d->left;
		d->left -= payload.len;
	}
	if (payload.len == 0)
		return BODY_MORE;
	if (d->is_limited && payload.len > d->most_bytes - d->payload_bytes)
		return body_refuse(d, HTTP_ERROR_BODY_TOO_LARGE);
	d->payload_bytes += payload.len;
	if (d->left == 0 && d->kind == BODY_LENGTH)
		d->is_done = true;
	if (d->left == 0 && d->kind == BODY_CHUNKED)
		d->chunk_state = CHUNK_DATA_CR;
	*ret_payload = payload;
	*ret_consumed += payload.len;
	return BODY_DATA;
}

static enum body_step body_decode_chunked(struct body_decoder *d, struct span in, size_t *ret_consumed,
					  struct span *ret_payload)
{
	enum http_error http_error = chunk_walk(d, in, ret_consumed);

	if (http_error != HTTP_ERROR_NONE)
		return body_refuse(d, http_error);
	if (d->chunk_state == CHUNK_DATA)
		return body_payload(d, span_from(in, *ret_consumed), ret_consumed, ret_payload);
	if (d->chunk_state != CHUNK_END)
		return BODY_MORE;
	http_error = trailers_check(d);
	if (http_error != HTTP_ERROR_NONE)
		return body_refuse(d, http_error);
	d->is_done = true;
	return BODY_END;
}

enum body_step body_decode(struct body_decoder *d, struct span in, size_t *ret_consumed,
			   struct span *ret_payload)
{
	*ret_consumed = 0;
	*ret_payload = SPAN("");
	if (d->http_error != HTTP_ERROR_NONE)
		return BODY_BAD;
	if (d->is_done)
		return BODY_END;
	if (in.len == 0)
		return BODY_MORE;
	if (d->kind == BODY_CHUNKED)
		return body_decode_chunked(d, in, ret_consumed, ret_payload);
	return body_payload(d, in, ret_consumed, ret_payload);
}

int body_decode_eof(struct body_decoder *d)
{
	if (d->kind == BODY_UNTIL_CLOSE || d->kind == BODY_TUNNEL || d->kind == BODY_FRAMED)
		d->is_done = true;
	return d->is_done && d->http_error == HTTP_ERROR_NONE ? 0 : -EPROTO;
}

/* ---- writing ---- */

size_t chunk_write_head(char *out, uint64_t payload_bytes)
{
	size_t len = text_hex(out, payload_bytes);

	CHECK(payload_bytes > 0);
	out[len++] = '\r';
	out[len++] = '\n';
	return len;
}

int chunk_write_end(struct buf *out, const struct fields *trailers, size_t max_bytes)
{
	size_t size = sizeof("0\r\n\r\n") - 1;
	uint32_t count = trailers ? trailers->count : 0;
	char *at;
	int error;

	for (uint32_t i = 0; i < count; i++) {
		const struct field *field = &trailers->list[i];

		if (!wire_field_is_clean(field))
			return -EINVAL;
		if (field_name_may_trail(field))
			size += wire_field_bytes(field);
	}
	error = buf_reserve(out, size, max_bytes);
	if (error)
		return error;
	at = wire_put(buf_tail(out), SPAN("0\r\n"));
	for (uint32_t i = 0; i < count; i++) {
		if (field_name_may_trail(&trailers->list[i]))
			at = wire_put_field(at, &trailers->list[i]);
	}
	wire_put(at, SPAN("\r\n"));
	buf_commit(out, size);
	return 0;
}
