/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "tests/lib/test.h"
#include "tests/unit/api_rig.h"
#include "tests/unit/policy_model.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/cluster/reflector.h"

/*
 * What a reflector makes of what an API server sends, without one: its requests start in a loop that never
 * runs, and the tests call their callbacks.
 */
struct scene {
	struct api_rig rig;
	struct reflector reflector;
	unsigned steps;
};

static void on_step(struct reflector *reflector)
{
	((struct scene *)reflector->context)->steps++;
}

static int scene_make(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	api_rig_open(&scene->rig);
	reflector_init(&scene->reflector, &scene->rig.store, KIND_HTTP_ROUTE);
	scene->reflector.on_step = on_step;
	scene->reflector.context = scene;
	reflector_start(&scene->reflector, &scene->rig.api);
	*state = scene;
	return 0;
}

static int scene_drop(void **state)
{
	struct scene *scene = *state;

	reflector_stop(&scene->reflector);
	reflector_done(&scene->reflector);
	api_rig_close(&scene->rig);
	free(scene);
	return 0;
}

#define SCENE_TEST(name) TEST_WITH(name, scene_make, scene_drop)

/* In pieces of that many bytes. */
static bool receive(struct scene *scene, const char *text, size_t piece)
{
	struct api_request *request = &scene->reflector.request;
	struct span left = span_str(text);

	assert_true(api_request_runs(request));
	while (left.len) {
		struct span now = span_first(left, piece < left.len ? piece : left.len);

		if (!request->on_data(request, now))
			return false;
		left = span_from(left, now.len);
	}
	return true;
}

/* As the API does it: status 0: no response, or one that was cut. */
static void end(struct scene *scene, uint16_t status, const char *body, uint32_t retry_after_s)
{
	struct api_request *request = &scene->reflector.request;
	const struct api_result result = {
		.status = status,
		.error = status ? "status" : "Connection reset by peer",
		.body = span_str(body),
		.retry_after_s = retry_after_s,
	};

	api_rig_end(request, &result);
}

/* Milliseconds until the timer fires. */
static uint64_t pause_of(const struct scene *scene)
{
	return scene->reflector.timer.deadline_ms - loop_now_ms(scene->rig.loop);
}

static void fire(struct scene *scene)
{
	struct timer *timer = &scene->reflector.timer;

	timer_cancel(loop_timers(scene->rig.loop), timer);
	timer->fire(timer, timer->deadline_ms);
}

#define EVENT(type, name, version)                                                                           \
	"{\"type\":\"" type "\",\"object\":{\"apiVersion\":\"gateway.networking.k8s.io/v1\","                \
	"\"kind\":\"HTTPRoute\",\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\","                    \
	"\"resourceVersion\":\"" version "\"}}}\n"
#define END(version)                                                                                         \
	"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"HTTPRoute\",\"metadata\":{"                           \
	"\"resourceVersion\":\"" version "\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define BOOKMARK(version)                                                                                    \
	"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"HTTPRoute\",\"metadata\":{"                           \
	"\"resourceVersion\":\"" version "\"}}}\n"
#define ERROR_EVENT(code, more)                                                                              \
	"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":" code ",\"message\":\"said\"" more    \
	"}}\n"

static void list(struct scene *scene)
{
	assert_true(receive(scene, EVENT("ADDED", "a", "3") EVENT("ADDED", "b", "4") END("7"), SIZE_MAX));
	assert_int_equal(scene->reflector.state, REFLECTOR_WATCH);
	assert_text(text_span(&scene->reflector.position), "7");
}

SCENE_TEST(a_list_of_events_that_drips_is_complete_with_its_last_byte)
{
	struct scene *scene = *state;

	assert_true(receive(scene, EVENT("ADDED", "a", "3") EVENT("ADDED", "b", "4"), 1));
	assert_int_equal(scene->rig.store.count[KIND_HTTP_ROUTE], 2);
	assert_false(scene->reflector.is_in_step);
	assert_true(receive(scene, END("7"), 1));
	assert_true(scene->reflector.is_in_step);
	assert_int_equal(scene->steps, 3);
}

