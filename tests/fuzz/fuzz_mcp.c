/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session and everybody who talks to it. The first byte chooses its kind, the number of targets, the
 * prefixes and whether it fails open; every following line is something that happens: `c` a body of a client,
 * `0` to `3` a message of that target, `g` the oldest stream goes, `s` a GET, `l` target 0 is lost, `t` time
 * passes; a first line `r` gives clients rules: only names that begin with an `a`. `$` in a line is the last
 * number that target 0 was sent, `%` the last that the client was sent, `^` a line feed. What has to hold:
 *   - what the check accepts, cJSON reads with as many values, and the walk finds all of them;
 *   - whatever is sent, to a client or a target, is one message that we would accept ourselves;
 *   - a stream gets no more answers than it had requests, is done once, and hears nothing afterwards;
 *   - with rules no target gets another name, as cJSON reads it, which ignores the case of names;
 *   - memory is bounded, and all of it is given back.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/mcp/session/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) must((condition), __LINE__, #condition)

static void must(bool condition, int line, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "line %d: broken: %s\n", line, what);
	abort();
}

enum {
	STREAMS = 8,
	TARGETS = 4,
	/* Everything a session may hold: its queues, and what is gathered of inputs this small. */
	SESSION_BYTES = LIMIT_MCP_QUEUE_BYTES + 4 * 1024 * 1024,
};

struct play;

struct stream {
	struct mcp_sink sink;
	struct play *play;
	uint32_t requests;
	uint32_t answers;
	bool is_get;
	bool is_used;
};

struct play {
	struct mcp_session *session;
	struct mcp_json_checker *checker;
	struct stream streams[STREAMS];
	uint32_t targets;
	uint64_t call; /* last number target 0 got */
	uint64_t ask; /* last number the client got */
	uint64_t now_ms;
	bool takes; /* everything; else every third message finds no room */
	bool has_rules; /* of every post */
	bool has_posts;
	uint32_t sent;
};

/* ---- JSON ---- */

static size_t count_cjson(const cJSON *value)
{
	size_t count = 1;

	for (const cJSON *child = value->child; child; child = child->next)
		count += count_cjson(child);
	return count;
}

static size_t count_walk(struct span value)
{
	struct mcp_json_walk walk = mcp_json_walk_of(value);
	struct span key, element;
	size_t count = 1;

	MUST(mcp_json_type(value) != MCP_JSON_NONE);
	while (mcp_json_next(&walk, &key, &element)) {
		MUST(element.data > value.data && element.data + element.len < value.data + value.len);
		count += count_walk(element);
	}
	return count;
}

/* cJSON ends strings at an escaped NUL and wants its surrogates in pairs. */
static bool is_for_cjson(struct span text)
{
	for (size_t i = 0; i + 2 < text.len; i++) {
		if (text.data[i] == '\\' && text.data[i + 1] == 'u')
			return false;
	}
	return true;
}

static void compare(struct mcp_json_checker *checker, struct span text)
{
	cJSON *other;

	if (mcp_json_check(checker, text) != 0)
		return;
	MUST(text.len > 0);
	if (is_for_cjson(text)) {
		other = cJSON_ParseWithLength(text.data, text.len);
		MUST(other != NULL);
		MUST(count_cjson(other) == count_walk(mcp_json_trim(text)));
		cJSON_Delete(other);
	}
}

/* ---- rules ---- */

/* The rules are the same for all; its references are counted. */
struct mcp_access {
	int refs;
};

static bool may(const struct mcp_access *access, const struct mcp_item *item)
{
	(void)access;
	return item->name.len && item->name.data[0] == 'a';
}

static struct mcp_access *access_ref(struct mcp_access *access)
{
	access->refs++;
	return access;
}

static void access_unref(struct mcp_access *access)
{
	MUST(access->refs-- > 0);
}

static const struct mcp_access_ops access_ops = { may, access_ref, access_unref };
static struct mcp_access access_of_all;

/* Every member that a careless reader could take for the name. */
static void check_names(const cJSON *object, const char *name)
{
	for (const cJSON *one = object ? object->child : NULL; one; one = one->next)
		if (strcasecmp(one->string, name) == 0)
			MUST(cJSON_IsString(one) && one->valuestring[0] == 'a');
}

