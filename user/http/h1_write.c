/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/h1_write.h"

#include <errno.h>

#include "user/base/limits.h"
#include "user/base/text.h"
#include "user/http/target.h"
#include "user/http/wire.h"

enum {
	SEGMENTS_MAX = 16,
};

/* What comes before and after the fields: pieces that are measured, then copied. */
struct segments {
	struct span list[SEGMENTS_MAX];
	size_t count;
	size_t bytes;
};

static void segment_add(struct segments *segments, struct span s)
{
	segments->list[segments->count++] = s;
	segments->bytes += s.len;
}

static char *segments_put(char *at, const struct segments *segments)
{
	for (size_t i = 0; i < segments->count; i++)
		at = wire_put(at, segments->list[i]);
	return at;
}

static bool is_passed_on(const struct field *field, bool is_request)
{
	if (field->id == FIELD_OTHER)
		return true;
	if (field->id == FIELD_CONTENT_LENGTH || (field->id == FIELD_HOST && is_request))
		return false;
	return (field->id == FIELD_TE && is_request) || (field_flags_of(field->id) & FIELD_HOP) == 0;
}

/* Returns the size of the fields that are passed on, or -EINVAL. */
static int fields_measure(const struct fields *fields, bool is_request, size_t *ret_bytes)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < fields->count; i++) {
		const struct field *field = &fields->list[i];

		if (!is_passed_on(field, is_request))
			continue;
		if (!wire_field_is_clean(field))
			return -EINVAL;
		bytes += wire_field_bytes(field);
	}
	*ret_bytes = bytes;
	return 0;
}

/* `digits` holds the number, and must live until the pieces are copied. */
static void add_framing(struct segments *segments, const struct body_framing *framing, char digits[24])
{
	if (framing->kind == BODY_CHUNKED) {
		segment_add(segments, SPAN("Transfer-Encoding: chunked\r\n"));
	} else if (framing->kind == BODY_LENGTH || framing->announces_length) {
		uint64_t length = framing->kind == BODY_LENGTH ? framing->length : framing->announced;

		segment_add(segments, SPAN("Content-Length: "));
		segment_add(segments, span_of(digits, text_u64(digits, length)));
		segment_add(segments, SPAN("\r\n"));
	}
}

static int add_connection(struct segments *segments, const struct h1_write_options *options, bool has_te)
{
	switch (options->connection) {
	case H1_CONNECTION_DEFAULT:
		if (has_te)
			segment_add(segments, SPAN("Connection: te\r\n"));
		return 0;
	case H1_CONNECTION_CLOSE:
		segment_add(segments,
			    has_te ? SPAN("Connection: close, te\r\n") : SPAN("Connection: close\r\n"));
		return 0;
	case H1_CONNECTION_KEEP_ALIVE:
		segment_add(segments, has_te ? SPAN("Connection: keep-alive, te\r\n")
					     : SPAN("Connection: keep-alive\r\n"));
		return 0;
	case H1_CONNECTION_UPGRADE:
		if (options->upgrade.len == 0 || !char_class_is_text(options->upgrade))
			return -EINVAL;
		segment_add(segments, has_te ? SPAN("Connection: upgrade, te\r\nUpgrade: ")
					     : SPAN("Connection: upgrade\r\nUpgrade: "));
		segment_add(segments, options->upgrade);
		segment_add(segments, SPAN("\r\n"));
		return 0;
	}
	return -EINVAL;
}

static int message_put(struct buf *out, const struct segments *before, const struct fields *fields,
		       bool is_request, const struct segments *behind, struct span body)
{
	size_t bytes;
	char *at;
	int error = fields_measure(fields, is_request, &bytes);

	if (error)
		return error;
	bytes += before->bytes + behind->bytes;
	if (bytes > LIMIT_HEAD_WRITE_BYTES)
		return -ENOBUFS;
	bytes += body.len;
	error = buf_reserve(out, bytes, buf_len(out) + bytes);
	if (error)
		return error;
	at = segments_put(buf_tail(out), before);
	for (uint32_t i = 0; i < fields->count; i++) {
		if (is_passed_on(&fields->list[i], is_request))
			at = wire_put_field(at, &fields->list[i]);
	}
	at = segments_put(at, behind);
	wire_put(at, body);
	buf_commit(out, bytes);
	return 0;
}

