/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/reply.h"

#include <errno.h>
#include <time.h>

#include "user/http/h1_write.h"

bool reply_may_have_body(uint16_t status)
{
	return status >= 200 && status != 204 && status != 304;
}

static bool is_given(const struct reply *reply, enum field_id id)
{
	return reply->fields && fields_have(reply->fields, id);
}

/* Date and Content-Type unless given, then the given fields. */
static int reply_fields(const struct reply *reply, struct fields *fields)
{
	struct span type = reply->content_type.len ? reply->content_type : SPAN("text/plain");
	uint32_t count = reply->fields ? reply->fields->count : 0;
	int error = 0;

	if (reply->date.len && !is_given(reply, FIELD_DATE))
		error = fields_add(fields, SPAN("Date"), reply->date);
	if (!error && reply->body.len && !is_given(reply, FIELD_CONTENT_TYPE))
		error = fields_add(fields, SPAN("Content-Type"), type);
	for (uint32_t i = 0; !error && i < count; i++)
		error = fields_add(fields, reply->fields->list[i].name, reply->fields->list[i].value);
	return error;
}

static enum h1_connection reply_connection(const struct reply *reply)
{
	if (reply->close)
		return H1_CONNECTION_CLOSE;
	return reply->keep_alive_1_0 ? H1_CONNECTION_KEEP_ALIVE : H1_CONNECTION_DEFAULT;
}

int reply_head(const struct reply *reply, struct arena *arena, struct response_head *ret_head,
	       struct body_framing *ret_framing)
{
	if (reply->body.len && !reply_may_have_body(reply->status))
		return -EINVAL;
	*ret_head = (struct response_head){ .status = reply->status, .version_major = 1, .version_minor = 1 };
	*ret_framing = (struct body_framing){
		.kind = BODY_NONE,
		.announces_length = reply_may_have_body(reply->status),
		.announced = reply->body.len,
	};
	fields_init(&ret_head->fields, arena);
	return reply_fields(reply, &ret_head->fields);
}

int reply_write(struct buf *out, const struct reply *reply)
{
	struct h1_write_options options = { .version_minor = 1, .connection = reply_connection(reply) };
	struct response_head head;
	struct body_framing framing;
	struct arena arena;
	int error;

	arena_init(&arena, 1024);
	error = reply_head(reply, &arena, &head, &framing);
	if (!error)
		error = h1_write_response_whole(out, &head, &framing, &options,
						reply->is_head ? SPAN("") : reply->body);
	arena_done(&arena);
	return error;
}

void http_date(uint64_t unix_s, char out[HTTP_DATE_BYTES])
{
	static const uint64_t last_s = UINT64_C(253402300799); /* 9999-12-31 23:59:59 */
	time_t when = (time_t)(unix_s < last_s ? unix_s : last_s);
	struct tm parts;

	gmtime_r(&when, &parts);
	strftime(out, HTTP_DATE_BYTES, "%a, %d %b %Y %H:%M:%S GMT", &parts);
}
