/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>

#include "admin/http/site.h"
#include "admin/top/top_client.h"
#include "tests/lib/alloc.h"
#include "tests/unit/admin_fake.h"
#include "user/base/limits.h"
#include "user/base/log.h"

/* ---- whom it serves */

PLAYED(only_hosts_that_no_foreign_name_can_take_are_served)
{
	static const struct {
		const char *host;
		bool is_safe;
	} cases[] = {
		{ "localhost", true },
		{ "LocalHost:15000", true },
		{ "127.0.0.1:15000", true },
		{ "127.0.0.1", true },
		{ "[::1]:15000", true },
		{ "[::1]", true },
		{ "10.1.2.3:15000", true },
		{ "[fe80::1]:1", true },
		{ "evil.example", false },
		{ "evil.example:15000", false },
		{ "localhost.evil.example", false },
		{ "127.0.0.1.evil.example", false },
		{ "localhos", false },
		{ "1.2.3", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char field[128];
		char *answer;

		assert_int_equal(site_host_is_safe(span_str(cases[i].host)), cases[i].is_safe);
		snprintf(field, sizeof(field), "Host: %s\r\n", cases[i].host);
		answer = ask_with(*state, ADMIN_PORT_ADMIN, "GET /logging", field);
		assert_memory_equal(answer, cases[i].is_safe ? "HTTP/1.1 200 " : "HTTP/1.1 403 ", 13);
		free(answer);
		/* Probes and scrapers come by any name. */
		answer = ask_with(*state, ADMIN_PORT_READINESS, "GET /healthz/ready", field);
		assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
		free(answer);
	}
}

PLAYED(pages_of_other_sites_can_change_nothing)
{
	static const struct {
		const char *fields;
		bool is_served;
	} cases[] = {
		{ "", true },
		{ "Origin: http://localhost:15000\r\n", false },
		{ "Origin: http://localhost:15000\r\nX-Headgate: 1\r\n", true },
		{ "Origin: http://evil.example\r\nX-Headgate: 1\r\n", false },
		{ "Origin: http://evil.example\r\n", false },
		{ "Origin: https://localhost:15000\r\n", false },
		{ "Origin: http://localhost\r\n", false },
		{ "Origin: http://localhost:15000.evil.example\r\n", false },
		{ "Origin: http://localhost:150001\r\n", false },
		{ "Origin: null\r\n", false },
		{ "Origin:\r\n", false },
		{ "Sec-Fetch-Site: cross-site\r\n", false },
		{ "Sec-Fetch-Site: same-site\r\n", false },
		{ "Sec-Fetch-Site: none\r\n", false },
		{ "Sec-Fetch-Site: none\r\nx-headgate: 1\r\n", true },
		{ "Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost:15000\r\nX-Headgate: 1\r\n",
		  true },
		{ "Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost:15000\r\n", false },
		{ "Sec-Fetch-Site: cross-site\r\nX-Headgate: 1\r\n", false },
		{ "Origin: http://localhost:15000\r\nOrigin: http://evil.example\r\n", false },
		{ "Sec-Fetch-Site: none\r\nsec-fetch-site: cross-site\r\n", false },
	};
	struct fake *fake = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned int quits = fake->quits;
		char fields[256];
		char *answer;

		snprintf(fields, sizeof(fields), "Host: localhost:15000\r\n%s", cases[i].fields);
		answer = ask_with(fake, ADMIN_PORT_ADMIN, "POST /quitquitquit", fields);
		assert_memory_equal(answer, cases[i].is_served ? "HTTP/1.1 200 " : "HTTP/1.1 403 ", 13);
		assert_int_equal(fake->quits, quits + cases[i].is_served);
		free(answer);
	}
}

/* ---- connections and addresses */