/* No byte may end the request line, or a word of it, early. */
static int add_request_line(struct segments *segments, const struct request_head *head, uint8_t version_minor)
{
	bool is_connect = head->method == METHOD_CONNECT;
	bool is_star = head->method == METHOD_OPTIONS && span_eq(head->path, SPAN("*")) && !head->has_query;

	if (version_minor > 1 || !char_class_is_token(head->method_text))
		return -EINVAL;
	if (head->authority.len ? !authority_is_valid(head->authority) : is_connect)
		return -EINVAL;
	if (!is_connect && !is_star && (head->path.len == 0 || head->path.data[0] != '/'))
		return -EINVAL;
	if (!char_class_is_target(head->path) || span_find(head->path, '?') >= 0)
		return -EINVAL;
	if (!char_class_is_target(head->query))
		return -EINVAL;
	segment_add(segments, head->method_text);
	segment_add(segments, SPAN(" "));
	segment_add(segments, is_connect ? head->authority : head->path);
	if (head->has_query && !is_connect) {
		segment_add(segments, SPAN("?"));
		segment_add(segments, head->query);
	}
	segment_add(segments, version_minor ? SPAN(" HTTP/1.1\r\nHost: ") : SPAN(" HTTP/1.0\r\nHost: "));
	segment_add(segments, head->authority);
	segment_add(segments, SPAN("\r\n"));
	return 0;
}

int h1_write_request(struct buf *out, const struct request_head *head, const struct body_framing *framing,
		     const struct h1_write_options *options)
{
	struct segments before = { .count = 0 };
	struct segments behind = { .count = 0 };
	char digits[24];

	if (framing->kind == BODY_UNTIL_CLOSE)
		return -EINVAL;
	if (framing->kind == BODY_CHUNKED && options->version_minor == 0)
		return -EINVAL;
	if (add_request_line(&before, head, options->version_minor) < 0)
		return -EINVAL;
	add_framing(&behind, framing, digits);
	if (add_connection(&behind, options, fields_have(&head->fields, FIELD_TE)) < 0)
		return -EINVAL;
	segment_add(&behind, SPAN("\r\n"));
	return message_put(out, &before, &head->fields, true, &behind, SPAN(""));
}

static bool may_have_body(uint16_t status)
{
	return status >= 200 && status != 204;
}

static int add_status_line(struct segments *segments, const struct response_head *head, uint8_t version_minor,
			   char digits[24])
{
	if (version_minor > 1 || head->status < 100 || head->status > 599 ||
	    !char_class_is_text(head->reason))
		return -EINVAL;
	segment_add(segments, version_minor ? SPAN("HTTP/1.1 ") : SPAN("HTTP/1.0 "));
	segment_add(segments, span_of(digits, text_u64(digits, head->status)));
	segment_add(segments, SPAN(" "));
	segment_add(segments, head->reason.len ? head->reason : status_reason(head->status));
	segment_add(segments, SPAN("\r\n"));
	return 0;
}

int h1_write_response(struct buf *out, const struct response_head *head, const struct body_framing *framing,
		      const struct h1_write_options *options)
{
	return h1_write_response_whole(out, head, framing, options, SPAN(""));
}

int h1_write_response_whole(struct buf *out, const struct response_head *head,
			    const struct body_framing *framing, const struct h1_write_options *options,
			    struct span body)
{
	struct h1_write_options chosen = *options;
	struct segments before = { .count = 0 };
	struct segments behind = { .count = 0 };
	char status_digits[24];
	char length_digits[24];

	if (framing->kind == BODY_CHUNKED && options->version_minor == 0)
		return -EINVAL;
	if (add_status_line(&before, head, options->version_minor, status_digits) < 0)
		return -EINVAL;
	if (may_have_body(head->status))
		add_framing(&behind, framing, length_digits);
	else if (framing->kind == BODY_LENGTH || framing->kind == BODY_CHUNKED)
		return -EINVAL;
	if (framing->kind == BODY_UNTIL_CLOSE)
		chosen.connection = H1_CONNECTION_CLOSE;
	if (add_connection(&behind, &chosen, false) < 0)
		return -EINVAL;
	segment_add(&behind, SPAN("\r\n"));
	return message_put(out, &before, &head->fields, false, &behind, body);
}
