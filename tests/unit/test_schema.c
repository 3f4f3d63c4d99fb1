/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"
#include "tests/unit/config_text.h"

#include "config/core/values/policy_value.h"
#include "config/core/engine/yaml.h"
#include "config/standalone/listener.h"
#include "config/standalone/mcp.h"
#include "config/standalone/attach.h"
#include "config/standalone/policy.h"
#include "config/standalone/route.h"
#include "config/standalone/static.h"
#include "policy/compile/effective.h"
#include "policy/compile/merge.h"

enum colour { COLOUR_NONE, COLOUR_RED, COLOUR_BLUE };

struct inner {
	bool flag;
	uint32_t number;
};

struct sample {
	uint32_t small;
	uint64_t large;
	struct opt_u64 maybe;
	uint64_t wait_ns;
	struct opt_duration pause;
	uint32_t share;
	bool has_share;
	struct span name;
	enum colour colour;
	struct span level;
	bool left, middle, right;
	struct inner inner;
	bool has_inner;
	uint16_t port;
	enum way { WAY_NONE, WAY_NORTH, WAY_UP, WAY_ANY } way;
	uint16_t miles;
	struct span *friend_list;
	uint32_t friend_count;
	struct header_pair *pair_list;
	uint32_t pair_count;
	struct span note;
};

static void check_sample(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct sample *sample = object;

	if (sample->small > sample->large)
		config_error(d->report, node, "small is more than large");
}

static bool is_larger(const void *old, const void *new)
{
	return *(const uint64_t *)new > *(const uint64_t *)old;
}

static const struct schema_row inner_rows[] = {
	{ "flag", AS_BOOL(struct inner, flag), .default_value = true, .reload = RELOAD_START },
	{ "number", AS_U32(struct inner, number), RANGE(1, 9), MANIFEST_RANGE(1, 5), .default_value = 4 },
};
static const struct schema inner_schema = SCHEMA(inner_rows, struct inner);

static bool decode_friend(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return decode_name(d, node, ret);
}

static bool decode_pair(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct header_pair *pair = ret;

	pair->name = node->key;
	return decode_name(d, node, &pair->value);
}

static const struct schema_row way_rows[] = {
	{ "north", AS_U16(struct sample, miles), RANGE(1, 9), ONE_OF(struct sample, way, WAY_NORTH) },
	{ "up", AS_U16(struct sample, miles), RANGE(1, 5), ONE_OF(struct sample, way, WAY_UP) },
};
static const struct schema way_schema = SCHEMA(way_rows, struct sample, .is_one_of = true);

static const struct schema_row sample_rows[] = {
	{ "way", AS_WORD(struct sample, way), WORDS("any"), .word_base = WAY_ANY, .form = FORM_WORD },
	{ "way", AS_SECTION(struct sample, &way_schema), .form = FORM_MAP },
	{ "port", AS_U16(struct sample, port), RANGE(1, UINT16_MAX), .default_value = 80 },
	{ "friends", AS_LIST(SCHEMA_NAMES, struct sample, friend_list, friend_count, struct span),
	  .element = decode_friend, RANGE(0, 2) },
	{ "pairs", AS_LIST(SCHEMA_PAIRS, struct sample, pair_list, pair_count, struct header_pair),
	  .element = decode_pair, .style = STYLE_STANDALONE },
	{ "note", AS_BYTES(struct sample, note) },
	{ "small", AS_U32(struct sample, small), RANGE(1, 100), .default_value = 7, .reload = RELOAD_START },
	{ "large", AS_U64(struct sample, large), AT_LEAST(1), .default_value = 1000, .reload = RELOAD_START,
	  .needs_start = is_larger },
	{ "maybe", AS_OPT_U64(struct sample, maybe), RANGE(0, 5), .reload = RELOAD_START },
	{ "wait", AS_DURATION(struct sample, wait_ns), AT_LEAST(1000000), MANIFEST_AT_LEAST(1000000000),
	  .default_value = 2000000, .reload = RELOAD_ACCEPT },
	{ "pause", AS_OPT_DURATION(struct sample, pause), .style = STYLE_STANDALONE },
	{ "rest", AS_OPT_DURATION(struct sample, pause), .style = STYLE_MANIFEST },
	{ "share", AS_SHARE(struct sample, share), SET_BY(struct sample, has_share) },
	{ "name", AS_TEXT(struct sample, name), .default_text = "nobody", .reload = RELOAD_START },
	{ "colour", AS_WORD(struct sample, colour), WORDS("red", "blue"), MANIFEST_WORDS("Red", "Blue"),
	  .word_base = COLOUR_RED, .reload = RELOAD_START },
	{ "level", AS_WORD_TEXT(struct sample, level), WORDS("low", "high") },
	{ "sides", AS_FLAGS(struct sample, left), WORDS("left", "middle", "right"), .default_value = 1 << 1 },
	{ "inner", AS_MAP(struct sample, inner, &inner_schema, struct inner),
	  SET_BY(struct sample, has_inner) },
	{ "gone", .refusal = "has been removed" },
	{ .shown_as = "shown" },
};
static const struct schema sample_schema = SCHEMA(sample_rows, struct sample, .check = check_sample);

