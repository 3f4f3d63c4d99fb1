/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/alloc.h"
#include "tests/unit/gatewayapi_status.h"

/* A reload with an object that is wrong now (config/gatewayapi/kept_object.h). */

static struct snapshot *load_after(const char *text, const struct snapshot *previous,
				   struct config_report *report)
{
	const struct config_source source = { .path = "a.yaml", .has_text = true, .text = span_str(text) };
	struct snapshot *snapshot = NULL;

	config_report_init(report);
	assert_int_equal(config_load(&source, 1, previous, report, &snapshot), 0);
	assert_int_equal(policy_compile(snapshot, report), 0);
	return snapshot;
}

/* Several versions of a file, one after the other, and what each serves; faults: of the last one. */
struct history {
	const char *texts[4];
	const char *routes[4];
	uint32_t faults;
	const char *message; /* part of the first one of the last version; NULL: none */
};

static void check_history(const struct history *history)
{
	struct config_report report = { 0 };
	struct snapshot *before = NULL;

	for (size_t i = 0; i < 4 && history->texts[i]; i++) {
		struct snapshot *now;
		struct text found;

		config_report_done(&report);
		now = load_after(history->texts[i], before, &report);
		text_init(&found);
		for (uint32_t k = 0; k < now->bind_list[0].listener_list[0].route_count; k++)
			served_add(&found, &now->bind_list[0].listener_list[0].route_list[k]);
		if (!span_eq(text_span(&found), span_str(history->routes[i])))
			fail_msg("\"%.*s\" instead of \"%s\" for\n%s", SPAN_FMT(text_span(&found)),
				 history->routes[i], history->texts[i]);
		text_done(&found);
		snapshot_unref(before);
		before = now;
	}
	assert_int_equal(report.fault_count, history->faults);
	if (history->message)
		assert_non_null(memmem(report.message_list[0].text.data, report.message_list[0].text.len,
				       history->message, strlen(history->message)));
	snapshot_unref(before);
	config_report_done(&report);
}

#define ONE(path, more) ROUTE(TO_G "rules: [" RULE(path, more) "]")
#define TWO(path) OBJECT("HTTPRoute", "z", TO_G "rules: [" RULE(path, "") "]")
#define TIMEOUT(value) "timeouts: {request: " value "}"
#define NAMED G SERVICE ROUTE(TO_G "rules: [{name: one, " BACKEND "}]")
#define BACKEND_TLS(service, more)                                                                           \
	"{" API "kind: BackendTLSPolicy, " META("b") more                                                    \
		"spec: {targetRefs: [{group: '', kind: Service, name: " service                              \
		"}], validation: {hostname: a.example, "                                                     \
		"caCertificateRefs: [{group: '', kind: ConfigMap, name: c}]}}}\n---\n"
#define ANY_POLICY(version, targets)                                                                         \
	"{apiVersion: agentgateway.dev/" version                                                             \
	", kind: AgentgatewayPolicy, metadata: {name: p}, spec: {" targets ", traffic: {csrf: {}}}}\n---\n"
#define STAYS "the object stays in force as it was before its change"

