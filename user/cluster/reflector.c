/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/reflector.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/mcp/json/json_text.h"

enum {
	SILENCE_MS = 90 * 1000, /* bookmarks come about once a minute: the server is gone */
	WATCH_S = 240, /* of a watch: the server ends it, and a stuck one does not last */
	RETRY_MS = 250, /* after the first failure, doubled up to: */
	RETRY_MAX_MS = 30 * 1000,
	ABSENT_MS = 60 * 1000, /* until a kind that the server does not know is looked for again */
	PAGE_OBJECTS = 500,
	KEPT_BYTES = 64 * 1024, /* of the memory for a line that came in pieces */
	SAY_MS = 10 * 1000, /* between two lines about what all kinds have in common */
	MESSAGE_BYTES = 500, /* kept of a sentence of the server's */
};

static void try_again(struct reflector *reflector);

static void set_state(struct reflector *reflector, enum reflector_state state)
{
	reflector->state = state;
}

static void arm(struct reflector *reflector, uint64_t ms)
{
	struct loop *loop = reflector->api->loop;

	timer_arm(loop_timers(loop), &reflector->timer, loop_now_ms(loop) + ms);
}

/* Up to a quarter more, so that many gateways do not come at once. */
static uint64_t with_jitter(uint64_t ms)
{
	uint32_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint32_t)ms;
	return ms + random % (ms / 4 + 1);
}

static void wait(struct reflector *reflector, uint64_t ms)
{
	set_state(reflector, REFLECTOR_WAIT);
	arm(reflector, with_jitter(ms));
}

static uint64_t pause_ms(struct reflector *reflector)
{
	uint32_t doublings = reflector->failures < 10 ? reflector->failures : 10;
	uint64_t ms = (uint64_t)RETRY_MS << doublings;

	reflector->failures++;
	if (ms > RETRY_MAX_MS)
		ms = RETRY_MAX_MS;
	return ms < reflector->retry_ms ? reflector->retry_ms : ms;
}

/* ------------------------------------------------------------------------------------ problems */

/* Logs the first failure in a row, and each when the reason changes. No connection: once for all kinds. */
static void say(struct reflector *reflector, struct span problem, bool is_connection)
{
	uint64_t suppressed;

	if (span_eq(problem, text_span(&reflector->problem)))
		return;
	if (!is_connection)
		log_warn("API server: %s: %.*s; trying again", kind_list[reflector->kind].plural,
			 SPAN_FMT(problem));
	else if (log_rate_pass(&reflector->api->unreachable, loop_now_ms(reflector->api->loop), SAY_MS,
			       &suppressed))
		log_warn("API server: %.*s; what it has sent stays in force; trying again",
			 SPAN_FMT(problem));
}

static void fail(struct reflector *reflector, const char *reason, bool is_connection)
{
	struct text problem;

	text_init(&problem);
	text_escaped(&problem, span_str(reason));
	say(reflector, text_span(&problem), is_connection);
	if (!reflector->away_us)
		reflector->away_us = clock_wall_us();
	text_done(&reflector->problem);
	reflector->problem = problem;
	text_done(&reflector->data);
	wait(reflector, pause_ms(reflector));
	reflector->retry_ms = 0;
}

/* What it has sent cannot be used: a new list may be better. One that does not fit is no smaller. */
static void fail_refused(struct reflector *reflector)
{
	const char *reason = reflector->refusal ? reflector->refusal : "no memory";

	reflector->refusal = NULL;
	if (!reflector->is_full)
		text_clear(&reflector->position);
	reflector->is_full = false;
	text_clear(&reflector->page);
	fail(reflector, reason, false);
}

static void succeed(struct reflector *reflector)
{
	uint64_t suppressed;

	if (reflector->problem.len &&
	    log_rate_pass(&reflector->api->reachable, loop_now_ms(reflector->api->loop), SAY_MS, &suppressed))
		log_info("API server: %s are watched again", kind_list[reflector->kind].plural);
	text_clear(&reflector->problem);
	reflector->away_us = 0;
	reflector->failures = 0;
	reflector->is_absent = false;
}