/* Each byte shows that the server lives. */
SCENE_TEST(a_byte_puts_off_the_end_for_silence)
{
	struct scene *scene = *state;
	uint64_t due_ms = scene->reflector.timer.deadline_ms;

	timer_cancel(loop_timers(scene->rig.loop), &scene->reflector.timer);
	assert_true(receive(scene, "{", 1));
	assert_true(timer_is_armed(&scene->reflector.timer));
	assert_true(scene->reflector.timer.deadline_ms >= due_ms);
}

/* What comes while a kind is watched. Two objects are there before, position 7. */
static const struct {
	const char *name;
	const char *text;
	bool is_good; /* the watch goes on */
	unsigned count; /* of objects afterwards */
	const char *position; /* afterwards, if it ends: after the end */
	const char *problem; /* empty: none */
} watched[] = {
	{ "a new object", EVENT("ADDED", "c", "8"), true, 3, "8", "" },
	{ "the same object twice", EVENT("ADDED", "a", "8") EVENT("ADDED", "a", "9"), true, 2, "9", "" },
	{ "a deleted object", EVENT("DELETED", "a", "8"), true, 1, "8", "" },
	{ "a deleted object that was never there", EVENT("DELETED", "z", "8"), true, 2, "8", "" },
	{ "a bookmark", BOOKMARK("20"), true, 2, "20", "" },
	{ "an older version", EVENT("MODIFIED", "a", "1"), true, 2, "1", "" },
	{ "no version", "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"c\"}}}\n", true, 3, "7",
	  "" },
	{ "no name", "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"8\"}}}\n", true, 2,
	  "8", "" },
	{ "an unknown type", EVENT("RENAMED", "a", "8"), true, 2, "8", "" },
	{ "unknown members",
	  "{\"new\":{},\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"c\",\"x\":[1]},"
	  "\"y\":{}},\"z\":0}\n",
	  true, 3, "7", "" },
	{ "an empty line", "\n\n", true, 2, "7", "" },
	{ "another kind",
	  "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Secret\",\"metadata\":{\"name\":\"c\"}}}\n", false, 2,
	  "", "it has sent an object of another kind" },
	{ "a deleted object of another kind",
	  "{\"type\":\"DELETED\",\"object\":{\"kind\":\"Secret\",\"metadata\":{\"name\":\"a\","
	  "\"namespace\":\"n\"}}}\n",
	  false, 2, "", "it has sent an object of another kind" },
	{ "no JSON", "<html>\n", false, 2, "", "it has sent a line that is not JSON" },
	{ "no UTF-8", "{\"type\":\"ADDED\xff\"}\n", false, 2, "", "it has sent a line that is not JSON" },
	{ "half an object and a new line", "{\"type\":\"ADDED\",\"object\":{\"me\n", false, 2, "",
	  "it has sent a line that is not JSON" },
	{ "a list", "[1]\n", false, 2, "", "it has sent a line that is no event" },
	{ "an event without object", "{\"type\":\"ADDED\"}\n", false, 2, "",
	  "it has sent a line that is no event" },
	{ "an error", ERROR_EVENT("500", ""), false, 2, "7", "said" },
	{ "a forgotten position", ERROR_EVENT("410", ""), false, 2, "", "" },
};

SCENE_TEST(what_a_watch_sends_changes_what_it_says_and_nothing_else)
{
	for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
		struct scene *scene;
		void *own;
		bool is_good;

		assert_int_equal(scene_make(&own), 0);
		scene = own;
		list(scene);
		is_good = receive(scene, watched[i].text, SIZE_MAX);
		if (is_good != watched[i].is_good)
			fail_msg("%s: the watch %s", watched[i].name, is_good ? "goes on" : "ends");
		if (!is_good)
			end(scene, 0, "", 0);
		assert_int_equal(scene->rig.store.count[KIND_HTTP_ROUTE], watched[i].count);
		assert_text(text_span(&scene->reflector.position), watched[i].position);
		assert_text(text_span(&scene->reflector.problem), watched[i].problem);
		assert_int_equal(scene->reflector.state, is_good ? REFLECTOR_WATCH : REFLECTOR_WAIT);
		assert_true(scene->reflector.is_in_step);
		scene_drop(&own);
	}
	(void)state;
}

