/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/address_pool.h"
#include "tests/unit/gatewayapi_status.h"

/* -------------------------------------------------------------------------------- the option */

/* Writes the first addresses of a pool, or why it is none. */
static void pool_text(const char *list, struct text *out)
{
	struct address_pool_walk walk = { 0 };
	struct address_pool pool;
	struct address address;
	char text[ADDRESS_TEXT_BYTES];

	if (address_pool_parse(span_str(list), &pool, out) < 0)
		return;
	for (int i = 0; i < 5 && address_pool_next(&pool, &walk, &address); i++) {
		text_fmt(out, "%s%.*s", i ? " " : "", (int)address_host_text(&address, text), text);
		assert_true(address_pool_has(&pool, &address));
	}
}

TEST(a_pool_is_a_list_of_addresses_networks_and_ranges)
{
	static const struct {
		const char *list, *found;
	} rows[] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "192.0.2.1, 192.0.2.9", "192.0.2.1 192.0.2.9" },
		{ "192.0.2.254-192.0.3.1", "192.0.2.254 192.0.2.255 192.0.3.0 192.0.3.1" },
		{ "192.0.2.8/30", "192.0.2.8 192.0.2.9 192.0.2.10 192.0.2.11" },
		{ "192.0.2.9/31,10.0.0.0/8", "192.0.2.8 192.0.2.9 10.0.0.0 10.0.0.1 10.0.0.2" },
		{ "192.0.2.7/32", "192.0.2.7" },
		{ "255.255.255.250-255.255.255.251", "255.255.255.250 255.255.255.251" },
		{ "2001:db8::ffff-2001:db8::1:1", "2001:db8::ffff 2001:db8::1:0 2001:db8::1:1" },
		{ "2001:db8::/64", "2001:db8:: 2001:db8::1 2001:db8::2 2001:db8::3 2001:db8::4" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "", "there is nothing" },
		{ "a", "a is no address, network or range" },
		{ "192.0.2.1,,192.0.2.2", "there is nothing" },
		{ "192.0.2.0/33", "192.0.2.0/33 is no address, network or range" },
		{ "192.0.2.0/", "192.0.2.0/ is no address, network or range" },
		{ "192.0.2.9-192.0.2.1", "192.0.2.9-192.0.2.1 is no address, network or range" },
		{ "192.0.2.9-2001:db8::", "192.0.2.9-2001:db8:: is no address, network or range" },
		{ "0.0.0.0", "0.0.0.0 means all addresses" },
		{ "192.0.2.0/0", "192.0.2.0/0 is a multicast or broadcast address" },
		{ "224.0.0.1", "224.0.0.1 is a multicast or broadcast address" },
		{ "fe80::1", "fe80::1 is a link-local address, which is unique only with the name of an "
			     "interface" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct text found;

		text_init(&found);
		pool_text(rows[i].list, &found);
		if (!span_eq(text_span(&found), span_str(rows[i].found)))
			fail_msg("%s: \"%.*s\"", rows[i].list, SPAN_FMT(text_span(&found)));
		text_done(&found);
	}
}

TEST(a_pool_has_its_ends_and_nothing_beside_them)
{
	static const struct {
		const char *address;
		bool is_member;
	} rows[] = {
		{ "192.0.2.7", false },	 { "192.0.2.8", true },	  { "192.0.2.11", true },
		{ "192.0.2.12", false }, { "2001:db8::1", true }, { "2001:db8::2", false },
	};
	struct address_pool pool;
	struct address address;
	struct text why;

	text_init(&why);
	assert_int_equal(address_pool_parse(SPAN("192.0.2.8/30,2001:db8::1"), &pool, &why), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(address_parse_ip(span_str(rows[i].address), 0, &address), 0);
		assert_int_equal(address_pool_has(&pool, &address), rows[i].is_member);
	}
	text_done(&why);
}

/* -------------------------------------------------------------------------------- Gateways */

/* A Gateway made in a second of a minute, with more of its spec or behind it. */
#define MADE(name, second, spec, more)                                                                       \
	"{" API "kind: Gateway, metadata: {name: " name ", creationTimestamp: '2026-01-01T00:00:" second     \
	"Z'}, spec: {" spec "listeners: [" HTTP("a", "80") "]}" more "}\n---\n"