/*
 * The server does not know the kind in this version. It deletes the objects of a kind, with an event each,
 * before it forgets the kind: if there are some, the 404 is of something on the way, and changes nothing.
 */
static void fail_absent(struct reflector *reflector)
{
	const char *versions = kind_list[reflector->kind].versions;
	unsigned count = 1;

	for (; *versions; versions++)
		count += *versions == ' ';
	text_clear(&reflector->data);
	text_clear(&reflector->position);
	text_clear(&reflector->page);
	if (++reflector->version_index < count) {
		try_again(reflector);
		return;
	}
	reflector->version_index = 0;
	if (reflector->store->count[reflector->kind]) {
		fail(reflector, "the server does not know it any more; its objects stay in force", false);
		return;
	}
	if (!reflector->is_absent)
		log_info("API server: it does not know %s", kind_list[reflector->kind].plural);
	reflector->is_absent = true;
	reflector->is_in_step = true;
	reflector->away_us = 0;
	text_clear(&reflector->problem);
	wait(reflector, ABSENT_MS);
	reflector->on_step(reflector);
}

/* ------------------------------------------------------------------------------------ events */

static void set_position(struct reflector *reflector, struct span object)
{
	struct span metadata = mcp_json_member(object, SPAN("metadata"));
	struct span version = mcp_json_string(mcp_json_member(metadata, SPAN("resourceVersion")));

	if (!version.len)
		return;
	text_clear(&reflector->position);
	text_add(&reflector->position, version);
}

static void complete_list(struct reflector *reflector)
{
	store_sweep(reflector->store, reflector->kind, reflector->round);
	reflector->is_in_step = true;
	succeed(reflector);
}

/* What has been received cannot be used: ends the request with this reason. */
static bool refuse(struct reflector *reflector, const char *reason)
{
	reflector->refusal = reason;
	return false;
}

/* A Status: the object of an ERROR event, or the body of a response. */
static bool take_error(struct reflector *reflector, struct span status)
{
	struct span details = mcp_json_member(status, SPAN("details"));
	uint64_t seconds = 0;

	text_clear(&reflector->answer);
	text_add(&reflector->answer,
		 span_first(mcp_json_string(mcp_json_member(status, SPAN("message"))), MESSAGE_BYTES));
	/* 410: what changed since the position is forgotten. List again. */
	if (span_eq(mcp_json_member(status, SPAN("code")), SPAN("410")))
		reflector->is_expired = true;
	if (span_parse_u63(mcp_json_member(details, SPAN("retryAfterSeconds")), &seconds) == 0)
		reflector->retry_ms = (seconds < 60 ? seconds : 60) * 1000;
	return false;
}

/* Items of built-in kinds have no kind of their own. An object of another kind would be taken for one. */
static bool is_of_kind(const struct reflector *reflector, struct span object, const char *suffix)
{
	struct span kind = mcp_json_string(mcp_json_member(object, SPAN("kind")));
	struct span name = span_str(kind_list[reflector->kind].name);

	return !kind.len || (span_starts(kind, name) && span_eq(span_from(kind, name.len), span_str(suffix)));
}

static bool put(struct reflector *reflector, struct span api_version, struct span object)
{
	int error = store_put(reflector->store, reflector->kind, api_version, object, reflector->round);

	if (error == -EBADMSG)
		return true; /* no name: not an object */
	if (!error)
		return true;
	log_error("API server: %s: %s; the gateway keeps at most %u MiB of objects",
		  kind_list[reflector->kind].plural, strerrordesc_np(-error),
		  (unsigned)(LIMIT_CLUSTER_BYTES >> 20));
	reflector->is_full = true;
	return refuse(reflector, "the gateway cannot keep its objects");
}

