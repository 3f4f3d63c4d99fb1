/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http/ui_handlers.h"

#include <errno.h>

#include "admin/ui/data.h"
#include "admin/ui/page_file.h"
#include "user/base/clock.h"
#include "user/base/mem.h"

void handle_ui(const struct admin_call *call)
{
	const struct page_file *file = page_file_find(call->argument);
	struct admin_answer answer = { .status = 200, .is_page = true };

	if (!file) {
		admin_conn_say(call->conn, 404, "the page has no such file: open /ui\n");
		return;
	}
	answer.content_type = file->content_type;
	text_init(&answer.body);
	text_add(&answer.body, file->content);
	admin_conn_answer(call->conn, &answer);
}

/* A request for data while workers and the MCP thread collect their parts, one after the other. */
struct data_wait {
	struct admin_ticket *ticket;
	const struct admin_hooks *hooks;
	struct arena arena; /* owner: of the texts of the query */
	struct ui_query query;
	struct stream_list streams, ends; /* owner */
	struct text sessions; /* owner */
	bool has_streams, has_ends, has_sessions;
	uint32_t left; /* parts that have yet to be collected, bit by enum ui_part */
};

static void wait_free(struct data_wait *wait)
{
	stream_list_done(&wait->streams);
	stream_list_done(&wait->ends);
	text_done(&wait->sessions);
	arena_done(&wait->arena);
	hg_free(wait);
}

static void wait_answer(struct data_wait *wait)
{
	struct admin_conn *conn = admin_ticket_redeem(wait->ticket);
	struct admin_answer answer = { .status = 200, .content_type = "application/json" };
	const struct ui_facts facts = {
		.hooks = wait->hooks,
		.query = &wait->query,
		.now_ms = clock_now_ms(),
		.wall_us = clock_wall_us(),
		.streams = wait->has_streams ? &wait->streams : NULL,
		.ends = wait->has_ends ? &wait->ends : NULL,
		.sessions = wait->has_sessions ? &wait->sessions : NULL,
	};

	text_init(&answer.body);
	if (conn)
		ui_data_write(&facts, &answer.body);
	if (conn && text_error(&answer.body) == 0) {
		admin_conn_answer(conn, &answer);
	} else {
		text_done(&answer.body);
		if (conn)
			admin_conn_say(conn, 503, "no memory for the answer\n");
	}
	wait_free(wait);
}

static void wait_continue(struct data_wait *wait);

static void on_streams(void *argument, struct stream_list *list)
{
	struct data_wait *wait = argument;

	wait->streams = *list;
	wait->has_streams = true;
	wait_continue(wait);
}

static void on_ends(void *argument, struct stream_list *list)
{
	struct data_wait *wait = argument;

	wait->ends = *list;
	wait->has_ends = true;
	wait_continue(wait);
}

static void on_sessions(void *argument, struct text *json)
{
	struct data_wait *wait = argument;

	wait->has_sessions = json && text_error(json) == 0;
	if (json) {
		wait->sessions = *json;
		text_init(json);
	}
	wait_continue(wait);
}

static bool take(struct data_wait *wait, enum ui_part part)
{
	bool is_left = wait->left & 1u << part;

	wait->left &= ~(1u << part);
	return is_left;
}

static void wait_continue(struct data_wait *wait)
{
	const struct admin_hooks *hooks = wait->hooks;

	if (take(wait, UI_PART_STREAMS))
		hooks->list_streams(hooks->context, &wait->query.streams, on_streams, wait);
	else if (take(wait, UI_PART_ENDS))
		hooks->list_streams(hooks->context, &wait->query.ends, on_ends, wait);
	else if (take(wait, UI_PART_SESSIONS))
		hooks->list_sessions(hooks->context, on_sessions, wait);
	else
		wait_answer(wait);
}

void handle_ui_data(const struct admin_call *call)
{
	struct data_wait *wait = hg_calloc(1, sizeof(*wait));
	const char *why = "no memory";
	int error = -ENOMEM;

	if (!wait) {
		admin_conn_say(call->conn, 503, "no memory\n");
		return;
	}
	wait->hooks = call->hooks;
	text_init(&wait->sessions);
	arena_init(&wait->arena, 1024);
	arena_init(&wait->streams.texts, 1024);
	arena_init(&wait->ends.texts, 1024);
	error = ui_query_read(call->head->query, &wait->arena, &wait->query, &why);
	if (!error && !(wait->ticket = admin_ticket_take(call->conn)))
		error = -ENOMEM;
	if (error) {
		wait_free(wait);
		admin_conn_say(call->conn, error == -EINVAL ? 400 : 503, "%s\n", why);
		return;
	}
	wait->left = wait->query.parts;
	wait_continue(wait);
}