SCENE_TEST(a_list_that_is_cut_removes_nothing_and_the_next_one_does)
{
	struct scene *scene = *state;

	list(scene);
	assert_false(receive(scene, ERROR_EVENT("410", ""), SIZE_MAX));
	end(scene, 0, "", 0);
	fire(scene);
	assert_int_equal(scene->reflector.state, REFLECTOR_STREAM);
	assert_true(receive(scene, EVENT("ADDED", "a", "9") "{\"type\":\"ADDED\",\"obj", SIZE_MAX));
	end(scene, 0, "", 0);
	assert_int_equal(scene->rig.store.count[KIND_HTTP_ROUTE], 2);
	assert_int_equal(scene->reflector.data.len, 0);
	fire(scene);
	assert_true(receive(scene, EVENT("ADDED", "a", "9") END("9"), SIZE_MAX));
	assert_int_equal(scene->rig.store.count[KIND_HTTP_ROUTE], 1);
}

SCENE_TEST(a_line_without_end_is_dropped_at_the_limit)
{
	enum { PIECE = 1 << 20 };
	struct scene *scene = *state;
	struct api_request *request = &scene->reflector.request;
	char *piece = malloc(PIECE);
	size_t taken = 0;

	list(scene);
	assert_non_null(piece);
	memset(piece, 'x', PIECE);
	while (request->on_data(request, span_of(piece, PIECE)))
		assert_true((taken += PIECE) <= LIMIT_CLUSTER_OBJECT_BYTES);
	end(scene, 0, "", 0);
	assert_text(text_span(&scene->reflector.problem), "it has sent an object that is too large");
	assert_int_equal(scene->reflector.data.size, 0);
	assert_int_equal(scene->rig.store.count[KIND_HTTP_ROUTE], 2);
	free(piece);
}

#define STATUS(code, more) "{\"kind\":\"Status\",\"code\":" code ",\"message\":\"said\"" more "}"

/* How a request ends. Two objects are there before. */
static const struct {
	const char *name;
	uint16_t status;
	const char *body;
	uint32_t retry_after_s; /* the header */
	uint64_t least_ms; /* of the pause */
	bool is_away;
	bool keeps_position;
} ends[] = {
	{ "the server ends the watch", 200, "", 0, 250, false, true },
	{ "the connection is cut", 0, "", 0, 250, true, true },
	{ "403", 403, STATUS("403", ""), 0, 250, true, true },
	{ "404 of a kind that has objects", 404, "404 page not found\n", 0, 250, true, false },
	{ "410", 410, STATUS("410", ""), 0, 250, false, false },
	{ "429 of a full server", 429, "Too many requests, please try again later.\n", 3, 3000, true, true },
	{ "429 while the storage starts", 429, STATUS("429", ",\"details\":{\"retryAfterSeconds\":2}"), 0,
	  2000, true, true },
	{ "both", 429, STATUS("429", ",\"details\":{\"retryAfterSeconds\":7}"), 1, 7000, true, true },
	{ "too long a pause", 503, STATUS("503", ",\"details\":{\"retryAfterSeconds\":100000}"), 0, 60000,
	  true, true },
	{ "garbage", 500, "\x80\xff{", 0, 250, true, true },
};

SCENE_TEST(a_failed_request_is_repeated_after_a_pause_and_changes_nothing)
{
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct scene *scene;
		void *own;

		assert_int_equal(scene_make(&own), 0);
		scene = own;
		list(scene);
		end(scene, ends[i].status, ends[i].body, ends[i].retry_after_s);
		/* The other version of the kind is asked for first. */
		if (ends[i].status == 404)
			end(scene, ends[i].status, ends[i].body, ends[i].retry_after_s);
		assert_int_equal(scene->rig.store.count[KIND_HTTP_ROUTE], 2);
		assert_int_equal(scene->reflector.state, REFLECTOR_WAIT);
		if (pause_of(scene) < ends[i].least_ms || pause_of(scene) > ends[i].least_ms * 2)
			fail_msg("%s: %llu ms", ends[i].name, (unsigned long long)pause_of(scene));
		assert_int_equal(scene->reflector.away_us != 0, ends[i].is_away);
		assert_int_equal(scene->reflector.position.len != 0, ends[i].keeps_position);
		scene_drop(&own);
	}
	(void)state;
}

