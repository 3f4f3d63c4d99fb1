/* SPDX-License-Identifier: Apache-2.0 */
/* One port on several addresses, in files and in manifests. */
#include "admin/dump/status.h"
#include "tests/unit/gatewayapi_status.h"

static void assert_binds(const char *yaml, const char *want)
{
	struct config_case c;
	struct text found;

	config_case_text(&c, yaml);
	config_case_accepted(&c);
	text_init(&found);
	for (uint32_t i = 0; i < c.snapshot->bind_count; i++) {
		const struct bind *bind = &c.snapshot->bind_list[i];

		text_fmt(&found, "%.*s %.*s", SPAN_FMT(bind->key), SPAN_FMT(bind->address_text));
		for (uint32_t l = 0; l < bind->listener_count; l++)
			text_fmt(&found, " %.*s(%u)", SPAN_FMT(bind->listener_list[l].listener_name),
				 bind->listener_list[l].route_count);
		text_char(&found, '\n');
	}
	text_char(&found, '\0');
	assert_int_equal(text_error(&found), 0);
	assert_string_equal(found.data, want);
	text_done(&found);
	config_case_done(&c);
}

TEST(a_port_is_unique_on_each_address_of_a_file)
{
	assert_binds("gateways:\n"
		     "  all: {port: 80}\n"
		     "  inner: {port: 80, bind: 127.0.0.1}\n"
		     "  v6: {port: 80, bind: '2001:db8::1'}\n"
		     "  v4: {port: 80, bind: 0.0.0.0}\n"
		     "  mapped: {port: 80, bind: '::ffff:192.0.2.1'}\n"
		     "routes: [{gateways: [all, inner, v6, v4, mapped]}, {gateways: inner}]\n",
		     "bind/0.0.0.0:80 0.0.0.0:80 v4(1)\n"
		     "bind/127.0.0.1:80 127.0.0.1:80 inner(2)\n"
		     "bind/192.0.2.1:80 192.0.2.1:80 mapped(1)\n"
		     "bind/80 [::]:80 all(1)\n"
		     "bind/[2001:db8::1]:80 [2001:db8::1]:80 v6(1)\n");
	assert_binds("binds:\n"
		     "- {port: 80, bind: 127.0.0.1, listeners: [{routes: []}]}\n"
		     "- {port: 80, bind: 127.0.0.2, listeners: [{routes: []}]}\n",
		     "bind/127.0.0.1:80 127.0.0.1:80 listener0(0)\n"
		     "bind/127.0.0.2:80 127.0.0.2:80 listener0(0)\n");
	/* Without IPv6 all addresses are those of IPv4. */
	assert_binds("config: {enableIpv6: false}\n"
		     "gateways: {a: {port: 80}, b: {port: 80, bind: 127.0.0.1}}\n"
		     "routes: [{gateways: [a, b]}]\n",
		     "bind/127.0.0.1:80 127.0.0.1:80 b(1)\nbind/80 0.0.0.0:80 a(1)\n");
}

