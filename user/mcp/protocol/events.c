/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/protocol/events.h"

#include <errno.h>

#include "user/base/limits.h"

/* ---- writing ---- */

static int append_line(struct buf *to, struct span field, struct span value, size_t max_bytes)
{
	int error = buf_append(to, field, max_bytes);

	if (!error)
		error = buf_append(to, value, max_bytes);
	return error ? error : buf_append(to, SPAN("\n"), max_bytes);
}

int events_write(struct buf *to, struct span name, struct span id, const struct iovec *segments, int count,
		 size_t max_bytes)
{
	const size_t framing = sizeof("event: \nid: \ndata: \n\n") - 1;
	size_t bytes = framing + name.len + id.len;
	int error;

	for (int i = 0; i < count; i++)
		bytes += segments[i].iov_len;
	/* All the room at once: nothing can fail halfway. (A buffer may hold more than it was to grow to.) */
	if (bytes > max_bytes || buf_len(to) > max_bytes - bytes)
		return -ENOBUFS;
	error = buf_reserve(to, bytes, max_bytes);
	if (error)
		return error;
	if (name.len)
		(void)append_line(to, SPAN("event: "), name, max_bytes);
	if (id.len)
		(void)append_line(to, SPAN("id: "), id, max_bytes);
	(void)buf_append(to, SPAN("data: "), max_bytes);
	for (int i = 0; i < count; i++)
		(void)buf_append(to, span_of(segments[i].iov_base, segments[i].iov_len), max_bytes);
	return buf_append(to, SPAN("\n\n"), max_bytes);
}

/* ---- reading ---- */

void events_reader_init(struct events_reader *r, size_t max_bytes)
{
	*r = (struct events_reader){ .max_bytes = max_bytes };
}

void events_reader_done(struct events_reader *r)
{
	buf_done(&r->line);
	buf_done(&r->data);
	buf_done(&r->name);
	buf_done(&r->id);
}

static int keep(struct buf *to, struct span s, size_t max_bytes)
{
	int error = buf_append(to, s, max_bytes);

	return error == -ENOBUFS ? -EMSGSIZE : error;
}

static int replace(struct buf *to, struct span s, size_t max_bytes)
{
	buf_consume(to, buf_len(to));
	return keep(to, s, max_bytes);
}

static void event_clear(struct events_reader *r)
{
	buf_consume(&r->data, buf_len(&r->data));
	buf_consume(&r->name, buf_len(&r->name));
	buf_release(&r->data);
	buf_release(&r->name);
	r->has_data = false;
	r->is_given = false;
	r->cut_bytes = 0;
}

/* From here on nothing of the event's data is kept. 0, or -EMSGSIZE: it has no end. */
static int cut(struct events_reader *r, struct span data)
{
	if (!r->cut_bytes) {
		mcp_id_scan_init(&r->scan);
		mcp_id_scan_take(&r->scan, buf_span(&r->data));
		r->cut_bytes = buf_len(&r->data);
		buf_consume(&r->data, buf_len(&r->data));
		buf_release(&r->data);
	}
	mcp_id_scan_take(&r->scan, data);
	r->cut_bytes += data.len;
	r->has_data = true;
	return r->cut_bytes > LIMIT_MCP_SKIP_FACTOR * r->max_bytes ? -EMSGSIZE : 0;
}

static int keep_data(struct events_reader *r, struct span data)
{
	if (!r->cut_bytes && data.len <= r->max_bytes - buf_len(&r->data))
		return keep(&r->data, data, r->max_bytes);
	return cut(r, data);
}

static int take_field(struct events_reader *r, struct span field, struct span value)
{
	uint64_t retry_ms;
	int error = 0;

	if (span_eq(field, SPAN("data"))) {
		if (r->has_data)
			error = keep_data(r, SPAN("\n"));
		r->has_data = true;
		return error ? error : keep_data(r, value);
	}
	if (span_eq(field, SPAN("event")))
		return replace(&r->name, value, r->max_bytes);
	/* An id with a NUL in it is ignored. */
	if (span_eq(field, SPAN("id")) && span_find(value, '\0') < 0)
		return replace(&r->id, value, r->max_bytes);
	if (span_eq(field, SPAN("retry")) && span_parse_u63(value, &retry_ms) == 0)
		r->retry_ms = retry_ms;
	return 0;
}

/* A whole line: 1 when it completes an event. */
static int take_line(struct events_reader *r, struct span line)
{
	ptrdiff_t colon = span_find(line, ':');
	struct span value;

	if (line.len == 0) {
		if (r->has_data)
			return 1;
		event_clear(r);
		return 0;
	}
	if (colon == 0)
		return 0;
	if (colon < 0)
		return take_field(r, line, (struct span){ NULL, 0 });
	value = span_from(line, (size_t)colon + 1);
	if (value.len && value.data[0] == ' ')
		value = span_from(value, 1);
	return take_field(r, span_first(line, (size_t)colon), value);
}

static size_t line_len(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == '\n' || s.data[i] == '\r')
			return i;
	}
	return s.len;
}

static struct span without_bom(struct events_reader *r, struct span line)
{
	if (r->state == EVENTS_LINE_BOM && span_starts(line, SPAN("\xef\xbb\xbf")))
		return span_from(line, 3);
	return line;
}

/* A piece of a line. Only data may be too large for it. */
static int add_to_line(struct events_reader *r, struct span segment)
{
	struct span line = buf_span(&r->line), name = SPAN("data:");

	if (!r->is_line_cut && segment.len <= r->max_bytes - line.len)
		return keep(&r->line, segment, r->max_bytes);
	if (!r->is_line_cut) {
		if (!span_starts(line.len ? line : segment, name))
			return -EMSGSIZE;
		r->is_line_cut = true;
		if (line.len)
			(void)cut(r, span_from(line, name.len));
		else
			segment = span_from(segment, name.len);
		buf_consume(&r->line, line.len);
		buf_release(&r->line);
	}
	return cut(r, segment);
}

static int end_line(struct events_reader *r, char end)
{
	int result = r->is_line_cut ? 0 : take_line(r, without_bom(r, buf_span(&r->line)));

	r->is_line_cut = false;
	buf_consume(&r->line, buf_len(&r->line));
	buf_release(&r->line);
	r->state = end == '\r' ? EVENTS_LINE_AFTER_CR : EVENTS_LINE;
	return result;
}

int events_read(struct events_reader *r, struct span *input, struct events_event *ret)
{
	if (r->is_given)
		event_clear(r);
	while (input->len) {
		size_t len;
		int result;

		if (r->state == EVENTS_LINE_AFTER_CR) {
			r->state = EVENTS_LINE;
			if (input->data[0] == '\n') {
				*input = span_from(*input, 1);
				continue;
			}
		}
		len = line_len(*input);
		result = add_to_line(r, span_first(*input, len));
		if (result < 0)
			return result;
		if (len == input->len) {
			*input = span_from(*input, len);
			return 0;
		}
		result = end_line(r, input->data[len]);
		*input = span_from(*input, len + 1);
		if (result < 0)
			return result;
		if (result) {
			r->is_given = true;
			*ret = (struct events_event){ .name = buf_span(&r->name),
						      .data = buf_span(&r->data),
						      .id = buf_span(&r->id),
						      .is_cut = r->cut_bytes > 0,
						      .call = mcp_id_scan_call(&r->scan) };
			return 1;
		}
	}
	return 0;
}