PLAYED(past_the_bound_the_connection_that_waits_longest_makes_room)
{
	struct fake *fake = *state;
	int fds[LIMIT_ADMIN_CONNECTIONS];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = client_open(&fake->address[ADMIN_PORT_READINESS]);
	assert_answer(fake, ADMIN_PORT_READINESS, "GET /healthz/ready", 200, "ready\n");
	assert_true(client_sees_end(fds[0]));
	/* The others are still there. */
	client_send(fds[1], "GET /healthz/ready HTTP/1.0\r\n\r\n", 31);
	assert_false(client_sees_end(fds[1]));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

/* With a small window, which keeps the queues short. */
static int open_narrow(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int small = 4096;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	CHECK(connect(fd, &address->any, address->len) == 0);
	return fd;
}

/* They pipeline and do not read, until nothing moves any more. */
static void stall(const int *fds, size_t count)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	bool has_moved = true;

	while (has_moved) {
		has_moved = false;
		for (size_t i = 0; i < count; i++)
			while (send(fds[i], request, sizeof(request) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
				has_moved = true;
		usleep(150 * 1000);
	}
}

/*
 * Room is made where somebody has taken nothing for a moment, and a busy machine may still be answering all
 * of them: then the newcomer is turned away, and asks again.
 */
static bool is_let_in(struct fake *fake)
{
	for (int i = 0; i < 200; i++) {
		char *answer = ask(fake, ADMIN_PORT_STATS, "GET /metrics");
		bool is_answered = strncmp(answer, "HTTP/1.1 200 ", 13) == 0;

		free(answer);
		if (is_answered)
			return true;
		usleep(100 * 1000);
	}
	return false;
}

PLAYED(past_the_bound_a_client_that_does_not_read_makes_room)
{
	struct fake *fake = *state;
	int fds[LIMIT_ADMIN_CONNECTIONS];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = open_narrow(&fake->address[ADMIN_PORT_STATS]);
	stall(fds, ARRAY_LEN(fds));
	for (int i = 0; i < 3; i++)
		assert_true(is_let_in(fake));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

PLAYED(stopping_closes_what_is_open)
{
	struct fake *fake = *state;
	int fd = client_open(&fake->address[ADMIN_PORT_ADMIN]);

	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /", 200, "headgate admin");
	loop_play_do(&fake->play, fake_stop_admin, fake);
	assert_true(client_sees_end(fd));
	close(fd);
	assert_int_equal(client_open(&fake->address[ADMIN_PORT_ADMIN]), -1);
}

TEST(a_unix_socket_serves_any_host_and_only_its_owner)
{
	char dir[] = "/tmp/headgate-admin-XXXXXX", where[128], *answer;
	struct stat stat_of_socket;
	struct fake *fake;
	struct text body, error;

	assert_non_null(mkdtemp(dir));
	snprintf(where, sizeof(where), "unix:%s/admin.sock", dir);
	fake = start_on(where, "off");
	assert_int_equal(fake->start_result, 0);
	assert_int_equal(stat(where + 5, &stat_of_socket), 0);
	assert_int_equal(stat_of_socket.st_mode & 0777, 0600);
	answer = ask_with(fake, ADMIN_PORT_ADMIN, "GET /logging", "Host: whatever.example\r\n");
	assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
	free(answer);
	text_init(&body);
	text_init(&error);
	assert_int_equal(top_fetch(span_str(where), "GET", "/logging", &body, &error), 0);
	assert_true(span_starts(text_span(&body), SPAN("current log level is ")));
	text_done(&body);
	text_done(&error);
	fake_free(fake);
	assert_int_equal(access(where + 5, F_OK), -1);
	assert_int_equal(rmdir(dir), 0);
}

PLAYED(addresses_that_cannot_be_used_say_why)
{
	static const struct {
		const char *admin;
		int result;
		const char *error;
	} cases[] = {
		{ "nonsense", -EINVAL,
		  "admin address \"nonsense\": write ip:port, [ipv6]:port, localhost:port, "
		  "unix:/path or off" },
		{ "localhost:99999", -EINVAL, "write ip:port" },
		{ "localhost:", -EINVAL, "write ip:port" },
		{ "127.0.0.1", -EINVAL, "write ip:port" },
		{ "unix:", -EINVAL, "write ip:port" },
		{ "unix:/nonexistent-dir/admin.sock", -ENOENT, "/nonexistent-dir/admin.sock" },
	};
	struct fake *fake = *state, *second;
	struct text taken;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		second = start_on(cases[i].admin, "127.0.0.1:0");
		assert_int_equal(second->start_result, cases[i].result);
		if (!strstr(second->start_error.data, cases[i].error))
			fail_msg("%s", second->start_error.data);
		fake_free(second);
	}
	text_init(&taken);
	address_format(&fake->address[ADMIN_PORT_ADMIN], &taken);
	second = start_on("off", taken.data);
	assert_int_equal(second->start_result, -EADDRINUSE);
	assert_non_null(strstr(second->start_error.data, "stats address \""));
	fake_free(second);
	text_done(&taken);
}

TEST(off_means_no_listener_and_localhost_both_families)
{
	struct address list[ADMIN_ADDRESSES_PER_PORT], address;
	struct fake *fake;
	size_t count;

	assert_int_equal(admin_address_parse(SPAN("off"), list, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(admin_address_parse(SPAN("localhost:15000"), list, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(list[0].any.sa_family, AF_INET);
	assert_int_equal(list[1].any.sa_family, AF_INET6);
	assert_int_equal(address_port(&list[1]), 15000);
	assert_int_equal(admin_address_parse(SPAN("[::]:15020"), list, &count), 0);
	assert_int_equal(count, 1);
	fake = start_on("off", "[::]:0");
	assert_int_equal(fake->start_result, 0);
	assert_int_equal(admin_local_address(fake->admin, ADMIN_PORT_ADMIN, &address), -ENOENT);
	assert_answer(fake, ADMIN_PORT_STATS, "GET /metrics", 200, "headgate_workers 2\n");
	fake_free(fake);
}

TEST(the_environment_wins_over_the_configuration)
{
	struct static_config config = { .admin_addr = SPAN("localhost:15000"),
					.stats_addr = SPAN("[::]:15020"),
					.readiness_addr = SPAN("[::]:15021"),
					.ipv6_enabled = true };
	struct admin_addresses addresses;

	setenv("STATS_ADDR", "127.0.0.1:9", 1);
	setenv("READINESS_ADDR", "", 1);
	unsetenv("ADMIN_ADDR");
	admin_addresses_of(&config, &addresses);
	unsetenv("STATS_ADDR");
	unsetenv("READINESS_ADDR");
	assert_true(span_eq(addresses.text[ADMIN_PORT_ADMIN], SPAN("localhost:15000")));
	assert_true(span_eq(addresses.text[ADMIN_PORT_STATS], SPAN("127.0.0.1:9")));
	assert_true(span_eq(addresses.text[ADMIN_PORT_READINESS], SPAN("[::]:15021")));
	assert_true(addresses.ipv6_enabled);
}

static int start_and_stop(void *context)
{
	static const struct admin_hooks hooks = { 0 };
	struct admin_addresses addresses = { .text = { SPAN("127.0.0.1:0"), SPAN("[::]:0"), SPAN("off") },
					     .ipv6_enabled = true };
	struct loop *loop = loop_create(16);
	struct admin *admin = NULL;
	struct text error;
	int result;

	(void)context;
	if (!loop)
		return -ENOMEM;
	text_init(&error);
	result = admin_start(loop, &hooks, &addresses, &error, &admin);
	admin_stop(admin);
	loop_free(loop);
	text_done(&error);
	return result == -ENOSPC ? -ENOMEM : result;
}

TEST(starting_survives_lack_of_memory)
{
	assert_true(alloc_fail_each(start_and_stop, NULL) >= 3);
}

static int only_errors(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	return 0;
}

TEST_GROUP(only_errors, NULL);