#define HAS(address) ", status: {addresses: [{type: IPAddress, value: " address "}]}"

/* "g=192.0.2.1 " for each Gateway by its address; "g=- " for one that is not served. */
static struct snapshot *load(const char *pool_text, const char *text, const struct snapshot *previous,
			     struct text *found)
{
	struct address_pool pool;
	struct config_setting setting = { .previous = previous, .pool = &pool };
	struct snapshot *snapshot;
	struct config_case c;

	text_clear(found);
	assert_int_equal(address_pool_parse(span_str(pool_text), &pool, found), 0);
	config_case_with(&c, text, &setting);
	config_case_accepted(&c);
	for (const struct status_object *one = c.snapshot->status_list; one; one = one->next)
		if (one->form == STATUS_GATEWAY)
			text_fmt(found, "%.*s=%.*s ", SPAN_FMT(one->name),
				 SPAN_FMT(one->address_count ? one->address_list[0].value : SPAN("-")));
	snapshot = snapshot_ref(c.snapshot);
	config_case_done(&c);
	return snapshot;
}

static void pool_gives(const char *pool, const char *text, const char *expected)
{
	struct text found;

	text_init(&found);
	snapshot_unref(load(pool, text, NULL, &found));
	if (!span_eq(text_span(&found), span_str(expected)))
		fail_msg("\"%.*s\" instead of \"%s\" for\n%s", SPAN_FMT(text_span(&found)), expected, text);
	text_done(&found);
}

TEST(each_gateway_gets_an_address_of_its_own_the_older_first)
{
	pool_gives("192.0.2.1-192.0.2.9", MADE("x", "02", "", "") MADE("y", "01", "", ""),
		   "x=192.0.2.2 y=192.0.2.1 ");
	/* Of the same age: by name. */
	pool_gives("192.0.2.1-192.0.2.9", MADE("y", "01", "", "") MADE("x", "01", "", ""),
		   "y=192.0.2.2 x=192.0.2.1 ");
	/* Without a value, any address is asked for. */
	pool_gives("192.0.2.1-192.0.2.9", MADE("x", "01", "addresses: [{type: IPAddress}], ", ""),
		   "x=192.0.2.1 ");
}

TEST(what_a_spec_names_is_not_given_to_another)
{
	pool_gives("192.0.2.1-192.0.2.9",
		   MADE("x", "02", "", "") MADE("y", "03", "addresses: [{value: 192.0.2.1}], ", "")
			   MADE("z", "01", "", ""),
		   "x=192.0.2.3 y=192.0.2.1 z=192.0.2.2 ");
	/* It may name one outside of the pool. */
	pool_gives("192.0.2.1", MADE("x", "01", "addresses: [{value: 198.51.100.1}], ", ""),
		   "x=198.51.100.1 ");
}

TEST(a_gateway_keeps_the_address_in_its_status)
{
	pool_gives("192.0.2.1-192.0.2.9", MADE("x", "01", "", "") MADE("y", "02", "", HAS("192.0.2.1")),
		   "x=192.0.2.2 y=192.0.2.1 ");
	/* Two with the same one: the older. */
	pool_gives("192.0.2.1-192.0.2.9",
		   MADE("x", "02", "", HAS("192.0.2.5")) MADE("y", "01", "", HAS("192.0.2.5")),
		   "x=192.0.2.1 y=192.0.2.5 ");
	/* One that the pool does not have (any more). */
	pool_gives("192.0.2.1-192.0.2.9", MADE("x", "01", "", HAS("192.0.2.10")), "x=192.0.2.1 ");
	pool_gives("192.0.2.1-192.0.2.9", MADE("x", "01", "", ", status: {addresses: 7}"), "x=192.0.2.1 ");
}