static void check_allowed(struct span text, struct span method)
{
	const cJSON *params;
	cJSON *message;

	if (span_starts(method, SPAN("notifications/")) || !is_for_cjson(text))
		return;
	message = cJSON_ParseWithLength(text.data, text.len);
	MUST(message != NULL);
	params = cJSON_GetObjectItem(message, "params");
	if (span_eq(method, SPAN("tools/call")) || span_eq(method, SPAN("prompts/get")))
		check_names(params, "name");
	else if (span_eq(method, SPAN("resources/read")) || span_ends(method, SPAN("subscribe")))
		check_names(params, "uri");
	else if (span_eq(method, SPAN("completion/complete")))
		check_names(cJSON_GetObjectItem(params, "ref"), "name");
	cJSON_Delete(message);
}

/* ---- who hears ---- */

static struct mcp_message heard(struct play *play, const struct mcp_out *out)
{
	struct mcp_post post;
	size_t len = 0;
	char *text = malloc(out->bytes ? out->bytes : 1);

	MUST(text != NULL);
	for (int i = 0; i < out->count; i++) {
		MUST(len + out->segments[i].iov_len <= out->bytes);
		memcpy(text + len, out->segments[i].iov_base, out->segments[i].iov_len);
		len += out->segments[i].iov_len;
	}
	MUST(len == out->bytes);
	MUST(!memchr(text, '\n', len) && !memchr(text, '\r', len));
	MUST(mcp_post_read(play->checker, span_of(text, len), &post) == MCP_NONE);
	MUST(!post.is_batch && (post.first.kind == out->kind || out->kind == MCP_RESULT));
	if (out->call) {
		MUST(post.first.kind == MCP_REQUEST);
		MUST(span_parse_u63(post.first.id, &play->call) == 0 && play->call == out->call);
	}
	if (out->call && play->has_rules)
		check_allowed(span_of(text, len), post.first.method_text);
	if (post.first.kind == MCP_REQUEST && !out->call)
		MUST(span_parse_u63(post.first.id, &play->ask) == 0);
	free(text);
	return post.first;
}

static bool on_send(struct mcp_sink *sink, const struct mcp_out *out)
{
	struct stream *stream = container_of(sink, struct stream, sink);

	MUST(stream->is_used);
	(void)heard(stream->play, out);
	if (!stream->play->takes && ++stream->play->sent % 3 == 0) {
		stream->is_used = false;
		return false;
	}
	if (out->kind == MCP_RESULT || out->kind == MCP_ERROR)
		stream->answers++;
	MUST(stream->is_get || stream->answers <= stream->requests);
	sink->is_resumable = out->event != 0;
	return true;
}

static void on_done(struct mcp_sink *sink)
{
	struct stream *stream = container_of(sink, struct stream, sink);

	MUST(stream->is_used && !sink->session);
	stream->is_used = false;
}

static const struct mcp_sink_ops sink_ops = { on_send, on_done };

static int on_link(void *context, uint32_t target, const struct mcp_out *out)
{
	struct play *play = context;
	uint64_t call = play->call;

	MUST(target < TARGETS);
	(void)heard(play, out);
	if (target)
		play->call = call;
	if (play->takes || ++play->sent % 7)
		return 0;
	return play->sent % 2 ? -ENOBUFS : -EPIPE;
}

static const struct mcp_link_ops link_ops = { on_link, NULL };

/* ---- what happens ---- */

static struct stream *stream_take(struct play *play)
{
	for (size_t i = 0; i < STREAMS; i++) {
		struct stream *stream = &play->streams[i];

		if (stream->is_used)
			continue;
		*stream = (struct stream){ .play = play, .is_used = true };
		mcp_sink_init(&stream->sink, &sink_ops);
		return stream;
	}
	return NULL;
}

static void post_body(struct play *play, struct span text)
{
	struct stream *stream = stream_take(play);
	struct mcp_verdict verdict;
	struct mcp_post post;

	if (!stream)
		return;
	if (mcp_post_read(play->checker, text, &post) != MCP_NONE) {
		stream->is_used = false;
		return;
	}
	stream->requests = post.requests;
	play->has_posts = true;
	verdict = mcp_session_on_post(play->session, &stream->sink, &post,
				      play->has_rules ? &access_of_all : NULL, play->now_ms);
	MUST(verdict.turn != MCP_REFUSED || (verdict.fault != MCP_NONE && stream->answers == 0));
	MUST(verdict.turn == MCP_WAITING || !stream->sink.session);
	if (verdict.turn != MCP_WAITING)
		stream->is_used = false;
	MUST(stream->is_used == (stream->sink.session != NULL));
}

