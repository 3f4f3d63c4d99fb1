/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/own_ports.h"

#include "tests/unit/config_text.h"

static int check(const char *text, bool with_listeners, struct text *messages)
{
	struct config_report report;
	struct config_case c;
	int result;

	config_case_text(&c, text);
	config_case_accepted(&c);
	config_report_init(&report);
	result = own_ports_check(c.snapshot, with_listeners, &report);
	config_report_print(&report, CONFIG_ERROR, "", messages);
	assert_int_equal(result, report.count[CONFIG_ERROR] ? -EINVAL : 0);
	config_report_done(&report);
	config_case_done(&c);
	return result;
}

static void without_environment(void)
{
	unsetenv("ADMIN_ADDR");
	unsetenv("STATS_ADDR");
	unsetenv("READINESS_ADDR");
}

#define BIND(address)                                                                                        \
	"binds:\n- {" address ", listeners: [{routes: [{policies: {directResponse: {status: 200}}}]}]}\n"

/* bind(2): the wildcard of IPv6 takes IPv4, too; that of IPv4 does not take IPv6. */
TEST(a_listener_cannot_have_the_address_of_a_server_of_the_gateway)
{
	static const struct {
		const char *config;
		const char *bind;
		const char *key; /* NULL: both can listen */
	} rows[] = {
		{ "", BIND("port: 15000"), "adminAddr, \"localhost:15000\"" },
		{ "", BIND("port: 15020"), "statsAddr, \"[::]:15020\"" },
		{ "", BIND("port: 15021, bind: 127.0.0.1"), "readinessAddr, \"[::]:15021\"" },
		{ "", BIND("port: 15000, bind: 127.0.0.1"), "adminAddr, \"localhost:15000\"" },
		{ "", BIND("port: 15000, bind: '::1'"), "adminAddr, \"localhost:15000\"" },
		{ "", BIND("port: 15000, bind: 10.0.0.1"), NULL },
		{ "", BIND("port: 15001"), NULL },
		{ "config: {adminAddr: '[::1]:15000'}\n", BIND("port: 15000, bind: 0.0.0.0"), NULL },
		{ "config: {adminAddr: '10.0.0.1:80'}\n", BIND("port: 80, bind: 0.0.0.0"),
		  "adminAddr, \"10.0.0.1:80\"" },
		{ "config: {adminAddr: 'off'}\n", BIND("port: 15000"), NULL },
		{ "config: {adminAddr: 'unix:/run/admin'}\n", BIND("port: 15000"), NULL },
		{ "config: {adminAddr: '127.0.0.1:0', statsAddr: '127.0.0.1:0'}\n", BIND("port: 15000"),
		  NULL },
	};

	without_environment();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[512];
		struct text messages;

		text_init(&messages);
		snprintf(text, sizeof(text), "%s%s", rows[i].config, rows[i].bind);
		check(text, true, &messages);
		if (!rows[i].key && messages.len)
			fail_msg("%s: %s", text, messages.data);
		if (rows[i].key && (!messages.len || !strstr(messages.data, rows[i].key) ||
				    !strstr(messages.data, ": binds[0].listeners[0]: ")))
			fail_msg("%s: %s", text, messages.len ? messages.data : "accepted");
		text_clear(&messages);
		check(text, false, &messages);
		assert_int_equal(messages.len, 0);
		text_done(&messages);
	}
}

TEST(what_the_environment_says_counts)
{
	struct text messages;

	text_init(&messages);
	setenv("ADMIN_ADDR", "127.0.0.1:8000", 1);
	setenv("STATS_ADDR", "off", 1);
	check(BIND("port: 15000"), true, &messages);
	check(BIND("port: 15020"), true, &messages);
	assert_int_equal(messages.len, 0);
	assert_int_equal(check(BIND("port: 8000"), true, &messages), -EINVAL);
	assert_non_null(strstr(messages.data, "adminAddr, \"127.0.0.1:8000\""));
	without_environment();
	text_done(&messages);
}

TEST(two_servers_of_the_gateway_cannot_have_one_address)
{
	static const struct {
		const char *text;
		const char *words;
	} rows[] = {
		{ "config: {statsAddr: 'localhost:15000'}\n", "adminAddr \"localhost:15000\" and statsAddr" },
		{ "config: {statsAddr: '[::]:15021'}\n", "statsAddr \"[::]:15021\" and readinessAddr" },
		{ "config: {readinessAddr: '[::]:15000'}\n", "adminAddr \"localhost:15000\" and readiness" },
		{ "config: {adminAddr: 'unix:/a', statsAddr: 'unix:/a'}\n",
		  "adminAddr \"unix:/a\" and stats" },
		{ "config: {adminAddr: 'unix:/a', statsAddr: 'unix:/b'}\n", NULL },
		{ "config: {adminAddr: 'off', statsAddr: 'off'}\n", NULL },
	};

	without_environment();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct text messages;

		text_init(&messages);
		check(rows[i].text, false, &messages);
		assert_int_equal(messages.len != 0, rows[i].words != NULL);
		if (rows[i].words && !strstr(messages.data, rows[i].words))
			fail_msg("%s: %s", rows[i].text, messages.data);
		text_done(&messages);
	}
}
