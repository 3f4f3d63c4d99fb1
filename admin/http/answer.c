/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http/answer.h"

#include <errno.h>

#include "admin/http/gzip.h"
#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/base/units.h"
#include "user/http/reply.h"

/*
 * The page loads only its own files, sends requests only to its own server, and cannot be framed by another
 * page. It inserts what clients sent as text only; these fields are the second line of defense.
 */
static const struct {
	struct span name;
	struct span value;
} page_fields[] = {
	{ SPAN("Content-Security-Policy"),
	  SPAN("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
	       "base-uri 'none'; form-action 'none'; frame-ancestors 'none'") },
	{ SPAN("Referrer-Policy"), SPAN("no-referrer") },
	{ SPAN("Cross-Origin-Opener-Policy"), SPAN("same-origin") },
	{ SPAN("Cross-Origin-Resource-Policy"), SPAN("same-origin") },
};

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
	if (!error && answer->challenge.len)
		error = fields_add(ret_fields, SPAN("WWW-Authenticate"), answer->challenge);
	if (!error && has_body)
		error = fields_add(ret_fields, SPAN("Vary"), SPAN("Accept-Encoding"));
	for (size_t i = 0; i < ARRAY_LEN(page_fields) && !error && answer->is_page; i++)
		error = fields_add(ret_fields, page_fields[i].name, page_fields[i].value);
	if (!error && is_gzip)
		error = fields_add(ret_fields, SPAN("Content-Encoding"), SPAN("gzip"));
	return error;
}

static bool asks_gzip(const struct request_head *head)
{
	bool is_accepted = false;

	for (uint32_t i = 0; i < head->fields.count; i++) {
		if (span_eq_nocase(head->fields.list[i].name, SPAN("accept-encoding")))
			is_accepted |= gzip_is_accepted(head->fields.list[i].value);
	}
	return is_accepted;
}

/* Returns true if answer->body is compressed now. */
static bool answer_compress(struct admin_answer *answer)
{
	struct text packed;

	text_init(&packed);
	if (answer->body.len == 0 || gzip_compress(text_span(&answer->body), &packed) != 0) {
		text_done(&packed);
		return false;
	}
	text_done(&answer->body);
	answer->body = packed;
	return true;
}

int admin_answer_head(struct admin_answer *answer, const struct request_head *request, struct arena *arena,
		      struct response_head *ret_head, struct body_framing *ret_framing)
{
	bool is_gzip = asks_gzip(request) && answer_compress(answer);
	const char *type = answer->content_type ? answer->content_type : "text/plain; charset=utf-8";
	char date[HTTP_DATE_BYTES];
	struct fields fields;
	struct reply reply = { .status = answer->status, .fields = &fields };
	int error = answer_fields(answer, answer->body.len > 0, is_gzip, arena, &fields);

	if (error)
		return error;
	http_date(clock_wall_us() / US_PER_S, date);
	reply.date = arena_copy(arena, span_of(date, sizeof(date) - 1));
	reply.content_type = span_str(type);
	reply.body = text_span(&answer->body);
	error = reply.date.data ? reply_head(&reply, arena, ret_head, ret_framing) : -ENOMEM;
	if (request->method == METHOD_HEAD)
		text_done(&answer->body);
	return error;
}
