/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/text.h"
#include "user/mcp/session/session.h"

/* A session between a client and targets that the test plays: what was sent to whom, as text. */

enum { SCENE_TARGETS = 4 };

/* What the test lets the client use: "tool one/echo", and so on. */
struct mcp_access {
	const char *const *allowed; /* ends with NULL */
	int refs;
	int asked;
};

static inline bool scene_may(const struct mcp_access *access, const struct mcp_item *item)
{
	static const char *const kinds[] = { "tool", "prompt", "resource", "task" };
	char text[512];

	snprintf(text, sizeof(text), "%s %.*s/%.*s", kinds[item->kind], SPAN_FMT(item->target),
		 SPAN_FMT(item->name));
	((struct mcp_access *)(uintptr_t)access)->asked++;
	for (const char *const *one = access->allowed; *one; one++) {
		if (strcmp(*one, text) == 0)
			return true;
	}
	return false;
}

static inline struct mcp_access *scene_access_ref(struct mcp_access *access)
{
	access->refs++;
	return access;
}

static inline void scene_access_unref(struct mcp_access *access)
{
	assert_true(access->refs > 0);
	access->refs--;
}

static const struct mcp_access_ops scene_access_ops = { scene_may, scene_access_ref, scene_access_unref };

/* A stream of the client. */
struct scene_sink {
	struct mcp_sink sink;
	char last[8192];
	int count; /* messages */
	unsigned int status;
	uint64_t event;
	bool is_done;
	bool is_full; /* takes nothing */
	bool is_resumable;
};

struct scene {
	struct mcp_session *s;
	struct mcp_json_checker *checker;
	struct mcp_access *access; /* of the next posts; NULL: everything is allowed */
	uint64_t client; /* that the next requests are from */
	const struct fields *client_fields; /* of those requests */
	char to[SCENE_TARGETS][8192]; /* the last message to each target */
	int sent[SCENE_TARGETS];
	uint64_t call[SCENE_TARGETS]; /* our id of the last request */
	char name[SCENE_TARGETS][128];
	const struct fields *fields[SCENE_TARGETS]; /* of the client that the last message is sent for */
	uint64_t forgotten[SCENE_TARGETS];
	bool is_full[SCENE_TARGETS]; /* takes nothing, like the next one */
	bool is_gone[SCENE_TARGETS];
	int oddities[MCP_ODD_COUNT];
	int ended;
	int failed;
	int given_up; /* targets, by the session */
	int came_back;
	int listed; /* answers with tools or prompts */
	uint64_t now_ms;
};

static inline void scene_join(char *to, size_t size, const struct mcp_out *out)
{
	size_t len = 0;

	for (int i = 0; i < out->count; i++) {
		assert_true(len + out->segments[i].iov_len < size);
		memcpy(to + len, out->segments[i].iov_base, out->segments[i].iov_len);
		len += out->segments[i].iov_len;
	}
	assert_int_equal(len, out->bytes);
	to[len] = '\0';
	assert_null(strpbrk(to, "\r\n"));
}

static inline bool scene_sink_send(struct mcp_sink *sink, const struct mcp_out *out)
{
	struct scene_sink *seen = container_of(sink, struct scene_sink, sink);

	assert_false(seen->is_done);
	if (seen->is_full)
		return false;
	scene_join(seen->last, sizeof(seen->last), out);
	seen->count++;
	seen->status = out->status;
	seen->event = out->event;
	sink->is_resumable = seen->is_resumable;
	return true;
}

static inline void scene_sink_done(struct mcp_sink *sink)
{
	struct scene_sink *seen = container_of(sink, struct scene_sink, sink);

	assert_false(seen->is_done);
	assert_null(sink->session);
	seen->is_done = true;
}

static const struct mcp_sink_ops scene_sink_ops = { scene_sink_send, scene_sink_done };

static inline int scene_link_send(void *context, uint32_t target, const struct mcp_out *out)
{
	struct scene *sc = context;

	if (sc->is_full[target])
		return -ENOBUFS;
	if (sc->is_gone[target])
		return -EPIPE;
	scene_join(sc->to[target], sizeof(sc->to[target]), out);
	sc->sent[target]++;
	if (out->call)
		sc->call[target] = out->call;
	snprintf(sc->name[target], sizeof(sc->name[target]), "%.*s", SPAN_FMT(out->name));
	sc->fields[target] = out->fields;
	return 0;
}

static inline void scene_link_forget(void *context, uint32_t target, uint64_t call)
{
	((struct scene *)context)->forgotten[target] = call;
}

static const struct mcp_link_ops scene_link_ops = { scene_link_send, scene_link_forget };

static inline void scene_odd(void *context, uint32_t target __attribute__((unused)),
			     enum mcp_protocol_violation protocol_violation)
{
	((struct scene *)context)->oddities[protocol_violation]++;
}

static inline void scene_gave_up(void *context, uint32_t target __attribute__((unused)),
				 struct span why __attribute__((unused)))
{
	((struct scene *)context)->given_up++;
}

static inline void scene_came_back(void *context, uint32_t target __attribute__((unused)))
{
	((struct scene *)context)->came_back++;
}

static inline void scene_listed(void *context, uint32_t target __attribute__((unused)),
				bool is_prompts __attribute__((unused)),
				struct span list __attribute__((unused)))
{
	((struct scene *)context)->listed++;
}