/* The bookmark behind the last object of a list that comes as events. */
static bool is_end_of_list(struct span object)
{
	struct span metadata = mcp_json_member(object, SPAN("metadata"));

	return mcp_json_member(mcp_json_member(metadata, SPAN("annotations")),
			       SPAN("k8s.io/initial-events-end"))
		.len;
}

/* A line: {"type": ..., "object": ...}. */
static bool take_event(struct reflector *reflector, struct span line)
{
	struct span type = mcp_json_string(mcp_json_member(line, SPAN("type")));
	struct span object = mcp_json_member(line, SPAN("object"));

	if (span_eq(type, SPAN("ERROR")))
		return take_error(reflector, object);
	if (!type.len || !object.len)
		return refuse(reflector, "it has sent a line that is no event");
	if (!is_of_kind(reflector, object, ""))
		return refuse(reflector, "it has sent an object of another kind");
	if (span_eq(type, SPAN("DELETED")))
		store_remove(reflector->store, reflector->kind, object);
	else if (span_eq(type, SPAN("ADDED")) || span_eq(type, SPAN("MODIFIED"))) {
		if (!put(reflector, SPAN(""), object))
			return false;
	}
	if (reflector->state == REFLECTOR_WATCH) {
		set_position(reflector, object);
	} else if (span_eq(type, SPAN("BOOKMARK")) && is_end_of_list(object)) {
		set_position(reflector, object);
		complete_list(reflector);
		set_state(reflector, REFLECTOR_WATCH);
	}
	reflector->on_step(reflector);
	return true;
}

static bool take_line(struct reflector *reflector, struct span line)
{
	if (!line.len)
		return true;
	if (!store_can_read(reflector->store, line))
		return refuse(reflector, "it has sent a line that is not JSON");
	return take_event(reflector, line);
}

static bool take_lines(struct reflector *reflector, struct span data)
{
	ptrdiff_t end;

	while ((end = span_find(data, '\n')) >= 0) {
		struct span line = span_first(data, (size_t)end);
		bool is_good;

		if (reflector->data.len) {
			text_add(&reflector->data, line);
			line = text_span(&reflector->data);
		}
		is_good = !reflector->data.failed && take_line(reflector, line);
		if (reflector->data.size > KEPT_BYTES)
			text_done(&reflector->data);
		else
			text_clear(&reflector->data);
		if (!is_good)
			return false;
		data = span_from(data, (size_t)end + 1);
	}
	text_add(&reflector->data, data);
	return (!reflector->data.failed && reflector->data.len <= LIMIT_CLUSTER_OBJECT_BYTES) ||
	       refuse(reflector, "it has sent an object that is too large");
}

/* The kind is watched, though the first event may take a minute. */
static void on_head(struct api_request *request)
{
	struct reflector *reflector = container_of(request, struct reflector, request);

	if (reflector->state == REFLECTOR_WATCH)
		reflector->away_us = 0;
}

static bool on_data(struct api_request *request, struct span data)
{
	struct reflector *reflector = container_of(request, struct reflector, request);

	arm(reflector, SILENCE_MS);
	if (reflector->state == REFLECTOR_WATCH && reflector->failures)
		succeed(reflector);
	if (reflector->state != REFLECTOR_PAGES)
		return take_lines(reflector, data);
	text_add(&reflector->data, data);
	return (!reflector->data.failed && reflector->data.len <= LIMIT_CLUSTER_BYTES) ||
	       refuse(reflector, "it has sent a list that is too large");
}

/* ------------------------------------------------------------------------------------ pages */