TEST(a_reload_keeps_addresses_that_no_status_has_yet)
{
	struct snapshot *first, *second;
	struct text found;

	text_init(&found);
	first = load("192.0.2.1-192.0.2.9", MADE("y", "01", "", ""), NULL, &found);
	assert_span_equal(text_span(&found), "y=192.0.2.1 ");
	second = load("192.0.2.1-192.0.2.9", MADE("x", "01", "", "") MADE("y", "01", "", ""), first, &found);
	assert_span_equal(text_span(&found), "x=192.0.2.2 y=192.0.2.1 ");
	snapshot_unref(first);
	/* Another gateway has written another choice: that counts. */
	first = load("192.0.2.1-192.0.2.9",
		     MADE("x", "01", "", HAS("192.0.2.1")) MADE("y", "01", "", HAS("192.0.2.2")), second,
		     &found);
	assert_span_equal(text_span(&found), "x=192.0.2.1 y=192.0.2.2 ");
	snapshot_unref(first);
	snapshot_unref(second);
	text_done(&found);
}

static const char *reason_of(const struct conditions *conditions, enum condition_type type)
{
	return condition_is_false(conditions, type) ? conditions->of[type].reason : "";
}

TEST(without_a_free_address_a_gateway_is_not_served_and_says_what_to_do)
{
	const char *text = MADE("x", "02", "", "") MADE("y", "01", "", "")
		SERVICE ROUTE("parentRefs: [{name: x}], " RULES);
	const struct status_object *x;
	struct address_pool pool;
	struct config_case c;
	struct text why;

	pool_gives("192.0.2.1", text, "x=- y=192.0.2.1 ");
	text_init(&why);
	assert_int_equal(address_pool_parse(SPAN("192.0.2.1"), &pool, &why), 0);
	config_case_with(&c, text, &(struct config_setting){ .pool = &pool });
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->bind_count, 1);
	assert_span_equal(c.snapshot->bind_list[0].address_text, "192.0.2.1:80");
	config_case_says(&c, CONFIG_WARNING, "a.yaml:1:1: Gateway default/x: ",
			 "AddressNotAssigned: each address of --gateway-addresses is another Gateway's, so "
			 "that this one is not served; add addresses");
	x = c.snapshot->status_list;
	assert_span_equal(x->name, "x");
	assert_true(x->has_no_address);
	assert_string_equal(reason_of(&x->conditions, CONDITION_ACCEPTED), "");
	assert_string_equal(reason_of(&x->conditions, CONDITION_PROGRAMMED), "AddressNotAssigned");
	assert_string_equal(reason_of(&x->listener_list->conditions, CONDITION_ACCEPTED), "");
	assert_string_equal(reason_of(&x->listener_list->conditions, CONDITION_PROGRAMMED), "Pending");
	assert_int_equal(x->listener_list->attached_routes, 1);
	config_case_done(&c);
	text_done(&why);
}

TEST(listeners_of_a_set_are_on_the_address_of_the_gateway)
{
	struct address_pool pool;
	struct config_case c;
	struct text why;

	text_init(&why);
	assert_int_equal(address_pool_parse(SPAN("192.0.2.1"), &pool, &why), 0);
	config_case_with(
		&c,
		MADE("x", "02", "allowedListeners: {namespaces: {from: Same}}, ", "")
			OBJECT("ListenerSet", "s", "parentRef: {name: x}, listeners: [" HTTP("b", "81") "]"),
		&(struct config_setting){ .pool = &pool });
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->bind_count, 2);
	assert_span_equal(c.snapshot->bind_list[1].address_text, "192.0.2.1:81");
	config_case_done(&c);
	text_done(&why);
}

TEST(a_gateway_without_an_address_of_its_own_shows_those_that_the_command_line_says)
{
	const struct status_address shown[] = { { SPAN("203.0.113.1"), .is_elsewhere = true },
						{ SPAN("gw.example.com"), true, true } };
	struct config_case c;

	config_case_with(&c, MADE("x", "01", "", "") MADE("y", "01", "addresses: [{value: 192.0.2.1}], ", ""),
			 &(struct config_setting){ .status_address_list = shown, .status_address_count = 2 });
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->status_list->address_count, 2);
	assert_span_equal(c.snapshot->status_list->address_list[1].value, "gw.example.com");
	assert_int_equal(c.snapshot->status_list->next->address_count, 1);
	assert_span_equal(c.snapshot->status_list->next->address_list[0].value, "192.0.2.1");
	config_case_done(&c);
}

TEST_GROUP(NULL, NULL);
