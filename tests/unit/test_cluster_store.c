/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/load.h"
#include "config/snapshot.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/cluster/cluster.h"
#include "user/cluster/cluster_file.h"

static struct store store;

static void setup(void)
{
	assert_int_equal(store_init(&store), 0);
}

static int put(enum kind_id kind, const char *json, uint64_t round)
{
	assert_true(store_can_read(&store, span_str(json)));
	return store_put(&store, kind, SPAN("v1"), span_str(json), round);
}

static const char *text_of(enum kind_id kind, const char *key)
{
	static char out[1000];
	const struct stored_object *object = store_get(&store, kind, span_str(key));

	snprintf(out, sizeof(out), "%.*s", SPAN_FMT(object ? object->text : SPAN("none")));
	return out;
}

#define ROUTE(version, more)                                                                                 \
	"{\"apiVersion\":\"g/v1\",\"kind\":\"HTTPRoute\",\"metadata\":{\"name\":\"r\",\"namespace\":\"n\","  \
	"\"resourceVersion\":\"" version "\",\"managedFields\":[{\"a\":1}]},\"spec\":{\"x\":1}" more "}"

TEST(an_object_is_kept_without_its_managed_fields_and_its_status)
{
	setup();
	assert_int_equal(put(KIND_HTTP_ROUTE, ROUTE("5", ",\"status\":{\"parents\":[]}"), 1), 0);
	assert_string_equal(text_of(KIND_HTTP_ROUTE, "n/r"),
			    "{\"apiVersion\":\"g/v1\",\"kind\":\"HTTPRoute\",\"metadata\":{\"name\":\"r\","
			    "\"namespace\":\"n\",\"resourceVersion\":\"5\"},\"spec\":{\"x\":1}}");
	assert_true(
		span_eq(store_get(&store, KIND_HTTP_ROUTE, SPAN("n/r"))->status, SPAN("{\"parents\":[]}")));
	assert_null(store_get(&store, KIND_GRPC_ROUTE, SPAN("n/r")));
	assert_int_equal(put(KIND_HTTP_ROUTE, "{\"metadata\":{}}", 1), -EBADMSG);
	store_done(&store);
}

/* Items of a list of a built-in kind have neither. */
TEST(an_object_without_apiVersion_gets_that_of_its_list)
{
	setup();
	assert_int_equal(put(KIND_SERVICE, "{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\"}}", 1), 0);
	assert_string_equal(text_of(KIND_SERVICE, "n/s"),
			    "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s\","
			    "\"namespace\":\"n\"}}");
	store_done(&store);
}

/* Two hosts choose the same one only if both see what was chosen. */
TEST(with_a_pool_the_addresses_of_a_gateway_are_part_of_its_text)
{
#define GATEWAY_OF(addresses)                                                                                \
	"{\"kind\":\"Gateway\",\"apiVersion\":\"g/v1\",\"metadata\":{\"name\":\"g\"},\"status\":{" addresses \
	"\"conditions\":[]}}"
	uint64_t changes;

	setup();
	store.keeps_addresses = true;
	assert_int_equal(put(KIND_GATEWAY, GATEWAY_OF("\"addresses\":[{\"value\":\"192.0.2.1\"}],"), 1), 0);
	assert_non_null(strstr(text_of(KIND_GATEWAY, "g"),
			       "\"status\":{\"addresses\":[{\"value\":\"192.0.2.1\"}]}}"));
	changes = store.changes;
	assert_int_equal(put(KIND_GATEWAY, GATEWAY_OF("\"addresses\":[{\"value\":\"192.0.2.2\"}],"), 1), 0);
	assert_int_equal(store.changes, changes + 1);
	assert_int_equal(put(KIND_GATEWAY, GATEWAY_OF(""), 1), 0);
	assert_null(strstr(text_of(KIND_GATEWAY, "g"), "status"));
	store_done(&store);
	setup();
	assert_int_equal(put(KIND_GATEWAY, GATEWAY_OF("\"addresses\":[{\"value\":\"192.0.2.1\"}],"), 1), 0);
	assert_null(strstr(text_of(KIND_GATEWAY, "g"), "status"));
	store_done(&store);
}