static bool take_page(struct reflector *reflector, struct span list)
{
	struct span metadata = mcp_json_member(list, SPAN("metadata"));
	struct span token = mcp_json_string(mcp_json_member(metadata, SPAN("continue")));
	struct span api_version = mcp_json_string(mcp_json_member(list, SPAN("apiVersion")));
	struct span items = mcp_json_member(list, SPAN("items")), key, item;
	struct mcp_json_walk walk = mcp_json_walk_of(items);

	/* Nothing but a list says that there are no objects. */
	if (!items.len || !is_of_kind(reflector, list, "List"))
		return refuse(reflector, "it has sent something that is no list of the kind");
	while (mcp_json_next(&walk, &key, &item)) {
		if (!is_of_kind(reflector, item, ""))
			return refuse(reflector, "its list has an object of another kind");
		if (!put(reflector, api_version, item))
			return false;
	}
	text_clear(&reflector->page);
	mcp_json_unescape(&reflector->page, token);
	set_position(reflector, list);
	return !reflector->page.failed;
}

static void end_page(struct reflector *reflector)
{
	struct span list = text_span(&reflector->data);
	bool is_good = store_can_read(reflector->store, list) ? take_page(reflector, list)
							      : refuse(reflector, "its list is not JSON");

	text_done(&reflector->data); /* it may be large */
	if (!is_good) {
		text_clear(&reflector->page);
		text_clear(&reflector->position);
		fail_refused(reflector);
		return;
	}
	if (!reflector->page.len && !reflector->position.len) {
		fail(reflector, "its list has no resourceVersion to watch from", false);
		return;
	}
	if (!reflector->page.len) {
		complete_list(reflector);
		reflector->on_step(reflector);
	} else {
		text_clear(&reflector->position);
	}
	try_again(reflector);
}

/* ------------------------------------------------------------------------------------ responses */

/* The sentence of the server's Status, else the status or what libcurl says. */
static void fail_status(struct reflector *reflector, const struct api_result *result)
{
	bool has_answer;
	struct text reason;

	/* It may be the position, or the token of a page, that it does not take. */
	if (result->status == 400) {
		text_clear(&reflector->position);
		text_clear(&reflector->page);
	}
	if (store_can_read(reflector->store, result->body))
		take_error(reflector, result->body);
	if (!reflector->retry_ms)
		reflector->retry_ms = (uint64_t)result->retry_after_s * 1000;
	has_answer = reflector->answer.len;
	text_init(&reason);
	if (result->status || !reflector->answer.len)
		text_str(&reason, result->error);
	if (result->status && reflector->answer.len)
		text_str(&reason, ": ");
	text_add(&reason, text_span(&reflector->answer));
	fail(reflector, reason.data ? reason.data : "no memory", !result->status && !has_answer);
	text_done(&reason);
	text_clear(&reflector->answer);
}

static void on_end(struct api_request *request, const struct api_result *result)
{
	struct reflector *reflector = container_of(request, struct reflector, request);
	bool is_listing = reflector->state != REFLECTOR_WATCH;

	if (reflector->refusal) {
		fail_refused(reflector);
	} else if (reflector->is_expired || result->status == 410) {
		reflector->is_expired = false;
		text_clear(&reflector->position);
		text_clear(&reflector->page);
		text_clear(&reflector->data);
		text_clear(&reflector->answer);
		wait(reflector, RETRY_MS);
	} else if (result->status == 404) {
		fail_absent(reflector);
	} else if (reflector->state == REFLECTOR_STREAM && (result->status == 422 || result->status == 400)) {
		reflector->has_no_stream = true;
		try_again(reflector);
	} else if (reflector->state == REFLECTOR_PAGES && result->status == 200) {
		end_page(reflector);
	} else if (!is_listing && result->status == 200) {
		text_clear(&reflector->data);
		succeed(reflector);
		wait(reflector, RETRY_MS); /* the server has ended the watch */
	} else if (result->status == 200) {
		fail(reflector, "its list ended early", false);
	} else {
		fail_status(reflector, result);
	}
}

/* ------------------------------------------------------------------------------------ requests */

static void add_escaped(struct text *out, struct span token)
{
	for (size_t i = 0; i < token.len; i++)
		text_fmt(out, "%%%02X", (unsigned char)token.data[i]);
}

