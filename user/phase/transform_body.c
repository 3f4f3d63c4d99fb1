/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/transform_body.h"

#include <errno.h>

#include "policy/expression/expression_json.h"
#include "policy/guard/size.h"
#include "policy/transform.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/phase/held_body.h"
#include "user/phase/verify.h"
#include "user/stream/downstream.h"

uint32_t transform_most_bytes(const struct stream *stream, bool is_response)
{
	const struct bind *bind = stream->client->bind->bind;
	static const struct guard_list none;
	const struct guard_list *guards = stream->route ? &stream->route->effective.guards : &none;

	return size_to_hold(guards, is_response, bind ? bind->http->max_buffer_bytes : LIMIT_BUFFER_BYTES);
}

/* -------------------------------------------------------------------------------- what has a body */

static bool is_upgrade(const struct stream *stream)
{
	return stream->exchange->upgrade.is_wanted || stream->exchange->upgrade.must_switch;
}

/* RFC 9110 9.3: content of these has no meaning, and a backend may refuse it. They keep what they have. */
static bool takes_body(const struct stream *stream)
{
	switch (stream->exchange->head.method) {
	case METHOD_GET:
	case METHOD_HEAD:
	case METHOD_DELETE:
	case METHOD_OPTIONS:
	case METHOD_TRACE:
	case METHOD_CONNECT:
		return stream->exchange->request_framing.kind != BODY_NONE;
	default:
		return !is_upgrade(stream);
	}
}

int transform_hold_request(struct stream *stream, const struct transformation *transformation)
{
	const struct transform_side *side = &transformation->request;
	const struct body_framing *framing = &stream->exchange->request_framing;
	uint32_t most_bytes = transform_most_bytes(stream, false);
	struct guard_body body;
	int result;

	if (stream->is_grpc)
		return side->body || transformation->response.body ? -EMEDIUMTYPE : 0;
	if (!side->is_set || !transform_reads_body(side))
		return 0;
	if (framing->kind == BODY_LENGTH && framing->length > most_bytes)
		return -EFBIG;
	result = held_body_get(stream, most_bytes + 1, &body);
	if (result)
		return result;
	return body.is_whole && body.bytes.len <= most_bytes ? 0 : -EFBIG;
}

/* RFC 9110 6.4.1 */
bool transform_may_have_body(const struct stream *stream)
{
	uint16_t status = stream->exchange->response.status;

	return status >= 200 && status != 204 && status != 304 &&
	       stream->exchange->head.method != METHOD_HEAD;
}

bool transform_is_endless(const struct stream *stream)
{
	static const struct span events = { "text/event-stream", 17 };
	const struct fields *fields = &stream->exchange->response.fields;
	const struct field *type =
		fields_have(fields, FIELD_CONTENT_TYPE) ? fields_get(fields, FIELD_CONTENT_TYPE) : NULL;

	return stream->is_grpc || (type && span_eq_nocase(span_first(type->value, events.len), events));
}

/* -------------------------------------------------------------------------------- what is read */

static bool is_encoded(const struct fields *fields)
{
	const struct field *encoding = fields_find(fields, SPAN("content-encoding"));

	return encoding && encoding->value.len && !span_eq_nocase(encoding->value, SPAN("identity"));
}

static int read_body(struct stream *stream, bool is_response, struct span *ret)
{
	struct exchange *exchange = stream->exchange;
	const struct relay *relay = is_response ? &stream->download : &stream->upload;

	*ret = SPAN("");
	return relay->state == RELAY_OFF
		       ? 0
		       : replay_join(is_response ? &exchange->answer : &exchange->replay, ret);
}

/* -------------------------------------------------------------------------------- what is made */

static int evaluate(const struct transform_side *side, struct stream_facts *f, struct span old,
		    struct transform_body *ret)
{
	size_t size = LIMIT_EXPRESSION_SCRATCH_BYTES + 2 * old.len;
	int error;

	ret->memory = hg_malloc(size);
	if (!ret->memory)
		return -ENOMEM;
	expression_scratch_init(&f->scratch);
	f->scratch.large = ret->memory;
	f->scratch.large_bytes = size;
	error = expression_text(side->body, &f->facts, &ret->text);
	/* The other expressions have the usual memory. */
	expression_scratch_init(&f->scratch);
	ret->is_made = !error;
	return error;
}

static bool is_hidden(const struct stream *stream, bool is_response)
{
	struct exchange *exchange = stream->exchange;

	return is_encoded(is_response ? &exchange->response.fields : &exchange->head.fields);
}

int transform_read_body(struct stream *stream, const struct transform_side *side, bool is_response,
			struct stream_facts *f)
{
	struct exchange *exchange = stream->exchange;
	struct span *text = is_response ? &f->facts.response_body : &f->facts.request_body;
	int error;

	if (!transform_reads_body(side) || is_hidden(stream, is_response))
		return 0;
	error = read_body(stream, is_response, text);
	if (!error && side->needs & EXPRESSION_NEEDS_JSON)
		error = verify_json(stream->proxy, *text,
				    is_response ? &exchange->response_arena : &exchange->arena,
				    is_response ? &f->facts.response_json : &f->facts.request_json);
	/* No value, as in every response: a client does not get an error for a long one. */
	return error == -E2BIG && is_response ? 0 : error;
}

int transform_make_body(struct stream *stream, const struct transform_side *side, bool is_response,
			struct stream_facts *f, struct transform_body *ret)
{
	int error;

	if (!side->body || (!is_response && !takes_body(stream)))
		return 0;
	error = evaluate(side, f, is_response ? f->facts.response_body : f->facts.request_body, ret);
	if (error == -ENODATA)
		return is_hidden(stream, is_response) ? -EMEDIUMTYPE : -EBADMSG;
	return error;
}

void transform_drop_body(struct transform_body *body)
{
	hg_free(body->memory);
	*body = (struct transform_body){ 0 };
}

/* A request without a body has no upload yet. */
static void begin_upload(struct stream *stream)
{
	struct exchange *exchange = stream->exchange;

	if (stream->upload.state != RELAY_OFF)
		return;
	exchange->replay.wanted_bytes = 1;
	relay_hold(&stream->upload, stream->downstream->end(stream), &exchange->request_framing,
		   &exchange->replay, proxy_now_ms(stream->proxy));
}

int transform_put_body(struct stream *stream, bool is_response, struct transform_body *body)
{
	struct exchange *exchange = stream->exchange;
	int error = 0;

	if (body->is_made) {
		if (!is_response)
			begin_upload(stream);
		error = relay_change_body(is_response ? &stream->download : &stream->upload, body->text);
	}
	if (body->is_made && !error) {
		transform_forget_body(is_response ? &exchange->response.fields : &exchange->head.fields);
		if (!is_response)
			exchange->request_framing = framing_of_length(body->text.len);
	}
	transform_drop_body(body);
	return error;
}