/* A text decoded with the rows above. */
struct play {
	struct arena arena;
	struct config_report report;
	struct sample *sample;
	struct text errors;
};

static void play_text(struct play *play, const char *text, bool is_manifest)
{
	struct decoder d = { .arena = &play->arena, .report = &play->report, .is_manifest = is_manifest };
	struct yaml_source source = { .file = SPAN("a.yaml"), .text = span_str(text) };
	struct yaml_budget budget = { 1000 };
	struct yaml_documents documents;

	arena_init(&play->arena, 4096);
	config_report_init(&play->report);
	text_init(&play->errors);
	assert_int_equal(yaml_load(&play->arena, &source, &budget, &play->report, &documents), 0);
	play->sample = schema_decode_new(&d, documents.list[0]->root, &sample_schema);
	config_report_print(&play->report, CONFIG_ERROR, "", &play->errors);
	assert_false(d.failed);
}

static void play_done(struct play *play)
{
	text_done(&play->errors);
	config_report_done(&play->report);
	arena_done(&play->arena);
}

static void play_refused(const char *text, bool is_manifest, const char *words)
{
	struct play play;

	play_text(&play, text, is_manifest);
	if (play.report.count[CONFIG_ERROR] != 1 || !strstr(play.errors.data, words))
		fail_msg("%s: no single error \"%s\":\n%s", text, words,
			 play.errors.len ? play.errors.data : "");
	play_done(&play);
}

TEST(what_is_not_written_has_its_default)
{
	const struct sample *s;
	struct play play;

	play_text(&play, "{}", false);
	s = play.sample;
	assert_true(s->small == 7 && s->large == 1000 && s->wait_ns == 2000000 && s->middle);
	assert_false(s->maybe.is_set || s->pause.is_set || s->has_share || s->has_inner);
	assert_false(s->left || s->right);
	assert_span_equal(s->name, "nobody");
	assert_int_equal(s->level.len, 0);
	assert_int_equal(s->colour, COLOUR_NONE);
	assert_true(s->inner.flag && s->inner.number == 4);
	play_done(&play);
}

TEST(every_type_is_decoded_into_its_member)
{
	const struct sample *s;
	struct play play;

	play_text(&play,
		  "{small: 100, large: 101, maybe: 0, wait: 1s, pause: 0s, share: 0.25, name: me, "
		  "colour: blue, level: high, sides: [right, left], inner: {number: 9}}",
		  false);
	assert_int_equal(play.errors.len, 0);
	s = play.sample;
	assert_true(s->small == 100 && s->large == 101 && s->wait_ns == 1000000000);
	assert_true(s->maybe.is_set && s->maybe.value == 0 && s->pause.is_set && s->pause.ns == 0);
	assert_true(s->has_share && s->share == 250000);
	assert_span_equal(s->name, "me");
	assert_span_equal(s->level, "high");
	assert_int_equal(s->colour, COLOUR_BLUE);
	assert_true(s->left && !s->middle && s->right);
	assert_true(s->has_inner && s->inner.flag && s->inner.number == 9);
	play_done(&play);
	play_text(&play, "{colour: Red, share: 50, rest: 2s, inner: {number: 5}}", true);
	assert_int_equal(play.errors.len, 0);
	s = play.sample;
	assert_true(s->colour == COLOUR_RED && s->share == 500000 && s->pause.ns == 2000000000);
	play_done(&play);
}

TEST(lists_keep_what_is_right_and_one_of_several_keys_says_which)
{
	const struct sample *s;
	struct play play;

	play_text(&play, "{port: 65535, friends: [a, b], pairs: {x: y}, note: '', way: {up: 5}}", false);
	assert_int_equal(play.errors.len, 0);
	s = play.sample;
	assert_true(s->port == 65535 && s->way == WAY_UP && s->miles == 5 && s->note.data);
	assert_int_equal(s->friend_count, 2);
	assert_span_equal(s->friend_list[1], "b");
	assert_int_equal(s->pair_count, 1);
	assert_span_equal(s->pair_list[0].name, "x");
	assert_span_equal(s->pair_list[0].value, "y");
	assert_false(schema_is_set(&sample_rows[0], s));
	assert_true(schema_is_set(&sample_rows[1], s));
	play_done(&play);
	play_text(&play, "{friends: [a, {}], way: any}", false);
	s = play.sample;
	assert_int_equal(play.report.count[CONFIG_ERROR], 1);
	assert_int_equal(s->friend_count, 1);
	assert_int_equal(s->way, WAY_ANY);
	assert_true(schema_is_set(&sample_rows[0], s));
	assert_false(schema_is_set(&sample_rows[1], s));
	play_done(&play);
	play_text(&play, "{}", false);
	assert_true(play.sample->port == 80 && play.sample->way == WAY_NONE);
	s = play.sample;
	assert_false(schema_is_set(&sample_rows[0], s) || schema_is_set(&sample_rows[1], s));
	play_done(&play);
}

