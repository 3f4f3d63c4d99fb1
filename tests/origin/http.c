/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/http.h"
#include "tests/origin/counter.h"
#include "tests/origin/endpoint.h"
#include "tests/origin/reply.h"
#include "tests/origin/worker.h"

#include <stdio.h>
#include <string.h>

#define BODY_ROOM 32768u
#define SAMPLE_BYTES 80u

/* Writes the line with one write, so that lines of several workers do not mix. */
static void complain(const struct conn *conn, const char *what, const char *why, struct text sample)
{
	char line[SAMPLE_BYTES * 4 + 256];
	size_t shown = sample.size < SAMPLE_BYTES ? sample.size : SAMPLE_BYTES;
	int size = snprintf(line, sizeof(line), "httpbin: %s on connection %llu, request %llu: %s: \"", what,
			    (unsigned long long)conn->serial, (unsigned long long)conn->exchange.serial, why);

	for (size_t i = 0; i < shown && size > 0; i++) {
		unsigned char c = (unsigned char)sample.at[i];
		bool is_plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';

		size += snprintf(line + size, sizeof(line) - (size_t)size, is_plain ? "%c" : "\\x%02x", c);
	}
	if (!conn->worker->options->is_quiet)
		fprintf(stderr, "%s\"\n", line);
}

static void request_refuse(struct conn *conn, unsigned status, const char *why)
{
	worker_count(conn->worker, COUNT_BAD, 1);
	conn->exchange.serial++;
	complain(conn, "bad request", why, conn_input(conn));
	conn->exchange.request = (struct request){ .minor = 1 };
	conn->exchange.is_kept = false;
	reply_line(conn, status, why);
	conn_end(conn, END_GRACEFUL, 0);
}

static void body_refuse(struct conn *conn, const char *why)
{
	struct exchange *exchange = &conn->exchange;

	worker_count(conn->worker, COUNT_BAD, 1);
	complain(conn, "bad request body", why, conn_input(conn));
	exchange->is_kept = false;
	if (!exchange->is_started)
		reply_line(conn, 400, why);
	conn_end(conn, exchange->is_started ? END_FIN : END_GRACEFUL, 0);
}

/*
 * Makes room for the body after the head: chunk and trailer lines must fit completely. This moves the texts
 * of the request, so the head is parsed again.
 */
static bool body_make_room(struct conn *conn, struct request *request)
{
	struct buffer *in = &conn->in;
	size_t scanned = 0, used = buffer_size(in);
	const char *why;

	if (request->framing == FRAMING_NONE || in->cap - in->start - request->size >= BODY_ROOM)
		return true;
	memmove(in->data, in->data + in->start, used);
	in->start = 0;
	in->end = used;
	if (in->cap - request->size < BODY_ROOM && !buffer_reserve(in, in->cap))
		return false;
	return request_parse(in->data, used, &scanned, request, &why) == REQUEST_READY;
}

