/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of this host whose connections are not ordinary ones: bytes in the SYN, and another protocol on top
 * of TCP. They are left alone, and what they say arrives. In a network namespace of this process.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bpf/actor.h"
#include "tests/bpf/bypass_rig.h"
#include "tests/bpf/local_rig.h"
#include "tests/lib/test.h"
#include "user/kernel/local/local_worker.h"

/* Client and server, and both without a cookie. */
#define FAST_OPEN "519"

/* Not rig_skip(): a kernel without this has BPF all the same. */
static void skip_loudly(const char *what, int error)
{
	fprintf(stderr, "SKIPPED, NOTHING WAS TESTED: this kernel has no %s: %s\n", what, strerror(error));
	skip();
}

static void network_enter(void)
{
	local_free(local_rig_load(NULL)); /* skips where there is no BPF */
	rig_enter_network();
}

struct scene {
	struct local *local;
	struct local_worker *worker;
	struct sockaddr_storage address;
	struct bypass bypass;
	int listener, own, app;
};

static void scene_open(struct scene *s)
{
	*s = (struct scene){ .local = local_rig_load(NULL), .own = -1, .app = -1 };
	s->listener = rig_listen(AF_INET, &s->address, 0, 0);
	assert_int_equal(local_listener_add(s->local, (struct sockaddr *)&s->address), 0);
	assert_int_equal(local_worker_create(s->local, &s->worker), 0);
}

static void scene_accept(struct scene *s)
{
	s->own = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(s->own >= 0);
}

/* Nothing is known of either end, so it is in no lane, neither now nor later. */
static void expect_left_alone(struct scene *s)
{
	assert_int_equal(rig_count_elements(s->local->map_fds[LOCAL_MAP_SOCKETS]), 0);
	assert_int_equal(rig_count_elements(s->local->map_fds[LOCAL_MAP_ENDS]), 0);
	assert_int_equal(local_look(s->local, s->own), -ENOENT);
	assert_int_equal(bypass_start(&s->bypass, s->worker, s->own), -ENOENT);
}

/* From `position` of the client on, both ways, and both ends. */
static void expect_bytes(struct scene *s, uint64_t position)
{
	set_blocking(s->app, false);
	for (uint64_t at = 0; at < 200000; at += 10000) {
		pair_send(s->app, 1, position + at, 10000);
		assert_true(pair_expect(s->own, 1, position + at, 10000));
		pair_send(s->own, 2, at, 10000);
		assert_true(pair_expect(s->app, 2, at, 10000));
	}
	assert_int_equal(shutdown(s->app, SHUT_WR), 0);
	assert_string_equal(pair_next(s->own), "end");
	assert_int_equal(shutdown(s->own, SHUT_WR), 0);
	assert_string_equal(pair_next(s->app), "end");
}

static void scene_close(struct scene *s)
{
	bypass_stop(&s->bypass);
	local_worker_free(s->worker);
	rig_close(&s->own);
	rig_close(&s->app);
	rig_close(&s->listener);
	local_free(s->local);
}

static void scene_skip(struct scene *s, const char *what)
{
	int error = errno;

	scene_close(s);
	skip_loudly(what, error);
}

/* ---------------------------------------------------------------------------------------- Fast Open */

static void fast_open_allow(void)
{
	FILE *file = fopen("/proc/sys/net/ipv4/tcp_fastopen", "we");
	bool is_done = file && fputs(FAST_OPEN, file) >= 0;

	if (file && fclose(file))
		is_done = false;
	if (!is_done)
		skip_loudly("TCP Fast Open", errno);
}

static void fast_open(size_t bytes, bool is_taken)
{
	static char piece[100000];
	struct tcp_info info;
	socklen_t len = sizeof(info);
	struct scene s;
	int queue = 8;

	scene_open(&s);
	if (is_taken && setsockopt(s.listener, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)))
		scene_skip(&s, "TCP Fast Open for listeners");
	pattern_fill(piece, 1, 0, bytes);
	s.app = rig_socket(AF_INET, 0, 0);
	if (sendto(s.app, piece, bytes, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&s.address,
		   sizeof(s.address)) != (ssize_t)bytes)
		scene_skip(&s, "TCP Fast Open for clients");
	scene_accept(&s);
	assert_int_equal(getsockopt(s.app, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	/* Else this would be a test of an ordinary connection. */
	assert_int_equal(!!(info.tcpi_options & TCPI_OPT_SYN_DATA), is_taken);
	expect_left_alone(&s);
	assert_true(pair_expect(s.own, 1, 0, bytes));
	expect_bytes(&s, bytes);
	scene_close(&s);
}

TEST(a_client_that_sends_in_its_syn_is_left_alone)
{
	network_enter();
	fast_open_allow();
	fast_open(100, true);
	fast_open(100000, true);
	/* Refused, these bytes are sent again behind the handshake. */
	fast_open(100, false);
}

/* ---------------------------------------------------------------------------------------- other protocols */

/* Its TCP connection has an upper protocol (icsk_ulp_ops) from the beginning. */
TEST(a_client_with_an_upper_protocol_is_left_alone)
{
	char name[16] = "";
	socklen_t len = sizeof(name);
	struct scene s;

	network_enter();
	scene_open(&s);
	s.app = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	if (s.app < 0)
		scene_skip(&s, "MPTCP");
	assert_int_equal(connect(s.app, (struct sockaddr *)&s.address, sizeof(s.address)), 0);
	if (getsockopt(s.app, IPPROTO_TCP, TCP_ULP, name, &len) || strcmp(name, "mptcp") != 0)
		scene_skip(&s, "upper protocol below MPTCP");
	scene_accept(&s);
	expect_left_alone(&s);
	expect_bytes(&s, 0);
	scene_close(&s);
}

/* An application may turn on kTLS at any time: what it sends and receives from there on goes through TCP. */
TEST(what_gets_an_upper_protocol_bypasses_no_more)
{
	struct local *local = local_rig_load(NULL);
	struct bypass_pair pair;
	struct bypass_stats stats;

	pair_open(local, &pair, &(struct bypass_pair_options){ 0 });
	pair_send(pair.app, 1, 0, 1000);
	assert_true(pair_expect(pair.own, 1, 0, 1000));
	pair_send(pair.own, 2, 0, 1000);
	assert_true(pair_expect(pair.app, 2, 0, 1000));
	if (setsockopt(pair.app, IPPROTO_TCP, TCP_ULP, "tls", 3)) {
		int error = errno;

		pair_close(&pair);
		local_free(local);
		skip_loudly("upper protocol that a TCP socket may get (kTLS)", error);
	}
	/* Without keys it carries plain bytes. */
	pair_send(pair.app, 1, 1000, 1000);
	assert_true(pair_expect(pair.own, 1, 1000, 1000));
	pair_send(pair.own, 2, 1000, 1000);
	assert_true(pair_expect(pair.app, 2, 1000, 1000));
	stats = bypass_stats(&pair.bypass);
	assert_int_equal(stats.in_bytes, 1000);
	assert_int_equal(stats.out_bytes, 1000);
	assert_false(stats.is_out);
	assert_int_equal(stats.reason, LOCAL_REASON_RECEIVER_GONE);
	pair_close(&pair);
	local_free(local);
}