TEST(only_what_a_configuration_depends_on_counts_as_a_change)
{
	static const struct {
		const char *json;
		bool is_change, is_status_change;
	} steps[] = {
		{ ROUTE("1", ""), true, false },
		{ ROUTE("2", ""), false, false },
		{ ROUTE("3", ",\"status\":{}"), false, true },
		{ ROUTE("4", ",\"status\":{}"), false, false },
		{ ROUTE("5", ",\"other\":1,\"status\":{}"), true, false },
	};

	setup();
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		uint64_t changes = store.changes, statuses = store.status_changes;

		assert_int_equal(put(KIND_HTTP_ROUTE, steps[i].json, 1), 0);
		assert_int_equal(store.changes - changes, steps[i].is_change);
		assert_int_equal(store.status_changes - statuses, steps[i].is_status_change);
	}
	assert_int_equal(store_count(&store), 1);
	store_done(&store);
}

static void put_number(unsigned number, uint64_t round)
{
	char json[100];

	snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"s%u\",\"namespace\":\"n\"}}", number);
	assert_int_equal(put(KIND_SERVICE, json, round), 0);
}

/* More than the first table has buckets: it grows. */
TEST(a_complete_list_removes_what_it_does_not_have)
{
	enum { COUNT = 10000 };
	uint64_t bytes;

	setup();
	bytes = store.bytes;
	for (unsigned i = 0; i < COUNT; i++)
		put_number(i, 1);
	for (unsigned i = 0; i < COUNT; i += 2)
		put_number(i, 2);
	assert_int_equal(put(KIND_SECRET, "{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\"}}", 1), 0);
	store_sweep(&store, KIND_SERVICE, 2);
	assert_int_equal(store.count[KIND_SERVICE], COUNT / 2);
	assert_non_null(store_get(&store, KIND_SERVICE, SPAN("n/s4")));
	assert_null(store_get(&store, KIND_SERVICE, SPAN("n/s5")));
	assert_int_equal(store.count[KIND_SECRET], 1);
	store_remove(&store, KIND_SECRET, SPAN("{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\"}}"));
	store_sweep(&store, KIND_SERVICE, 3);
	assert_int_equal(store_count(&store), 0);
	assert_int_equal(store.bytes, bytes);
	store_done(&store);
}

/* Names these, so that a configuration can need objects of that name. */
static void mention(const char *names)
{
	char json[300];

	snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"m\"},\"spec\":{\"finalizers\":[%s]}}", names);
	assert_int_equal(put(KIND_NAMESPACE, json, 1), 0);
}

static bool is_needed(enum kind_id kind, const char *key)
{
	return mentions_need(&store.mentions, store_get(&store, kind, span_str(key)));
}

TEST(only_objects_that_something_names_are_needed)
{
	setup();
	assert_int_equal(put(KIND_SECRET, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"}}", 1), 0);
	assert_int_equal(put(KIND_CONFIG_MAP, "{\"metadata\":{\"name\":\"b\",\"namespace\":\"n\"}}", 1), 0);
	put_number(1, 1);
	put_number(2, 1);
	assert_int_equal(put(KIND_ENDPOINT_SLICE,
			     "{\"metadata\":{\"name\":\"e\",\"namespace\":\"n\",\"labels\":{"
			     "\"kubernetes.io/service-name\":\"s1\"}}}",
			     1),
			 0);
	assert_int_equal(put(KIND_ENDPOINT_SLICE, "{\"metadata\":{\"name\":\"s2\",\"namespace\":\"n\"}}", 1),
			 0);
	assert_true(is_needed(KIND_SECRET, "n/a")); /* nothing was read yet */
	mention("\"x\\\"\",\"b\",\"\\\\\",\"s1\"");
	mentions_update(&store.mentions, &store, NULL);
	assert_false(is_needed(KIND_SECRET, "n/a"));
	assert_true(is_needed(KIND_CONFIG_MAP, "n/b"));
	assert_true(is_needed(KIND_SERVICE, "n/s1"));
	assert_false(is_needed(KIND_SERVICE, "n/s2"));
	assert_true(is_needed(KIND_ENDPOINT_SLICE, "n/e"));
	assert_false(is_needed(KIND_ENDPOINT_SLICE, "n/s2"));
	assert_true(is_needed(KIND_NAMESPACE, "m"));
	/* A selector may choose whatever has labels. */
	assert_int_equal(
		put(KIND_POLICY, "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"secretSelector\":{}}}", 1), 0);
	assert_int_equal(put(KIND_SECRET,
			     "{\"metadata\":{\"name\":\"c\",\"namespace\":\"n\",\"labels\":{\"x\":\"y\"}}}",
			     1),
			 0);
	mentions_update(&store.mentions, &store, NULL);
	assert_false(is_needed(KIND_SECRET, "n/a"));
	assert_true(is_needed(KIND_SECRET, "n/c"));
	store_done(&store);
}