static void expect_answer(struct conn *conn)
{
	struct exchange *exchange = &conn->exchange;
	const struct request *request = &exchange->request;

	if (!request->expects_continue || request->minor == 0 || exchange->endpoint->is_silent)
		return;
	if (request->framing != FRAMING_NONE)
		buffer_puts(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void exchange_begin(struct conn *conn, const struct request *request)
{
	struct exchange *exchange = &conn->exchange;

	worker_count(conn->worker, COUNT_REQUESTS, 1);
	conn->in_floor = conn->in.start + request->size;
	conn_take(conn, request->size);
	exchange->request = *request;
	exchange->serial++;
	exchange->is_active = true;
	exchange->is_started = false;
	exchange->is_answered = false;
	exchange->is_chunked = false;
	exchange->is_kept = request->minor == 1 ? !request->wants_close
						: request->wants_keep_alive && !request->wants_close;
	exchange->due_ns = 0;
	buffer_clear(&exchange->stash);
	memset(&exchange->state, 0, sizeof(exchange->state));
	exchange->endpoint = endpoint_find(request->path);
	body_start(&exchange->body, request);
	conn->deadline_ns = 0;
	if (request->query.size > 0)
		counter_note(request->query);
	if (request->has_expect && !request->expects_continue) {
		exchange->is_kept = false;
		reply_line(conn, 417, "the only expectation known here is 100-continue");
		conn_end(conn, END_GRACEFUL, 0);
		return;
	}
	expect_answer(conn);
}

static bool idle_is_over(const struct conn *conn)
{
	const struct options *options = conn->worker->options;
	uint64_t idle_ms = (conn->worker->now_ns - conn->idle_since_ns) / NS_PER_MS;

	if (conn->exchange.serial == 0)
		return false;
	return (options->keep_alive_s > 0 && idle_ms >= options->keep_alive_s * 1000) ||
	       (options->close_idle_ms > 0 && idle_ms >= options->close_idle_ms);
}

/* Between two requests, before any byte of the next one. */
static bool idle_step(struct conn *conn)
{
	if (conn->in_eof) {
		conn_end(conn, END_GRACEFUL, 0);
		return true;
	}
	if (idle_is_over(conn) && conn_out_is_empty(conn)) {
		conn_close(conn);
		return true;
	}
	return false;
}

static bool head_step(struct conn *conn)
{
	struct text input = conn_input(conn);
	struct request request;
	const char *why = NULL;

	if (input.size == 0)
		return idle_step(conn);
	if (!conn_out_has_capacity(conn))
		return false;
	switch (request_parse(input.at, input.size, &conn->in_scanned, &request, &why)) {
	case REQUEST_MORE:
		if (!conn->in_eof)
			return false;
		worker_count(conn->worker, COUNT_TRUNCATED, 1);
		complain(conn, "truncated request", "FIN in the head", input);
		conn_end(conn, END_GRACEFUL, 0);
		return true;
	case REQUEST_BAD:
		request_refuse(conn, 400, why);
		return true;
	case REQUEST_TOO_LARGE:
		request_refuse(conn, 431, "head is too large");
		return true;
	case REQUEST_READY:
		break;
	}
	conn->in_scanned = 0;
	if (!body_make_room(conn, &request)) {
		conn_close(conn);
		return true;
	}
	exchange_begin(conn, &request);
	return true;
}

static bool body_step(struct conn *conn)
{
	struct exchange *exchange = &conn->exchange;
	bool has_moved = false;

	while (!body_is_done(&exchange->body)) {
		struct text input = conn_input(conn);
		size_t used = 0, size = 0, taken;
		const char *why = NULL;
		enum body_step step = body_next(&exchange->body, input.at, input.size, &used, &size, &why);

		if (step == BODY_BAD) {
			body_refuse(conn, why);
			return true;
		}
		if (step == BODY_MORE && conn->in_eof) {
			worker_count(conn->worker, COUNT_TRUNCATED, 1);
			complain(conn, "truncated request", "FIN in the body", (struct text){ input.at, 0 });
			conn_end(conn, END_GRACEFUL, 0);
			return true;
		}
		has_moved |= used > 0;
		conn_take(conn, used);
		if (step != BODY_DATA)
			return has_moved;
		taken = size;
		if (exchange->endpoint->body)
			taken = exchange->endpoint->body(conn, (struct text){ input.at + used, size });
		if (taken == 0)
			return has_moved;
		body_take(&exchange->body, taken);
		conn_take(conn, taken);
		has_moved = true;
	}
	return has_moved;
}

static void exchange_end(struct conn *conn)
{
	struct exchange *exchange = &conn->exchange;
	const struct options *options = conn->worker->options;

	exchange->is_active = false;
	conn->in_floor = 0;
	conn_take(conn, 0);
	conn->deadline_ns = 0;
	if (!exchange->is_kept) {
		conn_end(conn, END_GRACEFUL, 0);
		return;
	}
	if (options->keep_alive_s == 0 && options->close_idle_ms == 0)
		return;
	conn->idle_since_ns = conn->worker->now_ns;
	if (options->keep_alive_s > 0)
		conn_wake_at(conn, conn->idle_since_ns + options->keep_alive_s * 1000 * NS_PER_MS);
	if (options->close_idle_ms > 0 &&
	    (options->keep_alive_s == 0 || options->close_idle_ms < options->keep_alive_s * 1000))
		conn_wake_at(conn, conn->idle_since_ns + options->close_idle_ms * NS_PER_MS);
}

static bool exchange_step(struct conn *conn)
{
	struct exchange *exchange = &conn->exchange;
	const struct endpoint *endpoint = exchange->endpoint;
	bool has_moved = false, was_done = body_is_done(&exchange->body);

	if (!exchange->is_started && endpoint->is_early) {
		exchange->is_started = true;
		endpoint->start(conn);
		has_moved = true;
		if (was_done && endpoint->body_end && conn->step == http_step)
			endpoint->body_end(conn);
	}
	if (conn->step == http_step && !was_done && !conn->is_closed) {
		has_moved |= body_step(conn);
		if (conn->step == http_step && body_is_done(&exchange->body) && exchange->is_started &&
		    endpoint->body_end)
			endpoint->body_end(conn);
	}
	if (conn->step == http_step && !exchange->is_started && body_is_done(&exchange->body)) {
		exchange->is_started = true;
		endpoint->start(conn);
		has_moved = true;
	}
	if (conn->step == http_step && !conn->is_closed && exchange->is_started && !exchange->is_answered &&
	    endpoint->pump)
		has_moved |= endpoint->pump(conn);
	if (conn->step != http_step || conn->is_closed)
		return true;
	if (exchange->is_answered && body_is_done(&exchange->body) && conn->pattern_left == 0) {
		exchange_end(conn);
		return true;
	}
	return has_moved;
}

bool http_step(struct conn *conn)
{
	bool has_moved = false;

	while (conn->step == http_step && !conn->is_closed) {
		bool was_active = conn->exchange.is_active;

		if (!(was_active ? exchange_step(conn) : head_step(conn)))
			break;
		has_moved = true;
		/* Send the output of a continuing exchange before it makes more. */
		if (was_active && conn->exchange.is_active)
			break;
	}
	return has_moved;
}
