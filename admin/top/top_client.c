/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/top/top_client.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "admin/http/server.h"
#include "user/base/limits.h"
#include "user/http/framing.h"
#include "user/http/h1_parse.h"
#include "user/http/head_scan.h"
#include "user/net/socket.h"

enum {
	SILENCE_S = 5,
	ANSWER_MAX_BYTES = 1 << 30,
	SEGMENT_BYTES = 64 * 1024,
};

/* Returns a blocking socket with timeouts of SILENCE_S. */
static int connect_one(const struct address *address, int *ret_fd)
{
	static const struct timeval patience = { .tv_sec = SILENCE_S };
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
	    connect(fd, &address->any, address->len) == 0) {
		*ret_fd = fd;
		return 0;
	}
	error = errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	socket_close(fd);
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

/* Reads until the connection ends. */
static int exchange(int fd, struct span request, struct text *answer)
{
	char segment[SEGMENT_BYTES];
	ssize_t got = send(fd, request.data, request.len, MSG_NOSIGNAL);

	while (got > 0 && (got = recv(fd, segment, sizeof(segment), 0)) > 0) {
		if (answer->len + (size_t)got > ANSWER_MAX_BYTES)
			return -EMSGSIZE;
		text_add(answer, span_of(segment, (size_t)got));
	}
	if (got < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return text_error(answer);
}

/*
 * The body of a complete 200. 0, -ESRCH for 404, -EACCES for 401 and 403, -EPROTO for another status or
 * malformed HTTP, -EIO if it is truncated.
 */
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
	    h1_parse_response(span_first(answer, scan.head_bytes), arena, &head) != HTTP_ERROR_NONE ||
	    framing_response(&head, METHOD_GET, &framing) != HTTP_ERROR_NONE)
		return -EPROTO;
	if (head.status != 200)
		return head.status == 404			  ? -ESRCH
		       : head.status == 401 || head.status == 403 ? -EACCES
								  : -EPROTO;
	body = span_from(answer, scan.head_bytes);
	if (framing.kind == BODY_LENGTH && framing.length != body.len)
		return -EIO;
	*ret_body = body;
	return 0;
}

static int fetch(struct span where, const char *method, const char *path, struct text *body)
{
	struct text request, answer;
	struct arena arena;
	struct span payload;
	int fd = -1, error = connect_any(where, &fd);

	if (error)
		return error;
	text_init(&request);
	text_init(&answer);
	arena_init(&arena, LIMIT_HEAD_BYTES);
	text_fmt(&request,
		 "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		 method, path);
	error = text_error(&request);
	if (!error)
		error = exchange(fd, text_span(&request), &answer);
	if (!error)
		error = answer_body(text_span(&answer), &arena, &payload);
	if (!error) {
		text_add(body, payload);
		error = text_error(body);
	}
	socket_close(fd);
	arena_done(&arena);
	text_done(&request);
	text_done(&answer);
	return error;
}

int top_fetch(struct span where, const char *method, const char *path, struct text *body, struct text *error)
{
	int result = fetch(where, method, path, body);

	if (result == 0 || result == -ESRCH)
		return result;
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
		text_str(error, ": no process listens there; is the gateway running? See --admin");
		break;
	default:
		text_fmt(error, ": %s", strerror(-result));
		break;
	}
	return result;
}