static inline void scene_ended(void *context, uint32_t target __attribute__((unused)),
			       struct span method __attribute__((unused)),
			       struct span name __attribute__((unused)),
			       uint64_t started_ms __attribute__((unused)), bool is_error)
{
	struct scene *sc = context;

	sc->ended++;
	sc->failed += is_error;
}

static const struct mcp_watch scene_watch = { .odd = scene_odd,
					      .gave_up = scene_gave_up,
					      .failed = scene_gave_up,
					      .listed = scene_listed,
					      .came_back = scene_came_back,
					      .ended = scene_ended };

static const struct span scene_names[SCENE_TARGETS] = { SPAN("one"), SPAN("two"), SPAN("three"),
							SPAN("four") };

static inline void scene_make(struct scene *sc, enum mcp_session_kind kind, uint32_t targets,
			      enum mcp_prefix_mode mode, bool fail_open)
{
	struct mcp_session_setup setup;

	*sc = (struct scene){ .checker = mcp_json_checker_create(), .now_ms = 1000 };
	setup = (struct mcp_session_setup){
		.kind = kind,
		.names = { scene_names, targets, mode },
		.fail_open = fail_open,
		.checker = sc->checker,
		.link = &scene_link_ops,
		.watch = &scene_watch,
		.access = &scene_access_ops,
		.context = sc,
		.server_name = SPAN("headgate"),
		.server_version = SPAN("1"),
	};
	sc->s = mcp_session_create(&setup);
	assert_non_null(sc->s);
}

static inline void scene_drop(struct scene *sc)
{
	mcp_session_free(sc->s);
	mcp_json_checker_free(sc->checker);
}

static inline void scene_sink_make(struct scene_sink *seen)
{
	*seen = (struct scene_sink){ 0 };
	mcp_sink_init(&seen->sink, &scene_sink_ops);
}

/* A POST on a stream of its own. */
static inline struct mcp_verdict scene_post(struct scene *sc, struct scene_sink *seen, const char *text)
{
	bool is_resumable = seen->is_resumable;
	bool is_full = seen->is_full;
	struct mcp_post post;

	assert_null(seen->sink.session);
	scene_sink_make(seen);
	seen->sink.client = sc->client;
	seen->sink.fields = sc->client_fields;
	seen->is_resumable = is_resumable;
	seen->is_full = is_full;
	if (mcp_post_read(sc->checker, span_str(text), &post) != MCP_NONE)
		fail_msg("no message: %s", text);
	return mcp_session_on_post(sc->s, &seen->sink, &post, sc->access, sc->now_ms);
}

static inline void scene_waits(struct scene *sc, struct scene_sink *seen, const char *text)
{
	struct mcp_verdict verdict = scene_post(sc, seen, text);

	if (verdict.turn != MCP_WAITING)
		fail_msg("%s: fault %d", text, (int)verdict.fault);
}

static inline void scene_refused(struct scene *sc, const char *text, enum mcp_fault fault)
{
	struct scene_sink seen = { 0 };
	struct mcp_verdict verdict = scene_post(sc, &seen, text);

	assert_int_equal(verdict.turn, MCP_REFUSED);
	assert_int_equal(verdict.fault, fault);
	assert_null(seen.sink.session);
	assert_int_equal(seen.count, 0);
}

static inline void scene_accepted(struct scene *sc, const char *text)
{
	struct scene_sink seen = { 0 };

	assert_int_equal(scene_post(sc, &seen, text).turn, MCP_ACCEPTED);
	assert_null(seen.sink.session);
}

static inline void scene_says(struct scene *sc, uint32_t target, const char *text)
{
	mcp_session_on_target(sc->s, target, 0, span_str(text), sc->now_ms);
}

/* The answer to the last request of that target; `rest` is its result or error member. */
static inline void scene_answers(struct scene *sc, uint32_t target, const char *rest)
{
	char text[8192];

	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%llu,%s}",
		 (unsigned long long)sc->call[target], rest);
	scene_says(sc, target, text);
}

static inline void assert_holds(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("%s is not in %s", part, text);
}

static inline void assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("%s is in %s", part, text);
}

#define REQUEST(id, method, params)                                                                          \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\",\"params\":{" params "}}"
#define NOTICE(method, params) "{\"jsonrpc\":\"2.0\",\"method\":\"" method "\",\"params\":{" params "}}"
#define INITIALIZE                                                                                           \
	REQUEST("0", "initialize", "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{}")
#define INITIALIZED                                                                                          \
	"\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{},\"prompts\":{},"      \
	"\"resources\":{},\"tasks\":{},\"logging\":{}},\"serverInfo\":{}}"

/* Through initialize with every target. */
static inline void scene_open(struct scene *sc, uint32_t targets)
{
	struct scene_sink seen = { 0 };

	scene_waits(sc, &seen, INITIALIZE);
	for (uint32_t i = 0; i < targets; i++)
		scene_answers(sc, i, INITIALIZED);
	assert_true(seen.is_done);
	assert_int_equal(mcp_session_state(sc->s), MCP_SESSION_READY);
	scene_accepted(sc, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
	for (uint32_t i = 0; i < targets; i++)
		assert_holds(sc->to[i], "notifications/initialized");
}
