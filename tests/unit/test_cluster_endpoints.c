/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "admin/dump/config_dump.h"
#include "config/load.h"
#include "policy/compile/effective.h"
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "tests/unit/policy_model.h"
#include "user/base/check.h"
#include "user/cluster/cluster.h"

/*
 * Changes of endpoints alone: whatever comes, the copy of the snapshot is what decoding everything gives.
 */
enum { SERVICES = 4, SLICES = 6, ROUNDS = 400 };

struct scene {
	struct store store;
	struct snapshot *snapshot; /* in force */
	uint64_t random;
	unsigned copies; /* how often a copy was enough */
};

static uint32_t below(struct scene *scene, uint32_t count)
{
	uint64_t z = scene->random += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	return (uint32_t)((z ^ (z >> 27)) >> 33) % count;
}

static void put(struct scene *scene, enum kind_id kind, const struct text *json)
{
	assert_int_equal(text_error(json), 0);
	assert_true(store_can_read(&scene->store, text_span(json)));
	assert_int_equal(store_put(&scene->store, kind, SPAN("v1"), text_span(json), 1), 0);
}

static void put_text(struct scene *scene, enum kind_id kind, const char *json)
{
	struct text text;

	text_init(&text);
	text_str(&text, json);
	put(scene, kind, &text);
	text_done(&text);
}

/* s0 and s1 have two ports, s2 has none that a route names, s3 is headless, of port 80 only. */
static void put_service(struct scene *scene, unsigned number, unsigned variant)
{
	struct text json;

	text_init(&json);
	text_fmt(&json,
		 "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s%u\","
		 "\"namespace\":\"n\"},"
		 "\"spec\":{\"clusterIP\":\"%s\",\"ports\":["
		 "{\"name\":\"http\",\"port\":%u,\"targetPort\":%u},{\"name\":\"other\",\"port\":81}]}}",
		 number, number == 3 ? "None" : "10.0.0.1", number == 2 ? 7 : 80, 8000 + variant);
	put(scene, KIND_SERVICE, &json);
	text_done(&json);
}

static void put_route(struct scene *scene)
{
	struct text json;

	text_init(&json);
	text_str(&json, "{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"HTTPRoute\","
			"\"metadata\":{\"name\":\"r\",\"namespace\":\"n\"},"
			"\"spec\":{\"parentRefs\":[{\"name\":\"g\"}],"
			"\"rules\":[{\"backendRefs\":[");
	for (unsigned i = 0; i < SERVICES; i++)
		text_fmt(&json,
			 "%s{\"name\":\"s%u\",\"port\":80,\"weight\":%u},{\"name\":\"s%u\",\"port\":81}",
			 i ? "," : "", i, i + 1, i);
	text_str(&json, "]}]}}");
	put(scene, KIND_HTTP_ROUTE, &json);
	text_done(&json);
}

static void add_endpoint(struct scene *scene, struct text *json)
{
	static const char *const ready[] = { "", ",\"conditions\":{\"ready\":true}",
					     ",\"conditions\":{\"ready\":false}" };

	text_fmt(json, "{\"addresses\":[\"10.1.0.%u\"]%s}", below(scene, 5), ready[below(scene, 3)]);
}

/* A slice may have no port of the name, no endpoints, another Service than before, or a wrong address. */
static void put_slice(struct scene *scene, unsigned number, bool may_be_wrong)
{
	static const char *const labels[] = { "n/a", "s0", "s1", "s2", "s3" };
	static const char *const ports[] = {
		"{\"name\":\"http\",\"port\":8080}",
		"{\"name\":\"http\",\"port\":8080},{\"name\":\"other\",\"port\":9}",
		"{\"name\":\"x\",\"port\":1}"
	};
	uint32_t count = below(scene, 5), label = 1 + below(scene, SERVICES);
	struct text json;

	if (below(scene, 20) == 0)
		label = 0;
	text_init(&json);
	text_fmt(&json,
		 "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":"
		 "{\"name\":\"e%u\","
		 "\"namespace\":\"n\",\"labels\":{\"%s\":\"%s\"}},\"ports\":[%s],\"endpoints\":[",
		 number, label ? "kubernetes.io/service-name" : "other", labels[label],
		 ports[below(scene, 3)]);
	for (uint32_t i = 0; i < count; i++) {
		if (i)
			text_char(&json, ',');
		add_endpoint(scene, &json);
	}
	if (may_be_wrong && below(scene, 10) == 0)
		text_fmt(&json, "%s{\"addresses\":[\"not an address\"]}", count ? "," : "");
	text_str(&json, "]}");
	put(scene, KIND_ENDPOINT_SLICE, &json);
	text_done(&json);
}