/* The word of kinds.def with that number. */
static struct span version_of(const struct reflector *reflector)
{
	struct span rest = span_str(kind_list[reflector->kind].versions), word = { 0 };

	for (unsigned i = 0; i <= reflector->version_index; i++)
		if (!span_split(&rest, ' ', &word))
			break;
	return word;
}

static void add_path(const struct reflector *reflector, struct text *path)
{
	const struct kind *kind = &kind_list[reflector->kind];

	if (*kind->group)
		text_fmt(path, "/apis/%s/%.*s/%s?", kind->group, SPAN_FMT(version_of(reflector)),
			 kind->plural);
	else
		text_fmt(path, "/api/v1/%s?", kind->plural);
	switch (reflector->state) {
	case REFLECTOR_PAGES:
		text_fmt(path, "limit=%d", PAGE_OBJECTS);
		if (reflector->page.len)
			text_str(path, "&continue=");
		add_escaped(path, text_span(&reflector->page));
		break;
	case REFLECTOR_STREAM:
		text_fmt(path,
			 "watch=1&allowWatchBookmarks=true&sendInitialEvents=true"
			 "&resourceVersionMatch=NotOlderThan&timeoutSeconds=%d",
			 WATCH_S);
		break;
	default:
		text_fmt(path,
			 "watch=1&allowWatchBookmarks=true&timeoutSeconds=%d&resourceVersion=", WATCH_S);
		add_escaped(path, text_span(&reflector->position));
	}
	text_str(path, kind->query);
}

static void begin(struct reflector *reflector)
{
	if (reflector->position.len) {
		set_state(reflector, REFLECTOR_WATCH);
		return;
	}
	set_state(reflector, reflector->has_no_stream ? REFLECTOR_PAGES : REFLECTOR_STREAM);
	if (!reflector->page.len)
		reflector->round++;
}

static void try_again(struct reflector *reflector)
{
	struct text path;
	int error;

	begin(reflector);
	text_init(&path);
	add_path(reflector, &path);
	error = text_error(&path);
	if (!error)
		error = api_request_start(reflector->api, &reflector->request, "GET", path.data, NULL,
					  (struct span){ 0 }, 0);
	text_done(&path);
	if (error)
		fail(reflector, strerrordesc_np(-error), false);
	else
		arm(reflector, SILENCE_MS);
}

static void on_timer(struct timer *timer, uint64_t now_ms)
{
	struct reflector *reflector = container_of(timer, struct reflector, timer);

	(void)now_ms;
	if (reflector->state == REFLECTOR_WAIT) {
		try_again(reflector);
		return;
	}
	/* A frozen server keeps its connections: a request on the same one would wait like this one. */
	api_reset(reflector->api, "it has sent nothing for 90 s");
}

void reflector_init(struct reflector *reflector, struct store *store, enum kind_id kind)
{
	*reflector = (struct reflector){ .store = store, .kind = kind };
	api_request_init(&reflector->request, on_data, on_end);
	reflector->request.on_head = on_head;
	timer_init(&reflector->timer, on_timer);
	text_init(&reflector->data);
	text_init(&reflector->position);
	text_init(&reflector->page);
	text_init(&reflector->problem);
	text_init(&reflector->answer);
}

void reflector_start(struct reflector *reflector, struct api *api)
{
	reflector->api = api;
	reflector->failures = 0;
	try_again(reflector);
}

void reflector_stop(struct reflector *reflector)
{
	if (reflector->state == REFLECTOR_STOPPED)
		return;
	api_request_stop(&reflector->request);
	timer_cancel(loop_timers(reflector->api->loop), &reflector->timer);
	text_clear(&reflector->data);
	text_clear(&reflector->page);
	set_state(reflector, REFLECTOR_STOPPED);
}

void reflector_done(struct reflector *reflector)
{
	text_done(&reflector->data);
	text_done(&reflector->position);
	text_done(&reflector->page);
	text_done(&reflector->problem);
	text_done(&reflector->answer);
}