TEST(an_object_that_becomes_wrong_stays_in_force_as_it_was)
{
	static const struct history histories[] = {
		/* The neighbour's change is in force; a second wrong version changes nothing. */
		{ { G SERVICE ONE("/a", "") TWO("/x"), G SERVICE ONE("/b", WRONG) TWO("/y"),
		    G SERVICE ONE("x", "") TWO("/z") },
		  { "/a ok\n/x ok\n", "/a ok\n/y ok\n", "/a ok\n/z ok\n" },
		  1,
		  "HTTPRoute default/r: spec.rules[0].matches[0].path.value: " },
		{ { G SERVICE ONE("/a", ""), G SERVICE ONE("/b", WRONG), G SERVICE ONE("/c", "") },
		  { "/a ok\n", "/a ok\n", "/c ok\n" },
		  0,
		  NULL },
		{ { G SERVICE ONE("/a", ""), G SERVICE "{" API "kind: HTTPRoute, " META("r") "}\n" },
		  { "/a ok\n", "/a ok\n" },
		  1,
		  STAYS },
		/* New ones have no version to fall back to, and what is gone is gone. */
		{ { G SERVICE TWO("/x"), G SERVICE ONE("/a", WRONG) TWO("/x") },
		  { "/x ok\n", "/a 500\n/x ok\n" },
		  1,
		  "HTTPRoute default/r: spec.rules[0].timeouts.request: " },
		{ { G SERVICE ONE("/a", "") TWO("/x"), G SERVICE TWO("/x") },
		  { "/a ok\n/x ok\n", "/x ok\n" },
		  0,
		  NULL },
		/* Policies, Gateways and Services too; a reference that breaks is no error of the object. */
		{ { ROUTED POLICY("kind: HTTPRoute, name: r", "traffic: {headerModifiers: {}}"),
		    ROUTED POLICY("kind: HTTPRoute, name: r", "traffic: {odd: {}}") },
		  { "/ ok\n", "/ ok\n" },
		  1,
		  STAYS },
		/* What only the wrong version protects has no protection, so it is not served. */
		{ { ROUTED TWO("/x") POLICY("kind: HTTPRoute, name: r", "traffic: {headerModifiers: {}}"),
		    ROUTED TWO("/x") POLICY("kind: HTTPRoute, name: r}, {kind: HTTPRoute, name: z",
					    "traffic: {odd: {}}") },
		  { "/ ok\n/x ok\n", "/ ok\n/x 500\n" },
		  1,
		  STAYS },
		{ { ROUTED TWO("/x") POLICY("kind: HTTPRoute, name: r", "traffic: {headerModifiers: {}}"),
		    ROUTED TWO("/x") ANY_POLICY("v1alpha1", "targetRefs: {kind: HTTPRoute, name: z}") },
		  { "/ ok\n/x ok\n", "/ ok\n/x 500\n" },
		  1,
		  STAYS },
		/* A target that cannot be read leaves the others as they were. */
		{ { ROUTED TWO("/x") POLICY("kind: HTTPRoute, name: r", "traffic: {headerModifiers: {}}"),
		    ROUTED TWO("/x") ANY_POLICY("v1alpha1", "targetRefs: [{kind: HTTPRoute, nam: z}]") },
		  { "/ ok\n/x ok\n", "/ ok\n/x ok\n" },
		  1,
		  STAYS },
		/* Another version, known or not, is no error of an object that is known. */
		{ { ROUTED TWO("/x") POLICY("kind: HTTPRoute, name: r", "traffic: {headerModifiers: {}}"),
		    ROUTED TWO("/x") ANY_POLICY("v9", "targetRefs: [{kind: HTTPRoute, name: z}]") },
		  { "/ ok\n/x ok\n", "/ ok\n/x 500\n" },
		  0,
		  "does not know that version" },
		{ { ROUTED TWO("/x") POLICY("kind: HTTPRoute, name: r", "traffic: {headerModifiers: {}}"),
		    ROUTED TWO("/x") ANY_POLICY("odd", "targetRefs: [{kind: HTTPRoute, name: z}]") },
		  { "/ ok\n/x ok\n", "/ ok\n/x 500\n" },
		  1,
		  NULL },
		/* Timeouts protect nothing. */
		{ { ROUTED TWO("/x") POLICY("kind: HTTPRoute, name: r", "traffic: {" TIMEOUT("1s") "}"),
		    ROUTED TWO("/x") POLICY("kind: HTTPRoute, name: r}, {kind: HTTPRoute, name: z",
					    "traffic: {" TIMEOUT("soon") "}") },
		  { "/ ok\n/x ok\n", "/ ok\n/x ok\n" },
		  1,
		  STAYS },
		/* What the old version has as a whole, it has in parts, but not the other way round. */
		{ { ROUTED POLICY("kind: HTTPRoute, name: r", "traffic: {headerModifiers: {}}"),
		    ROUTED POLICY("kind: HTTPRoute, name: r, sectionName: one", "traffic: {odd: {}}") },
		  { "/ ok\n", "/ ok\n" },
		  1,
		  STAYS },
		{ { NAMED POLICY("kind: HTTPRoute, name: r, sectionName: one", "traffic: {cors: {}}"),
		    NAMED POLICY("kind: HTTPRoute, name: r", "traffic: {odd: {}}") },
		  { "/ ok\n", "/ 500\n" },
		  1,
		  STAYS },
		/* TLS to a Service that only the wrong version asks for. */
		{ { ROUTED BACKEND_TLS("o", ""), ROUTED BACKEND_TLS("s", "odd: 1, ") },
		  { "/ ok\n", "/ 500\n" },
		  1,
		  STAYS },
		{ { ROUTED BACKEND_TLS("o", ""), ROUTED BACKEND_TLS("s, sectionName: http", "odd: 1, ") },
		  { "/ ok\n", "/ 500\n" },
		  1,
		  STAYS },
		{ { ROUTED,
		    GATEWAY("{name: a, port: 80, protocol: HTTP, odd: 1}") SERVICE ROUTE(TO_G RULES) },
		  { "/ ok\n", "/ ok\n" },
		  1,
		  STAYS },
		/* Errors beside the spec are reported, too. */
		{ { ROUTED, G SERVICE "{" API "kind: HTTPRoute, metadata: {name: r, labels: [1]}, "
				      "spec: {" TO_G RULES "}}\n" },
		  { "/ ok\n", "/ ok\n" },
		  1,
		  STAYS },
		{ { ROUTED, G ROUTE(TO_G RULES) }, { "/ ok\n", "/ 500\n" }, 0, "BackendNotFound" },
	};

	for (size_t i = 0; i < ARRAY_LEN(histories); i++)
		check_history(&histories[i]);
}

