/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Admin connections on a listener of their own, with a few paths, in a loop of their own. */
#include <stdatomic.h>

#include "admin/http/conn.h"
#include "tests/lib/test.h"
#include "tests/unit/admin_play.h"
#include "user/net/listen.h"
#include "user/net/listener.h"

enum { MANY_BYTES = 24 * 1024 * 1024 };

/* What /many answers: lines that begin with their place. */
static inline struct span stage_many(void)
{
	static char many[MANY_BYTES + 1];

	for (size_t at = 0; !many[MANY_BYTES - 1] && at < MANY_BYTES; at += 16)
		snprintf(many + at, 17, "%015zu\n", at);
	return span_of(many, MANY_BYTES);
}

/* A server of connections that knows a few paths. */
struct stage {
	struct loop_play play;
	struct net_listener listener;
	struct address address;
	struct admin_owner owner;
	struct admin_conn *conns[16];
	_Atomic(struct admin_ticket *) ticket; /* of the last /later */
	atomic_uint requests;
	atomic_uint closed;
};

static inline void stage_request(void *context, struct admin_conn *conn, const struct request_head *head)
{
	struct stage *stage = context;
	struct span path = head->path;

	stage->requests++;
	if (span_eq(path, SPAN("/later"))) {
		stage->ticket = admin_ticket_take(conn);
	} else if (span_eq(path, SPAN("/many"))) {
		struct admin_answer answer = { .status = 200 };

		text_init(&answer.body);
		text_add(&answer.body, stage_many());
		admin_conn_answer(conn, &answer);
	} else {
		admin_conn_say(conn, 200, "%.*s %.*s\n", SPAN_FMT(head->method_text), SPAN_FMT(path));
	}
}

static inline void stage_closed(void *context, struct admin_conn *conn)
{
	struct stage *stage = context;

	stage->closed++;
	for (size_t i = 0; i < ARRAY_LEN(stage->conns); i++) {
		if (stage->conns[i] == conn)
			stage->conns[i] = NULL;
	}
}

static inline void stage_accept(struct net_listener *listener, int fd, const struct address *peer)
{
	struct stage *stage = container_of(listener, struct stage, listener);
	size_t i = 0;

	while (stage->conns[i])
		i++;
	CHECK(i < ARRAY_LEN(stage->conns));
	CHECK(admin_conn_start(stage->play.loop, fd, peer, &stage->owner, &stage->conns[i]) == 0);
}

static inline void stage_on_start(void *context)
{
	struct stage *stage = context;
	int fd;

	CHECK(net_listen_open(&stage->address, 64, &fd) == 0);
	CHECK(net_listener_start(&stage->listener, stage->play.loop, fd, stage_accept) == 0);
	stage->address = stage->listener.local;
}

static inline void stage_start(struct stage *stage)
{
	*stage = (struct stage){ .owner = { stage, stage_request, stage_closed } };
	CHECK(address_parse(SPAN("127.0.0.1:0"), &stage->address) == 0);
	(void)stage_many(); /* before there are two threads */
	loop_play_start(&stage->play);
	loop_play_do(&stage->play, stage_on_start, stage);
}

static inline void stage_on_stop(void *context)
{
	struct stage *stage = context;

	net_listener_stop(&stage->listener);
	for (size_t i = 0; i < ARRAY_LEN(stage->conns); i++) {
		if (stage->conns[i])
			http1_server_close(&stage->conns[i]->http);
	}
}

static inline void stage_stop(struct stage *stage)
{
	loop_play_do(&stage->play, stage_on_stop, stage);
	loop_play_stop(&stage->play);
}

static inline void assert_many_body(const char *body, size_t len)
{
	assert_int_equal(len, MANY_BYTES);
	assert_true(memcmp(body, stage_many().data, len) == 0);
}
