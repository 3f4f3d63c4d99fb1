/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/top_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "admin/server.h"
#include "user/base/limits.h"
#include "user/http/framing.h"
#include "user/http/h1_parse.h"
#include "user/http/head_scan.h"
#include "user/net/io.h"
#include "user/net/socket.h"

enum {
	SILENCE_MS = 10000,
	ANSWER_MAX_BYTES = 1 << 30,
	PIECE_BYTES = 64 * 1024,
};

static int wait_for(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	int ready;

	do
		ready = poll(&poll_fd, 1, SILENCE_MS);
	while (ready < 0 && errno == EINTR);
	return ready > 0 ? 0 : ready == 0 ? -ETIMEDOUT : -errno;
}

static int connect_one(const struct address *address, int *ret_fd)
{
	int fd, error = socket_open(address, &fd);

	if (error)
		return error;
	if (connect(fd, &address->any, address->len) != 0) {
		error = errno == EINPROGRESS || errno == EAGAIN ? wait_for(fd, POLLOUT) : -errno;
		if (!error)
			error = socket_error(fd);
	}
	if (error)
		socket_close(fd);
	else
		*ret_fd = fd;
	return error;
}

static int connect_any(struct span where, int *ret_fd)
{
	struct address list[ADMIN_ADDRESSES_PER_PORT];
	size_t count = 0;
	int error = admin_address_parse(where, list, &count);

	if (!error && count == 0)
		error = -EINVAL;
	for (size_t i = 0; i < count; i++) {
		error = connect_one(&list[i], ret_fd);
		if (!error)
			return 0;
	}
	return error;
}

static int send_all(int fd, struct span s)
{
	while (s.len) {
		ssize_t written = io_write(fd, s.data, s.len, false);
		int error = written == -EAGAIN ? wait_for(fd, POLLOUT) : written < 0 ? (int)written : 0;

		if (error)
			return error;
		if (written > 0)
			s = span_from(s, (size_t)written);
	}
	return 0;
}

/* Everything up to the end of the connection. */
static int receive_all(int fd, struct text *answer)
{
	char piece[PIECE_BYTES];

	for (;;) {
		ssize_t got = io_read(fd, piece, sizeof(piece));

		if (got == -EAGAIN) {
			int error = wait_for(fd, POLLIN);

			if (error)
				return error;
		} else if (got <= 0) {
			return (int)got;
		} else if (answer->len + (size_t)got > ANSWER_MAX_BYTES) {
			return -EMSGSIZE;
		} else {
			text_add(answer, span_of(piece, (size_t)got));
		}
	}
}

/* The body of a complete 200. 0, -EPROTO for another status or what is not HTTP, -EIO when it is cut off. */
static int answer_body(struct span answer, struct arena *arena, struct span *ret_body)
{
	static const struct head_limits limits = { LIMIT_REQUEST_LINE_BYTES, LIMIT_HEAD_BYTES,
						   LIMIT_HEADERS };
	struct response_head head;
	struct body_framing framing;
	struct head_scan scan;
	struct span body;

	head_scan_init(&scan, true);
	if (head_scan_run(&scan, answer, &limits) != SCAN_DONE ||
	    h1_parse_response(span_first(answer, scan.head_bytes), arena, &head) != BAD_NONE ||
	    framing_response(&head, METHOD_GET, &framing) != BAD_NONE || head.status != 200)
		return -EPROTO;
	body = span_from(answer, scan.head_bytes);
	if (framing.kind == BODY_LENGTH && framing.length != body.len)
		return -EIO;
	*ret_body = body;
	return 0;
}

static int fetch(struct span where, const char *path, struct text *body)
{
	struct text exchange;
	struct arena arena;
	struct span answer;
	int fd = -1, error = connect_any(where, &fd);

	if (error)
		return error;
	text_init(&exchange);
	arena_init(&arena, LIMIT_HEAD_BYTES);
	text_fmt(&exchange, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
	error = text_error(&exchange);
	if (!error)
		error = send_all(fd, text_span(&exchange));
	text_clear(&exchange);
	if (!error)
		error = receive_all(fd, &exchange);
	if (!error)
		error = text_error(&exchange);
	if (!error)
		error = answer_body(text_span(&exchange), &arena, &answer);
	if (!error) {
		text_add(body, answer);
		error = text_error(body);
	}
	socket_close(fd);
	arena_done(&arena);
	text_done(&exchange);
	return error;
}

int top_fetch(struct span where, const char *path, struct text *body, struct text *error)
{
	int result = fetch(where, path, body);

	if (result == 0)
		return 0;
	text_fmt(error, "cannot read %s from ", path);
	text_escaped(error, where);
	switch (-result) {
	case EINVAL:
		text_str(error, ": write ip:port, [ipv6]:port, localhost:port or unix:/path");
		break;
	case EPROTO:
		text_str(error, ": this is not the admin port of a gateway");
		break;
	case ECONNREFUSED:
	case ENOENT:
		text_str(error, ": nobody listens there; is the gateway running? --admin says where");
		break;
	default:
		text_fmt(error, ": %s", strerror(-result));
		break;
	}
	return result;
}