TEST(what_a_row_does_not_allow_is_refused)
{
	play_refused("{port: 65536}", false, "expected a whole number from 1 to 65535");
	play_refused("{way: all}", false, "expected one of any, found");
	play_refused("{way: []}", false, "expected a map, found a list");
	play_refused("{way: {up: 1, north: 1}}", false, "exclude each other");
	play_refused("{way: {up: 6}}", false, "a.yaml:1:12: way.up: expected a whole number from 1 to 5");
	play_refused("{way: {}}", false, "exactly one of these keys is needed: north, up");
	play_refused("{friends: [a, b, c]}", false, "has 3 entries; 2 are the most");
	play_refused("{pairs: [x]}", false, "expected a map");
	play_refused("[]", false, "a.yaml:1:1: expected a map, found a list");
	play_refused("{smal: 1}", false, "did you mean \"small\"?");
	play_refused("{gone: 1}", false, "\"gone\" has been removed");
	play_refused("{shown: 1}", false, "unknown key \"shown\"");
	play_refused("{small: 101}", false, "a.yaml:1:9: small: expected a whole number from 1 to 100");
	play_refused("{large: 0}", false, "expected a whole number of 1 or more");
	play_refused("{wait: 1us}", false, "write 1ms or more");
	play_refused("{wait: 1ms}", true, "write 1s or more");
	play_refused("{rest: 1s}", false, "unknown key \"rest\"");
	play_refused("{pause: 1s}", true, "unknown key \"pause\"");
	play_refused("{share: 2}", false, "from 0.0 to 1.0");
	play_refused("{share: 101}", true, "from 0 to 100");
	play_refused("{colour: Red}", false, "did you mean red?");
	play_refused("{sides: [up]}", false, "a.yaml:1:10: sides[0]: expected one of left, middle, right");
	play_refused("{inner: {number: 6}}", true, "a.yaml:1:18: inner.number: ");
	play_refused("{small: 50, large: 49}", false, "small is more than large");
}

static void assert_late(const struct schema *schema, const void *old, const void *new, const char *want)
{
	struct text keys;

	text_init(&keys);
	schema_late_keys(schema, old, new, &keys);
	assert_span_equal(text_span(&keys), want);
	text_done(&keys);
}

TEST(keys_that_wait_for_the_next_start_are_named)
{
	struct sample old = { 0 }, new;

	schema_default(&sample_schema, &old);
	new = old;
	assert_late(&sample_schema, &old, &new, "");
	new.wait_ns = 5;
	new.large = 999;
	assert_late(&sample_schema, &old, &new, "");
	new.large = 1001;
	new.maybe.is_set = true;
	new.name = SPAN("me");
	new.colour = COLOUR_RED;
	new.inner.flag = false;
	assert_late(&sample_schema, &old, &new, "large, maybe, name, colour, inner.flag");
}

TEST(lanes_and_modes_wait_only_when_they_are_turned_on)
{
	struct static_config old = { 0 }, new;

	schema_default(&static_schema, &old);
	new = old;
	new.splice.mode = SPLICE_OFF;
	new.splice.lane_sockmap = false;
	new.via = true;
	assert_late(&static_schema, &old, &new, "");
	assert_late(&static_schema, &new, &old, "splice.mode, splice.lanes");
	new = old;
	new.worker_threads = 7;
	new.admin_addr = SPAN("off");
	new.dns_refresh_ns = 1;
	new.splice.lane_direct = new.splice.force = true;
	assert_late(&static_schema, &old, &new,
		    "workerThreads, adminAddr, dns.refresh, splice.lanes, splice.force");
}

/* ---- the members of policies that are merged: policy/compile/merge.c has its own list of them */

static bool is_manifest_key(const struct schema_row *row)
{
	return row->key && row->type != SCHEMA_NOTHING && row->style != STYLE_STANDALONE;
}