static void get_stream(struct play *play, struct span text)
{
	struct stream *stream = stream_take(play);
	uint64_t event = 0;

	if (!stream)
		return;
	stream->is_get = true;
	if (mcp_event_id_read(text, &event) != 0)
		event = 0;
	if (mcp_session_on_stream(play->session, &stream->sink, event).turn == MCP_REFUSED)
		stream->is_used = false;
	MUST(stream->is_used == (stream->sink.session != NULL));
}

static void stream_gone(struct play *play, struct span text)
{
	for (size_t i = 0; i < STREAMS; i++) {
		struct stream *stream = &play->streams[i];

		if (!stream->is_used)
			continue;
		mcp_session_sink_gone(play->session, &stream->sink, text.len % 3, play->now_ms);
		MUST(!stream->sink.session && stream->is_used);
		stream->is_used = false;
		return;
	}
}

static void happen(struct play *play, char what, struct span text)
{
	uint32_t target = (uint32_t)(what - '0');

	play->now_ms += 10;
	if (target < TARGETS && mcp_session_state(play->session) != MCP_SESSION_OVER)
		mcp_session_on_target(play->session, target % play->targets, text.len % 2 ? 0 : play->call,
				      text, play->now_ms);
	else if (what == 'c')
		post_body(play, text);
	else if (what == 'r')
		play->has_rules |= !play->has_posts;
	else if (what == 's')
		get_stream(play, text);
	else if (what == 'g')
		stream_gone(play, text);
	else if (what == 'l')
		mcp_session_on_target_lost(play->session, 0, text, play->now_ms);
	else if (what == 'b')
		mcp_session_on_target_back(play->session, 0, play->now_ms);
	else if (what == 'x')
		mcp_session_on_call_lost(play->session, 0, play->call, text, play->now_ms);
	else if (what == 't')
		(void)mcp_session_tick(play->session, play->now_ms += 20000);
	MUST(mcp_session_bytes(play->session) < SESSION_BYTES);
}

/* The line with the numbers in it that only the session knows. */
static void happen_line(struct play *play, struct span line)
{
	struct text text;

	text_init(&text);
	for (size_t i = 1; i < line.len && i < 16 * 1024; i++) {
		if (line.data[i] == '$' || line.data[i] == '%')
			text_fmt(&text, "%llu",
				 (unsigned long long)(line.data[i] == '$' ? play->call : play->ask));
		else
			text_char(&text, line.data[i] == '^' ? '\n' : line.data[i]);
	}
	MUST(text_error(&text) == 0);
	compare(play->checker, text_span(&text));
	if (line.len)
		happen(play, line.data[0], text_span(&text));
	text_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct span names[TARGETS] = { SPAN("one"), SPAN("two"), SPAN("three"), SPAN("four") };
	struct span rest = span_of(data, size);
	struct mcp_session_setup setup;
	struct play play = { .now_ms = 1 };
	struct span line;
	uint8_t choice;

	if (size == 0)
		return 0;
	choice = data[0];
	play.checker = mcp_json_checker_create();
	play.targets = 1 + (choice >> 2 & 3);
	play.takes = !(choice & 128);
	setup = (struct mcp_session_setup){
		.kind = choice % 4 % 3,
		.names = { names, play.targets, (choice >> 4 & 3) % 3 },
		.fail_open = choice & 64,
		.checker = play.checker,
		.link = &link_ops,
		.access = &access_ops,
		.context = &play,
		.server_name = SPAN("h"),
		.server_version = SPAN("1"),
	};
	play.session = mcp_session_create(&setup);
	MUST(play.session && play.checker);
	rest = span_from(rest, 1);
	while (span_split(&rest, '\n', &line))
		happen_line(&play, line);
	mcp_session_end(play.session, MCP_ENDED, play.now_ms);
	for (size_t i = 0; i < STREAMS; i++)
		MUST(!play.streams[i].is_used && !play.streams[i].sink.session);
	MUST(mcp_session_calls(play.session) == 0);
	mcp_session_free(play.session);
	MUST(access_of_all.refs == 0);
	mcp_json_checker_free(play.checker);
	return 0;
}
