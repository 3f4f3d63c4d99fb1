/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "config/snapshot.h"
#include "tests/lib/test.h"
#include "tests/unit/api_rig.h"
#include "user/gateway/cluster_status.h"

/*
 * What the writers of statuses and Services ask of an API server, without one: their requests start in a loop
 * that never runs, and the tests call their callbacks.
 */
struct scene {
	struct api_rig rig;
	struct cluster_lease lease;
	struct status_writer statuses;
	struct service_writer services;
};

static int scene_make(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	api_rig_open(&scene->rig);
	cluster_lease_init(&scene->lease);
	scene->lease.api = &scene->rig.api;
	scene->lease.held_until_ms = UINT64_MAX;
	status_writer_init(&scene->statuses, &scene->rig.store, &scene->lease);
	status_writer_start(&scene->statuses, &scene->rig.api);
	service_writer_init(&scene->services, &scene->rig.store, &scene->lease);
	scene->services.is_on = true;
	scene->services.namespace = SPAN("h");
	service_writer_start(&scene->services, &scene->rig.api);
	*state = scene;
	return 0;
}

static int scene_drop(void **state)
{
	struct scene *scene = *state;

	status_writer_stop(&scene->statuses);
	status_writer_done(&scene->statuses);
	service_writer_stop(&scene->services);
	service_writer_done(&scene->services);
	cluster_lease_done(&scene->lease);
	api_rig_close(&scene->rig);
	free(scene);
	return 0;
}

#define SCENE_TEST(name) TEST_WITH(name, scene_make, scene_drop)

static void put(struct scene *scene, enum kind_id kind, const char *json)
{
	assert_true(store_can_read(&scene->rig.store, span_str(json)));
	assert_int_equal(store_put(&scene->rig.store, kind, SPAN("v1"), span_str(json), 1), 0);
}

/* Fires a timer that is armed, and returns how long it would have been until then. */
static uint64_t fire(struct scene *scene, struct timer *timer)
{
	uint64_t pause_ms = timer->deadline_ms - loop_now_ms(scene->rig.loop);

	assert_true(timer_is_armed(timer));
	timer_cancel(loop_timers(scene->rig.loop), timer);
	timer->fire(timer, timer->deadline_ms);
	return pause_ms;
}

static void end(struct api_request *request, uint16_t status)
{
	const struct api_result result = { .status = status, .error = "status" };

	api_rig_end(request, &result);
}

/* ------------------------------------------------------------------------------------ statuses */

static unsigned under_way(const struct scene *scene)
{
	unsigned count = 0;

	list_each(node, next, &scene->rig.api.requests) {
		assert_true(api_request_runs(list_entry(node, struct api_request, node)));
		assert_true(++count <= STATUS_WRITES);
	}
	return count;
}

static void want_statuses(struct scene *scene, int count)
{
	struct text items;

	text_init(&items);
	text_str(&items, "{\"items\":[");
	for (int i = 0; i < count; i++) {
		char json[128];

		snprintf(
			json, sizeof(json),
			"{\"apiVersion\":\"g/v1\",\"kind\":\"GatewayClass\",\"metadata\":{\"name\":\"c%d\"}}",
			i);
		put(scene, KIND_GATEWAY_CLASS, json);
		text_fmt(&items,
			 "%s{\"kind\":\"GatewayClass\",\"metadata\":{\"name\":\"c%d\"},\"status\":{\"x\":1}}",
			 i ? "," : "", i);
	}
	text_str(&items, "]}");
	status_writer_want(&scene->statuses, text_span(&items));
	text_done(&items);
}

/* The end of one request starts others, while those that end with it have not ended yet. */
SCENE_TEST(a_reset_in_the_middle_of_a_pass_starts_no_request_twice)
{
	struct scene *scene = *state;

	want_statuses(scene, 3 * STATUS_WRITES);
	fire(scene, &scene->statuses.timer);
	assert_int_equal(under_way(scene), STATUS_WRITES);
	assert_true(scene->statuses.is_walking);
	api_reset(&scene->rig.api, "silence");
	assert_int_equal(under_way(scene), STATUS_WRITES);
	for (unsigned i = 0; i < STATUS_WRITES; i++)
		for (unsigned other = 0; other < i; other++)
			assert_false(span_eq(text_span(&scene->statuses.writes[i].path),
					     text_span(&scene->statuses.writes[other].path)));
	assert_true(scene->statuses.is_refused);
}

