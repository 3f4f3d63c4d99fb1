/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http/answer.h"

#include "admin/http/gzip.h"
#include "user/base/clock.h"
#include "user/base/units.h"
#include "user/http/reply.h"

static int answer_fields(const struct admin_answer *answer, bool has_body, bool is_gzip, struct arena *arena,
			 struct fields *ret_fields)
{
	int error;

	fields_init(ret_fields, arena);
	error = fields_add(ret_fields, SPAN("Cache-Control"), SPAN("no-store"));
	if (!error)
		error = fields_add(ret_fields, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
	if (!error && answer->allow)
		error = fields_add(ret_fields, SPAN("Allow"), span_str(answer->allow));
	if (!error && has_body)
		error = fields_add(ret_fields, SPAN("Vary"), SPAN("Accept-Encoding"));
	if (!error && is_gzip)
		error = fields_add(ret_fields, SPAN("Content-Encoding"), SPAN("gzip"));
	return error;
}

/* Returns true if *ret_body has the compressed body. */
static bool answer_compress(const struct admin_answer *answer, struct text *ret_body)
{
	if (answer->body.len == 0)
		return false;
	if (gzip_compress(text_span(&answer->body), ret_body) == 0)
		return true;
	text_done(ret_body);
	return false;
}

int admin_answer_write(struct admin_answer *answer, const struct admin_request *request, bool ends,
		       struct arena *arena, struct buf *out, struct text *ret_body)
{
	bool is_gzip = request->wants_gzip && answer_compress(answer, ret_body);
	char date[HTTP_DATE_BYTES];
	struct fields fields;
	struct reply reply = { .status = answer->status, .fields = &fields };
	int error;

	if (!is_gzip) {
		*ret_body = answer->body;
		text_init(&answer->body);
	}
	error = answer_fields(answer, ret_body->len > 0, is_gzip, arena, &fields);
	if (error)
		return error;
	http_date(clock_wall_us() / US_PER_S, date);
	reply.body = text_span(ret_body);
	reply.content_type =
		span_str(answer->content_type ? answer->content_type : "text/plain; charset=utf-8");
	reply.close = ends;
	reply.keep_alive_1_0 = request->is_http_1_0 && !ends;
	/* Writes the head only; the body is sent from its own buffer. */
	reply.is_head = true;
	reply.date = span_of(date, sizeof(date) - 1);
	error = reply_write(out, &reply);
	if (request->is_head)
		text_done(ret_body);
	return error;
}