/* Every key, with the first or the second value that it may have. */
static uint32_t put_all_keys(struct text *out, const struct schema *schema, unsigned int nth)
{
	uint32_t count = 0;

	for (size_t i = 0; i < schema->row_count; i++) {
		const struct schema_row *row = &schema->rows[i];

		if (!is_manifest_key(row))
			continue;
		count++;
		text_fmt(out, "%s: ", row->key);
		if (row->type == SCHEMA_WORD)
			text_str(out, (row->manifest_words ? row->manifest_words : row->words)[nth]);
		else if (row->type == SCHEMA_DURATION)
			text_fmt(out, "%us", nth + 1);
		else
			text_fmt(out, "%llu", (unsigned long long)row->range.min + nth);
		text_str(out, ", ");
	}
	return count;
}

TEST(members_that_merge_are_the_keys_of_the_rows)
{
	static const char gateway[] =
		"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}, spec: "
		"{gatewayClassName: headgate, listeners: [{name: l, port: 80, protocol: HTTP}]}}\n";
	static const char policy[] =
		"---\n{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, "
		"metadata: {name: p%u}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: "
		"Gateway, name: g}], %s";
	static const struct {
		enum policy_kind kind;
		const char *section;
	} rows[] = {
		{ POLICY_FRONTEND_HTTP, "frontend: {http: {" },
		{ POLICY_TIMEOUT, "traffic: {timeouts: {" },
		{ POLICY_BACKEND_HTTP, "backend: {http: {" },
	};
	unsigned int merged = 0;

	for (unsigned kind = 0; kind < POLICY_KIND_COUNT; kind++)
		merged += merge_is_possible((enum policy_kind)kind);
	assert_int_equal(merged, ARRAY_LEN(rows));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		struct text text;
		uint32_t count = 0;

		text_init(&text);
		text_str(&text, gateway);
		for (unsigned int nth = 0; nth < 2; nth++) {
			text_fmt(&text, policy, nth, rows[i].section);
			count = put_all_keys(&text, policy_schema(rows[i].kind), nth);
			text_str(&text, "}}}}\n");
		}
		text_char(&text, '\0');
		config_case_text(&c, text.data);
		config_case_accepted(&c);
		assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
		assert_int_equal(c.snapshot->policy_count, 2);
		assert_int_equal(c.snapshot->policy_list[1].lost_count, count);
		config_case_done(&c);
		text_done(&text);
	}
}

static void assert_rows(const struct schema *schema, size_t size_bytes)
{
	assert_int_equal(schema->size_bytes, size_bytes);
	for (size_t i = 0; i < schema->row_count; i++) {
		const struct schema_row *row = &schema->rows[i];

		if (row->type == SCHEMA_NOTHING)
			continue;
		assert_int_equal(row->object_bytes, size_bytes);
		assert_int_equal(row->is_choice, schema->is_one_of);
		if (row->element_bytes)
			assert_true(row->element || row->decode || row->type == SCHEMA_NAMES);
		if (row->type == SCHEMA_REF)
			assert_non_null(row->decode);
		if (row->type == SCHEMA_OBJECTS && !row->child)
			assert_non_null(row->element);
		else if (row->type == SCHEMA_MAP || row->type == SCHEMA_OBJECTS)
			assert_rows(row->child, row->child_bytes);
		else if (row->child && row->child != schema)
			assert_rows(row->child, row->child->size_bytes);
	}
}

TEST(rows_are_about_the_type_of_their_object)
{
	static const size_t size_bytes[] = {
#define POLICY_KIND(id, section, dump_name, type) [POLICY_##id] = sizeof(type),
#include "config/policy_kinds.def"
#undef POLICY_KIND
	};

	for (unsigned kind = 0; kind < POLICY_KIND_COUNT; kind++) {
		const struct schema *schema = policy_schema((enum policy_kind)kind);

		if (schema)
			assert_rows(schema, size_bytes[kind]);
	}
	assert_rows(&mirror_schema, sizeof(struct mirror_policy));
	assert_rows(&mcp_servers_schema, sizeof(struct mcp_servers));
	assert_rows(&bind_schema, sizeof(struct bind));
	assert_rows(&bind_listener_schema, sizeof(struct listener));
	assert_rows(&gateway_listener_schema, sizeof(struct listener));
	assert_rows(&gateway_schema, sizeof(struct gateway_port));
	assert_rows(&route_schema, sizeof(struct route));
	assert_rows(&tcp_route_schema, sizeof(struct tcp_route));
	assert_rows(&ref_schema, sizeof(struct backend_ref));
	assert_rows(&named_backend_schema, sizeof(struct backend));
	assert_rows(&attached_schema, sizeof(struct targeted_policy));
	assert_rows(&static_schema, sizeof(struct static_config));
}