static void remove_slice(struct scene *scene, unsigned number)
{
	char json[100];

	snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"e%u\",\"namespace\":\"n\"}}", number);
	store_remove(&scene->store, KIND_ENDPOINT_SLICE, span_str(json));
}

static struct snapshot *load_after(struct scene *scene, const struct snapshot *previous)
{
	static struct cluster_texts texts;
	struct snapshot *snapshot = NULL;
	struct config_report report;

	config_report_init(&report);
	assert_int_equal(cluster_texts_make(&texts, &scene->store, previous), 0);
	assert_int_equal(config_load(texts.source_list, texts.count, previous, &report, &snapshot), 0);
	assert_int_equal(policy_compile(snapshot, &report), 0);
	cluster_texts_done(&texts);
	config_report_done(&report);
	return snapshot;
}

static struct snapshot *load_all(struct scene *scene)
{
	return load_after(scene, NULL);
}

static void begin(struct scene *scene, uint64_t seed)
{
	*scene = (struct scene){ .random = seed };
	assert_int_equal(store_init(&scene->store), 0);
	put_text(scene, KIND_GATEWAY_CLASS,
		 "{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"GatewayClass\",\"metadata\":"
		 "{\"name\":\"headgate\"},\"spec\":{\"controllerName\":\"headgate.dev/gateway\"}}");
	put_text(scene, KIND_GATEWAY,
		 "{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"Gateway\",\"metadata\":"
		 "{\"name\":\"g\",\"namespace\":\"n\"},\"spec\":{\"gatewayClassName\":\"headgate\","
		 "\"listeners\":"
		 "[{\"name\":\"http\",\"port\":8080,\"protocol\":\"HTTP\"}]}}");
	for (unsigned i = 0; i < SERVICES; i++)
		put_service(scene, i, 0);
	put_route(scene);
	scene->snapshot = load_all(scene);
	store_changes_done(&scene->store);
}

static void end(struct scene *scene)
{
	snapshot_unref(scene->snapshot);
	store_done(&scene->store);
}

static void write_endpoints(const struct snapshot *snapshot, struct text *out)
{
	for (uint32_t b = 0; b < snapshot->backend_count; b++) {
		const struct backend *backend = &snapshot->backend_list[b];

		text_fmt(out, "%.*s %.*s:", SPAN_FMT(backend->name), SPAN_FMT(backend->target));
		for (uint32_t i = 0; i < backend->endpoint_count; i++)
			text_fmt(out, " %.*s(%.*s)", SPAN_FMT(backend->endpoint_list[i].text),
				 SPAN_FMT(backend->endpoint_list[i].host));
		text_char(out, '\n');
	}
}

static void assert_same(const struct snapshot *a, const struct snapshot *b)
{
	const struct config_dump_facts facts = { .worker_count = 1 };
	struct text first, second;

	text_init(&first);
	text_init(&second);
	write_endpoints(a, &first);
	write_endpoints(b, &second);
	assert_string_equal(first.data, second.data);
	text_clear(&first);
	text_clear(&second);
	assert_int_equal(config_dump(a, &facts, &first), 0);
	assert_int_equal(config_dump(b, &facts, &second), 0);
	assert_string_equal(first.data, second.data);
	text_done(&first);
	text_done(&second);
}

/* As user/gateway does it. */
static int update(struct scene *scene)
{
	struct snapshot *copy;
	struct text text;
	int result;

	text_init(&text);
	result = cluster_texts_changed(&scene->store, scene->snapshot, &text);
	if (!result && text.len) {
		copy = snapshot_copy(scene->snapshot);
		result = copy ? config_load_endpoints(text_span(&text), copy) : -ENOMEM;
		if (result) {
			snapshot_unref(copy);
		} else {
			snapshot_unref(scene->snapshot);
			scene->snapshot = copy;
			scene->copies++;
		}
	}
	if (!result)
		store_changes_done(&scene->store);
	text_done(&text);
	return result;
}

