/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/connect_tunnel.h"

#include "user/client/client.h"
#include "user/phase/endpoint_choice.h"
#include "user/stream/downstream.h"
#include "user/stream/step.h"

enum stream_step connect_tunnel_refuse(struct stream *stream)
{
	stream->close_client = true;
	return step_reply(stream, 405, SPAN("method not allowed"), END_REQUEST_BAD);
}

bool connect_tunnel_admit(struct stream *stream)
{
	const struct bind *bind = stream->client->bind->bind;

	stream->close_client = true;
	/*
	 * Ignore Upgrade and the body length: the method CONNECT decides what the bytes after the head are.
	 */
	stream->exchange->upgrade.is_wanted = false;
	if (bind && (!bind->connect || bind->connect->mode != CONNECT_ROUTE))
		return false;
	stream->exchange->head.path = SPAN("/");
	stream->exchange->request_framing = (struct body_framing){ .kind = BODY_NONE };
	return true;
}

int connect_tunnel_prepare(struct stream *stream)
{
	/* Use a new connection: a pooled one has already carried requests. */
	stream->attempt.is_fresh = true;
	place_keep_plain(stream);
	return place_use_backend(stream);
}

/* The head has no field about a body: the tunnel follows (RFC 9110 9.3.6). */
static int connect_write_head(struct stream *stream)
{
	struct response_head *head = &stream->exchange->response;
	int error;

	*head = (struct response_head){ .status = 200, .version_major = 1, .version_minor = 1 };
	fields_init(&head->fields, &stream->exchange->response_arena);
	error = fields_add(&head->fields, SPAN("Date"), proxy_date(stream->proxy));
	return error ? error : stream->downstream->send_switch(stream, (struct span){ 0 });
}

enum stream_step connect_tunnel_start(struct stream *stream)
{
	if (connect_write_head(stream) < 0)
		return step_reply(stream, 500, SPAN("no memory"), END_INTERNAL);
	stream->head_sent = true;
	return STEP_TUNNEL;
}