SCENE_TEST(pauses_grow_to_half_a_minute_and_begin_anew_after_a_success)
{
	struct scene *scene = *state;

	list(scene);
	for (int i = 0; i < 12; i++) {
		end(scene, 0, "", 0);
		assert_true(pause_of(scene) <= 30000 * 5 / 4);
		fire(scene);
	}
	end(scene, 0, "", 0);
	assert_true(pause_of(scene) >= 30000);
	fire(scene);
	end(scene, 200, "", 0);
	fire(scene);
	end(scene, 0, "", 0);
	assert_true(pause_of(scene) < 1000);
}

#define PAGE(more, items)                                                                                    \
	"{\"kind\":\"HTTPRouteList\",\"apiVersion\":\"g/v1\",\"metadata\":{" more "},\"items\":" items "}"
#define ITEM(name) "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\"}}"

/* Pages in place of the list that had two objects, of which only the first comes again. */
static const struct {
	const char *name;
	const char *text;
	unsigned count;
	const char *problem;
} pages[] = {
	{ "a list", PAGE("\"resourceVersion\":\"9\"", "[" ITEM("a") "]"), 1, "" },
	{ "an empty list", PAGE("\"resourceVersion\":\"9\"", "[]"), 0, "" },
	{ "an empty list as Go may write it", PAGE("\"resourceVersion\":\"9\"", "null"), 0, "" },
	{ "no items", "{\"kind\":\"HTTPRouteList\",\"metadata\":{\"resourceVersion\":\"9\"}}", 2,
	  "it has sent something that is no list of the kind" },
	{ "a Status", STATUS("200", ",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[]"), 2,
	  "it has sent something that is no list of the kind" },
	{ "another list", "{\"kind\":\"SecretList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[]}",
	  2, "it has sent something that is no list of the kind" },
	{ "an object of another kind",
	  PAGE("\"resourceVersion\":\"9\"", "[{\"kind\":\"Secret\",\"metadata\":{\"name\":\"x\"}}]"), 2,
	  "its list has an object of another kind" },
	{ "no position", PAGE("", "[]"), 2, "its list has no resourceVersion to watch from" },
	{ "a cut list", "{\"items\":[" ITEM("a"), 2, "its list is not JSON" },
	{ "nothing", "", 2, "its list is not JSON" },
};

SCENE_TEST(only_a_list_of_the_kind_removes_objects)
{
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		struct scene *scene;
		void *own;

		assert_int_equal(scene_make(&own), 0);
		scene = own;
		list(scene);
		end(scene, 410, "", 0);
		fire(scene);
		end(scene, 422, STATUS("422", ""), 0);
		assert_int_equal(scene->reflector.state, REFLECTOR_PAGES);
		assert_true(receive(scene, pages[i].text, 7));
		end(scene, 200, "", 0);
		if (scene->rig.store.count[KIND_HTTP_ROUTE] != pages[i].count)
			fail_msg("%s: %u objects", pages[i].name, scene->rig.store.count[KIND_HTTP_ROUTE]);
		assert_text(text_span(&scene->reflector.problem), pages[i].problem);
		assert_int_equal(scene->reflector.state,
				 *pages[i].problem ? REFLECTOR_WAIT : REFLECTOR_WATCH);
		assert_int_equal(scene->reflector.data.size, 0);
		scene_drop(&own);
	}
	(void)state;
}

SCENE_TEST(after_silence_all_requests_get_a_new_connection)
{
	struct scene *scene = *state;
	struct reflector other;

	reflector_init(&other, &scene->rig.store, KIND_SERVICE);
	other.on_step = on_step;
	other.context = scene;
	reflector_start(&other, &scene->rig.api);
	list(scene);
	fire(scene);
	assert_non_null(scene->rig.api.multi);
	assert_false(api_request_runs(&scene->reflector.request));
	assert_false(api_request_runs(&other.request));
	assert_int_equal(scene->reflector.state, REFLECTOR_WAIT);
	assert_int_equal(other.state, REFLECTOR_WAIT);
	assert_text(text_span(&scene->reflector.problem), "it has sent nothing for 90 s");
	assert_true(scene->reflector.away_us != 0);
	assert_text(text_span(&scene->reflector.position), "7");
	assert_true(list_is_empty(&scene->rig.api.sockets));
	fire(scene);
	assert_int_equal(scene->reflector.state, REFLECTOR_WATCH);
	assert_true(api_request_runs(&scene->reflector.request));
	reflector_stop(&other);
	reflector_done(&other);
}
