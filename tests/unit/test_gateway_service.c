/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/cluster/gateway_service.h"
#include "user/cluster/status_patch.h"

static struct store store;

#define GATEWAY_OF(name, class, more)                                                                        \
	"{\"apiVersion\":\"g/v1\",\"kind\":\"Gateway\",\"metadata\":{\"name\":\"" name                       \
	"\",\"namespace\":\"n\",\"uid\":\"u\"},\"spec\":{\"gatewayClassName\":\"" class "\"" more "}}"

static const struct stored_object *stored(const char *json, const char *key)
{
	assert_true(store_can_read(&store, span_str(json)));
	assert_int_equal(store_put(&store, KIND_GATEWAY, SPAN("g/v1"), span_str(json), 1), 0);
	return store_get(&store, KIND_GATEWAY, span_str(key));
}

/* Services are held to RFC 1035 2.3.1: 63 bytes, no dot, a letter first. Gateways are not. */
TEST(a_service_has_the_name_of_its_gateway_and_class_or_one_with_a_hash)
{
#define LONG "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"
	static const struct {
		const char *json, *key, *start;
	} rows[] = {
		{ GATEWAY_OF("web", "headgate", ""), "n/web", "web-headgate" },
		{ GATEWAY_OF("a.b", "c", ""), "n/a.b", "gateway-a-b-c-" },
		{ GATEWAY_OF("1", "c", ""), "n/1", "gateway-1-c-" },
		{ GATEWAY_OF(LONG, "cc", ""), "n/" LONG, LONG "-cc" },
		{ GATEWAY_OF(LONG, "ccc", ""), "n/" LONG, "gateway-aaaaaaaaaabbbbbbbbbbccccccccccdd-" },
	};
	char name[GATEWAY_SERVICE_NAME_BYTES];

	assert_int_equal(store_init(&store), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		gateway_service_name(stored(rows[i].json, rows[i].key), name);
		if (!span_starts(span_str(name), span_str(rows[i].start)))
			fail_msg("%s: %s", rows[i].key, name);
		assert_true(strlen(name) <= 63 && !strchr(name, '.'));
	}
	store_done(&store);
}

static bool slice(const char *item, const struct gateway_hosts *hosts, bool is_v6, struct text *out)
{
	const struct stored_object *gateway = stored(GATEWAY_OF("web", "c", ""), "n/web");
	struct gateway_service service;

	text_clear(out);
	assert_true(gateway_service_init(&service, gateway, span_str(item), hosts));
	return gateway_service_slice(&service, SPAN("su"), SPAN("web-c-ipv4"), is_v6, out);
}

TEST(a_slice_has_the_addresses_of_one_family_the_gateways_own_before_those_of_the_hosts)
{
	static const struct gateway_hosts hosts = { { SPAN("192.0.2.1"), SPAN("2001:db8::1") }, 2 };
	struct text out;

	assert_int_equal(store_init(&store), 0);
	text_init(&out);
	assert_true(slice("{\"ports\":[80],\"addresses\":[]}", &hosts, false, &out));
	assert_non_null(strstr(out.data, "\"endpoints\":[{\"addresses\":[\"192.0.2.1\"],"));
	assert_true(slice("{\"ports\":[80],\"addresses\":[]}", &hosts, true, &out));
	assert_non_null(strstr(out.data, "\"endpoints\":[{\"addresses\":[\"2001:db8::1\"],"));
	assert_true(slice("{\"ports\":[80],\"addresses\":[\"198.51.100.9\"]}", &hosts, false, &out));
	assert_non_null(strstr(out.data, "[\"198.51.100.9\"]"));
	assert_null(strstr(out.data, "192.0.2.1"));
	assert_false(slice("{\"ports\":[80],\"addresses\":[\"198.51.100.9\"]}", &hosts, true, &out));
	assert_non_null(strstr(out.data, "\"endpoints\":[]"));
	text_done(&out);
	store_done(&store);
}