static void change(struct scene *scene, bool may_be_wrong)
{
	uint32_t count = 1 + below(scene, 4);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t what = below(scene, 40);

		if (what == 0)
			put_service(scene, below(scene, SERVICES), below(scene, 3));
		else if (what < 10)
			remove_slice(scene, below(scene, SLICES));
		else
			put_slice(scene, below(scene, SLICES), may_be_wrong);
	}
}

static void play(uint64_t seed, bool may_be_wrong, unsigned least_copies)
{
	struct snapshot *full;
	struct scene scene;

	begin(&scene, seed);
	for (unsigned round = 0; round < ROUNDS; round++) {
		int result;

		change(&scene, may_be_wrong);
		result = update(&scene);
		full = load_all(&scene);
		assert_true(result == 0 || result == -EAGAIN);
		if (result == 0) {
			assert_same(scene.snapshot, full);
			snapshot_unref(full);
			continue;
		}
		snapshot_unref(scene.snapshot);
		scene.snapshot = full;
		store_changes_done(&scene.store);
	}
	if (scene.copies < least_copies)
		fail_msg("only %u of %d changes took the short way", scene.copies, ROUNDS);
	end(&scene);
}

TEST(random_changes_of_endpoints_give_what_decoding_everything_gives)
{
	play(1, false, ROUNDS / 2);
	play(2, false, ROUNDS / 2);
}

TEST(random_changes_with_errors_among_them_give_what_decoding_everything_gives)
{
	play(3, true, ROUNDS / 10);
}

TEST(a_change_of_anything_else_needs_everything_until_that_is_in_force)
{
	struct scene scene;

	begin(&scene, 1);
	put_slice(&scene, 1, false);
	put_service(&scene, 1, 2);
	assert_int_equal(update(&scene), -EAGAIN);
	put_slice(&scene, 1, false);
	assert_int_equal(update(&scene), -EAGAIN);
	snapshot_unref(scene.snapshot);
	scene.snapshot = load_all(&scene);
	store_changes_done(&scene.store);
	put_slice(&scene, 1, false);
	assert_int_equal(update(&scene), 0);
	end(&scene);
}

/* Any cluster has many Services that this gateway does not serve. */
TEST(endpoints_that_no_route_uses_cost_nothing)
{
	struct scene scene;

	begin(&scene, 1);
	put_text(
		&scene, KIND_ENDPOINT_SLICE,
		"{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":"
		"{\"name\":\"z\",\"namespace\":\"other\",\"labels\":{\"kubernetes.io/service-name\":\"s0\"}},"
		"\"endpoints\":[]}");
	assert_false(scene.store.unapplied.has_others);
	assert_int_equal(scene.store.unapplied.service_count, 1);
	assert_int_equal(update(&scene), 0);
	assert_int_equal(scene.copies, 0);
	assert_int_equal(scene.store.unapplied.service_count, 0);
	end(&scene);
}

TEST(more_changed_Services_than_are_noted_need_everything)
{
	char json[300];
	struct scene scene;

	begin(&scene, 1);
	mentions_done(&scene.store.mentions);
	for (unsigned i = 0; i <= STORE_CHANGED_SERVICES; i++) {
		assert_false(scene.store.unapplied.has_others);
		snprintf(json, sizeof(json),
			 "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":"
			 "{\"name\":"
			 "\"z%u\",\"namespace\":\"n\",\"labels\":{\"kubernetes.io/service-name\":\"z%u\"}}}",
			 i, i);
		put_text(&scene, KIND_ENDPOINT_SLICE, json);
	}
	assert_true(scene.store.unapplied.has_others);
	assert_int_equal(update(&scene), -EAGAIN);
	end(&scene);
}