TEST(the_same_address_twice_and_what_is_none_are_refused)
{
	static const struct config_refusal rows[] = {
		{ "gateways: {a: {port: 80}, b: {port: 80, bind: '::'}}\nroutes: [{gateways: [a, b]}]\n",
		  "a.yaml:1:37: gateways.b.port: ", "port 80 is configured twice on [::]:80; " },
		{ "config: {enableIpv6: false}\n"
		  "gateways: {a: {port: 80}, b: {port: 80, bind: 0.0.0.0}}\nroutes: [{gateways: [a, b]}]\n",
		  "a.yaml:2:37: gateways.b.port: ", "port 80 is configured twice on 0.0.0.0:80; " },
		{ "gateways: {a: {port: 80, bind: 127.0.0.1}, b: {port: 80, bind: '::ffff:127.0.0.1'}}\n"
		  "routes: [{gateways: [a, b]}]\n",
		  "a.yaml:1:54: gateways.b.port: ", "port 80 is configured twice on 127.0.0.1:80; " },
		{ "binds:\n- {port: 80, bind: 127.0.0.1, listeners: [{routes: []}]}\n"
		  "- {port: 80, bind: 127.0.0.1, listeners: [{routes: []}]}\n",
		  "a.yaml:3:10: binds[1].port: ", "port 80 is configured twice on 127.0.0.1:80; " },
		{ "gateways: {a: {port: 80, bind: 224.0.0.1}}\nroutes: [{gateways: a}]\n",
		  "a.yaml:1:32: gateways.a.bind: ",
		  "\"224.0.0.1\" is a multicast or broadcast address; write another" },
		{ "gateways: {a: {port: 80, bind: 'ff02::1'}}\nroutes: [{gateways: a}]\n",
		  "a.yaml:1:32: gateways.a.bind: ",
		  "\"ff02::1\" is a multicast or broadcast address; write another" },
		{ "gateways: {a: {port: 80, bind: 'fe80::1'}}\nroutes: [{gateways: a}]\n",
		  "a.yaml:1:32: gateways.a.bind: ", "\"fe80::1\" is a link-local address" },
		{ "gateways: {a: {port: 80, bind: eth0}}\nroutes: [{gateways: a}]\n",
		  "a.yaml:1:32: gateways.a.bind: ", "as in bind: 127.0.0.1, or remove it" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

/* -------------------------------------------------------------------------------- Gateways */

#define ON(name, addresses, listeners)                                                                       \
	AT("Gateway", name, "00", "addresses: [" addresses "], listeners: [" listeners "]")
#define TO(name) AT("HTTPRoute", "to-" name, "00", "parentRefs: [{name: " name "}], " RULES)
#define ONE "{value: 192.0.2.1}"
#define TWO "{type: IPAddress, value: '2001:db8::2'}"
#define THREE "{value: 192.0.2.3}"

TEST(a_gateway_listens_on_its_addresses_only)
{
	assert_binds(ON("g", ONE ", " TWO ", " ONE, HTTP("a", "80")) SERVICE TO("g"),
		     "bind/192.0.2.1:80 192.0.2.1:80 a(1)\n"
		     "bind/[2001:db8::2]:80 [2001:db8::2]:80 a(1)\n");
	assert_binds(ON("g", ONE ", " TWO ", " THREE, HTTP("a", "80")) SERVICE TO("g"),
		     "bind/192.0.2.1:80 192.0.2.1:80 a(1)\n"
		     "bind/192.0.2.3:80 192.0.2.3:80 a(1)\n"
		     "bind/[2001:db8::2]:80 [2001:db8::2]:80 a(1)\n");
	/* Gateways with addresses of their own share no listener. */
	assert_binds(ON("g", ONE, HTTP("a", "80")) ON("h", TWO, HTTP("b", "80"))
			     OBJECT("Gateway", "i", "listeners: [" HTTP("c", "80") "]") SERVICE TO("h"),
		     "bind/192.0.2.1:80 192.0.2.1:80 a(0)\n"
		     "bind/80 [::]:80 c(0)\n"
		     "bind/[2001:db8::2]:80 [2001:db8::2]:80 b(1)\n");
	/* Neither a value nor an entry: all addresses. */
	assert_binds(ON("g", "{type: IPAddress}", HTTP("a", "80")), "bind/80 [::]:80 a(0)\n");
	assert_binds(ON("g", "", HTTP("a", "80")), "bind/80 [::]:80 a(0)\n");
	assert_binds(ON("g", "{value: '::'}", HTTP("a", "80")), "bind/80 [::]:80 a(0)\n");
}

TEST(listeners_conflict_on_a_common_address_only)
{
	struct config_case c;

	config_case_text(&c, ON("g", ONE ", " TWO, HTTP("a", "80")) ON("h", TWO, HTTP("b", "80")));
	assert_int_equal(c.snapshot->bind_count, 2);
	config_case_says(&c, CONFIG_ERROR, "a.yaml:", "HostnameConflict: port 80 is shared with");
	assert_int_equal(c.report.count[CONFIG_ERROR], 1);
	for (uint32_t i = 0; i < c.snapshot->bind_count; i++)
		assert_int_equal(c.snapshot->bind_list[i].listener_count, 1);
	config_case_done(&c);
}

TEST(what_is_no_address_to_listen_on_leaves_the_gateway_without_ports)
{
	static const struct {
		const char *address, *words;
	} rows[] = {
		{ "{type: Hostname, value: a.example}", "UnsupportedAddress: a Gateway of this program" },
		{ "{value: a.example}", "is not an address" },
		{ "{value: 224.0.0.1}", "is a multicast or broadcast address" },
		{ "{value: 'fe80::1'}", "is a link-local address" },
		{ ONE ", " TWO ", " THREE ", {value: a.example}", "is not an address" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		char yaml[500];

		snprintf(yaml, sizeof(yaml), ON("g", "%s", HTTP("a", "80")) G, rows[i].address);
		/* A neighbour of another name is served. */
		memcpy(strstr(yaml + 100, "name: g}, "), "name: h}, ", 10);
		config_case_text(&c, yaml);
		assert_int_equal(c.result, 0);
		assert_int_equal(c.snapshot->bind_count, 1);
		assert_span_equal(c.snapshot->bind_list[0].key, "bind/80");
		config_case_says(&c, CONFIG_ERROR, "a.yaml:", rows[i].words);
		assert_string_equal(c.snapshot->status_list->conditions.of[CONDITION_ACCEPTED].reason,
				    "UnsupportedAddress");
		config_case_done(&c);
	}
}

static int has_no_address(const struct address *address)
{
	(void)address;
	return 0;
}

static int has_every_address(const struct address *address)
{
	(void)address;
	return 1;
}

TEST(the_status_of_a_gateway_counts_a_route_once_and_says_whether_the_machine_has_its_addresses)
{
	struct status_host host = { .has_address = has_no_address };
	const struct status_object *gateway;
	struct config_case c;
	struct text out;

	config_case_text(&c, ON("g", ONE ", " TWO, HTTP("a", "80")) SERVICE TO("g"));
	config_case_accepted(&c);
	gateway = c.snapshot->status_list;
	assert_int_equal(gateway->address_count, 2);
	assert_null(gateway->listener_list->next);
	assert_int_equal(gateway->listener_list->attached_routes, 1);
	text_init(&out);
	status_table(c.snapshot, &host, &out);
	text_char(&out, '\0');
	assert_non_null(strstr(out.data,
			       "Programmed=False AddressNotUsable: no interface of this machine has "
			       "the address 192.0.2.1; give it to one, as with ip address add 192.0.2.1 dev "
			       "lo, or choose another one\n"));
	text_clear(&out);
	host.has_address = has_every_address;
	status_table(c.snapshot, &host, &out);
	text_char(&out, '\0');
	assert_null(strstr(out.data, "AddressNotUsable"));
	text_done(&out);
	config_case_done(&c);
}