static const char kept_values[] = G SERVICE ROUTE(
	TO_G "hostnames: [\"a.example\"], rules: [{name: '80', matches: [{path: {value: \"/\\u00e9\\\"\"}, "
	     "headers: [{name: x, value: 'true'}, {name: y, value: \"a\\tb\"}]}], timeouts: "
	     "{request: 1m30s}, " BACKEND "}]");

/* The kept text means the same as the file. */
TEST(a_kept_object_is_the_same_object)
{
	struct config_report first, second;
	struct snapshot *before = load_after(kept_values, NULL, &first), *after;
	const struct route *a, *b;

	after = load_after(G SERVICE ROUTE(TO_G "odd: 1"), before, &second);
	a = &before->bind_list[0].listener_list[0].route_list[0];
	b = &after->bind_list[0].listener_list[0].route_list[0];
	assert_int_equal(second.fault_count, 1);
	assert_true(span_eq(a->rule_name, b->rule_name) && span_eq(b->rule_name, SPAN("80")));
	assert_true(span_eq(a->match_list[0].path, b->match_list[0].path));
	assert_true(span_eq(a->match_list[0].header_list[0].value, b->match_list[0].header_list[0].value));
	assert_true(span_eq(a->match_list[0].header_list[1].value, b->match_list[0].header_list[1].value));
	assert_int_equal(b->match_list[0].header_list[1].value.len, 3);
	assert_int_equal(b->effective.timeout->request.ns, 90000000000);
	assert_true(
		after->status_list->next->parent_list->conditions.of[CONDITION_PARTIALLY_INVALID].is_true);
	snapshot_unref(before);
	snapshot_unref(after);
	config_report_done(&first);
	config_report_done(&second);
}

static int load_changed(void *context)
{
	const struct config_source source = { .path = "a.yaml",
					      .has_text = true,
					      .text = SPAN(G SERVICE ONE("/b", WRONG) TWO("/x")) };
	struct snapshot *snapshot = NULL;
	struct config_report report;
	int r;

	config_report_init(&report);
	r = config_load(&source, 1, context, &report, &snapshot);
	snapshot_unref(snapshot);
	config_report_done(&report);
	return r;
}

TEST(each_allocation_of_a_reload_with_a_wrong_object_may_fail)
{
	struct config_report report;
	struct snapshot *before = load_after(G SERVICE ONE("/a", "") TWO("/x"), NULL, &report);

	assert_true(alloc_fail_each(load_changed, before) > 10);
	snapshot_unref(before);
	config_report_done(&report);
}

/* The sanitizer counts exactly; other allocators keep freed blocks for themselves. */
#ifdef __SANITIZE_ADDRESS__
size_t __sanitizer_get_current_allocated_bytes(void);

/* Objects that stay as they were, change, and come back: each snapshot has its own copy, and no older one. */
TEST(a_thousand_reloads_take_no_more_memory_than_ten)
{
	static const char *const texts[] = {
		G SERVICE ONE("/a", "") TWO("/x"),
		G SERVICE ONE("/b", WRONG) TWO("/x"),
		G SERVICE ONE("x", "") TWO("/y"),
		G SERVICE TWO("x"),
		G SERVICE ONE("/c", WRONG) TWO("/x") POLICY("kind: HTTPRoute, name: r", "traffic: {odd: {}}"),
	};
	enum { CYCLE = ARRAY_LEN(texts), FIRST = 2 * CYCLE, RELOADS = 1000 };
	struct config_report report = { 0 };
	struct snapshot *before = NULL;
	size_t bytes = 0;

	for (unsigned i = 0; i <= RELOADS; i++) {
		struct snapshot *now;

		config_report_done(&report);
		now = load_after(texts[i % CYCLE], before, &report);
		snapshot_unref(before);
		before = now;
		if (i == FIRST)
			bytes = __sanitizer_get_current_allocated_bytes();
	}
	assert_int_equal(RELOADS % CYCLE, FIRST % CYCLE);
	assert_int_equal(__sanitizer_get_current_allocated_bytes(), bytes);
	snapshot_unref(before);
	config_report_done(&report);
}
#endif

TEST_GROUP(NULL, NULL);