/* To s1 instead of all Services. */
static void put_other_route(struct scene *scene, const char *timeout)
{
	struct text json;

	text_init(&json);
	text_fmt(&json,
		 "{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"HTTPRoute\",\"metadata\":"
		 "{\"name\":\"r\",\"namespace\":\"n\"},\"spec\":{\"parentRefs\":[{\"name\":\"g\"}],"
		 "\"rules\":[{\"timeouts\":{\"request\":\"%s\"},\"backendRefs\":"
		 "[{\"name\":\"s1\",\"port\":80}]}]}}",
		 timeout);
	put(scene, KIND_HTTP_ROUTE, &json);
	text_done(&json);
}

/* Loads with the objects of the snapshot in force to fall back to; the first backend of the route. */
static const struct backend *reload(struct scene *scene)
{
	struct snapshot *next = load_after(scene, scene->snapshot);

	snapshot_unref(scene->snapshot);
	scene->snapshot = next;
	store_changes_done(&scene->store);
	return next->bind_list[0].listener_list[0].route_list[0].backend_list[0].backend;
}

TEST(an_object_that_stays_as_it_was_keeps_the_Services_that_only_its_old_version_names)
{
	struct scene scene;

	begin(&scene, 1);
	put_other_route(&scene, "soon");
	for (unsigned i = 0; i < 3; i++) {
		const struct backend *backend = reload(&scene);

		assert_int_equal(backend->kind, BACKEND_SERVICE);
		assert_text(backend->name, "n/s0.n.svc.cluster.local");
	}
	/* Without the mistake it needs them no longer. */
	put_other_route(&scene, "1s");
	for (unsigned i = 0; i < 2; i++)
		assert_text(reload(&scene)->name, "n/s1.n.svc.cluster.local");
	assert_false(
		mentions_need(&scene.store.mentions, store_get(&scene.store, KIND_SERVICE, SPAN("n/s0"))));
	end(&scene);
}

static const struct backend *first_service(const struct snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->backend_count; i++)
		if (snapshot->backend_list[i].kind == BACKEND_SERVICE)
			return &snapshot->backend_list[i];
	fail_msg("no Service");
	return snapshot->backend_list;
}

/* A stream may hold a configuration for hours. */
TEST(a_copy_keeps_what_it_shares_alive_and_older_ones_keep_their_endpoints)
{
	struct snapshot *old;
	struct scene scene;

	begin(&scene, 5);
	put_text(&scene, KIND_ENDPOINT_SLICE,
		 "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":"
		 "{\"name\":\"a\",\"namespace\":\"n\",\"labels\":{\"kubernetes.io/service-name\":\"s0\"}},"
		 "\"ports\":[{\"name\":\"http\",\"port\":1}],"
		 "\"endpoints\":[{\"addresses\":[\"10.0.0.1\",\"10.0.0.2\"]}]}");
	assert_int_equal(update(&scene), 0);
	old = snapshot_ref(scene.snapshot);
	assert_int_equal(first_service(old)->endpoint_count, 2);
	store_remove(&scene.store, KIND_ENDPOINT_SLICE,
		     SPAN("{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"}}"));
	assert_int_equal(update(&scene), 0);
	assert_int_equal(first_service(scene.snapshot)->endpoint_count, 1);
	assert_ptr_equal(snapshot_base(old), snapshot_base(scene.snapshot));
	end(&scene);
	assert_text(first_service(old)->endpoint_list[1].text, "10.0.0.2:1");
	assert_true(old->bind_list[0].listener_count == 1);
	snapshot_unref(old);
}

static int copy_once(void *context)
{
	const struct scene *scene = context;
	struct snapshot *copy = snapshot_copy(scene->snapshot);
	struct text text;
	int result = -ENOMEM;

	text_init(&text);
	if (copy)
		result = cluster_texts_changed(&scene->store, scene->snapshot, &text);
	if (!result)
		result = config_load_endpoints(text_span(&text), copy);
	text_done(&text);
	snapshot_unref(copy);
	return result;
}

TEST(each_allocation_of_a_copy_may_fail)
{
	struct scene scene;

	begin(&scene, 7);
	put_slice(&scene, 1, false);
	put_slice(&scene, 2, false);
	assert_true(alloc_fail_each(copy_once, &scene) > 10);
	end(&scene);
}