TEST(hosts_are_the_ready_endpoints_of_the_service_headgate_in_its_namespace)
{
#define LABEL_OF(service) "\"labels\":{\"kubernetes.io/service-name\":\"" service "\"}"
#define SLICE_OF(namespace, service, endpoints)                                                              \
	"{\"metadata\":{\"name\":\"s\",\"namespace\":\"" namespace "\"," LABEL_OF(                           \
		service) "},\"endpoints\":[" endpoints "]}"
#define READY(address, word) "{\"addresses\":[\"" address "\"],\"conditions\":{\"ready\":" word "}}"
	static const struct {
		const char *json;
		uint32_t count;
	} rows[] = {
		{ SLICE_OF("h", "headgate", READY("192.0.2.1", "true")), 1 },
		{ SLICE_OF("h", "headgate", READY("192.0.2.1", "true") "," READY("192.0.2.1", "true")), 1 },
		{ SLICE_OF("h", "headgate", READY("192.0.2.1", "false")), 0 },
		{ SLICE_OF("h", "headgate", "{\"addresses\":[\"192.0.2.1\",\"192.0.2.2\"]}"), 2 },
		{ SLICE_OF("h", "other", READY("192.0.2.1", "true")), 0 },
		{ SLICE_OF("other", "headgate", READY("192.0.2.1", "true")), 0 },
		{ "{\"metadata\":{\"name\":\"s\",\"namespace\":\"h\"}}", 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct gateway_hosts hosts = { 0 };

		assert_int_equal(store_init(&store), 0);
		assert_true(store_can_read(&store, span_str(rows[i].json)));
		assert_int_equal(
			store_put(&store, KIND_ENDPOINT_SLICE, SPAN("v1"), span_str(rows[i].json), 1), 0);
		gateway_hosts_add(
			&hosts,
			list_entry(store.objects[KIND_ENDPOINT_SLICE].next, struct stored_object, node),
			SPAN("h"));
		assert_int_equal(hosts.count, rows[i].count);
		store_done(&store);
	}
}

TEST(a_service_without_a_port_is_none)
{
	const struct gateway_hosts hosts = { 0 };
	struct gateway_service service;

	assert_int_equal(store_init(&store), 0);
	assert_false(gateway_service_init(&service, stored(GATEWAY_OF("web", "c", ""), "n/web"),
					  SPAN("{\"ports\":[],\"addresses\":[]}"), &hosts));
	store_done(&store);
}

/* A user may not take over Services, or hide one, by labels of the infrastructure. */
TEST(labels_of_the_infrastructure_do_not_replace_those_of_this_program)
{
	const struct gateway_hosts hosts = { 0 };
	struct gateway_service service;
	const struct stored_object *gateway;
	struct text out;

	assert_int_equal(store_init(&store), 0);
	text_init(&out);
	gateway = stored(GATEWAY_OF("web", "c",
				    ",\"infrastructure\":{\"labels\":{\"app.kubernetes.io/managed-by\":\"x\","
				    "\"gateway.networking.k8s.io/gateway-name\":\"other\",\"a\":\"b\"}}"),
			 "n/web");
	assert_true(gateway_service_init(&service, gateway, SPAN("{\"ports\":[80]}"), &hosts));
	gateway_service_object(&service, &out);
	assert_true(store_can_read(&store, text_span(&out)));
	assert_true(gateway_service_is_of(text_span(&out), SPAN("web")));
	assert_non_null(strstr(out.data, "\"a\":\"b\""));
	assert_null(strstr(out.data, "other"));
	text_done(&out);
	store_done(&store);
}

TEST(json_has_everything_of_a_part_of_it)
{
	static const struct {
		const char *whole, *part;
		bool has;
	} rows[] = {
		{ "{\"a\":1,\"b\":2}", "{\"a\":1}", true },
		{ "{\"a\":1}", "{\"a\":1,\"b\":2}", false },
		{ "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":1}}", true },
		{ "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":2}}", false },
		{ "[{\"a\":1,\"b\":2}]", "[{\"a\":1}]", true },
		{ "[1,2]", "[1]", false },
		{ "[1]", "[1,2]", false },
		{ "[1,2]", "[2,1]", false },
		{ "\"\\u0061\"", "\"a\"", true },
		{ "{}", "[]", false },
		{ "{\"a\":null}", "{\"a\":1}", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(json_has(span_str(rows[i].whole), span_str(rows[i].part)), rows[i].has);
}

TEST_GROUP(NULL, NULL);