/* ------------------------------------------------------------------------------------ Services */

#define GATEWAY(name)                                                                                        \
	"{\"kind\":\"Gateway\",\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\",\"uid\":\"u\"},"      \
	"\"spec\":{\"gatewayClassName\":\"c\"}}"
#define HOST(address)                                                                                        \
	"{\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"s\",\"namespace\":\"h\",\"labels\":{"          \
	"\"kubernetes.io/service-name\":\"headgate\"}},\"endpoints\":[{\"addresses\":[\"" address "\"]}]}"

/* What the request that is under way sends. */
static const char *sent(const struct scene *scene)
{
	assert_true(api_request_runs(&scene->services.request));
	return scene->services.request.sent.data;
}

/* The server takes what was sent; is_seen: and its watch brings it. */
static void take(struct scene *scene, enum kind_id kind, bool is_seen)
{
	if (is_seen)
		put(scene, kind, sent(scene));
	end(&scene->services.request, 200);
}

static void want_services(struct scene *scene)
{
	put(scene, KIND_GATEWAY, GATEWAY("a"));
	put(scene, KIND_GATEWAY, GATEWAY("b"));
	put(scene, KIND_ENDPOINT_SLICE, HOST("192.0.2.1"));
	service_writer_want(&scene->services,
			    SPAN("{\"items\":[{\"namespace\":\"n\",\"name\":\"a\",\"ports\":[80]},"
				 "{\"namespace\":\"n\",\"name\":\"b\",\"ports\":[80]}]}"));
}

SCENE_TEST(endpoints_that_change_in_the_middle_of_a_pass_are_those_that_the_rest_of_it_writes)
{
	struct scene *scene = *state;

	want_services(scene);
	fire(scene, &scene->services.timer);
	take(scene, KIND_SERVICE, true);
	take(scene, KIND_SERVICE, true);
	fire(scene, &scene->services.timer);
	assert_non_null(strstr(sent(scene), "\"192.0.2.1\""));
	put(scene, KIND_ENDPOINT_SLICE, HOST("192.0.2.2"));
	take(scene, KIND_ENDPOINT_SLICE, true);
	assert_non_null(strstr(sent(scene), "\"b-c-ipv4\""));
	assert_non_null(strstr(sent(scene), "\"192.0.2.2\""));
}

/* Of what a server takes, or says to take, and another program or the server itself changes again. */
SCENE_TEST(what_does_not_stay_as_written_is_written_more_and_more_seldom)
{
	struct scene *scene = *state;
	uint64_t last_ms = 0;

	want_services(scene);
	for (int pass = 0; pass < 16; pass++) {
		uint64_t pause_ms = fire(scene, &scene->services.timer);

		assert_true(pause_ms >= last_ms);
		last_ms = pause_ms;
		take(scene, KIND_SERVICE, false);
		take(scene, KIND_SERVICE, false);
		service_writer_look(&scene->services);
	}
	assert_int_equal(last_ms, SERVICE_CHECK_MS);
}

/*
 * The objects of the copy on disk may be old, and the store has only a part of the server's: a Service of a
 * Gateway that is new there would be one that nobody wants.
 */
SCENE_TEST(the_copy_on_disk_says_nothing_about_services)
{
	struct scene *scene = *state;
	const struct snapshot empty = { 0 };
	struct cluster cluster = { .is_from_file = true };

	service_writer_init(&cluster.services, &scene->rig.store, &scene->lease);
	cluster.services.is_on = true;
	status_writer_init(&cluster.writer, &scene->rig.store, &scene->lease);
	cluster_status_write(&cluster, &empty, NULL, 0);
	assert_int_equal(cluster.services.wanted.len, 0);
	assert_int_not_equal(cluster.writer.wanted.len, 0);
	cluster.is_from_file = false;
	cluster_status_write(&cluster, &empty, NULL, 0);
	assert_int_not_equal(cluster.services.wanted.len, 0);
	service_writer_done(&cluster.services);
	status_writer_done(&cluster.writer);
}