/* Some operators write theirs every second. */
TEST(a_change_of_an_object_that_nothing_names_is_none)
{
	uint64_t changes;

	setup();
	mention("\"s1\"");
	mentions_update(&store.mentions, &store, NULL);
	store_changes_done(&store);
	changes = store.changes;
	put_number(2, 1);
	assert_int_equal(put(KIND_CONFIG_MAP, "{\"metadata\":{\"name\":\"b\",\"namespace\":\"n\"}}", 1), 0);
	store_remove(&store, KIND_SERVICE, SPAN("{\"metadata\":{\"name\":\"s2\",\"namespace\":\"n\"}}"));
	assert_int_equal(store.changes, changes);
	assert_false(store.unapplied.has_others);
	put_number(1, 1);
	assert_int_equal(store.changes, changes + 1);
	assert_true(store.unapplied.has_others);
	store_done(&store);
}

TEST(texts_for_a_configuration_are_split_below_the_limit_of_a_file)
{
	static struct cluster_texts texts;
	static char json[2 << 20];
	int len;

	setup();
	for (unsigned i = 0; i < 5; i++) {
		len = snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"c%u\"},\"data\":\"", i);
		memset(json + len, 'x', sizeof(json) - (size_t)len);
		strcpy(json + sizeof(json) - 3, "\"}");
		assert_int_equal(put(KIND_CONFIG_MAP, json, 1), 0);
	}
	put_number(1, 1);
	put_number(2, 1);
	put_number(3, 1);
	mention("\"c0\",\"c1\",\"c2\",\"c3\",\"c4\",\"s1\",\"s2\"");
	assert_int_equal(cluster_texts_make(&texts, &store, NULL), 0);
	/* Services, a Namespace, and ConfigMaps: two are more than 4 MiB with what is between. */
	assert_int_equal(texts.count, 1 + 1 + 5);
	assert_true(texts.source_list[0].has_text);
	assert_true(span_eq(texts.source_list[0].text,
			    SPAN("{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s1\","
				 "\"namespace\":\"n\"}}\n---\n"
				 "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s2\","
				 "\"namespace\":\"n\"}}\n")));
	cluster_texts_done(&texts);
	store_done(&store);
}

/* Anybody in the cluster may write a ConfigMap. The characters are those that YAML refuses or folds. */
TEST(characters_that_are_none_of_YAML_are_escaped)
{
	struct snapshot *snapshot = NULL;
	struct cluster_texts texts;
	struct config_report report;

	setup();
	assert_int_equal(put(KIND_CONFIG_MAP,
			     "{\"metadata\":{\"name\":\"c\"},\"data\":{\"k\":\"\x7f.\xc2\x80\xc2\x85\xc2\xa0"
			     "\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xef\xbf\xbd\xef\xbf\xbe\xef\xbf\xbf\"}}",
			     1),
			 0);
	assert_string_equal(text_of(KIND_CONFIG_MAP, "c"),
			    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"},"
			    "\"data\":{\"k\":\"\\u007f.\\u0080\\u0085\xc2\xa0\xe2\x80\xa7\\u2028\\u2029"
			    "\xef\xbf\xbd\\ufffe\\uffff\"}}");
	mention("\"c\"");
	config_report_init(&report);
	assert_int_equal(cluster_texts_make(&texts, &store, NULL), 0);
	assert_int_equal(texts.count, 2);
	assert_int_equal(config_load(texts.source_list, texts.count, NULL, &report, &snapshot), 0);
	assert_int_equal(report.count[CONFIG_ERROR], 0);
	snapshot_unref(snapshot);
	config_report_done(&report);
	cluster_texts_done(&texts);
	store_done(&store);
}

TEST(the_copy_on_disk_brings_the_same_objects_back)
{
	char path[] = "/tmp/headgate-store-XXXXXX";
	int fd = mkstemp(path);

	setup();
	assert_int_equal(put(KIND_HTTP_ROUTE, ROUTE("5", ",\"status\":{}"), 1), 0);
	put_number(7, 1);
	assert_int_equal(cluster_file_write(&store, path), 0);
	store_done(&store);
	setup();
	assert_int_equal(cluster_file_read(&store, path), 0);
	assert_int_equal(store_count(&store), 2);
	assert_string_equal(text_of(KIND_SERVICE, "n/s7"),
			    "{\"apiVersion\":\"v1\",\"kind\":\"Service\","
			    "\"metadata\":{\"name\":\"s7\",\"namespace\":\"n\"}}");
	assert_int_equal(cluster_file_read(&store, "/nowhere/at/all"), -ENOENT);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	unlink(path);
	store_done(&store);
}
